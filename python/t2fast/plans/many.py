"""Plans for many budgets, and for every draw of a law, at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from t2fast.laws import AnyLaw
from t2fast.laws.measurements import ForecastDraws
from t2fast.plans.limits import EXTRAPOLATE, check_reach
from t2fast.plans.planned import PlanArrays, Rule
from t2fast.plans.request import (
    Listed,
    Sizes,
    budget_pairs,
    check_law,
    comparison_rule,
    constraints_of,
)
from t2fast.plans.search import plans_of, point_of


def plan_many(
    law: AnyLaw,
    train_flops: npt.ArrayLike,
    inference_flops: npt.ArrayLike | None = None,
    *,
    draws: npt.ArrayLike | ForecastDraws | None = None,
    n_params: Sizes | None = None,
    n_tokens: Listed | None = None,
    k: float | Sequence[float] | None = None,
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
            own. Of a forecast law they are `law.draws`: the choice is then the best on average of
            checkpoints, and `predicted` what a new checkpoint would be there.
        n_params: as in `plan`.
        n_tokens: as in `plan`.
        k: as in `plan`.
        max_k: as in `plan`.
        integer_k: as in `plan`.
        extrapolate: as in `plan`.
        chinchilla: as in `plan`.

    Returns:
        Arrays of shape (budgets, draws), or (budgets,) without draws.

    Raises:
        ValueError: as `plan`, naming the budget.
    """
    check_law(law)
    budgets = budget_pairs(law, train_flops, inference_flops)
    constraints, limits = constraints_of(law, n_params, n_tokens, max_k, integer_k, extrapolate, k)
    check_reach(law, budgets, constraints, limits)
    rule = comparison_rule(law, chinchilla)
    if draws is None:
        return point_of(law, budgets, constraints, rule, squeeze=True)
    return plans_of(law.with_draws(draws), "draws", budgets, constraints, rule)  # type: ignore[arg-type]
