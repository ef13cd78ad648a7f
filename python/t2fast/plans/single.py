"""Plans: how many parameters N, tokens D and samples k given budgets of training and inference buy best.

A law (T²: Roberts et al. 2026, arXiv 2604.01411) is optimised under 6 N D <= C_train and 2 N k <= C_inf.
Both budgets are spent, which leaves N alone: D = C_train/(6N), k = C_inf/(2N), so k >= 1 asks for N <=
C_inf/2. For the loss law,

    L(N, D, k) = E + A/N^alpha + B/D^beta + G/k^gamma,

the optimum is the root of

    alpha A N^-alpha = beta B (6/C_train)^beta N^beta + gamma G (2/C_inf)^gamma N^gamma,

convex in ln N; the others are scanned and polished with their analytic slope. Beside every plan stands
Chinchilla's choice under the same budgets: the N that minimises the training loss alone (Hoffmann et al.
2022, equation 4), whatever inference then affords.

Units: FLOPs of training, FLOPs per token served, parameters, tokens, samples per problem.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from t2fast.laws import AnyLaw
from t2fast.laws.ends import interval
from t2fast.plans.cautions import cautions_of
from t2fast.plans.limits import EXTRAPOLATE, check_reach
from t2fast.plans.planned import (
    BOUNDS,
    Chinchilla,
    ChoiceArrays,
    Floats,
    Interval,
    Plan,
    Rule,
)
from t2fast.plans.ratio import log_ratio, reason_for_none
from t2fast.plans.request import (
    Listed,
    Sizes,
    check_law,
    check_level,
    comparison_rule,
    constraints_of,
    inference_budget,
    positive,
)
from t2fast.plans.search import INTERVALS, axes, cloud_of, drawn_values, point_of


def plan(
    law: AnyLaw,
    train_flops: float,
    inference_flops: float | None = None,
    *,
    n_params: Sizes | None = None,
    n_tokens: Listed | None = None,
    k: float | Sequence[float] | None = None,
    max_k: float | None = None,
    integer_k: bool = False,
    extrapolate: float = EXTRAPOLATE,
    chinchilla: Rule | None = None,
    level: float = 0.9,
) -> Plan:
    """The best N, D and k by a law, under 6 N D <= train_flops, 2 N k <= inference_flops and k >= 1.

    Roberts et al. 2026 (arXiv 2604.01411), for laws of pass@k; for Chinchilla's, which has no k, Hoffmann et
    al. 2022.

    Args:
        law: a fitted law. More tokens and more samples count as better, so budgets are spent as far as
            bounds allow.
        train_flops: C_train, FLOPs.
        inference_flops: C_inf, FLOPs per token served; may be None for the Chinchilla law alone, which has
            no k.
        n_params: a tuple (min, max), where None leaves an end open, or a list of sizes to choose from.
        n_tokens: a tuple (min, max), or a list of D to choose from. With a maximum, D =
            min(train_flops/(6N), max); a listed D may leave training budget unspent. Chinchilla's D follows
            its rule, whatever is listed.
        k: samples a problem, fixed or from a list; None where it is free. N is then at most
            inference_flops/(2k).
        max_k: most samples a problem. With it, k = min(inference_flops/(2N), max_k).
        integer_k: whether k has to be whole; N is then the best that still draws k samples within budget.
        extrapolate: how far beyond the N, D and k that the law was fitted on the plan may go, as a factor; 1
            keeps it within them, infinity lets it go anywhere. What the limit costs by the law is in
            `warnings`.
        chinchilla: the rule of the comparison: "law", the N that minimises the law's training loss
            E + A/N^alpha + B/D^beta under 6 N D = train_flops (Hoffmann et al. 2022, equation 4), or a
            number of tokens per parameter. By default "law", but 20 where the law's loss is latent (an
            accuracy or counts law fitted without losses, E = 0): a latent loss is no training loss.
        level: coverage of the percentile intervals over the law's bootstrap draws.

    Returns:
        The plan, with Chinchilla's beside it and intervals over the draws; it prints itself.

    Raises:
        ValueError: on a budget, bound or parameter out of range, constraints or budgets that leave no N (it
            says which, and by how much), or a law whose fit did not converge.
    """
    check_law(law)
    check_level(level)
    train = positive("train_flops", train_flops)
    inference = inference_budget(law, inference_flops)
    constraints, limits = constraints_of(law, n_params, n_tokens, max_k, integer_k, extrapolate, k)
    budgets = np.array([[train], [inference]])
    check_reach(law, budgets, constraints, limits)
    rule = comparison_rule(law, chinchilla)

    law.check_draws(level)
    point = point_of(law, budgets, constraints, rule)
    ours, theirs = _fields(point), _fields(point.chinchilla)
    cloud = cloud_of(law, budgets, constraints, rule)
    if cloud is not None:
        places = (np.concatenate(pair) for pair in zip(axes(point), axes(point.chinchilla), strict=True))
        here = drawn_values(law, *places)
        ours["intervals"] = _intervals(cloud, here[:, 0], level)
        theirs["intervals"] = _intervals(cloud.chinchilla, here[:, 1], level)

    other = Chinchilla(**theirs, rule=rule)
    gain = other.predicted - ours["predicted"]
    if law.higher_is_better:
        gain = -gain
    no_ratio = None if law.metric == "loss" else reason_for_none(law, point, (0, 0))
    ratio = math.exp(log_ratio(law, point.predicted, point.chinchilla.predicted)[0, 0])
    ratio_interval = None
    if cloud is not None:
        drawn = np.exp(log_ratio(law, cloud.predicted, cloud.chinchilla.predicted)[0])
        low, high = interval(drawn, level)
        ratio_interval = (low, high) if math.isfinite(low + high) else None
    believed = no_ratio is None and math.isfinite(ratio)
    return Plan(
        **ours,
        metric=law.metric,
        train_flops=train,
        inference_flops=None if inference_flops is None else inference,
        chinchilla=other,
        gain=gain,
        ratio=ratio if believed else None,
        ratio_interval=ratio_interval if believed else None,
        no_ratio=no_ratio,
        level=float(level),
        warnings=tuple(cautions_of(law, point, cloud, budgets, constraints, limits)),
        law=law,
        constraints=constraints,
    )


def _fields(side: ChoiceArrays) -> dict[str, Any]:
    k = float(side.k[0, 0])
    return {
        "n_params": float(side.n_params[0, 0]),
        "n_tokens": float(side.n_tokens[0, 0]),
        "k": k if math.isfinite(k) else None,
        "predicted": float(side.predicted[0, 0]),
        "intervals": {},
        "bound": BOUNDS[side.bound[0, 0]],
    }


def _intervals(cloud: ChoiceArrays, here: Floats, level: float) -> dict[str, Interval]:
    columns = {name: getattr(cloud, name)[0] for name in INTERVALS}
    if not np.isfinite(columns["k"]).all():
        del columns["k"]
    columns["predicted_here"] = here
    return {name: interval(values, level) for name, values in columns.items()}
