"""Fine-tuning: a trained model read back, a few epochs of prompts with their answers, and a folder again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from t2fast.training.objects import read_object
from t2fast.training.shape import Shape

Example = tuple[Sequence[int], Sequence[int]]
"""The tokens of a prompt and of its answer."""


@dataclass(frozen=True)
class Tuning:
    """How a model is fine-tuned (Roberts et al. 2026, arXiv 2604.01411, on post-training): AdamW at one rate.

    Attributes:
        epochs: times that every example is read.
        batch: examples of a step.
        lr: learning rate.
        answers_only: learn from the answers' tokens alone (SFT), not from the prompts' as well (FT).
        seed: of the order of the examples.
    """

    epochs: int = 6
    batch: int = 8
    lr: float = 2e-5
    answers_only: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "lr"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")


def fine_tune(
    folder: str | Path,
    shape: Shape,
    examples: Sequence[Example],
    tuning: Tuning,
    target: str | Path,
    *,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Path:
    """Read the model of `train` in `folder`, fine-tune it, and write it to `target`.

    The objective is the mean negative log-likelihood of the tokens that are learnt from. N and D in the new
    folder's configuration stay those of the training.

    Args:
        folder: the model's.
        shape: of the model.
        examples: what to learn from.
        tuning: how.
        target: the new model's folder, made if it is not there.
        device: ``cpu`` computes in float32, on as many threads as torch was given; ``cuda`` multiplies in
            bfloat16.

    Returns:
        The folder, as a path.

    Raises:
        ValueError: if there is no example, one is longer than the model's context, or the loss is no number.
        ImportError: without torch and safetensors, the extra ``train``.
    """
    import torch

    from t2fast.training import loop
    from t2fast.training.folder import save, weights_in
    from t2fast.training.model import Transformer

    folder, target = Path(folder), Path(target)
    rows, learnt = _rows(examples, shape.context, tuning.answers_only)
    model = Transformer(shape)
    model.load_state_dict(weights_in(folder, shape, model.state_dict()))
    model.to(loop.device_of(device))
    optimiser = torch.optim.AdamW(model.parameters(), lr=tuning.lr, weight_decay=0.0, fused=True)
    for epoch in range(tuning.epochs):
        order = np.random.default_rng([tuning.seed, epoch]).permutation(len(rows))
        for first in range(0, len(rows), tuning.batch):
            some = order[first : first + tuning.batch]
            most = int(learnt[some].any(axis=0).nonzero()[0].max()) + 2  # what is after it is padding
            loss = loop.tuning_step(
                model,
                optimiser,
                torch.from_numpy(rows[some, :most]),
                torch.from_numpy(learnt[some, : most - 1]),
            )
    if not math.isfinite(loss):
        raise ValueError(
            f"the loss is {loss} after fine-tuning: a learning rate of {tuning.lr} is too much here"
        )
    config = read_object(folder / "config.json")
    facts = {name: config[name] for name in ("n_params", "n_tokens", "unique_tokens")}
    weights = {name: weight.detach().cpu() for name, weight in model.state_dict().items()}
    target.mkdir(parents=True, exist_ok=True)
    save(target, shape, weights, (folder / "tokenizer.json").read_text("utf-8"), facts)
    return target


def _rows(examples: Sequence[Example], context: int, answers_only: bool) -> tuple[np.ndarray, np.ndarray]:
    """Examples as rows, padded with 0, and of each place but the first whether its token is learnt."""
    if not examples:
        raise ValueError("there are no examples to learn from")
    longest = max(len(prompt) + len(answer) for prompt, answer in examples)
    if longest > context + 1:
        raise ValueError(
            f"an example has {longest} tokens, and the model's context is {context}: leave it out, or train "
            "with a longer context"
        )
    rows = np.zeros((len(examples), longest), dtype=np.int64)
    learnt = np.zeros((len(examples), longest - 1), dtype=np.bool_)
    for row, (prompt, answer) in enumerate(examples):
        whole = [*prompt, *answer]
        rows[row, : len(whole)] = whole
        learnt[row, (len(prompt) - 1 if answers_only else 0) : len(whole) - 1] = True
    return rows, learnt
