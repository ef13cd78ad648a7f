"""Do small models train faster several at once, or compiled? Milliseconds of a processor a step and model.

Run as `python benches/training.py` (some minutes; `--sizes 8x1x1,96x4x3` for others: width, layers, heads).
The testbed trains one model a thread, in plain PyTorch. Beside that, on one thread, the same steps of the
same recipe

- of 3 and of 8 models of a size at once: stacked weights under `torch.func.vmap`;
- by `torch.compile`, with what compiling takes the first time.

All sides start from the same weights and must agree on the losses of three steps before they are timed. The
limit is what the thread multiplies large float32 matrices at.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch
from t2fast.training import Recipe, Shape, loop
from t2fast.training.model import Transformer
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

RECIPE = Recipe(1e6, lr=3e-2)
VOCAB, CONTEXT = 512, 96
SIZES = "8x1x1,16x1x2,32x2x2,64x2x2,96x4x3"
MODELS = (3, 8)
Step = Callable[[Tensor], Tensor]


def model_of(shape: Shape) -> Transformer:
    """With weights that are a function of the shape."""
    model = Transformer(shape)
    model.initialise(RECIPE.seed)
    return model


def plain(shape: Shape) -> Step:
    """A step as the product makes it."""
    model = model_of(shape)
    optimiser = loop._optimiser(model, RECIPE)
    return lambda rows: loop._step(model, optimiser, rows, RECIPE)


def compiled(shape: Shape) -> Step:
    """The same with the forward and the backward pass compiled."""
    model = model_of(shape)
    optimiser = loop._optimiser(model, RECIPE)
    forward = torch.compile(model)

    def step(rows: Tensor) -> Tensor:
        loss, normaliser = loop._loss(forward(rows[:, :-1]), rows[:, 1:])
        optimiser.zero_grad(set_to_none=True)
        (loss + RECIPE.z_loss * normaliser.square().mean()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.clip)
        optimiser.step()
        return loss.detach()

    return step


def at_once(shape: Shape, count: int) -> Step:
    """A step of each of so many models, on the same sequences."""
    base = model_of(shape)
    weights, buffers = stack_module_state([base] * count)
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    buffers = {name: values[0] for name, values in buffers.items()}
    decay = RECIPE.weight_decay / RECIPE.lr
    groups = [
        {"params": [w for w in weights.values() if w.dim() > 2], "weight_decay": decay},
        {"params": [w for w in weights.values() if w.dim() == 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=RECIPE.lr, betas=RECIPE.betas, fused=True)

    def objective(own: dict[str, Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
        tied = {**own, "output.weight": own["embedding.weight"]}
        loss, normaliser = loop._loss(functional_call(base, (tied, buffers), (rows[:, :-1],)), rows[:, 1:])
        return loss, RECIPE.z_loss * normaliser.square().mean()

    def step(rows: Tensor) -> Tensor:
        losses, extra = vmap(objective, in_dims=(0, None))(weights, rows)
        optimiser.zero_grad(set_to_none=True)
        (losses + extra).sum().backward()
        slopes = [w.grad for w in weights.values() if w.grad is not None]
        size = torch.stack([slope.flatten(1).square().sum(1) for slope in slopes]).sum(0).sqrt()
        share = (RECIPE.clip / (size + 1e-6)).clamp(max=1.0)
        for slope in slopes:
            slope.mul_(share.view(-1, *[1] * (slope.dim() - 1)))
        optimiser.step()
        return losses[-1].detach()

    return step


def seconds(step: Step, rows: Tensor, times: int = 10) -> float:
    """Of the processor, a step."""
    began = time.process_time()
    for _ in range(times):
        step(rows)
    return (time.process_time() - began) / times


def main() -> int:
    """Print a row a size; 1 where the sides disagree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default=SIZES, help=f"width x layers x heads (default: {SIZES})")
    sizes = parser.parse_args().sizes
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # vmap says that attention has no batched form
    peak = loop.peak_flops()
    print("| parameters | plain | GFLOP/s | of the peak | 3 at once | 8 at once | compiled | compiling |")
    print("| ---: " * 8 + "|")
    for size in sizes.split(","):
        width, layers, heads = map(int, size.split("x"))
        shape = Shape("qwen3", width, layers, heads, VOCAB, CONTEXT)
        rows = torch.randint(VOCAB, (RECIPE.batch, CONTEXT + 1), generator=torch.Generator().manual_seed(0))
        began = time.perf_counter()
        fast = compiled(shape)
        firsts = [float(fast(rows)) for _ in range(3)]
        compiling = time.perf_counter() - began  # other processes do it
        sides = [plain(shape), *(at_once(shape, count) for count in MODELS), fast]
        losses = [*([float(side(rows)) for _ in range(3)] for side in sides[:-1]), firsts]
        if max(abs(a - b) for one in losses[1:] for a, b in zip(one, losses[0], strict=True)) > 1e-3:
            print(f"{size}: losses differ: {losses}", file=sys.stderr)
            return 1
        models = (1, *MODELS, 1)
        rounds = [[seconds(side, rows) / n for side, n in zip(sides, models, strict=True)] for _ in range(5)]
        own, *others = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratios = (statistics.median(one[0] / one[i] for one in rounds) for i in range(1, len(sides)))
        speed = 6 * shape.n_params * rows[:, 1:].numel() / own
        times = " | ".join(
            f"{1e3 * each:.1f} ms, {ratio:.2f}x" for each, ratio in zip(others, ratios, strict=True)
        )
        print(
            f"| {shape.n_params:,} | {1e3 * own:.1f} ms | {speed / 1e9:.1f} | {speed / peak:.0%} | {times} "
            f"| {compiling:.0f} s |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
