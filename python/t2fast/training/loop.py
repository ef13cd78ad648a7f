"""The steps of a training: what torch does, and nothing of folders but the state that is saved."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from t2fast.decode.gpu.device import device as gpu_in_use
from t2fast.progress import Bar
from t2fast.training.corpus import Corpus, Order
from t2fast.training.model import Transformer
from t2fast.training.recipe import Recipe
from t2fast.training.shape import Shape
from t2fast.training.state import State

_SECONDS = 30.0
"""Between two savings of the state, where the caller does not count steps."""
_HELD_OUT_ROWS = 64
"""Sequences of the held-out part that are read at once."""
_TALK = 20
"""Steps between two words about the loss."""


def run(
    model: Transformer,
    order: Order,
    recipe: Recipe,
    state: State,
    bar: Bar,
    save_every: int | None,
) -> tuple[Tensor, int]:
    """The steps that are missing, after those of the state; the losses of all, and how many were missing.

    A step that Ctrl-C cuts off may have moved some weights: the state before it stands.
    """
    optimiser = _optimiser(model, recipe)
    losses = state.restore(model, optimiser)
    first, context = len(losses), order.context
    steps = recipe.steps(context)
    losses = torch.cat([losses, torch.full((steps - first,), torch.nan)])
    device = next(model.parameters()).device
    saved = time.perf_counter()
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(step, model.n_params, context)
        rows = torch.from_numpy(order.batch(step, recipe.batch)).to(device)
        losses[step] = _step(model, optimiser, rows, recipe)
        now = time.perf_counter()
        if step == first:  # it loads and plans much that the others find there
            began = now
            bar.begin(step + 1)
        else:
            bar.advance(1)
        if step % _TALK == 0 or step == steps - 1:
            _sane(losses[step], step, recipe)
            speed = (step - first) * recipe.batch * context / (now - began) if step > first else 0.0
            bar.rate(f"loss {losses[step]:.3f}" + (f", {speed:,.0f} tokens/s" if speed else ""))
        due = (step + 1) % save_every == 0 if save_every else now - saved > _SECONDS
        if due and step + 1 < steps:
            state.save(model, optimiser, losses[: step + 1])
            saved = now
    return losses, steps - first


def device_of(name: str) -> torch.device:
    """The device of this name, ``cpu`` or ``cuda``; `ValueError` where there is none."""
    if name == "cuda":
        return gpu_in_use()
    if name != "cpu":
        raise ValueError(f"device must be 'cpu' or 'cuda', not {name!r}")
    return torch.device("cpu")


def seconds_a_step(
    shape: Shape, recipe: Recipe, rows: npt.NDArray[np.int64], device: str = "cpu", steps: int = 5
) -> float:
    """What a step takes, by a few of them; on the CPU one thread's, by its clock: others may be at work."""
    where = device_of(device)
    torch.set_num_threads(1)
    model = Transformer(shape)
    model.initialise(recipe.seed)
    model.to(where)
    optimiser = _optimiser(model, recipe)
    batch = torch.from_numpy(rows).to(where)
    _step(model, optimiser, batch, recipe)
    began = _clock(where)
    for _ in range(steps):
        _step(model, optimiser, batch, recipe)
    return (_clock(where) - began) / steps


def peak_flops(device: str = "cpu", times: int = 5) -> float:
    """What multiplying matrices gets of the device, the best of a few, in FLOPs a second.

    A thread of the CPU multiplies float32, a GPU bfloat16: what they train in.
    """
    where = device_of(device)
    torch.set_num_threads(1)
    size, kind = (768, torch.float32) if where.type == "cpu" else (8192, torch.bfloat16)
    left, right = torch.rand(2, size, size, device=where).to(kind)
    seconds = []
    for _ in range(times):
        began = _clock(where)
        left @ right
        seconds.append(_clock(where) - began)
    return float(2.0 * size**3 / min(seconds))


def _clock(device: torch.device) -> float:
    """Seconds, with all that was asked of the device done: of the processor alone where that is the CPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _step(model: Transformer, optimiser: torch.optim.Optimizer, rows: Tensor, recipe: Recipe) -> Tensor:
    """One step of AdamW on these sequences; their loss in nats a token, without the z-loss."""
    cuda = rows.device.type == "cuda"
    with torch.autocast(rows.device.type, torch.bfloat16, enabled=cuda):
        logits = model(rows[:, :-1])
    loss, normaliser = _loss(logits.float(), rows[:, 1:])
    optimiser.zero_grad(set_to_none=True)
    (loss + recipe.z_loss * normaliser.square().mean()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimiser.step()
    return loss.detach()


def tuning_step(model: Transformer, optimiser: torch.optim.Optimizer, rows: Tensor, learnt: Tensor) -> float:
    """One step on the tokens that are learnt, of the sequences' second to last; their mean loss in nats."""
    device = next(model.parameters()).device
    rows, learnt = rows.to(device), learnt.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits = model(rows[:, :-1])
    log_p = logits.float()[learnt].log_softmax(-1)
    loss = -log_p.gather(-1, rows[:, 1:][learnt][:, None]).mean()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean negative log-likelihood of the targets, and each position's log-normaliser.

    The normaliser is what log-softmax took off the target's logit: so the vocabulary, most of a small
    model's time, is walked once.
    """
    log_p = logits.log_softmax(-1).gather(-1, targets[..., None])
    return -log_p.mean(), logits.gather(-1, targets[..., None]) - log_p


def _optimiser(model: Transformer, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW whose decay is a share of the schedule, not of the learning rate, and spares gains."""
    weights = list(model.parameters())
    groups = [
        {"params": [w for w in weights if w.dim() > 1], "weight_decay": recipe.weight_decay / recipe.lr},
        {"params": [w for w in weights if w.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, fused=True)


def held_out_loss(model: Transformer, corpus: Corpus, context: int) -> float:
    """Nats a token where nothing was trained."""
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for rows in torch.from_numpy(corpus.held_out(context)).split(_HELD_OUT_ROWS):
        with torch.no_grad():
            loss, _ = _loss(model(rows[:, :-1].to(device)).float(), rows[:, 1:].to(device))
        total += float(loss) * len(rows)
        count += len(rows)
    return total / count


def _sane(loss: Tensor, step: int, recipe: Recipe) -> None:
    if not torch.isfinite(loss):
        raise ValueError(
            f"the loss is {float(loss)} at step {step}: a learning rate of {recipe.lr:g} is too much here; "
            "try a smaller one, in another folder"
        )
