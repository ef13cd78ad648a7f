"""A checkpoint fine-tuned on tasks, in the two ways of Roberts et al. 2026, and what it makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import polars as pl

from t2fast.decode import Engine, load
from t2fast.tasks import Task, load_task
from t2fast.testbed.measure import score
from t2fast.testbed.settings import Settings
from t2fast.training import Shape, Trained, Tuning, fine_tune
from t2fast.training.documents import problem_key

STAGES = {"FT": False, "SFT": True}
"""The ways, and whether answers alone are learnt: FT learns prompts, too."""


def tune(name: str, shape: Shape, trained: Trained, tasks: Sequence[str], settings: Settings) -> pl.DataFrame:
    """Likelihoods after fine-tuning, a row a stage, task and problem; the tuned models are not kept.

    Args:
        name: of the model, in the table.
        shape: its shape.
        trained: the model.
        tasks: each makes models of its own.
        settings: how.

    Returns:
        The table, its `stage` FT or SFT.
    """
    import torch

    device = settings.device
    if device == "cpu":
        torch.set_num_threads(1)
    base = _load(trained.folder, device)
    found = []
    for named in tasks:
        asked, learnt = _problems(settings, named)
        examples = []
        for problem in learnt.problems:
            prompt = base.tokenizer.encode(problem.prompt)
            answer = base.tokenizer.encode_answer(problem.prompt, prompt, problem.answers[0])
            if len(prompt) + len(answer) <= shape.context + 1:
                examples.append((prompt, answer))
        for stage, answers_only in STAGES.items():
            way = Tuning(settings.tuned_epochs, settings.batch, settings.tuned_lr, answers_only)
            with tempfile.TemporaryDirectory() as place:
                fine_tune(trained.folder, shape, examples, way, place, device=device)
                found.append(score(_load(Path(place), device), name, trained, asked, stage))
    return pl.concat(found)


def _load(folder: Path, device: Literal["cpu", "cuda"]) -> Engine:
    return load(folder, device=device, dtype="float32", threads=1 if device == "cpu" else None)


@lru_cache(maxsize=8)
def _problems(settings: Settings, name: str) -> tuple[Task, Task]:
    """A task's problems that are asked, and others to learn from."""
    asked = load_task(name, problems=settings.problems)
    keys = {problem_key(problem.prompt) for problem in asked.problems}  # the same sum with other names, too
    learnt = load_task(name, problems=settings.tuned_problems, seed=1)
    others = tuple(problem for problem in learnt.problems if problem_key(problem.prompt) not in keys)
    if not others:
        raise ValueError(f"task {name} has no problem to learn from that is not asked as well")
    return asked, Task(learnt.name, others, learnt.rule, learnt.check, learnt.stop, learnt.max_tokens)
