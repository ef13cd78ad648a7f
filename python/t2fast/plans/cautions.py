"""What to know before trusting a plan."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator

import numpy as np
import numpy.typing as npt

from t2fast.compute import largest_params, sample_flops, train_flops
from t2fast.estimators.verifier import weighing
from t2fast.laws import AnyLaw, ForecastLaw
from t2fast.laws.measurements import Measurements
from t2fast.plans.judging import Judging
from t2fast.plans.limits import Limits
from t2fast.plans.planned import BOUNDS, Constraints, Floats, PlanArrays, law_values
from t2fast.plans.search import axes, plans_of, point_of
from t2fast.text import amount, samples

MOVED = 1.5
"""Factor of N from which on a plan says that the process moved it."""

_NEAR = 4.0
"""Factor of N, or of D, within which a plan should have a measured checkpoint: two doublings."""


def cautions_of(
    law: AnyLaw,
    point: PlanArrays,
    cloud: PlanArrays | None,
    budgets: Floats,
    constraints: Constraints,
    limits: Limits,
) -> Iterator[str]:
    """Every caution of the plan `point` (one budget, one law), and those of the law itself."""
    n, d, k = (float(axis[0]) for axis in axes(point))
    moved = BOUNDS[point.chinchilla.bound[0, 0]]
    if moved is not None:
        yield f"Chinchilla's N was moved by {moved}"
    yield from beyond_data(law, n, d, k, limits.held(n, d, k))
    if not law.has_k and math.isfinite(k):
        yield "the law says nothing of samples: k is what the inference budget pays for at this N"
    if law.has_process:
        yield from _moved_by_process(law, point, budgets, constraints)
    yield from _bounds(law, point, cloud, budgets, constraints, limits)
    yield from _unspent(point, budgets, constraints)
    if not constraints.tokens and not constraints.samples:
        yield from _backwards(law, point)
    yield from (f"the law: {caution}" for caution in law.cautions)


def judged(judging: Judging, right: float, wrong: float) -> Iterator[str]:
    """What is odd about a check that errs, and about answers that it lets through."""
    if judging.verifier.remark is not None:
        yield judging.verifier.remark
    if right - judging.harm * wrong < 0:
        yield f"no answer at all is worth more than any plan here, where {weighing(judging.harm)}"
    if judging.harm == 0:
        yield "wrong answers are taken to cost nothing, so that more samples never look worse: see harm"


def beyond_data(law: AnyLaw, n: float, d: float, k: float, held: Container[str]) -> Iterator[str]:
    """How far N, D and k lie outside what the law was fitted on, or else from all of its checkpoints.

    `held`: axes on a limit that is named, with how far beyond the data it is, elsewhere.
    """
    outside = False
    for name, symbol, value in (("n_params", "N", n), ("n_tokens", "D", d), ("k", "k", k)):
        low, high = law.domain.get(name, (-math.inf, math.inf))
        if name == "k" and not law.has_k:
            continue
        if value < low and name != "k":
            times, end = low / value, f"below the smallest fitted ({amount(low)})"
        elif math.inf > value > high:
            times, end = value / high, f"above the largest fitted ({amount(high)})"
        else:
            continue
        outside |= name != "k"
        if name not in held:
            yield f"{symbol} = {amount(value)} is {times:.3g}x {end}"
    if not outside and isinstance(law, ForecastLaw):
        yield from _no_neighbour(law.measured, n, d)


def _no_neighbour(measured: Measurements, n: float, d: float) -> Iterator[str]:
    """The nearest checkpoint, where the ranges of N and D hold a place that no checkpoint is near."""
    away = np.abs(measured.places - np.log([n, d]))
    nearest = int(np.linalg.norm(away, axis=1).argmin())
    of_n, of_d = np.exp(away[nearest])
    if max(of_n, of_d) > _NEAR:
        yield (
            f"no checkpoint is near: the nearest, N = {amount(float(measured.n_params[nearest]))} at D = "
            f"{amount(float(measured.n_tokens[nearest]))}, is {of_n:.3g}x away in N and {of_d:.3g}x in D"
        )


def _moved_by_process(
    law: AnyLaw, point: PlanArrays, budgets: Floats, constraints: Constraints
) -> Iterator[str]:
    n = float(point.n_params[0, 0])
    rule = point.chinchilla.rule
    alone = float(plans_of(law, "members", budgets, constraints, rule).n_params[0, 0])
    if max(n / alone, alone / n) > MOVED:
        yield (
            "the process, that is the checkpoints nearby, puts N here: by the laws alone "
            f"N = {amount(alone)} would be best"
        )


def _bounds(
    law: AnyLaw,
    point: PlanArrays,
    cloud: PlanArrays | None,
    budgets: Floats,
    constraints: Constraints,
    limits: Limits,
) -> Iterator[str]:
    n, d, k = (float(axis[0]) for axis in axes(point))
    value = float(point.predicted[0, 0])
    binding = list(limits.binding({"n_params": n, "n_tokens": d, "k": k if math.isfinite(k) else None}))
    for axis, end in binding:
        wider = limits.lifted(axis, end, constraints)
        further = float(point_of(law, budgets, wider, point.chinchilla.rule).predicted[0, 0])
        yield (
            f"held to {limits.words(axis, end)}; twice as far would bring {law.metric} {further:.4g} "
            f"in place of {value:.4g}, by the law"
        )
    bound = BOUNDS[point.bound[0, 0]]
    if bound is not None and not binding:
        yield f"the plan sits on {bound}"
    if cloud is not None:
        yield from drawn_bounds(int(point.bound[0, 0]), cloud.bound)


def drawn_bounds(bound: int, drawn: npt.NDArray[np.uint8]) -> Iterator[str]:
    """How many draws end on other bounds than the plan, both as indices into `BOUNDS`."""
    codes, counts = np.unique(drawn[drawn != bound], return_counts=True)
    if counts.sum() <= 0.05 * drawn.size:
        return
    ends = {BOUNDS[code]: count / drawn.size for code, count in zip(codes, counts, strict=True)}
    free = ends.pop(None, 0.0)
    if ends:
        where = ", ".join(f"{share:.0%} end on {end}" for end, share in ends.items())
        yield f"of the law's draws {where}, which cuts the intervals there"
    if free > 0.05:
        yield f"{free:.0%} of the law's draws end on no bound"


def _unspent(point: PlanArrays, budgets: Floats, constraints: Constraints) -> Iterator[str]:
    n, d, k = (float(axis[0]) for axis in axes(point))
    train, inference = budgets[:, 0]
    training, sampling = train_flops(n, d), sample_flops(n, k)
    if training < train * (1 - 1e-9):
        held = (
            f"of the listed tokens the best, {amount(d)}," if constraints.tokens else "the n_tokens maximum"
        )
        yield f"{held} leaves {1 - training / train:.1%} of the training budget unspent"
    if math.isfinite(k) and not constraints.integer_k and sampling < inference * (1 - 1e-9):
        held = f"of the listed k the best, {samples(k)}," if constraints.samples else "the k maximum"
        yield f"{held} leaves {1 - sampling / inference:.1%} of the inference budget unspent"
    sizes = constraints.sizes or ()
    most = largest_params(train, inference, constraints.fewest_tokens, constraints.fewest_samples)
    left_out = [size for size in sizes if size > most]
    if left_out:
        listed = ", ".join(map(amount, left_out[:10]))
        yield f"sizes left out because the budgets cannot train them or draw one sample: {listed}"


def _backwards(law: AnyLaw, point: PlanArrays) -> Iterator[str]:
    """A hundredth less of each resource at the plan must not look better."""
    n, d, k = (float(axis[0]) for axis in axes(point))
    there = np.array([[n, n, n], [d, 0.99 * d, d], [k, k, max(0.99 * k, 1.0)]])
    value, *less = law_values(law, *there)
    sign = -1 if law.higher_is_better else 1
    for resource, with_less in zip(("tokens", "samples"), less, strict=True):
        if sign * (with_less - value) < -1e-9 * abs(value):
            yield (
                f"the law gets worse with more {resource} here, yet the plan takes all that budgets and "
                "limits allow"
            )
