"""The score of a problem: the likelihood of its answers under a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from t2fast.decode import Engine
from t2fast.tasks import Problem


def scores(
    engine: Engine, problems: Sequence[Problem], chat: bool = False, now: datetime | None = None
) -> list[dict[str, Any]]:
    """The log-likelihood of each problem's answers: log of the probability that a sample begins with one."""
    prompts: dict[str | int, str] = {problem.id: problem.prompt for problem in problems}
    answers: dict[str | int, list[str | Sequence[int]]] = {
        problem.id: _without_extensions(problem.answers) for problem in problems
    }
    scored = engine.score(prompts, answers, chat=chat, now=now)
    rows: dict[Any, dict[str, Any]] = {
        problem: {"problem": problem, "log_likelihood": 0.0, "answers": [], "length": 0}
        for problem in prompts
    }
    for one in scored.iter_rows(named=True):
        rows[one["problem"]]["answers"].append(one["logprob"])
        rows[one["problem"]]["length"] += one["n_tokens"]
    for one in rows.values():
        largest = max(one["answers"])
        total = largest + math.log(math.fsum(math.exp(value - largest) for value in one["answers"]))
        one["log_likelihood"] = min(total, 0.0)  # rounding can lift a sum of probabilities above one
    return list(rows.values())


def _without_extensions(answers: tuple[str, ...]) -> list[str | Sequence[int]]:
    """Answers that begin with no other answer: the texts that begin with them are then counted once."""
    distinct = dict.fromkeys(answers)
    return [one for one in distinct if not any(one != other and one.startswith(other) for other in distinct)]
