"""The choice of runs, one after the other, each for what it is expected to tell for its cost.

The law's draws are joint: for every run that could be made, and for the target, they say what the law holds
possible, and so how the two go together. With t the target's logarithm, x that of a run's value and v the
variance by which a new checkpoint scatters about the law, measuring the run leaves of the target's variance

    var(t | x) = var(t) - cov(t, x)^2 / (var(x) + v),

whatever is found: exact where the draws are jointly normal, and else what their second moments say. The run
with the largest reduction for its cost is taken, all covariances are conditioned on it, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_CHANCE = 2.0
"""A reduction counts from so many times what draws that have nothing to do with each other show."""


@dataclass(frozen=True)
class Step:
    """A run that is taken: its place among the candidates, and the summed variance of the targets then."""

    place: int
    variance: float


def choose_runs(
    targets: Floats, values: Floats, noise: Floats, cost: Floats, budget: float, count: int
) -> Iterator[Step]:
    """Runs, in the order in which to make them, while any is worth more than chance.

    Args:
        targets: draws of what is wanted, (draws, targets).
        values: draws of what each run would show without its scatter, (draws, runs).
        noise: variance of that scatter, (runs,).
        cost: of each run, (runs,).
        budget: most that all may cost.
        count: most runs.

    Yields:
        Each run that is taken.
    """
    draws = len(targets)
    joint = np.concatenate([targets, values], axis=1)
    covariance = np.cov(joint, rowvar=False).reshape(joint.shape[1], joint.shape[1])
    wanted = targets.shape[1]
    left, free = budget, np.ones(len(cost), dtype=bool)
    for _ in range(count):
        own = np.trace(covariance[:wanted, :wanted])
        spread = np.diag(covariance)[wanted:] + noise
        reduction = (covariance[:wanted, wanted:] ** 2).sum(axis=0) / spread
        # Of two independent things M draws show a squared correlation of 1/M.
        reduction -= _CHANCE * own / draws
        worth = np.where(free & (cost <= left), reduction / cost, 0.0)
        place = int(np.argmax(worth))
        if worth[place] <= 0:
            return
        column = covariance[:, wanted + place].copy()
        covariance -= np.outer(column, column) / spread[place]
        free[place] = False
        left -= cost[place]
        yield Step(place, float(np.trace(covariance[:wanted, :wanted])))
