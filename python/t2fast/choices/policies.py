"""Policies that say, sample by sample, which query to try next, for a server that checks every sample at
once.

A policy is asked with what has happened so far and keeps nothing itself: the same history gets the same
answer, on any machine and after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.arguments import require_kind
from t2fast.estimators.beta import expected_samples_until_first_success

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """What has happened: for every query the samples that failed, and whether one succeeded.

    Attributes:
        failures: whole numbers, (queries,); a list does.
        solved: (queries,), likewise.

    Raises:
        ValueError: for two of different length, and for failures that are not whole or are negative.
    """

    failures: Integers
    solved: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        failures, solved = np.asarray(self.failures), np.asarray(self.solved)
        if failures.ndim != 1 or failures.shape != solved.shape:
            raise ValueError(
                f"failures has shape {failures.shape} and solved {solved.shape}: give one of each a query"
            )
        if failures.size and (failures.dtype.kind not in "iu" or failures.min() < 0):
            raise ValueError(f"failures is {self.failures!r}: give whole numbers that are not negative")
        if solved.size and solved.dtype.kind != "b":
            raise ValueError(f"solved is {self.solved!r}: give True or False a query")
        object.__setattr__(self, "failures", failures.astype(np.int64))
        object.__setattr__(self, "solved", solved.astype(bool))

    @classmethod
    def empty(cls, queries: int) -> History:
        """Before the first sample."""
        return cls(np.zeros(queries, np.int64), np.zeros(queries, bool))

    @property
    def drawn(self) -> int:
        """Samples so far."""
        return int(self.failures.sum() + self.solved.sum())

    def after(self, query: int, success: bool) -> History:
        """The history one sample later.

        Raises:
            ValueError: for a query that there is not.
        """
        if not 0 <= query < len(self.failures):
            raise ValueError(f"query is {query!r}: there are {len(self.failures)}, counted from 0")
        failures, solved = self.failures.copy(), self.solved.copy()
        if success:
            solved[query] = True
        else:
            failures[query] += 1
        return History(failures, solved)


class Policy(Protocol):
    """Whatever says which query to try next."""

    def next(self, history: History) -> int | None:
        """The query to draw a sample for, or None to stop."""


@dataclass(frozen=True)
class PosteriorIndex:
    """Always the unsolved query whose next sample is likeliest to solve it, by p ~ Beta(a, b) and its
    failures.

    After f failures the posterior is Beta(a, b + f), and the next sample succeeds with a/(a + b + f). A query
    is dropped once it is solved. With one prior for all that is every unsolved query in turn: the elimination
    that Zuo and Zhu 2025 (arXiv 2506.12721) propose for such a bandit. Priors of their own, from a fit or
    from features of the query, make it favour the easy.

    Attributes:
        a: of the prior, one number or one a query.
        b: likewise.
        total: samples to spend over all queries; None for no limit.
        worth: stop with a query once its next sample solves it with a probability below this, which is the
            price of a sample over the value of a solution. That is the optimal rule of Weitzman's Pandora's
            box for such a prior, which Kalayci et al. 2025 (arXiv 2510.01394) approach without knowing it; 0
            never stops.
    """

    a: float | Floats
    b: float | Floats
    total: int | None = None
    worth: float = 0.0

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            values = np.asarray(getattr(self, name), float)
            if not (np.isfinite(values) & (values > 0)).all():
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: a Beta prior has positive, finite numbers"
                )
        if not self.worth >= 0:
            raise ValueError(f"worth is {self.worth!r}: it cannot be negative")
        if self.total is not None and not self.total >= 0:
            raise ValueError(f"total is {self.total!r}: samples to spend cannot be negative")

    def next(self, history: History) -> int | None:
        """The query to try, the first of equals; None where all is solved, spent or no longer worth it.

        Raises:
            ValueError: where priors are neither one nor one a query.
            TypeError: for what is no history.
        """
        require_kind("a policy", history, (History,), "such as History(failures, solved)")
        if not len(history.failures):
            return None
        priors = np.broadcast_shapes(np.shape(self.a), np.shape(self.b))
        if priors not in ((), (1,), history.failures.shape):
            raise ValueError(
                f"there are {priors[0]} priors and {len(history.failures)} queries: give one each"
            )
        if self.total is not None and history.drawn >= self.total:
            return None
        index = np.where(history.solved, -1.0, self.a / (self.a + self.b + history.failures))
        best = int(index.argmax())
        return best if index[best] > 0 and index[best] >= self.worth else None

    @property
    def most(self) -> Floats:
        """Samples after which a query is dropped unsolved; infinite where `worth` is 0."""
        if self.worth <= 0:
            return np.asarray(np.full(np.broadcast(self.a, self.b).shape, np.inf))
        a, b = np.asarray(self.a, float), np.asarray(self.b, float)
        return np.asarray(np.maximum(0, np.floor(a / self.worth - a - b) + 1))

    def expected_samples(self) -> Floats | float:
        """Expected samples a query until solved or dropped, without a `total`: in closed form.

        sum over j < most of the chance that j samples all fail; infinite where a <= 1 and nothing ends it.
        """
        most = self.most
        drawn = expected_samples_until_first_success(self.a, self.b, np.maximum(most, 1))
        return np.where(most == 0, 0.0, drawn) if np.ndim(drawn) else float(drawn) * float(most > 0)
