"""Training: a corpus, a shape and a recipe in, a Hugging Face folder out; cut off anywhere, it goes on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from t2fast import atomic
from t2fast.arguments import require_kind
from t2fast.compute import train_flops
from t2fast.progress import Bar
from t2fast.text import amount
from t2fast.training.corpus import Corpus
from t2fast.training.objects import is_number, read_object
from t2fast.training.recipe import Recipe
from t2fast.training.shape import Shape

_RECORD = "training.json"
_FACTS = ("n_params", "n_tokens", "unique_tokens", "loss")
_ANEW = "remove it, and the model is trained anew"


@dataclass(frozen=True)
class Trained:
    """A model that is trained.

    Attributes:
        folder: its Hugging Face folder.
        n_params: N.
        n_tokens: D, tokens seen, repetitions counted.
        unique_tokens: U, different tokens among them.
        loss: nats a token on the part of the corpus that is held out.
        seconds: of this call; 0 if the model was there already.
        cpu_seconds: of this call's steps, by the processor's clock, all threads together.
        made: share of the steps that this call made.
    """

    folder: Path
    n_params: int
    n_tokens: int
    unique_tokens: int
    loss: float
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    made: float = 0.0

    @property
    def flops(self) -> float:
        """6 N D."""
        return float(train_flops(self.n_params, self.n_tokens))


def train(
    corpus: Corpus,
    tokenizer: str,
    shape: Shape,
    recipe: Recipe,
    folder: str | Path,
    *,
    unique_tokens: int | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    threads: int | None = None,
    save_every: int | None = None,
    progress: bool | None = None,
    label: str = "",
) -> Trained:
    """Train a model into `folder`, or go on where an earlier call was cut off, with the same bits.

    The bits are a function of the arguments, the number of threads, the processor and the version of torch.
    Until the model is whole `folder` has no config.json, and a state that is saved every half minute.

    Args:
        corpus: what to read.
        tokenizer: the content of the tokenizer.json that the corpus was cut by.
        shape: of the model; its context is the length of the training sequences.
        recipe: how to train it, D among it.
        folder: new, or of the same training; made if it is not there.
        unique_tokens: read the corpus's first U tokens alone, again and again: the data wall. None: all.
        device: ``cpu`` trains in float32, ``cuda`` multiplies in bfloat16.
        threads: of the CPU; None as torch has it.
        save_every: steps between two savings of the state; None: by the clock.
        progress: a bar on stderr; None: where stderr is a terminal.
        label: what the bar calls this.

    Returns:
        The trained model, its held-out loss with it.

    Raises:
        ValueError: if `folder` holds another training, naming what differs; if the corpus is too short for a
            sequence; if the loss is no number any more; if there is no such device; for `threads` and
            `save_every` below 1.
        ImportError: without torch and safetensors, the extra ``train``.
    """
    for what, given in ((Corpus, corpus), (Shape, shape), (Recipe, recipe)):
        require_kind("train", given, (what,), f"see t2fast.training.{what.__name__}")
    for name, value in (("threads", threads), ("save_every", save_every)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    try:
        import torch

        from t2fast.training import loop
        from t2fast.training.folder import save
        from t2fast.training.model import Transformer
        from t2fast.training.state import State
    except ImportError as error:
        raise ImportError(f"training needs more ({error}): pip install 't2fast[train]'") from error
    folder, where = Path(folder), loop.device_of(device)
    if threads is not None:
        torch.set_num_threads(threads)
    order = corpus.order(recipe.seed, shape.context, unique_tokens)
    steps = recipe.steps(shape.context)
    machine = {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__}
    _claim(folder, _record(corpus, tokenizer, shape, recipe, unique_tokens, machine))
    state = State(folder)
    done = finished(folder)
    if done is not None:
        state.remove()
        return done
    model = Transformer(shape)
    model.initialise(recipe.seed)
    model.to(where)
    began = time.perf_counter()
    with Bar(steps, progress, label or f"{amount(shape.n_params)} parameters") as bar:
        on_cpu = time.process_time()
        losses, made = loop.run(model, order, recipe, state, bar, save_every)
        on_cpu = time.process_time() - on_cpu
    n_tokens = steps * recipe.batch * shape.context
    unique = min(n_tokens, order.length * shape.context)
    facts = (shape.n_params, n_tokens, unique, loop.held_out_loss(model, corpus, shape.context))
    _write_losses(folder, losses.tolist(), recipe, shape)
    weights = {name: weight.detach().cpu() for name, weight in model.state_dict().items()}
    save(folder, shape, weights, tokenizer, dict(zip(_FACTS, facts, strict=True)))
    state.remove()
    return Trained(folder, *facts, time.perf_counter() - began, on_cpu, made / steps)


def _record(
    corpus: Corpus,
    tokenizer: str,
    shape: Shape,
    recipe: Recipe,
    unique_tokens: int | None,
    machine: dict[str, Any],
) -> dict[str, Any]:
    """All that the bits of a training depend on."""
    return {
        **asdict(shape),
        **asdict(recipe),
        "betas": list(recipe.betas),
        "corpus": corpus.fingerprint,
        "tokenizer": hashlib.sha256(tokenizer.encode()).hexdigest(),
        "unique_tokens": unique_tokens,
        **machine,
    }


def _claim(folder: Path, record: dict[str, Any]) -> None:
    """Make the folder this training's, or find that it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _RECORD
    if path.exists():
        if differences := list(_differences(path, record)):
            raise ValueError(
                f"{folder} holds another training: {'; '.join(differences)}. Ask for the same again to "
                "continue it, or give another folder"
            )
    elif strangers := sorted(one.name for one in folder.iterdir() if not one.name.endswith(atomic.SUFFIX)):
        raise ValueError(
            f"{folder} is no training and not empty (it has {strangers[0]}): give another folder"
        )
    else:
        atomic.write(path, [json.dumps(record, indent=1).encode(), b"\n"])


def _differences(path: Path, record: dict[str, Any]) -> Iterator[str]:
    there = read_object(path, "remove its folder, or give another")
    for name, value in record.items():
        if there.get(name) != value:
            yield f"{name} was {there.get(name)} and is {value}"


def finished(folder: Path) -> Trained | None:
    """The model in a folder, if its training ended; `ValueError` if its configuration cannot be read."""
    path = folder / "config.json"
    if not path.exists():
        return None
    config = read_object(path, _ANEW)
    if wrong := [name for name in _FACTS if not is_number(config.get(name))]:
        raise ValueError(f"{path} has no number {wrong[0]}, as all that training writes: {_ANEW}")
    return Trained(folder, *(config[name] for name in _FACTS))


def _write_losses(folder: Path, losses: list[float], recipe: Recipe, shape: Shape) -> None:
    """Of every step the loss on its sequences, before it was made."""
    tokens = recipe.batch * shape.context
    lines = [
        f"{step},{step * tokens},{recipe.rate(step, shape.n_params, shape.context):.6g},{loss:.6g}\n"
        for step, loss in enumerate(losses)
    ]
    atomic.write(folder / "losses.csv", [b"step,n_tokens,lr,loss\n", "".join(lines).encode()])
