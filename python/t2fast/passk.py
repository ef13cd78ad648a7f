"""pass@k and its relatives from counts: n samples drawn for a problem, c of them correct.

Every estimator here draws k of the n samples without replacement and asks how many are correct, so each is
unbiased for the same question about k fresh samples, and exists only for k <= n.

All functions broadcast their arguments as NumPy does and take anything `numpy.asarray` takes; scalars in give a
float out. Counts are whole numbers with n >= 1, 0 <= c <= n and k >= 1, otherwise `ValueError` lists the bad ones.
Where k > n the result is NaN, with a `RuntimeWarning` that says where.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t2fast import _core

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_SHOWN = 10
_LARGEST = 2**53


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats | float:
    """Probability that at least one of k samples is correct: 1 - C(n-c, k) / C(n, k).

    Chen et al. 2021 (arXiv 2107.03374), equation 1. Relative error below 1e-13 for n up to 1e6.

    >>> pass_at_k(200, [0, 3, 200], 10)
    array([0.        , 0.14364752, 1.        ])
    """
    return _tail(n, c, k, np.ones_like)


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats | float:
    """Probability that all k samples are correct, pass^k: C(c, k) / C(n, k).

    Yao et al. 2024 (arXiv 2406.12045), section 3.
    """
    return _tail(n, c, k, np.copy)


def majority_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats | float:
    """Probability that more than half of k samples are correct, maj@k.

    A tie (k even, k/2 correct) counts as a failure: the correct answer has no majority. Wrong answers are taken
    to agree with each other, so where they scatter a plurality vote does better than this.
    """
    return _tail(n, c, k, lambda k: k // 2 + 1)


def g_pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike, tau: ArrayLike) -> Floats | float:
    """Probability that at least ceil(tau k) of k samples are correct, G-Pass@k with threshold tau in [0, 1].

    Liu et al. 2024 (arXiv 2412.13147), equation 5. At tau = 0 it is pass@k (at least one), at tau = 1 pass^k.
    tau k is rounded down to a whole number it exceeds by less than 1e-9, so that tau = 0.1, k = 30 means 3.
    """
    share = _real("tau", tau)
    _refuse("tau", share, ~((share >= 0) & (share <= 1)), "must lie between 0 and 1")
    k = _whole("k", k)
    k, share = np.broadcast_arrays(k, share)
    needed = np.maximum(np.ceil(share * k - 1e-9), 1).astype(np.int64)
    return _tail(n, c, k, lambda _: needed)


def _tail(n: ArrayLike, c: ArrayLike, k: ArrayLike, needed: Callable[[Integers], Integers]) -> Floats | float:
    """P(at least needed(k) of k samples are correct), by rows x columns where (n, c) and k broadcast that way."""
    n, c, k = _whole("n", n), _whole("c", c), _whole("k", k)
    shape = np.broadcast_shapes(n.shape, c.shape, k.shape)
    counts_shape = np.broadcast_shapes(n.shape, c.shape)
    m = needed(k)
    leading = _split(counts_shape, k.shape, len(shape))
    if leading is None:
        flat = np.empty(int(np.prod(shape)))
        views = [np.broadcast_to(array, shape) for array in (n, c, k, m)]
        valid = _core.tail_cells(*views, flat)
        result = flat.reshape(shape)
    else:
        rows = [np.broadcast_to(array, counts_shape).reshape(-1) for array in (n, c)]
        columns = [array.reshape(-1) for array in (k, m)]
        table = np.empty((rows[0].size, columns[0].size))
        valid = _core.tail_grid(*rows, *columns, table)
        result = table.reshape(shape) if leading else table.T.reshape(shape)
    if not valid:
        _check_counts(n, c)
        _refuse("k", k, k < 1, "must be at least 1: nothing is drawn otherwise")
    if k.max() > n.min():
        _warn_undefined(n, k, shape)
    return result if shape else float(result)


def _split(counts: tuple[int, ...], k: tuple[int, ...], ndim: int) -> bool | None:
    """True where every axis of the counts comes before every axis of k, False for the reverse, None if they mix."""
    of_counts = [ndim - len(counts) + axis for axis, size in enumerate(counts) if size > 1]
    of_k = [ndim - len(k) + axis for axis, size in enumerate(k) if size > 1]
    if not of_counts or not of_k or of_counts[-1] < of_k[0]:
        return True
    return False if of_k[-1] < of_counts[0] else None


def _whole(name: str, value: ArrayLike) -> Integers:
    """The argument as int64, or a ValueError that lists what is not a whole number."""
    array = np.asarray(value)
    if array.size == 0:
        raise ValueError(f"{name} is empty: give at least one value")
    if array.dtype.kind == "i":
        return array.astype(np.int64, copy=False)
    if array.dtype.kind not in "bu":
        array = _real(name, array)
        _refuse(name, array, ~np.isfinite(array) | (array != np.floor(array)), "must be a whole number")
    _refuse(name, array, np.abs(array) > _LARGEST, "must be at most 2^53")
    return array.astype(np.int64)


def _real(name: str, value: ArrayLike) -> Floats:
    """The argument as float64, or a ValueError that lists what is not a number."""
    array = np.asarray(value)
    if array.size == 0:
        raise ValueError(f"{name} is empty: give at least one value")
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    items = np.asarray(value, dtype=object)
    numeric = np.vectorize(lambda x: isinstance(x, int | float | np.number | np.bool_), otypes=[bool])(items)
    _refuse(name, items, ~numeric, "must be a number")
    return items.astype(np.float64)


def _refuse(name: str, values: NDArray[np.generic], bad: NDArray[np.bool_], rule: str) -> None:
    """Raise a ValueError that names the argument, the rule, and the index and value of up to ten offenders."""
    if not bad.any():
        return
    where = np.argwhere(bad)
    shown = [f"{_at(name, index)} = {values[tuple(index)]!s}" for index in where[:_SHOWN]]
    more = f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else ""
    raise ValueError(f"{name} {rule}; got {', '.join(shown)}{more}")


def _at(name: str, index: NDArray[np.intp]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if len(index) else name


def _check_counts(n: Integers, c: Integers) -> None:
    _refuse("n", n, n < 1, "must be at least 1: leave out problems that were not sampled")
    _refuse("c", c, c < 0, "must not be negative")
    n, c = np.broadcast_arrays(n, c)
    where = np.argwhere(c > n)
    if len(where):
        shown = [
            f"{_at('c', index)} = {c[tuple(index)]} with {_at('n', index)} = {n[tuple(index)]}"
            for index in where[:_SHOWN]
        ]
        more = f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else ""
        raise ValueError(f"c must not exceed n; got {', '.join(shown)}{more}")


def _warn_undefined(n: Integers, k: Integers, shape: tuple[int, ...]) -> None:
    short = np.argwhere(np.broadcast_to(k, shape) > np.broadcast_to(n, shape))
    if len(short):
        at = tuple(short[0])
        first_n, first_k = np.broadcast_to(n, shape)[at], np.broadcast_to(k, shape)[at]
        warnings.warn(
            f"{len(short)} of {max(int(np.prod(shape)), 1)} values are NaN because k exceeds n, first at index "
            f"{tuple(map(int, at))} with n = {first_n}, k = {first_k}; no unbiased estimate exists there",
            RuntimeWarning,
            stacklevel=4,
        )
