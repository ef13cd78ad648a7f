"""The best choice over budgets, or over targets, about those of a plan under one budget."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from t2fast.plans.spending import Spending, best_spending, cheapest_spending, chinchilla_spending
from t2fast.plans.spending_plan import SpendingPlan

_NAMES = ("n_params", "n_tokens", "k", "tokens_per_param", "predicted", "cost")
_DECADES = 1.0
"""How far a frontier of budgets goes below and above the plan's."""


def spending_frontier(plan: SpendingPlan, points: int = 7) -> pl.DataFrame:
    """Plans as this one for other budgets, from a tenth to ten times its own; or for other targets, of a loss
    from 15% below to 15% above, of a share between 0 and 1.

    Args:
        plan: the plan.
        points: places, the plan's own not counted.

    Returns:
        A row a place: `budget` or `target`, `metric`, `n_params`, `n_tokens`, `k`, `tokens_per_param`,
        `predicted`, `cost`; these six again with the prefix `chinchilla_` for Chinchilla's choice of the same
        cost, null where there is none; and intervals over the law's draws, each planned anew, in columns that
        end in `_low` and `_high`, where the law has draws. Places with no plan are left out.
    """
    along = "budget" if plan.target is None else "target"
    schema = {along: pl.Float64, "metric": pl.String}
    rows = []
    for at in _places(plan, points):
        try:
            best = _best(plan, at)
        except ValueError:  # too little money, or out of the law's reach
            continue
        row: dict[str, float | str | None] = {along: at, "metric": best.metric}
        held = {name: plan.held[name] for name in ("k", "unique_tokens", "limits", "judging")}
        spent = at if plan.target is None else best.cost
        other = chinchilla_spending(
            plan.law,
            spent,
            plan.workload,
            tokens_per_param=plan.rule,
            n_params=plan.held["believed"],
            level=plan.level,
            **held,
        )
        for prefix, choice in (("", best), ("chinchilla_", other)):
            for name in _NAMES:
                row[prefix + name] = None if choice is None else getattr(choice, name)
                low, high = (None, None) if choice is None else choice.intervals.get(name, (None, None))
                row |= {f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
        rows.append(row)
        schema |= dict.fromkeys(row.keys() - schema.keys(), pl.Float64)
    frame = pl.DataFrame(rows, {name: schema[name] for name in (rows[0] if rows else schema)})
    ends = [name for name in frame.columns if name.endswith(("_low", "_high"))]
    return frame if plan.chosen.intervals else frame.drop(ends)


def _places(plan: SpendingPlan, points: int) -> list[float]:
    if plan.target is None:
        found = plan.budget * np.logspace(-_DECADES, _DECADES, points)
        own = plan.budget
    elif plan.law.metric == "loss":
        found, own = plan.target * np.geomspace(0.85, 1.15, points), plan.target
    else:
        found, own = (np.arange(points) + 0.5) / points, plan.target
    return sorted({own, *(at for at in found.tolist() if not math.isclose(at, own))})


def _best(plan: SpendingPlan, at: float) -> Spending:
    names = ("n_params", "n_tokens", "k", "integer_k", "unique_tokens", "limits", "judging")
    options = {**{name: plan.held[name] for name in names}, "level": plan.level}
    if plan.target is None:
        return best_spending(plan.law, at, plan.workload, **options)
    logged = plan.law.metric == "-log pass@k"
    return cheapest_spending(plan.law, -math.log(at) if logged else at, plan.workload, **options)
