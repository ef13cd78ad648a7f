"""The core's search, from arrays to arrays of choices."""

from __future__ import annotations

from typing import Any

from t2fast import _core
from t2fast.laws.law import Law
from t2fast.plans.plan import ChinchillaArrays, ChoiceArrays, Constraints, Floats, PlanArrays, Rule

INTERVALS = ("n_params", "n_tokens", "k", "tokens_per_param", "predicted")
"""What a choice has an interval of."""


def solve(
    law: Law, rows: Floats, budgets: Floats, constraints: Constraints, rule: Rule, *, squeeze: bool = False
) -> PlanArrays:
    ours, theirs, bounds = _core.plan_batch(
        law.name,
        rows,
        budgets[0],
        budgets[1],
        constraints.n_params,
        None if constraints.sizes is None else list(constraints.sizes),
        constraints.n_tokens,
        constraints.most_samples,
        constraints.integer_k,
        None if rule == "law" else rule,
    )
    shape = (budgets.shape[1],) if squeeze else (budgets.shape[1], len(rows))

    def side(values: Floats) -> dict[str, Any]:
        names = ("n_params", "n_tokens", "k", "predicted")
        return dict(zip(names, values.T.reshape(4, *shape), strict=True))

    bound, moved = bounds.T.reshape(2, *shape)
    return PlanArrays(
        **side(ours), bound=bound, chinchilla=ChinchillaArrays(**side(theirs), bound=moved, rule=rule)
    )


def axes(side: ChoiceArrays) -> tuple[Floats, Floats, Floats]:
    return side.n_params[0], side.n_tokens[0], side.k[0]


def tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2
