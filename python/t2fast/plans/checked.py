"""N, D and k under two budgets where the check errs, so that more samples are not always better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from t2fast.estimators.verifier import Verifier
from t2fast.laws import AnyLaw
from t2fast.laws.ends import interval
from t2fast.plans.cautions import beyond_data, drawn_bounds, judged
from t2fast.plans.checked_plan import CheckedChoice, CheckedPlan
from t2fast.plans.judging import Judging
from t2fast.plans.limits import EXTRAPOLATE, Limits, check_reach
from t2fast.plans.planned import BOUNDS, Constraints, Floats, Interval, Rule
from t2fast.plans.request import (
    Listed,
    Sizes,
    check_law,
    check_level,
    comparison_rule,
    constraints_of,
    positive,
)
from t2fast.plans.search import point_of

_AXES = ("n_params", "n_tokens", "k", "right", "wrong", "free_k")
_MOST_PARAMS = 1e15
_MOST_SAMPLES = 1e9
"""Where a search ends that nothing else ends."""


@dataclass(frozen=True)
class Asked:
    """What the core is asked for, apart from the law and the check."""

    train_flops: float
    inference_flops: float
    constraints: Constraints
    tokens_per_param: float | None


def plan_checked(
    law: AnyLaw,
    verifier: Verifier,
    train_flops: float,
    inference_flops: float | None = None,
    *,
    harm: float = 1.0,
    n_params: Sizes | None = None,
    n_tokens: Listed | None = None,
    k: float | Sequence[float] | None = None,
    max_k: float | None = None,
    integer_k: bool = False,
    extrapolate: float = EXTRAPOLATE,
    chinchilla: Rule | None = None,
    level: float = 0.9,
) -> CheckedPlan:
    """The best N, D, k where the check errs, under 6 N D <= train_flops and 2 N k <= inference_flops.

    Of k samples a random one that the check accepts is the answer, as in `t2fast.choose`; best is what has
    the most right answers less `harm` times the wrong ones. Over the law's Beta distribution of success
    probabilities these are the means of `beta_verified_at_k`. A problem without a right sample goes on to
    pass a wrong one, so that the best k is finite even where samples are free (Stroebl et al. 2024, arXiv
    2411.17501).

    A forecast law averages transforms of its members and adds a process, which is no mixture of Beta
    distributions. For every N, D and k that one is taken whose pass@1 and pass@j are forecast, j the samples
    drawn of a problem without a right one until the check accepts one, (1 - (1 - f)^k)/f: what comes later is
    not seen. With a perfect check j = k, and right answers are the forecast pass@k. Of the counts law it is
    the distribution of a checkpoint without effect.

    Args:
        law: of pass@k with a distribution over problems: the accuracy, counts or forecast law.
        verifier: the check; rates that were estimated are drawn anew with the law.
        train_flops: C_train, FLOPs.
        inference_flops: C_inf, FLOPs per token served; None where sampling is free.
        harm: what a wrong answer costs, in right ones; no answer costs nothing.
        n_params: as for `plan`.
        n_tokens: likewise.
        k: likewise; where it is not given, it is free below what the inference budget pays for.
        max_k: most samples a problem.
        integer_k: whether k has to be whole.
        extrapolate: as for `plan`.
        chinchilla: likewise.
        level: coverage of the intervals over the draws of the law and of the rates.

    Returns:
        The plan, with Chinchilla's and a perfect check's beside it; it prints itself.

    Raises:
        ValueError: as `plan`, for a harm that is negative or infinite, and for a law that does not say how
            problems differ.
    """
    check_law(law)
    judging = Judging.of(law, verifier, harm)
    check_level(level)
    train = positive("train_flops", train_flops)
    constraints, limits = constraints_of(law, n_params, n_tokens, max_k, integer_k, extrapolate, k)
    inference = positive(
        "inference_flops", _free(constraints) if inference_flops is None else inference_flops
    )
    if inference_flops is None:
        low, high = constraints.n_params
        constraints = replace(
            constraints,
            n_params=(low, max(low, min(high, _MOST_PARAMS))),
            most_samples=min(constraints.most_samples, _MOST_SAMPLES),
        )
    elif not math.isfinite(constraints.most_samples):
        constraints = replace(constraints, most_samples=_MOST_SAMPLES)
    budgets = np.array([[train], [inference]])
    check_reach(law, budgets, constraints, limits)
    law.check_draws(level)
    rule = comparison_rule(law, chinchilla)
    asked = Asked(train, inference, constraints, None if rule == "law" else rule)
    found = _Planned(law, judging, asked)

    ours, theirs, bounds = found.rows("point", judging.rates)
    chosen = found.choice(ours[0], int(bounds[0, 0]))
    cloud = found.cloud()
    if cloud is not None:
        chosen = replace(chosen, intervals=found.intervals(cloud, chosen, level))
    most_k = min(inference / (2 * chosen.n_params), constraints.most_samples)
    best = point_of(law, budgets, constraints, rule)
    perfect = {
        "n_params": float(best.n_params[0, 0]),
        "n_tokens": float(best.n_tokens[0, 0]),
        "k": float(best.k[0, 0]),
        "pass_at_k": float(best.predicted[0, 0]),
    }
    by_k = judging.by_k(law, chosen.n_params, chosen.n_tokens, (chosen.k,), max(most_k, chosen.k))
    warnings = list(_warnings(found, chosen, cloud, int(bounds[0, 0]), limits))
    return CheckedPlan(
        chosen,
        found.choice(theirs[0], int(bounds[0, 1])),
        rule,
        perfect,
        most_k,
        constraints.most_samples,
        by_k,
        verifier,
        judging.harm,
        train,
        inference_flops,
        float(level),
        tuple(warnings),
        law,
        constraints.samples,
    )


def _free(constraints: Constraints) -> float:
    """An inference budget that nothing exhausts."""
    most = max(constraints.sizes or [constraints.n_params[1]])
    return 2 * min(most, _MOST_PARAMS) * min(constraints.most_samples, _MOST_SAMPLES)


@dataclass(frozen=True)
class _Planned:
    """A law, a check and what is asked."""

    law: AnyLaw
    judging: Judging
    asked: Asked

    def rows(
        self, which: str, rates: Floats, constraints: Constraints | None = None
    ) -> tuple[Floats, Floats, npt.NDArray[np.uint8]]:
        """Ours and Chinchilla's (rows, 6), and the bounds of both."""
        asked = self.asked if constraints is None else replace(self.asked, constraints=constraints)
        return self.law.solver(which).plan_checked(which, asked, rates, self.judging.harm)

    def cloud(self) -> tuple[Floats, Floats, npt.NDArray[np.uint8]] | None:
        """Plans of the draws."""
        drawn = self.judging.drawn(self.law)
        return None if drawn is None else self.rows(*drawn)

    def choice(self, row: Floats, bound: int) -> CheckedChoice:
        """A row of the core."""
        n, d, k, right, wrong, free_k = row.tolist()
        return CheckedChoice(n, d, k, right, wrong, right - self.judging.harm * wrong, free_k, BOUNDS[bound])

    def intervals(
        self, cloud: tuple[Floats, Floats, npt.NDArray[np.uint8]], chosen: CheckedChoice, level: float
    ) -> dict[str, Interval]:
        """Over the draws."""
        judging, drawn = self.judging, self.judging.drawn(self.law)
        assert drawn is not None
        values = dict(zip(_AXES, cloud[0].T, strict=True))
        values["worth"] = values["right"] - judging.harm * values["wrong"]
        values["tokens_per_param"] = values["n_tokens"] / values["n_params"]
        place = chosen.n_params, chosen.n_tokens, chosen.k
        right, wrong = (side[:, 0] for side in judging.at(self.law, *drawn, *place))
        values |= {"right_here": right, "wrong_here": wrong, "worth_here": right - judging.harm * wrong}
        return {name: interval(column, level) for name, column in values.items()}


def _warnings(
    found: _Planned,
    chosen: CheckedChoice,
    cloud: tuple[Floats, Floats, npt.NDArray[np.uint8]] | None,
    bound: int,
    limits: Limits,
) -> Iterator[str]:
    """What to know before trusting the plan."""
    law, judging, harm = found.law, found.judging, found.judging.harm
    yield from judged(judging, chosen.right, chosen.wrong)
    at = chosen.n_params, chosen.n_tokens, chosen.k
    yield from beyond_data(law, *at, limits.held(*at))
    place: dict[str, Any] = {name: getattr(chosen, name) for name in ("n_params", "n_tokens", "k")}
    binding = list(limits.binding(place))
    for axis, end in binding:
        wider = limits.lifted(axis, end, found.asked.constraints)
        row = found.rows("point", judging.rates, wider)[0][0]
        further = found.choice(row, 0).worth
        yield (
            f"held to {limits.words(axis, end)}; twice as far would bring {further:.4g} in place of "
            f"{chosen.worth:.4g}, by the law"
        )
    if bound and not binding:
        yield f"the plan sits on {BOUNDS[bound]}"
    if cloud is not None:
        yield from drawn_bounds(bound, cloud[2][:, 0])
    fewer = chosen.n_params, 0.99 * chosen.n_tokens, chosen.k
    right, wrong = judging.at(law, "point", judging.rates, *fewer)
    better = float(right[0, 0] - harm * wrong[0, 0]) > chosen.worth + 1e-9
    if better and not found.asked.constraints.tokens:
        yield "the law gets worse with more tokens here, yet the plan takes all that budgets and limits allow"
    yield from (f"the law: {caution}" for caution in law.cautions)
