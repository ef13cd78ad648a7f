"""Arguments held to what is wanted: arrays, or a `ValueError` that names up to ten bad entries; and kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_SHOWN = 10
_BUFFER = 1 << 16
_LARGEST = 2**53
MOST_DRAWS = 10**6
"""Of a bootstrap: more would change no digit that is printed, and take memory for each."""


TABLES = "see t2fast.read_counts and kin"
"""Where tables come from."""


def require_kind(what: str, given: object, kinds: Sequence[type], where: str = TABLES) -> None:
    """`TypeError` where `what` is given something else than it takes; `where` says how to come by that."""
    if not isinstance(given, tuple(kinds)):
        *first, last = (kind.__name__ for kind in kinds)
        taken = f"{', '.join(first)} or {last}" if first else last
        raise TypeError(f"{what} takes {taken}, not a {type(given).__name__}: {where}")


def check_draws(draws: int, seed: int, least: int, why: str) -> None:
    """`ValueError` for fewer draws than `why` needs, more than memory holds, and for a seed that is none."""
    if not least <= draws <= MOST_DRAWS:
        raise ValueError(f"draws must be from {least} to {MOST_DRAWS:,} {why}; got {draws}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be from 0 to 2^64 - 1; got {seed}")


def whole(name: str, value: ArrayLike) -> Integers:
    """The argument as int64, or a ValueError that lists what is not a whole number."""
    array = np.asarray(value)
    if array.size == 0:
        raise ValueError(f"{name} is empty: give at least one value")
    if array.dtype.kind == "i":
        return array.astype(np.int64, copy=False)
    if array.dtype.kind not in "bu":
        array = real(name, value)
        refuse(name, array, ~np.isfinite(array) | (array != np.floor(array)), "must be a whole number")
    refuse(name, array, np.abs(array) > _LARGEST, "must be at most 2^53")
    return array.astype(np.int64)


def real(name: str, value: ArrayLike) -> Floats:
    """The argument as float64, or a ValueError that lists what is not a number."""
    array = np.asarray(value)
    if array.size == 0:
        raise ValueError(f"{name} is empty: give at least one value")
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    items = np.asarray(value, dtype=object)
    numeric = np.vectorize(lambda x: isinstance(x, int | float | np.number | np.bool_), otypes=[bool])(items)
    refuse(name, np.vectorize(repr, otypes=[object])(items), ~numeric, "must be a number")
    return items.astype(np.float64)


def refuse(name: str, values: NDArray[np.generic], bad: NDArray[np.bool_], rule: str) -> None:
    """Raise a ValueError that names the argument, the rule, and index and value of up to ten offenders."""
    if not bad.any():
        return
    where = np.argwhere(bad)
    shown = [f"{_at(name, index)} = {values[tuple(index)]!s}" for index in where[:_SHOWN]]
    more = f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else ""
    raise ValueError(f"{name} {rule}; got {', '.join(shown)}{more}")


def _at(name: str, index: NDArray[np.intp]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if len(index) else name


def check_counts(n: Integers, c: Integers) -> None:
    """Refuse n < 1, c < 0 and c > n, over n and c broadcast together."""
    refuse("n", n, n < 1, "must be at least 1: leave out problems that were not sampled")
    refuse("c", c, c < 0, "must not be negative")
    n, c = np.broadcast_arrays(n, c)
    pairs = np.array(
        [f"{c} of n = {n}" for n, c in zip(n.flat, c.flat, strict=True)] if (c > n).any() else []
    )
    if pairs.size:
        refuse("c", pairs.reshape(c.shape), c > n, "must not exceed n: check which column is which")


def cells(function: Callable[..., bool | None], *arrays: Integers | Floats) -> Floats | None:
    """`function(*arrays, out)` over the arrays broadcast together; None as soon as it returns False.

    Broadcast operands are copied a buffer at a time, never in full.
    """
    read: list[Literal["readonly", "writeonly", "allocate"]] = ["readonly"]
    write: list[Literal["readonly", "writeonly", "allocate"]] = ["writeonly", "allocate"]
    iterator = np.nditer(
        [*arrays, None],
        flags=["external_loop", "buffered"],
        op_flags=[*[read] * len(arrays), write],
        op_dtypes=[*(array.dtype for array in arrays), np.dtype(np.float64)],
        order="C",
        buffersize=_BUFFER,
    )
    with iterator:
        for chunk in iterator:
            if function(*chunk) is False:
                return None
        return np.asarray(iterator.operands[-1])


def fill(function: Callable[..., None], *arrays: Floats) -> Floats | float:
    """`cells` of a function that refuses nothing; scalars in give a float."""
    result = cells(function, *arrays)
    assert result is not None
    return plain(result)


def plain(values: Floats) -> Floats | float:
    """A float for an array without dimensions, the array otherwise."""
    return values if np.ndim(values) else float(values)
