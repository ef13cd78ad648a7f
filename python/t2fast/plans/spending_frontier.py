"""The best choice over budgets, or over targets, about those of a plan under one budget."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from rich.console import Group, RenderableType

from t2fast.plans.spending import Spending, best_spending, cheapest_spending, chinchilla_spending
from t2fast.plans.spending_plan import SpendingPlan
from t2fast.plans.stars import Stars
from t2fast.text import chance, columns, counted, nominal, note, ratio

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


def spending_table(frame: pl.DataFrame, plan: SpendingPlan) -> RenderableType:
    """The frontier of a plan as a table: what each budget brings, or what each target costs, beside
    Chinchilla's choice for the same money.
    """
    unit, targets = plan.workload.unit, plan.target is not None
    # Of a law of -log pass@k the table has pass@k, as its targets are.
    logged = plan.law.metric == "-log pass@k"
    metric = "pass@k" if logged else plan.law.metric

    def worth(value: float) -> str:
        return chance(math.exp(-value) if logged else value)

    def money(value: float) -> str:
        return plan.workload.money(value).removesuffix(f" {unit}")

    name, written = ("cost", money) if targets else ("predicted", worth)
    spans = f"{name}_low" in frame.columns
    ends = ("high", "low") if logged and not targets else ("low", "high")
    goal = f"{metric} at {'most' if metric == 'loss' else 'least'}"
    table = columns(
        goal if targets else unit,
        *("N", "D", "k", "D/N", unit if targets else metric),
        *((f"{nominal(plan.level)} interval",) if spans else ()),
        *("Chinchilla N", "D", "k", metric),
    )
    stars = Stars(plan.law)
    for row in frame.iter_rows(named=True):
        cells = [chance(row["target"]) if targets else money(row["budget"]), *stars.choice(row)]
        cells += [ratio(row["tokens_per_param"]), written(row[name])]
        if spans:
            cells.append(" to ".join(written(row[f"{name}_{end}"]) for end in ends))
        theirs = row["chinchilla_predicted"]
        cells += [*stars.choice(row, "chinchilla_"), "-" if theirs is None else worth(theirs)]
        table.add_row(*cells)
    shown = stars.under(table)
    if plan.sharing is None:
        return shown
    machine = plan.workload.machine
    assert machine is not None
    chips = counted(machine.chips, "chip")
    return Group(shown, note(f"every row is served on {chips}, as the plan is: alone it may get others"))


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
