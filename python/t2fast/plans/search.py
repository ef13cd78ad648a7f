"""The core's search, from arrays to arrays of choices."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from t2fast.compute import sample_flops, train_flops
from t2fast.laws import AnyLaw
from t2fast.plans.planned import (
    BOUNDS,
    ChinchillaArrays,
    ChoiceArrays,
    Constraints,
    Floats,
    PlanArrays,
    Rule,
)
from t2fast.text import amount, samples

INTERVALS = ("n_params", "n_tokens", "k", "tokens_per_param", "predicted")
"""What a choice has an interval of."""
_MOST_PARAMS = BOUNDS.index("the n_params maximum")
_FEWEST_SAMPLES = BOUNDS.index("the least k, one sample unless listed (n_params = inference_flops/(2 k))")
_LEAST_TOKENS = BOUNDS.index("the n_tokens minimum")
_MOST_TOKENS = BOUNDS.index("the n_tokens maximum")
_MOST_SAMPLES = BOUNDS.index("the k maximum")


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
    if constraints.tokens or constraints.samples:
        found = _of_lists(law, which, budgets, constraints, rule)
    else:
        found = law.solver(which).plan(which, budgets[0], budgets[1], constraints, _ratio(rule))
    return _arrays(found, budgets.shape[1], rule, squeeze)


def _of_lists(
    law: AnyLaw, which: str, budgets: Floats, constraints: Constraints, rule: Rule
) -> tuple[Floats, Floats, NDArray[np.uint8]]:
    """As the core has plans, D and k from lists: every pair is held by itself, and the best is kept."""
    solver, sign = law.solver(which), 1 if law.higher_is_better else -1
    least = min(constraints.sizes or (constraints.n_params[0],))
    parts = []
    for i, (train, inference) in enumerate(budgets.T.tolist()):
        budget = np.array([train]), np.array([inference])
        fits = [
            (d, k)
            for d, k in constraints.pairs()
            if train_flops(least, d or constraints.n_tokens[0]) <= train
            and sample_flops(least, k or 1.0) <= inference
        ]
        if not fits:
            raise ValueError(why_none(i, least, (train, inference), constraints))
        found = [
            solver.plan(which, *budget, constraints.held(*pair, inference), _ratio(rule)) for pair in fits
        ]
        best = np.argmax([sign * ours[:, 3] for ours, _, _ in found], axis=0)
        rows = np.arange(len(best))
        ours = np.stack([ours for ours, _, _ in found])[best, rows]
        ours[:, 2] = [k or free for (_, k), free in zip([fits[j] for j in best], ours[:, 2], strict=True)]
        codes = np.stack([bounds[:, 0] for _, _, bounds in found])[best, rows]
        # Chinchilla's D follows its rule, and its k is the most listed that leaves its N where it is.
        ks: list[float | None] = [*sorted({k for _, k in fits if k is not None})] or [None]
        others = [solver.plan(which, *budget, constraints.held(None, k, inference), _ratio(rule)) for k in ks]
        sizes = np.stack([theirs[:, 0] for _, theirs, _ in others])
        last = len(ks) - 1 - np.argmax((sizes >= sizes.max(axis=0) * (1 - 1e-9))[::-1], axis=0)
        theirs = np.stack([theirs for _, theirs, _ in others])[last, rows]
        theirs[:, 2] = [ks[j] or free for j, free in zip(last, theirs[:, 2], strict=True)]
        moved = np.stack([bounds[:, 1] for _, _, bounds in others])[last, rows]
        moved[(moved == _MOST_PARAMS) & (theirs[:, 0] < constraints.n_params[1])] = _FEWEST_SAMPLES
        parts.append(
            (
                ours,
                theirs,
                np.column_stack([bound_of_lists(ours, codes, train, inference, constraints), moved]),
            )
        )
    ours, theirs, bounds = (np.concatenate(part) for part in zip(*parts, strict=True))
    return ours, theirs, bounds


def bound_of_lists(
    ours: Floats, codes: NDArray[np.uint8], train: float, inference: float, constraints: Constraints
) -> NDArray[np.uint8]:
    """What plans from lists sit on: an end of a list where the budget would pay for more."""
    n, d, k = ours.T[:3]
    codes = codes.copy()
    codes[(codes == _MOST_PARAMS) & (n < constraints.n_params[1])] = 0
    if constraints.tokens:
        left = (d == max(constraints.tokens)) & (train_flops(n, d) < train * (1 - 1e-9))
        codes[np.isin(codes, (_LEAST_TOKENS, _MOST_TOKENS))] = 0
        codes[(codes == 0) & left] = _MOST_TOKENS
    if constraints.samples:
        left = (k == max(constraints.samples)) & (sample_flops(n, k) < inference * (1 - 1e-9))
        codes[codes == _MOST_SAMPLES] = 0
        codes[(codes == 0) & left] = _MOST_SAMPLES
    return codes


def why_none(budget: int, least: float, flops: tuple[float, float], constraints: Constraints) -> str:
    """That no listed pair can be had, and by how much."""
    d, k = constraints.fewest_tokens, constraints.fewest_samples
    training, sampling = train_flops(least, d) / flops[0], sample_flops(least, k) / flops[1]
    short = [f"{training:.3g} times train_flops on D = {amount(d)}"] if training > 1 else []
    short += [f"{sampling:.3g} times inference_flops with k = {samples(k)}"] if sampling > 1 else []
    return (
        f"no model size fits budget {budget}: the least, N = {amount(least)}, takes {' and '.join(short)}; "
        "raise the budget or list less"
    )


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
