"""What the problems that were measured say about problems to come: draws of their weights, the same for all
options.

A draw of the population weighs the problems by a flat Dirichlet distribution, Rubin's Bayesian bootstrap
(1981): the posterior of a population that was seen through these problems alone. What is drawn once is used
for every model and k, so that a problem that is hard for one is as hard for the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast import _core

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of problems, (draws, problems) or (draws, problems + 1), rows that add up to 1.

    Attributes:
        rows: the weights.
        cautious: whether the last column is for a problem that nothing solves.
    """

    rows: Floats
    cautious: bool

    @property
    def draws(self) -> int:
        """How many."""
        return len(self.rows)

    def every(self, step: int, first: int) -> Weights:
        """Every so many-th of the draws."""
        return Weights(np.ascontiguousarray(self.rows[first::step]), self.cautious)

    def means(self, values: Floats) -> Floats:
        """Mean of every option under every draw: (options, problems) to (options, draws)."""
        if self.cautious:
            values = np.hstack([values, np.zeros((len(values), 1))])
        out = np.empty((len(values), len(self.rows)))
        if out.size:
            _core.resampled_means(np.ascontiguousarray(values), self.rows, out)
        return out


def population(problems: int, draws: int, seed: int) -> Weights:
    """Populations that the problems could have come from."""
    rows = np.random.default_rng([seed, 0]).standard_gamma(1.0, (draws, problems))
    return Weights(rows / rows.sum(axis=1, keepdims=True), cautious=False)


def measured_again(weights: Weights, seed: int) -> Weights:
    """As many new problems drawn from each of these populations: what measuring again would show.

    What seems best among several is so partly by luck, and populations drawn about it repeat that luck: on
    EvalPerf what they held best with 73% was so with 63%. A second draw stands for it.
    """
    problems = weights.rows.shape[1]
    drawn = np.random.default_rng([seed, 2]).multinomial(problems, weights.rows) / problems
    return Weights(np.ascontiguousarray(drawn), cautious=False)


def new_problems(problems: int, new: float, draws: int, seed: int) -> Weights:
    """As many new problems, each drawn from such a population; infinitely many are the population itself.

    One more problem that nothing solves stands for what was not seen. With it the chance that so many new
    problems are solved is, where each is solved always or never, that of the exact one-sided limits for a
    proportion: a Beta(c, n - c + 1) for the lower limit of Clopper and Pearson (1934).
    """
    rng = np.random.default_rng([seed, 1])
    rows = rng.standard_gamma(1.0, (draws, problems + 1))
    rows /= rows.sum(axis=1, keepdims=True)
    if np.isfinite(new):
        rows = rng.multinomial(int(new), rows) / int(new)
    return Weights(np.ascontiguousarray(rows), cautious=True)
