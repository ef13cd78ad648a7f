"""Ways to answer a query, laid out as arrays: samples drawn together, one by one until solved, or in a
cascade.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.choices.market import Market, Seller
from t2fast.choices.resampling import Weights

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Stages: TypeAlias = tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Options:
    """O ways to answer a query.

    Attributes:
        stages: of each, the models in the order they are asked, with the most samples of each.
        family: of each, a number shared by those that differ in their numbers of samples alone, (O,).
        passes: the chance that each solves each problem, (O, problems).
        usd: expected cost of each on each problem, (O, problems), or (O, 1) where it is the same on all.
        seconds: at worst, (O,); NaN where no speed is known.
    """

    stages: tuple[Stages, ...]
    family: Integers
    passes: Floats
    usd: Floats
    seconds: Floats

    def __len__(self) -> int:
        return len(self.stages)

    @property
    def pass_at_k(self) -> Floats:
        """Mean over the problems measured, (O,)."""
        return np.asarray(self.passes.mean(axis=1))

    @property
    def usd_per_query(self) -> Floats:
        """Mean over the problems measured, (O,)."""
        return np.asarray(self.usd.mean(axis=1))

    def where(self, keep: npt.NDArray[np.bool_]) -> Options:
        """Those to keep."""
        return self.where_at(np.flatnonzero(keep))

    def where_at(self, places: Integers) -> Options:
        """Those at these places, in this order."""
        return Options(
            tuple(self.stages[i] for i in places),
            self.family[places],
            self.passes[places],
            self.usd[places],
            self.seconds[places],
        )

    def costs(self, weights: Weights) -> Floats:
        """USD a query under every draw, (O, draws) or (O, 1)."""
        return self.usd if self.usd.shape[1] == 1 else weights.means(self.usd)


def together(market: Market) -> Options:
    """k samples of one model at once, all of them paid for."""
    return _stacked(
        [
            Options(
                tuple(((s.model, int(k)),) for k in s.ks),
                np.full(len(s.ks), i),
                s.passes,
                s.usd[:, None],
                np.full(len(s.ks), np.nan if s.seconds is None else sum(s.seconds)),
            )
            for i, s in enumerate(market.sellers)
        ]
    )


def until_solved(market: Market) -> Options:
    """Samples of one model one by one, up to k, until one is right."""
    return _stacked(
        [
            replace(
                together(replace(market, sellers=(s,))),
                family=np.full(len(s.ks), i),
                usd=s.usd_until_solved,
                seconds=s.ks.astype(np.float64) * (np.nan if s.seconds is None else sum(s.seconds)),
            )
            for i, s in enumerate(market.sellers)
        ]
    )


def cascades(market: Market, keep: Callable[[Floats, Floats], npt.NDArray[np.bool_]]) -> Options:
    """A cheap model until solved or k1 samples, then a dearer one on what stays unsolved, up to k2.

    Samples are independent given the problem, so the chance that both fail is the product of theirs; the
    second is paid for only where the first failed. Numbers of samples are some 40% apart. `keep` says, of
    mean pass@k and mean USD (each of shape (k1, k2)), which are worth having: there are many.
    """
    parts = []
    family = 0
    for i, first in enumerate(market.sellers):
        for second in market.sellers[i + 1 :]:
            parts.append(_pair(first, second, family, keep))
            family += 1
    parts = [part for part in parts if len(part)]
    return _stacked(parts) if parts else _nothing(market.problems)


def _pair(
    first: Seller, second: Seller, family: int, keep: Callable[[Floats, Floats], npt.NDArray[np.bool_]]
) -> Options:
    rows, columns = _sparse(first.ks), _sparse(second.ks)
    fail, usd = 1 - first.passes[rows], first.usd_until_solved[rows]
    other_fail, other_usd = 1 - second.passes[columns], second.usd_until_solved[columns]
    problems = fail.shape[1]
    # Means over problems of products are products of matrices; only what is kept is laid out in full.
    mean_pass = 1 - fail @ other_fail.T / problems
    mean_usd = usd.mean(axis=1)[:, None] + fail @ other_usd.T / problems
    i, j = np.nonzero(keep(mean_pass, mean_usd))
    one = np.nan if first.seconds is None else sum(first.seconds)
    two = np.nan if second.seconds is None else sum(second.seconds)
    k1, k2 = first.ks[rows][i], second.ks[columns][j]
    return Options(
        tuple(((first.model, int(a)), (second.model, int(b))) for a, b in zip(k1, k2, strict=True)),
        np.full(len(i), family),
        1 - fail[i] * other_fail[j],
        usd[i] + fail[i] * other_usd[j],
        k1 * one + k2 * two,
    )


def _sparse(ks: Integers) -> Integers:
    """Indices of ks about 40% apart, both ends among them."""
    wanted = np.unique(np.round(np.geomspace(1, ks[-1], 2 + int(2 * np.log2(ks[-1])))))
    return np.unique(np.searchsorted(ks, wanted)).astype(np.int64)


def _stacked(parts: list[Options]) -> Options:
    return Options(
        tuple(stages for part in parts for stages in part.stages),
        np.concatenate([part.family for part in parts]),
        np.vstack([part.passes for part in parts]),
        np.vstack([part.usd for part in parts]),
        np.concatenate([part.seconds for part in parts]),
    )


def _nothing(problems: int) -> Options:
    empty = np.empty((0, problems))
    return Options((), np.empty(0, np.int64), empty, empty, np.empty(0))
