"""Plans for many budgets, and for every draw of a law, at once."""

from __future__ import annotations

import numpy.typing as npt

from t2fast.laws.law import Law
from t2fast.plans.limits import EXTRAPOLATE
from t2fast.plans.plan import PlanArrays, Rule
from t2fast.plans.request import (
    Range,
    Sizes,
    budget_pairs,
    check_law,
    comparison_rule,
    constraints_of,
    draw_rows,
)
from t2fast.plans.search import solve


def plan_many(
    law: Law,
    train_flops: npt.ArrayLike,
    inference_flops: npt.ArrayLike | None = None,
    *,
    draws: npt.ArrayLike | None = None,
    n_params: Sizes | None = None,
    n_tokens: Range | None = None,
    max_k: float | None = None,
    integer_k: bool = False,
    extrapolate: float = EXTRAPOLATE,
    chinchilla: Rule | None = None,
) -> PlanArrays:
    """Plans for many budgets at once, and for every row of `draws` where given; arguments as in `plan`.

    Args:
        law: a fitted law.
        train_flops: C_train, (budgets,) or a number.
        inference_flops: C_inf, (budgets,) or a number; broadcast with train_flops.
        draws: parameters (draws, parameters) in the law's order, such as `law.draws`; by default the law's
            own.
        n_params, n_tokens, max_k, integer_k, extrapolate, chinchilla: as in `plan`.

    Returns:
        Arrays of shape (budgets, draws), or (budgets,) without draws.

    Raises:
        ValueError: as `plan`, naming the budget.
    """
    budgets = budget_pairs(law, train_flops, inference_flops)
    check_law(law)
    constraints, _ = constraints_of(law, n_params, n_tokens, max_k, integer_k, extrapolate)
    rows = law.vector[None] if draws is None else draw_rows(law, draws)
    return solve(law, rows, budgets, constraints, comparison_rule(law, chinchilla), squeeze=draws is None)
