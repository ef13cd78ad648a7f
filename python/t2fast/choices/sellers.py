"""Models with their prices, and what any number of their samples brings on the problems that all share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.costs.tokens import QueryPrice
from t2fast.estimators.sequential import problem_pass_at_k
from t2fast.estimators.verified import verified_sampling
from t2fast.tables.counts import Counts

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Rates: TypeAlias = tuple[float, float]

_DENSE = 128
"""Every k up to here is an option; beyond, about a twentieth apart."""
_STEP = 1.05


@dataclass(frozen=True, eq=False)
class Chances:
    """What up to k samples bring, by k and by problem, (K, kinds): problems of the same counts are one kind.

    Attributes:
        right: the chance of a right answer; without a check that errs, pass@k.
        wrong: the chance of a wrong one.
        drawn: expected samples if sampling stops at the first that is accepted, or at k.
    """

    right: Floats
    wrong: Floats
    drawn: Floats


@dataclass(frozen=True, eq=False)
class Seller:
    """A model with its price and its chances on the shared problems.

    Attributes:
        model: its name.
        price: what its samples cost; of each problem, where tokens were measured.
        counts: its samples, a row a problem.
        ks: samples a query, ascending: whole numbers up to the fewest samples of a problem, (K,).
        seconds: first token and the rest of a sample, where its speed is known.
        at_once: samples that are drawn at the same time at most; of more, the rest waits.
        chances: of kinds of problems.
        kind: of every problem, (problems,).
    """

    model: str
    price: QueryPrice
    counts: Counts
    ks: Integers
    seconds: tuple[float, float] | None
    chances: Chances
    kind: Integers
    at_once: float = math.inf

    @classmethod
    def of(
        cls,
        model: str,
        price: QueryPrice,
        counts: Counts,
        seconds: tuple[float, float] | None,
        max_k: int | None,
        at_once: float = math.inf,
    ) -> Seller:
        """With every k up to the fewest samples of a problem or `max_k`, under a check without errors."""
        least = int(counts.most_samples.min())
        ks = sample_numbers(least if max_k is None else min(least, max_k))
        return cls(model, price, counts, ks, seconds, _perfect(counts, ks), np.arange(len(counts.n)), at_once)

    @property
    def passes(self) -> Floats:
        """The chance of a right answer on every problem, (K, problems)."""
        return self.chances.right[:, self.kind]

    @property
    def wrong(self) -> Floats:
        """The chance of a wrong answer on every problem, (K, problems)."""
        return self.chances.wrong[:, self.kind]

    @property
    def drawn(self) -> Floats:
        """Expected samples of every problem until one is accepted or k are drawn, (K, problems)."""
        return self.chances.drawn[:, self.kind]

    @property
    def usd(self) -> Floats:
        """USD a query for k samples drawn together, (K, problems); (K, 1) if all problems cost the same."""
        return self.price.together(self.ks[:, None])

    @property
    def usd_until_solved(self) -> Floats:
        """Expected USD a query where sampling stops at the first that is accepted, (K, problems).

        Expected samples times the mean of one, however right samples differ from wrong ones in length: Wald's
        identity.
        """
        return self.price.one_by_one(self.drawn)

    @property
    def usd_of_one(self) -> float:
        """USD for one sample, the mean over problems."""
        return float(np.mean(self.price.prompt + self.price.sample))


def checked(sellers: Sequence[Seller], rates: Rates) -> tuple[Seller, ...]:
    """The same under a check that accepts so many of the right and of the wrong samples.

    Problems of equal counts are alike whoever answers them, so that they are looked at once for all sellers.
    """
    found: dict[int, Seller] = {}
    for last in {int(s.ks[-1]) for s in sellers}:
        mine = [i for i, s in enumerate(sellers) if s.ks[-1] == last]
        every = np.concatenate(
            [np.column_stack([sellers[i].counts.n, sellers[i].counts.c]) for i in mine], dtype=np.int64
        )
        pairs, where = np.unique(every, axis=0, return_inverse=True)
        chances = Chances(*verified_sampling(pairs[:, 0], pairs[:, 1], sellers[mine[0]].ks, *rates))
        for i, kind in zip(mine, np.split(where.reshape(-1), len(mine)), strict=True):
            found[i] = replace(sellers[i], chances=chances, kind=kind)
    return tuple(found[i] for i in range(len(sellers)))


def sample_numbers(last: int) -> Integers:
    """Every k up to 128, then steps of a twentieth, and `last`."""
    ks = list(range(1, min(last, _DENSE) + 1))
    while ks[-1] < last:
        ks.append(min(last, int(ks[-1] * _STEP)))
    return np.array(ks, dtype=np.int64)


def _perfect(counts: Counts, ks: Integers) -> Chances:
    n, c, k = counts.n, counts.c, ks[:, None]
    passes = problem_pass_at_k(n, c, ks, counts.sequential).T
    others, others_correct = n, c
    if counts.sequential is not None:
        until, _ = counts.sequential
        # The last sample of a problem that reached its successes is one in every order of them.
        others, others_correct = n - (c == until), c - (c == until)
    # Sum over j < k of C(n-j, c)/C(n, c), the chance that j samples all fail: ((n+1) - (n-k+1) F_k)/(c+1).
    drawn = (others + 1 - (others - k + 1) * (1 - passes)) / (others_correct + 1)
    return Chances(passes, np.zeros_like(passes), drawn)
