"""Where a law is asked for its value: N, D and k, checked by name and broadcast against each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def coordinates(
    n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike
) -> tuple[tuple[int, ...], Floats, Floats, Floats]:
    """The common shape, and N, D and k as flat arrays. `ValueError` for what is not positive and finite."""
    given = {"n_params": n_params, "n_tokens": n_tokens, "k": k}
    arrays = {name: np.asarray(value, dtype=float) for name, value in given.items()}
    for name, values in arrays.items():
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if bad.size:
            raise ValueError(f"{name}[{bad[0]}] = {values.flat[bad[0]]} must be positive and finite")
    whole = np.broadcast_arrays(*arrays.values())
    n, d, k_ = (np.ascontiguousarray(v).ravel() for v in whole)
    return whole[0].shape, n, d, k_
