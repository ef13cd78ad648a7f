"""The core's search, from arrays to arrays of choices."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from t2fast.laws import AnyLaw
from t2fast.plans.planned import ChinchillaArrays, ChoiceArrays, Constraints, Floats, PlanArrays, Rule

INTERVALS = ("n_params", "n_tokens", "k", "tokens_per_param", "predicted")
"""What a choice has an interval of."""


def point_of(
    law: AnyLaw, budgets: Floats, constraints: Constraints, rule: Rule, *, squeeze: bool = False
) -> PlanArrays:
    """Plans with the law itself, one a budget."""
    return plans_of(law, "point", budgets, constraints, rule, squeeze=squeeze)


def cloud_of(law: AnyLaw, budgets: Floats, constraints: Constraints, rule: Rule) -> PlanArrays | None:
    """Plans with every draw of the law, if it has any."""
    if law.draws is None or not len(law.draws):
        return None
    return plans_of(law, "draws", budgets, constraints, rule)


def drawn_values(law: AnyLaw, n: Floats, d: Floats, k: Floats) -> Floats:
    """The value of every draw of the law at points (N, D, k), (draws, points)."""
    return law.draw_values(n, d, k if law.has_k else np.ones_like(k))


def plans_of(
    law: AnyLaw,
    which: Literal["point", "members", "draws"],
    budgets: Floats,
    constraints: Constraints,
    rule: Rule,
    *,
    squeeze: bool = False,
) -> PlanArrays:
    """Plans with a law: itself, its members without the process, or each draw."""
    found = law.solver(which).plan(which, budgets[0], budgets[1], constraints, _ratio(rule))
    return _arrays(found, budgets.shape[1], rule, squeeze)


def _ratio(rule: Rule) -> float | None:
    """Chinchilla's tokens per parameter; None for the law's own optimum of training."""
    return None if rule == "law" else rule


def _arrays(
    found: tuple[Floats, Floats, NDArray[np.uint8]], budgets: int, rule: Rule, squeeze: bool
) -> PlanArrays:
    ours, theirs, bounds = found
    shape = (budgets,) if squeeze else (budgets, len(ours) // budgets)

    def side(values: Floats) -> dict[str, Any]:
        names = ("n_params", "n_tokens", "k", "predicted")
        return dict(zip(names, values.T.reshape(4, *shape), strict=True))

    bound, moved = bounds.T.reshape(2, *shape)
    return PlanArrays(
        **side(ours), bound=bound, chinchilla=ChinchillaArrays(**side(theirs), bound=moved, rule=rule)
    )


def axes(side: ChoiceArrays) -> tuple[Floats, Floats, Floats]:
    """N, D and k of the first budget, (draws,) each."""
    return side.n_params[0], side.n_tokens[0], side.k[0]
