"""Our pass@k over Chinchilla's under one budget, by the definition that plans under two budgets have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from t2fast.laws import AnyLaw
from t2fast.laws.data_wall import DataWall
from t2fast.laws.ends import interval
from t2fast.plans.planned import BOUNDS, Interval
from t2fast.plans.ratio import log_ratio, why_withheld
from t2fast.plans.spending import Range, Spending
from t2fast.plans.workload import Limit


@dataclass(frozen=True)
class Compared:
    """A plan under one budget beside Chinchilla's.

    Attributes:
        ratio: our pass@k over Chinchilla's; None where there is no pass@k, or where it cannot be believed.
        interval: over the law's draws, both planned anew for each; None without draws.
        withheld: why there is no ratio.
    """

    ratio: float | None
    interval: Interval | None
    withheld: str | None


def compared(
    law: AnyLaw,
    ours: Spending,
    theirs: Spending,
    n_params: Range,
    *,
    limits: Sequence[Limit] = (),
    unique_tokens: float | None = None,
    level: float = 0.9,
) -> Compared:
    """The ratio of two plans under the same budget.

    Args:
        law: the law of both.
        ours: the best.
        theirs: Chinchilla's.
        n_params: the range that both N were held to.
        limits: on what a query may cost, or how long it may take.
        unique_tokens: text that there is; what is read again is worth less.
        level: coverage of the interval.

    Returns:
        The ratio, or why there is none: either plan lies further outside the law's data than a law is
        believed, or the range or a limit cuts Chinchilla's N.
    """
    if law.metric == "loss":
        return Compared(None, None, None)
    sides = [("the plan", _seen(ours, unique_tokens)), ("Chinchilla's choice", _seen(theirs, unique_tokens))]
    withheld = why_withheld(law, sides, _cut(theirs, ours.cost, n_params if law.domain else None, limits))
    ratio = math.exp(float(log_ratio(law, np.array(ours.predicted), np.array(theirs.predicted))))
    if withheld is not None or not math.isfinite(ratio):
        return Compared(None, None, withheld)
    if ours.drawn is None or theirs.drawn is None:
        return Compared(ratio, None, None)
    drawn = np.exp(log_ratio(law, ours.drawn[:, 3], theirs.drawn[:, 3]))
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return Compared(ratio, None, None)
    return Compared(ratio, interval(drawn, level), None)


def _seen(plan: Spending, unique_tokens: float | None) -> dict[str, float]:
    """N, k, and the tokens that the law is asked about."""
    d = plan.n_tokens
    worth = d if unique_tokens is None else float(DataWall().effective_tokens(d, unique_tokens))
    return {"n_params": plan.n_params, "n_tokens": worth, "k": plan.k}


def _cut(plan: Spending, cost: float, n_params: Range | None, limits: Sequence[Limit]) -> str | None:
    """The limit, or the end of the range, that keeps N from going further; `cost` is what it might take."""
    for limit in limits:
        if limit.used(plan.model, plan.k) > 1 - 1e-6 and plan.cost < cost * (1 - 1e-6):
            return limit.name
    low, high = n_params or (0.0, math.inf)
    if plan.n_params >= high * (1 - 1e-6):
        return BOUNDS[2]
    return BOUNDS[1] if plan.n_params <= low * (1 + 1e-6) else None
