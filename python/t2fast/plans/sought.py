"""What the core is asked for under one budget, or for a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from t2fast.laws import AnyLaw
from t2fast.plans.judging import Judging
from t2fast.plans.moved import Terms
from t2fast.plans.planned import Floats
from t2fast.plans.workload import Ceiling, Prices

Ends = tuple[float, float]


@dataclass(frozen=True)
class Search:
    """What the core is asked for.

    Attributes:
        n_params: least and most N.
        prices: of `Workload.arithmetic`, a parameter.
        bytes: of `Workload.moved`, for a range.
        sizes: (N, prices) to choose from, in place of a range.
        n_tokens: least and most D.
        k: least and most k.
        whole_k: whether k has to be whole.
        wall: unique tokens and R_D*.
        limits: of every `Limit.ceiling`.
        goal: "budget", the best for it; "ratio", the same with D = tokens_per_param N; "target", the least
            cost of a value; "highest", the best whatever it costs.
        amount: the budget or the value.
        tokens_per_param: of the goal "ratio".
        listed: D and k to choose from, each in place of its range where it is not empty.
        own_limits: of every size its own, in place of `limits`; None where these hold for all.
        judging: the check, if it errs: the value is then right answers less what wrong ones cost, and of a
            target right answers alone.
    """

    n_params: Ends
    prices: Prices
    bytes: Terms
    sizes: list[tuple[float, Prices]] | None
    n_tokens: Ends
    k: Ends
    whole_k: bool
    wall: tuple[float, float] | None
    limits: list[Ceiling]
    goal: Literal["budget", "ratio", "target", "highest"]
    amount: float
    tokens_per_param: float = math.nan
    own_limits: list[list[Ceiling]] | None = None
    judging: Judging | None = None
    listed: tuple[Sequence[float], Sequence[float]] = ((), ())

    def __post_init__(self) -> None:
        for name in ("n_params", "n_tokens", "k"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} from {low:g} to {high:g}: give a positive range, least end first")
        if self.k[0] < 1:
            raise ValueError(f"k from {self.k[0]:g}: a query gets at least one sample")
        if self.judging is not None and self.goal in ("target", "highest"):
            object.__setattr__(self, "judging", replace(self.judging, harm=0.0))

    def run(self, law: AnyLaw) -> Floats:
        """(1, 10): N, D, k, value, cost of training, cost of queries, gap, right and wrong answers, what is
        maximised; NaN where there is no choice, and of answers where the check does not err.
        """
        return self._run(law, "point", None if self.judging is None else self.judging.rates)

    def drawn(self, law: AnyLaw) -> Floats | None:
        """The same for every draw of the law, or of the check's rates; None without any."""
        if self.judging is not None:
            drawn = self.judging.drawn(law)
            return None if drawn is None else self._run(law, *drawn)
        return None if law.draws is None or not len(law.draws) else self._run(law, "draws", None)

    def _run(self, law: AnyLaw, which: str, rates: Floats | None) -> Floats:
        """Of listed D and k the best of all pairs, each by itself, as are models with limits of their own."""
        tokens = [(d, d) for d in self.listed[0] if self.goal != "ratio"] or [self.n_tokens]
        samples = [(k, k) for k in self.listed[1]] or [self.k]
        models = [(self.sizes, self.limits)]
        if self.sizes is not None and self.own_limits is not None:
            models = [([size], own) for size, own in zip(self.sizes, self.own_limits, strict=True)]
        best: Floats | None = None
        for d, k, (sizes, limits) in product(tokens, samples, models):
            one = replace(self, n_tokens=d, k=k, sizes=sizes, limits=limits, own_limits=None, listed=((), ()))
            found = one._alone(law, which, rates)
            if best is None:
                best = found
                continue
            mine, others = self._score(found), self._score(best)
            best = np.where((mine > others)[:, None], found, best)
        assert best is not None
        return best

    def _score(self, rows: Floats) -> Floats:
        """What is highest at the best; -infinity where there is no choice."""
        score = -(rows[:, 4] + rows[:, 5]) if self.goal == "target" else rows[:, 9]
        return np.nan_to_num(score, nan=-math.inf)

    def _alone(self, law: AnyLaw, which: str, rates: Floats | None) -> Floats:
        solver = law.solver(which)
        if self.judging is None or rates is None:
            found = solver.spend(which, self)
            none = np.full((len(found), 2), np.nan)
            return np.hstack([found[:, :7], none, found[:, 7:]])
        found = solver.spend_checked(which, self, rates, self.judging.harm)
        right, wrong = found[:, 3], found[:, 4]
        worth = right - self.judging.harm * wrong
        return np.column_stack([found[:, :3], worth, found[:, 5:8], right, wrong, found[:, 8]])
