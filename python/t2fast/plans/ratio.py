"""Our pass@k over Chinchilla's: one definition, for tables, frontiers and plots.

Both choices are made under the same budgets and limits, for the law and for each of its draws. The ratio is
withheld where either choice lies further outside the law's data than a law is believed, or where the data's
limits moved Chinchilla's: what stands there is then no longer Chinchilla's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from t2fast.laws import AnyLaw
from t2fast.laws.ends import ends
from t2fast.plans.limits import EXTRAPOLATE, distance
from t2fast.plans.planned import BOUNDS, ChoiceArrays, Floats, PlanArrays

_CUT = (
    BOUNDS.index("the n_params minimum"),
    BOUNDS.index("the n_params maximum"),
    BOUNDS.index("the n_tokens maximum"),
)


def log_ratio(law: AnyLaw, ours: Floats, theirs: Floats) -> Floats:
    """ln of the ratio of pass@k; NaN for a loss, or where Chinchilla's pass@k is 0."""
    if law.metric == "loss":
        return np.full(np.shape(ours), np.nan)
    if law.metric == "-log pass@k":
        return np.asarray(theirs - ours)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(theirs > 0, np.log(ours) - np.log(theirs), np.nan)


def reason_for_none(law: AnyLaw, plans: PlanArrays, row: tuple[int, ...]) -> str | None:
    """Why a ratio cannot be believed, or None."""
    sides = [("the plan", _choice(plans, row)), ("Chinchilla's choice", _choice(plans.chinchilla, row))]
    cut = law.domain and plans.chinchilla.bound[row] in _CUT
    return why_withheld(law, sides, BOUNDS[plans.chinchilla.bound[row]] if cut else None)


def why_withheld(law: AnyLaw, sides: Iterable[tuple[str, dict[str, Any]]], cut: str | None) -> str | None:
    """Why a ratio of two choices, each with what it is called, cannot be believed, or None; `cut` is what
    moved Chinchilla's.
    """
    for whose, choice in sides:
        beyond = distance(law, choice)
        if beyond > EXTRAPOLATE * (1 + 1e-9):
            return f"{whose} lies {beyond:.3g}x outside the law's data"
    return None if cut is None else f"Chinchilla's choice is cut by {cut}"


def ratios(
    law: AnyLaw, point: PlanArrays, cloud: PlanArrays | None, level: float, extrapolate: float
) -> dict[str, pl.Series]:
    """Columns `ratio` and, with draws, `ratio_low` and `ratio_high`, for plans of shape (budgets,)."""
    rows = range(len(point.predicted))
    withheld = [reason_for_none(law, point, (i,)) is not None for i in rows]

    def column(values: Floats) -> pl.Series:
        return pl.Series(np.where(withheld, np.nan, values), nan_to_null=True)

    found = {"ratio": column(np.exp(log_ratio(law, point.predicted, point.chinchilla.predicted)))}
    if cloud is not None:
        drawn = np.exp(log_ratio(law, cloud.predicted, cloud.chinchilla.predicted))
        low, high = ends(drawn, level, axis=1)
        found |= {"ratio_low": column(low), "ratio_high": column(high)}
    return found


def _choice(side: ChoiceArrays, row: tuple[int, ...]) -> dict[str, Any]:
    k = float(side.k[row])
    return {
        "n_params": float(side.n_params[row]),
        "n_tokens": float(side.n_tokens[row]),
        "k": k if math.isfinite(k) else None,
    }
