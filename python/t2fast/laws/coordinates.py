"""N, D and k: where a law is asked for its value, and the ranges that it was fitted on, checked by name."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_NAMES = ("n_params", "n_tokens", "k")


def coordinates(
    n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike
) -> tuple[tuple[int, ...], Floats, Floats, Floats]:
    """The common shape, and N, D and k as flat arrays. `ValueError` for what is not positive and finite."""
    given = zip(_NAMES, (n_params, n_tokens, k), strict=True)
    arrays = {name: np.asarray(value, dtype=float) for name, value in given}
    for name, values in arrays.items():
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if bad.size:
            raise ValueError(f"{name}[{bad[0]}] = {values.flat[bad[0]]} must be positive and finite")
    whole = np.broadcast_arrays(*arrays.values())
    n, d, k_ = (np.ascontiguousarray(v).ravel() for v in whole)
    return whole[0].shape, n, d, k_


def check_domain(domain: Mapping[str, tuple[float, float]]) -> None:
    """`ValueError` for what is no range of N, D or k that a law can have been fitted on."""
    for name, (least, most) in domain.items():
        if name not in _NAMES:
            raise ValueError(f"domain has a range of {name!r}: a law is of {', '.join(_NAMES)}")
        if not 0 < least <= most < math.inf:
            raise ValueError(
                f"domain of {name} runs from {least:g} to {most:g}: give a positive range, least end first"
            )
