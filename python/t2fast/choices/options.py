"""Ways to answer a query, laid out as arrays: samples drawn together, one by one until one is accepted, or in
a cascade.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.choices.market import Market
from t2fast.choices.resampling import Weights
from t2fast.choices.sellers import Seller

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Stages: TypeAlias = tuple[tuple[str, int], ...]
Of: TypeAlias = Literal["passes", "wrong", "usd"]
Keep: TypeAlias = Callable[[Floats, Floats, Floats], npt.NDArray[np.bool_]]

_OF: tuple[Of, ...] = ("passes", "wrong", "usd")
_ALL, _FIRST = 16, 8
"""Samples up to which every number is tried in a cascade; and of models with more of them."""


@dataclass(frozen=True, eq=False)
class Options:
    """O ways to answer a query.

    Attributes:
        market: whose they are.
        places: of each and of its stages, in the order they are asked, the seller and the place of its most
            samples among the seller's, (O, stages, 2).
        stop: whether samples are drawn one by one until one is accepted.
        family: of each, a number shared by those that differ in their numbers of samples alone, (O,).
        passes: the chance that each answers each problem rightly, (O, problems).
        wrong: the chance that it answers it wrongly, likewise; (O, 1) of zeros where the check does not err.
        usd: expected cost of each on each problem, (O, problems), or (O, 1) where it is the same on all.
    """

    market: Market
    places: Integers
    stop: bool
    family: Integers
    passes: Floats
    wrong: Floats
    usd: Floats

    @classmethod
    def at(cls, market: Market, places: Integers, stop: bool, family: Integers) -> Options:
        """Laid out: of every stage what the ones before left without an answer."""
        passes, wrong, usd = (_laid_out(market, places, stop, of) for of in _OF)
        return cls(market, places, stop, family, passes, wrong, usd)

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def stages(self) -> tuple[Stages, ...]:
        """Of each, the models in the order they are asked, with the most samples of each."""
        named = [(s.model, s.ks.tolist()) for s in self.market.sellers]
        return tuple(
            tuple((named[seller][0], named[seller][1][row]) for seller, row in stages)
            for stages in self.places.tolist()
        )

    @property
    def seconds(self) -> Floats:
        """At worst, (O,); NaN where no speed is known. Samples drawn together take as long as one, but for
        those beyond what is drawn at once, which wait.
        """
        sellers = self.market.sellers
        known = [(math.nan, math.nan) if s.seconds is None else s.seconds for s in sellers]
        first, rest = np.array(known)[self.places[..., 0]].transpose(2, 0, 1)
        k = np.array([sellers[i].ks[row] for i, row in self.places.reshape(-1, 2).tolist()], float)
        k = k.reshape(first.shape)
        if self.stop:
            return np.asarray((k * (first + rest)).sum(axis=1))
        at_once = np.array([s.at_once for s in sellers])[self.places[..., 0]]
        return np.asarray((first + rest * np.maximum(1, np.ceil(k / at_once))).sum(axis=1))

    @property
    def pass_at_k(self) -> Floats:
        """Right answers, the mean over the problems measured, (O,)."""
        return np.asarray(self.passes.mean(axis=1))

    @property
    def wrong_answers(self) -> Floats:
        """Wrong answers, likewise."""
        return np.asarray(self.wrong.mean(axis=1))

    @property
    def usd_per_query(self) -> Floats:
        """Mean over the problems measured, (O,)."""
        return np.asarray(self.usd.mean(axis=1))

    def where(self, keep: npt.NDArray[np.bool_]) -> Options:
        """Those to keep."""
        return self.where_at(np.flatnonzero(keep))

    def where_at(self, at: Integers) -> Options:
        """Those at these places, in this order."""
        kept = (values[at] for values in (self.passes, self.wrong, self.usd))
        return Options(self.market, self.places[at], self.stop, self.family[at], *kept)

    def means(self, weights: Weights, of: Of) -> Floats:
        """Means over problems under every draw, (O, draws), or (O, 1) where all of them are the same.

        Where the rates of the check are uncertain, each draw of the problems has one of the rates' in turn.
        """
        values: Floats = getattr(self, of)
        others = self.market.drawn
        if values.shape[1] < self.market.problems:
            return values
        if not others:
            return weights.means(values)
        out = np.empty((len(self), weights.draws))
        for i, market in enumerate(others[: weights.draws]):
            part = weights.every(len(others), i)
            out[:, i :: len(others)] = part.means(_laid_out(market, self.places, self.stop, of))
        return out

    def pass_at_k_under(self, market: Market) -> Floats:
        """Right answers in another market of the same sellers, (O,)."""
        return np.asarray(_laid_out(market, self.places, self.stop, "passes").mean(axis=1))


def together(market: Market) -> Options:
    """k samples of one model at once, all of them paid for."""
    return _alone(market, stop=False)


def until_solved(market: Market) -> Options:
    """Samples of one model one by one, up to k, until one is accepted."""
    return _alone(market, stop=True)


def cascades(market: Market, keep: Keep) -> Options:
    """A cheap model until one of its samples is accepted or k1 were drawn, then a dearer one on what has no
    answer yet, up to k2.

    Samples are independent given the problem, so the chance that neither answers is the product of theirs;
    the second is paid for only where the first did not. Numbers of samples beyond 8 are some 40% apart, where
    there are more than 16. `keep` says,
    of means of right answers, wrong answers and USD (each of shape (k1, k2)), which are worth having: there
    are many.
    """
    places, family = [np.empty((0, 2, 2), np.int64)], []
    for i in range(len(market.sellers)):
        for j in range(i + 1, len(market.sellers)):
            pair = _pair(market.sellers[i], market.sellers[j], keep)
            family += [len(places)] * len(pair)
            sellers = np.broadcast_to([i, j], pair.shape)
            places.append(np.stack([sellers, pair], axis=2))
    return Options.at(market, np.concatenate(places), True, np.array(family, np.int64))


def _alone(market: Market, stop: bool) -> Options:
    family = np.repeat(np.arange(len(market.sellers)), [len(s.ks) for s in market.sellers])
    rows = np.concatenate([np.arange(len(s.ks)) for s in market.sellers])
    return Options.at(market, np.column_stack([family, rows])[:, None], stop, family)


def _pair(first: Seller, second: Seller, keep: Keep) -> Integers:
    """Which places of both to keep, (pairs, 2)."""
    rows, others = _sparse(first.ks), _sparse(second.ks)
    right, wrong = first.passes[rows], first.wrong[rows]
    left = 1 - right - wrong
    problems = left.shape[1]
    # Means over problems of products are products of matrices; only what is kept is laid out in full.
    means = [
        before.mean(axis=1)[:, None] + left @ after[others].T / problems
        for before, after in (
            (right, second.passes),
            (wrong, second.wrong),
            (first.usd_until_solved[rows], second.usd_until_solved),
        )
    ]
    i, j = np.nonzero(keep(*means))
    return np.column_stack([rows[i], others[j]])


def _sparse(ks: Integers) -> Integers:
    """Indices of ks: all up to 16; of more the first 8, others about 40% apart, and the last."""
    if ks[-1] <= _ALL:
        return np.arange(len(ks))
    wanted = np.round(np.geomspace(1, ks[-1], 2 + int(2 * np.log2(ks[-1]))))
    apart = np.unique(np.searchsorted(ks, wanted))
    return np.union1d(np.arange(_FIRST), apart).astype(np.int64)


def _laid_out(market: Market, places: Integers, stop: bool, of: Of) -> Floats:
    """Right answers, wrong ones or USD of `Options`: of every stage, where the ones before gave no answer."""
    each = (
        market.errs
        if of == "wrong"
        else of == "passes" or stop or any(np.ndim(s.price.prompt + s.price.sample) for s in market.sellers)
    )
    out = np.zeros((len(places), market.problems if each else 1))
    if of == "wrong" and not market.errs:
        return out
    stages = places.shape[1]
    left = np.ones((len(places), market.problems if stages > 1 else 1))
    for stage in range(stages):
        for i in np.unique(places[:, stage, 0]).tolist():
            seller = market.sellers[i]
            at = np.flatnonzero(places[:, stage, 0] == i)
            rows, chances = places[at, stage, 1], seller.chances
            if of == "usd" and not stop:
                out[at] += seller.price.together(seller.ks[rows][:, None])
            elif of == "usd":
                out[at] += left[at] * seller.price.one_by_one(chances.drawn[rows][:, seller.kind])
            else:
                share = chances.right if of == "passes" else chances.wrong
                out[at] += left[at] * share[rows][:, seller.kind]
            if stage + 1 < stages:
                answered = chances.right[rows] + chances.wrong[rows]
                left[at] *= np.maximum(0, 1 - answered)[:, seller.kind]
    return out
