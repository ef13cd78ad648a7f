"""Plans over a range of training budgets, Chinchilla's choice beside each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import RenderableType

from t2fast.laws import AnyLaw
from t2fast.laws.ends import ends
from t2fast.plans.limits import EXTRAPOLATE, check_reach
from t2fast.plans.planned import BOUNDS, Floats, Rule
from t2fast.plans.ratio import ratios
from t2fast.plans.request import (
    Listed,
    Sizes,
    budget_pairs,
    check_law,
    check_level,
    comparison_rule,
    constraints_of,
)
from t2fast.plans.search import INTERVALS, cloud_of, point_of
from t2fast.plans.stars import Stars
from t2fast.text import amount, chance, columns, nominal, ratio

_BOUND_OF_TOKENS = "the n_tokens maximum"
LEAST_GAIN = 0.01
"""Growth of pass@k for a doubled budget below which a frontier is said to have ended."""
_ROUNDING = 1e-9
"""By which N and D of the same plan may differ."""


def frontier(
    law: AnyLaw,
    train_flops: npt.ArrayLike,
    inference_flops: npt.ArrayLike | None = None,
    *,
    n_params: Sizes | None = None,
    n_tokens: Listed | None = None,
    k: float | Sequence[float] | None = None,
    max_k: float | None = None,
    integer_k: bool = False,
    extrapolate: float = EXTRAPOLATE,
    chinchilla: Rule | None = None,
    level: float = 0.9,
) -> pl.DataFrame:
    """Plans over a range of budgets, one row each, with Chinchilla's choice beside ours.

    Columns `train_flops`, `inference_flops`, `metric`, `n_params`, `n_tokens`, `k`, `tokens_per_param`,
    `predicted`, `bound`; the last six again with the prefix `chinchilla_`, and `chinchilla_clamped`; `ratio`
    of our pass@k to Chinchilla's, as a plan has it, null where that withholds it; and `per_doubling`, by how
    much pass@k grew for every doubling of the budget since the row before, null where there is none. If the
    law has bootstrap draws, the percentile interval of each number, planned anew for every draw, in columns
    ending in `_low` and `_high`.

    Args:
        law: a fitted law.
        train_flops: C_train, FLOPs, (budgets,) or a number.
        inference_flops: C_inf, FLOPs per token served, (budgets,) or a number.
        n_params: as in `plan`.
        n_tokens: as in `plan`.
        k: as in `plan`.
        max_k: as in `plan`.
        integer_k: as in `plan`.
        extrapolate: as in `plan`.
        chinchilla: as in `plan`.
        level: coverage of the percentile intervals.

    Returns:
        One row a budget, the columns above.

    Raises:
        ValueError: as `plan`, naming the budget.
    """
    check_law(law)
    check_level(level)
    budgets = budget_pairs(law, train_flops, inference_flops)
    constraints, limits = constraints_of(law, n_params, n_tokens, max_k, integer_k, extrapolate, k)
    check_reach(law, budgets, constraints, limits)
    rule = comparison_rule(law, chinchilla)
    point = point_of(law, budgets, constraints, rule, squeeze=True)
    cloud = cloud_of(law, budgets, constraints, rule)
    series: dict[str, Any] = {"train_flops": budgets[0], "inference_flops": _absent_if_infinite(budgets[1])}
    for prefix, side, draws in (
        ("", point, cloud),
        ("chinchilla_", point.chinchilla, None if cloud is None else cloud.chinchilla),
    ):
        for name in INTERVALS:
            series[prefix + name] = _absent_if_infinite(getattr(side, name))
            if draws is not None:
                low, high = ends(getattr(draws, name), level, axis=1)
                series[f"{prefix}{name}_low"] = _absent_if_infinite(low)
                series[f"{prefix}{name}_high"] = _absent_if_infinite(high)
        series[prefix + "bound"] = pl.Series([BOUNDS[code] for code in side.bound], dtype=pl.String)
    series["chinchilla_clamped"] = point.chinchilla.clamped
    series |= ratios(law, point, cloud, level, extrapolate)
    series["per_doubling"] = _per_doubling(law, budgets[0], point.predicted)
    return pl.DataFrame(series).insert_column(2, pl.Series("metric", [law.metric] * len(point.k)))


def knee(frame: pl.DataFrame) -> int:
    """How many rows of a frontier are worth their budget: up to the first whose pass@k grew by less than 1%
    for a doubling, or from which on every plan is the same.
    """
    slow = (frame["per_doubling"] < LEAST_GAIN).fill_null(False).arg_true()
    if len(slow):
        return int(slow[0])
    moves = pl.any_horizontal(
        pl.col(name).pct_change().abs() > _ROUNDING for name in ("n_params", "n_tokens")
    )
    moved = frame.select(moves).to_series().fill_null(True).arg_true()
    return int(moved[-1]) + 1 if len(moved) else 0


def ending(frame: pl.DataFrame) -> str | None:
    """Why a frontier ends at its knee, in words: a limit, or the law itself; None where it has no knee."""
    last = knee(frame)
    if last == len(frame):
        return None
    row = frame.row(last, named=True)
    at = frame["train_flops"][max(last - 1, 0)]
    if row["per_doubling"] is None:
        return (
            f"from {at:.2g} FLOPs on, a larger training budget buys nothing: N stops at "
            f"{amount(row['n_params'])} and D at {amount(row['n_tokens'])}, the maxima"
        )
    says = (
        f"from {at:.2g} FLOPs on, doubling the training budget brings less than {LEAST_GAIN:.0%} more pass@k"
    )
    if row["bound"] == _BOUND_OF_TOKENS:
        return f"{says}: tokens stop at {amount(row['n_tokens'])}, {row['bound']}"
    if row["per_doubling"] < 0:
        return f"{says}: the law gets worse with more tokens there"
    return (
        f"{says}, by the law itself" if row["bound"] is None else f"{says}; the plan sits on {row['bound']}"
    )


def _per_doubling(law: AnyLaw, budgets: Floats, predicted: Floats) -> pl.Series:
    if law.metric == "loss":
        return pl.Series([None] * len(predicted), dtype=pl.Float64)
    log_pass = np.log(predicted) if law.metric == "pass@k" else -predicted
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.diff(log_pass) / (np.diff(np.log2(budgets)))
    return pl.Series([None, *np.expm1(rate)], dtype=pl.Float64)


def frontier_table(frame: pl.DataFrame, law: AnyLaw, level: float) -> RenderableType:
    """Plans over a range of training budgets, with the interval of their values, planned anew for every
    draw; a star marks what lies outside the law's data. Of a law of -log pass@k it has pass@k as well.
    """
    spanned = "predicted_low" in frame.columns
    span = (f"{nominal(level)} interval",) if spanned else ()
    logged = law.metric == "-log pass@k"
    named = (law.metric, *(("pass@k",) if logged else ()))
    table = columns("C_train", "N", "D", "k", "D/N", *named, *span, "Chinchilla N", "D", "k", *named)
    stars = Stars(law)
    for row in frame.iter_rows(named=True):
        cells = [f"{row['train_flops']:.3g}"]
        for prefix in ("", "chinchilla_"):
            cells += stars.choice(row, prefix)
            if not prefix:
                cells.append(ratio(row["tokens_per_param"]))
            cells.append(chance(row[prefix + "predicted"]))
            if logged:
                cells.append(chance(math.exp(-row[prefix + "predicted"])))
            if spanned and not prefix:
                cells.append(f"{chance(row['predicted_low'])} to {chance(row['predicted_high'])}")
        table.add_row(*cells)
    return stars.under(table)


def _absent_if_infinite(values: Floats) -> pl.Series:
    return pl.Series(np.where(np.isfinite(values), values, np.nan), nan_to_null=True)
