"""What a plan is asked for: budgets, ranges, the rule of the comparison; checked once, by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.arguments import require_kind
from t2fast.laws import AnyLaw, ForecastLaw, Law
from t2fast.plans.limits import Limits, held_to_data
from t2fast.plans.planned import Constraints, Floats, Rule

Range: TypeAlias = tuple[float | None, float | None]
Sizes: TypeAlias = Range | Sequence[float] | Floats
Listed: TypeAlias = Range | Sequence[float] | Floats

CHINCHILLA_RATIO = 20.0
"""Tokens per parameter of Chinchilla's choice where the law has no training loss of its own."""


def check_level(level: float) -> None:
    """`ValueError` for a level that is no coverage."""
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level is {level!r}: give a coverage between 0 and 1, such as 0.9")


def positive(name: str, value: object) -> float:
    """`value` as a float; `ValueError` unless it is a positive, finite number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise ValueError(f"{name} is {value!r}: give a positive number")
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} is {number!r}: it has to be positive and finite")
    return number


def inference_budget(law: AnyLaw, value: float | None) -> float:
    """Infinite where there is none."""
    if value is not None:
        return positive("inference_flops", value)
    if law.has_k:
        raise ValueError(f"inference_flops is missing: under the {law.name} law it decides k = C_inf/(2 N)")
    return math.inf


def budget_pairs(law: AnyLaw, train_flops: npt.ArrayLike, inference_flops: npt.ArrayLike | None) -> Floats:
    """(2, budgets)."""
    columns = [np.atleast_1d(_floats("train_flops", train_flops))]
    if inference_flops is None:
        columns.append(np.array([inference_budget(law, None)]))
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


def comparison_rule(law: AnyLaw, chinchilla: Rule | None) -> Rule:
    """The rule to compare with: as asked for, or what suits the law; `ValueError` for no such rule."""
    if chinchilla is None:
        return CHINCHILLA_RATIO if law.latent else "law"
    if isinstance(chinchilla, str):
        if chinchilla != "law":
            raise ValueError(f"chinchilla is {chinchilla!r}: give 'law' or a number of tokens per parameter")
        return "law"
    return positive("chinchilla (tokens per parameter)", chinchilla)


def constraints_of(
    law: AnyLaw,
    n_params: Sizes | None,
    n_tokens: Listed | None,
    max_k: float | None,
    integer_k: bool,
    extrapolate: float,
    k: float | Sequence[float] | None = None,
) -> tuple[Constraints, Limits]:
    """What a plan may choose, held to the law's data, and which of its ends are the data's."""
    if not isinstance(integer_k, (bool, np.bool_)):
        raise ValueError(f"integer_k is {integer_k!r}: give True or False")
    if extrapolate != math.inf and positive("extrapolate", extrapolate) < 1:
        raise ValueError(f"extrapolate is {extrapolate!r}: a factor beyond the data is at least 1")
    sizes = None
    if n_params is None or isinstance(n_params, tuple):
        params_range = _range("n_params", n_params)
    else:
        params_range = (1.0, math.inf)
        if isinstance(n_params, (str, bytes)) or not isinstance(n_params, (Sequence, np.ndarray)):
            raise ValueError(f"n_params is {n_params!r}: give a tuple (min, max) or a list of sizes")
        if len(n_params) == 0:
            raise ValueError("n_params is an empty list of sizes: give at least one")
        sizes = tuple(positive(f"n_params[{i}]", size) for i, size in enumerate(n_params))
    most_samples = math.inf if max_k is None else positive("max_k", max_k)
    if most_samples < 1:
        raise ValueError(f"max_k is {max_k!r}: a problem gets at least one sample")
    tokens: tuple[float, ...] = ()
    if n_tokens is not None and not isinstance(n_tokens, tuple):
        n_tokens, tokens = None, _listed("n_tokens", n_tokens)
    asked = Constraints(
        params_range,
        sizes,
        _range("n_tokens", n_tokens),
        most_samples,
        bool(integer_k),
        tokens=tokens,
        samples=() if k is None else _samples(law, k, max_k, integer_k),
    )
    return held_to_data(law, asked, float(extrapolate))


def _samples(
    law: AnyLaw, k: float | Sequence[float], max_k: float | None, integer_k: bool
) -> tuple[float, ...]:
    """Listed k, checked beside what else is asked of them."""
    drawn = _listed("k", [k] if np.ndim(k) == 0 else k)
    if max_k is not None:
        raise ValueError("k already says which samples are allowed: leave out max_k")
    if integer_k and any(one != int(one) for one in drawn):
        raise ValueError("k holds what is not whole: leave out integer_k")
    if not law.has_k:
        raise ValueError(f"the {law.name} law has no k: leave it out")
    if drawn[0] < 1:
        raise ValueError(f"k holds {drawn[0]:g}: a query gets at least one sample")
    return drawn


def _listed(name: str, values: Any) -> tuple[float, ...]:
    """A list of D or k, checked, the least first."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)) or len(values) == 0:
        raise ValueError(f"{name} is {values!r}: give at least one number to choose from")
    return tuple(sorted({positive(f"{name}[{i}]", value) for i, value in enumerate(values)}))


def check_law(law: AnyLaw) -> None:
    """`ValueError` for a law whose fit did not converge, `TypeError` for what is no law: neither plans."""
    require_kind("a plan", law, (Law, ForecastLaw), "t2fast.Law.load('law.json') gives one, and every fit")
    if law.fit is not None and not law.fit.converged:
        raise ValueError(
            f"the {law.name} law did not converge ({law.fit.reason}): fit it again, with other checkpoints "
            "or another law, before planning with it"
        )


def _range(name: str, bounds: Range | None) -> tuple[float, float]:
    if bounds is None:
        return 1.0, math.inf
    if not isinstance(bounds, tuple) or len(bounds) != 2:
        hint = ", or a list of sizes" if name == "n_params" else ""
        raise ValueError(f"{name} is {bounds!r}: give a tuple (min, max), None for an open end{hint}")
    low = 1.0 if bounds[0] is None else positive(f"{name} minimum", bounds[0])
    high = math.inf if bounds[1] is None else positive(f"{name} maximum", bounds[1])
    if high < 1:
        raise ValueError(f"{name} maximum is {high:g}: it has to be at least 1")
    if low > high:
        raise ValueError(f"{name} runs from {low:.6g} down to {high:.6g}: put the minimum first")
    return low, high
