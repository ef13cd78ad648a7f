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
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from t2fast import _core
from t2fast.laws import Law
from t2fast.plans import (
    BOUNDS,
    Chinchilla,
    ChinchillaArrays,
    ChoiceArrays,
    Constraints,
    Floats,
    Interval,
    Plan,
    PlanArrays,
    Rule,
)

__all__ = ["frontier", "plan", "plan_many"]

Range: TypeAlias = tuple[float | None, float | None]
Sizes: TypeAlias = Range | Sequence[float] | Floats

CHINCHILLA_RATIO = 20.0
"""Tokens per parameter of Chinchilla's choice where the law has no training loss of its own."""

INTERVALS = ("n_params", "n_tokens", "k", "tokens_per_param", "predicted")


def plan(
    law: Law,
    train_flops: float,
    inference_flops: float | None = None,
    *,
    n_params: Sizes | None = None,
    n_tokens: Range | None = None,
    integer_k: bool = False,
    chinchilla: Rule | None = None,
    level: float = 0.9,
) -> Plan:
    """The N, D and k that `law` predicts to be best under 6 N D <= train_flops and 2 N k <= inference_flops,
    k >= 1.

    Args:
        law: a fitted law. More tokens and more samples count as better, so budgets are spent as far as
            bounds allow.
        train_flops: C_train, FLOPs.
        inference_flops: C_inf, FLOPs per token served; may be None for the Chinchilla law alone, which has
            no k.
        n_params: a tuple (min, max), where None leaves an end open, or a list of sizes to choose from.
        n_tokens: a tuple (min, max). With a maximum, D = min(train_flops/(6N), max).
        integer_k: whether k has to be whole; N is then the best that still draws k samples within budget.
        chinchilla: the rule of the comparison: "law", the N that minimises the law's training loss
            E + A/N^alpha + B/D^beta under 6 N D = train_flops (Hoffmann et al. 2022, equation 4), or a
            number of tokens per parameter. By default "law", but 20 where the law's loss is latent (an
            accuracy or counts law fitted without losses, E = 0): a latent loss is no training loss.
        level: coverage of the percentile intervals over the law's bootstrap draws.

    Raises:
        ValueError: on a budget, bound or parameter out of range, or constraints that leave no N; it says
        which.
    """
    _check_level(level)
    train = _positive("train_flops", train_flops)
    inference = _inference_flops(law, inference_flops)
    constraints = _constraints(n_params, n_tokens, integer_k)
    rule = _rule(law, chinchilla)
    budgets = np.array([[train], [inference]])

    point = _solve(law, law.vector[None], budgets, constraints, rule)
    ours, theirs = _fields(point), _fields(point.chinchilla)
    cloud = None
    if law.draws is not None and len(law.draws):
        draws = _draws(law, law.draws)
        cloud = _solve(law, draws, budgets, constraints, rule)
        both = (np.concatenate(pair) for pair in zip(_axes(point), _axes(point.chinchilla), strict=True))
        here = _core.law_values(law.name, draws, *both)
        ours["intervals"] = _intervals(cloud, here[:, 0], level)
        theirs["intervals"] = _intervals(cloud.chinchilla, here[:, 1], level)

    other = Chinchilla(**theirs, rule=rule)
    ratio = None
    if law.metric == "pass@k":
        gain = ours["predicted"] - other.predicted
        if other.predicted > 0:
            ratio = ours["predicted"] / other.predicted
    else:
        gain = other.predicted - ours["predicted"]
        if law.name == "loss":
            ratio = math.exp(gain)
    return Plan(
        **ours,
        metric="pass@k" if law.metric == "pass@k" else "loss",
        train_flops=train,
        inference_flops=None if inference_flops is None else inference,
        chinchilla=other,
        gain=gain,
        ratio=ratio,
        level=float(level),
        warnings=tuple(_warnings(law, point, cloud, budgets[:, 0], constraints)),
        law=law,
        constraints=constraints,
    )


def plan_many(
    law: Law,
    train_flops: npt.ArrayLike,
    inference_flops: npt.ArrayLike | None = None,
    *,
    draws: npt.ArrayLike | None = None,
    n_params: Sizes | None = None,
    n_tokens: Range | None = None,
    integer_k: bool = False,
    chinchilla: Rule | None = None,
) -> PlanArrays:
    """Plans for many budgets at once, and for every row of `draws` where given; arguments as in `plan`.

    Args:
        law: a fitted law.
        train_flops: C_train, (budgets,) or a number.
        inference_flops: C_inf, (budgets,) or a number; broadcast with train_flops.
        draws: parameters (draws, parameters) in the law's order, such as `law.draws`; by default the law's
            own.
        n_params, n_tokens, integer_k, chinchilla: as in `plan`.

    Returns:
        Arrays of shape (budgets, draws), or (budgets,) without draws.

    Raises:
        ValueError: as `plan`, naming the budget.
    """
    budgets = _budgets(law, train_flops, inference_flops)
    constraints = _constraints(n_params, n_tokens, integer_k)
    rows = law.vector[None] if draws is None else _draws(law, draws)
    return _solve(law, rows, budgets, constraints, _rule(law, chinchilla), squeeze=draws is None)


def frontier(
    law: Law,
    train_flops: npt.ArrayLike,
    inference_flops: npt.ArrayLike | None = None,
    *,
    n_params: Sizes | None = None,
    n_tokens: Range | None = None,
    integer_k: bool = False,
    chinchilla: Rule | None = None,
    level: float = 0.9,
) -> pl.DataFrame:
    """Plans over a range of budgets, one row each, with Chinchilla's choice beside ours.

    Columns `train_flops`, `inference_flops`, `metric`, `n_params`, `n_tokens`, `k`, `tokens_per_param`,
    `predicted`, `bound`; the last six again with the prefix `chinchilla_`, and `chinchilla_clamped`. If the
    law has bootstrap draws, the percentile interval of each number, planned anew for every draw, in columns
    ending in `_low` and `_high`. Arguments as in `plan_many` and `plan`.
    """
    _check_level(level)
    budgets = _budgets(law, train_flops, inference_flops)
    constraints = _constraints(n_params, n_tokens, integer_k)
    rule = _rule(law, chinchilla)
    point = _solve(law, law.vector[None], budgets, constraints, rule, squeeze=True)
    cloud = None
    if law.draws is not None and len(law.draws):
        cloud = _solve(law, _draws(law, law.draws), budgets, constraints, rule)
    columns: dict[str, Any] = {"train_flops": budgets[0], "inference_flops": _absent_if_infinite(budgets[1])}
    for prefix, side, draws in (
        ("", point, cloud),
        ("chinchilla_", point.chinchilla, None if cloud is None else cloud.chinchilla),
    ):
        for name in INTERVALS:
            columns[prefix + name] = _absent_if_infinite(getattr(side, name))
            if draws is not None:
                low, high = np.quantile(getattr(draws, name), _tails(level), axis=1)
                columns[f"{prefix}{name}_low"] = _absent_if_infinite(low)
                columns[f"{prefix}{name}_high"] = _absent_if_infinite(high)
        columns[prefix + "bound"] = pl.Series([BOUNDS[code] for code in side.bound], dtype=pl.String)
    columns["chinchilla_clamped"] = point.chinchilla.clamped
    return pl.DataFrame(columns).insert_column(2, pl.Series("metric", [law.metric] * len(point.k)))


def _solve(
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


def _axes(side: ChoiceArrays) -> tuple[Floats, Floats, Floats]:
    return side.n_params[0], side.n_tokens[0], side.k[0]


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


def _tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def _intervals(cloud: ChoiceArrays, here: Floats, level: float) -> dict[str, Interval]:
    columns = {name: getattr(cloud, name)[0] for name in INTERVALS}
    if not np.isfinite(columns["k"]).all():
        del columns["k"]
    columns["predicted_here"] = here
    intervals = {}
    for name, values in columns.items():
        low, high = np.quantile(values, _tails(level))
        intervals[name] = (float(low), float(high))
    return intervals


def _absent_if_infinite(values: Floats) -> pl.Series:
    return pl.Series(np.where(np.isfinite(values), values, np.nan), nan_to_null=True)


def _warnings(
    law: Law, point: PlanArrays, cloud: PlanArrays | None, budget: Floats, constraints: Constraints
) -> Iterator[str]:
    n, d, k = (float(axis[0]) for axis in _axes(point))
    train, inference = budget
    values = {"n_params": ("N", n), "n_tokens": ("D", d), "k": ("k", k)}
    for name, (symbol, value) in values.items():
        low, high = law.domain.get(name, (-math.inf, math.inf))
        if value < low:
            yield f"{symbol} = {value:.3g} is {low / value:.3g}x below the smallest fitted ({low:.3g})"
        elif math.inf > value > high:
            yield f"{symbol} = {value:.3g} is {value / high:.3g}x above the largest fitted ({high:.3g})"
    bound = BOUNDS[point.bound[0, 0]]
    if bound is not None:
        yield f"the plan sits on {bound}"
    if cloud is not None:
        share = float(np.mean(cloud.bound != point.bound))
        if share > 0.05:
            yield f"{share:.0%} of the law's draws end on another bound: the intervals are cut there"
    if 6 * n * d < train * (1 - 1e-9):
        yield f"the n_tokens maximum leaves {1 - 6 * n * d / train:.1%} of the training budget unspent"
    sizes = constraints.sizes or ()
    left_out = [size for size in sizes if size > min(inference / 2, train / (6 * constraints.n_tokens[0]))]
    if left_out:
        listed = ", ".join(f"{size:.3g}" for size in left_out[:10])
        yield f"sizes left out because the budgets cannot train them or draw one sample: {listed}"
    # A hundredth less of each resource at the plan must not look better.
    there = np.array([[n, n, n], [d, 0.99 * d, d], [k, k, max(0.99 * k, 1.0)]])
    value, *less = _core.law_values(law.name, law.vector[None], *there)[0]
    sign = 1 if law.metric == "loss" else -1
    for resource, with_less in zip(("tokens", "samples"), less, strict=True):
        if sign * (with_less - value) < -1e-9 * abs(value):
            yield f"the law gets worse with more {resource} here, yet the plan spends all of its budgets"


def _check_level(level: float) -> None:
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level is {level!r}: give a coverage between 0 and 1, such as 0.9")


def _positive(name: str, value: object) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise ValueError(f"{name} is {value!r}: give a positive number")
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} is {number!r}: it has to be positive and finite")
    return number


def _inference_flops(law: Law, value: float | None) -> float:
    """Infinite where there is none."""
    if value is not None:
        return _positive("inference_flops", value)
    if law.name != "chinchilla":
        raise ValueError(
            f"inference_flops is missing: under the {law.name} law it decides k = inference_flops/(2 N)"
        )
    return math.inf


def _budgets(law: Law, train_flops: npt.ArrayLike, inference_flops: npt.ArrayLike | None) -> Floats:
    """(2, budgets)."""
    columns = [np.atleast_1d(_floats("train_flops", train_flops))]
    if inference_flops is None:
        columns.append(np.array([_inference_flops(law, None)]))
    else:
        columns.append(np.atleast_1d(_floats("inference_flops", inference_flops)))
    for name, column in zip(("train_flops", "inference_flops"), columns, strict=True):
        if column.ndim != 1 or column.size == 0:
            raise ValueError(f"{name} has shape {column.shape}: give one number, or a list of at least one")
        bad = np.flatnonzero(~((column > 0) & (np.isfinite(column) | (inference_flops is None))))
        if bad.size:
            raise ValueError(f"{name}[{bad[0]}] is {column[bad[0]]!r}: it has to be positive and finite")
    sizes = [column.size for column in columns]
    if sizes[0] != sizes[1] and 1 not in sizes:
        raise ValueError(
            f"train_flops has {sizes[0]} budgets and inference_flops {sizes[1]}: give as many, or one"
        )
    return np.array(np.broadcast_arrays(*columns))


def _floats(name: str, values: npt.ArrayLike) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} holds {array.dtype} values: give numbers")
    return array.astype(np.float64)


def _draws(law: Law, draws: npt.ArrayLike) -> Floats:
    names = _core.law_parameters(law.name)
    rows = np.ascontiguousarray(_floats("draws", draws))
    if rows.ndim != 2 or rows.shape[1] != len(names) or len(rows) == 0:
        raise ValueError(
            f"draws has shape {rows.shape}: give rows of {len(names)} parameters, {', '.join(names)}"
        )
    return rows


def _rule(law: Law, chinchilla: Rule | None) -> Rule:
    if chinchilla is None:
        return CHINCHILLA_RATIO if law.latent else "law"
    if isinstance(chinchilla, str):
        if chinchilla != "law":
            raise ValueError(f"chinchilla is {chinchilla!r}: give 'law' or a number of tokens per parameter")
        return "law"
    return _positive("chinchilla (tokens per parameter)", chinchilla)


def _constraints(n_params: Sizes | None, n_tokens: Range | None, integer_k: bool) -> Constraints:
    if not isinstance(integer_k, (bool, np.bool_)):
        raise ValueError(f"integer_k is {integer_k!r}: give True or False")
    sizes = None
    if n_params is None or isinstance(n_params, tuple):
        params_range = _range("n_params", n_params)
    else:
        params_range = (1.0, math.inf)
        if isinstance(n_params, (str, bytes)) or not isinstance(n_params, (Sequence, np.ndarray)):
            raise ValueError(f"n_params is {n_params!r}: give a tuple (min, max) or a list of sizes")
        if len(n_params) == 0:
            raise ValueError("n_params is an empty list of sizes: give at least one")
        sizes = tuple(_positive(f"n_params[{i}]", size) for i, size in enumerate(n_params))
    return Constraints(params_range, sizes, _range("n_tokens", n_tokens), bool(integer_k))


def _range(name: str, bounds: Range | None) -> tuple[float, float]:
    if bounds is None:
        return 1.0, math.inf
    if not isinstance(bounds, tuple) or len(bounds) != 2:
        hint = ", or a list of sizes" if name == "n_params" else ""
        raise ValueError(f"{name} is {bounds!r}: give a tuple (min, max), None for an open end{hint}")
    low = 1.0 if bounds[0] is None else _positive(f"{name} minimum", bounds[0])
    high = math.inf if bounds[1] is None else _positive(f"{name} maximum", bounds[1])
    if low > high:
        raise ValueError(f"{name} runs from {low:.6g} down to {high:.6g}: put the minimum first")
    return low, high
