"""The data wall's law fitted to runs that repeat their data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast import _core
from t2fast.arguments import real
from t2fast.laws.data_wall import DataWall

Floats: TypeAlias = npt.NDArray[np.float64]

_NAMES = ("A", "B", "E", "alpha", "beta", "r_d", "r_n")
# How far about the published constants searches begin, in ln A, ln B, ln E, alpha, beta, ln R_D* and ln R_N*.
_SPREAD = np.array([1.0, 1.0, 0.3, 0.1, 0.1, 1.0, 1.0])


@dataclass(frozen=True)
class DataWallFit:
    """A fitted law of the data wall.

    Attributes:
        law: the law.
        median_relative_error: of the loss, on the runs fitted.
        on_bound: parameters on a bound of the search, which these runs do not determine.
        converged: whether the search ended by itself.
    """

    law: DataWall
    median_relative_error: float
    on_bound: tuple[str, ...]
    converged: bool


def fit_data_wall(
    n_params: npt.ArrayLike,
    n_tokens: npt.ArrayLike,
    unique_tokens: npt.ArrayLike,
    loss: npt.ArrayLike,
    *,
    restarts: int = 8,
    seed: int = 0,
) -> DataWallFit:
    """Fit all seven parameters to ln L, by a loss that is square below 1% and linear beyond.

    The published fit used Huber's with a narrower bend; runs that diverge from the form are many in such
    tables. Levenberg and Marquardt's steps from the published constants and from random points about them;
    the best end is kept.

    Args:
        n_params: N of each run, (runs,).
        n_tokens: D, repetitions counted.
        unique_tokens: U.
        loss: nats.
        restarts: searches, all but the first from random points.
        seed: of these.

    Returns:
        The law, the objective and what it leaves.

    Raises:
        ValueError: for arrays of different length, values that are not positive, fewer than 8 runs, no start.
    """
    given = {"n_params": n_params, "n_tokens": n_tokens, "unique_tokens": unique_tokens, "loss": loss}
    names, arrays = tuple(given), [np.atleast_1d(real(name, values)) for name, values in given.items()]
    for name, values in zip(names, arrays, strict=True):
        if values.shape != arrays[0].shape or values.ndim != 1:
            raise ValueError(
                f"{name} has shape {values.shape} and n_params {arrays[0].shape}: give one a run"
            )
        bad = np.flatnonzero(~((values > 0) & np.isfinite(values)))
        if bad.size:
            raise ValueError(f"{name}[{bad[0]}] is {values[bad[0]]}: it has to be positive and finite")
    if restarts < 1:
        raise ValueError(f"restarts = {restarts} must be at least 1")
    if len(arrays[0]) <= len(_NAMES):
        raise ValueError(f"{len(arrays[0])} runs cannot determine {len(_NAMES)} parameters: give more")
    rng = np.random.default_rng(seed)
    spread = np.vstack([np.zeros(len(_NAMES)), rng.normal(size=(restarts - 1, len(_NAMES))) * _SPREAD])
    n, d, u, y = arrays
    found = _core.fit_data_wall(n, d, u, y, _vector(DataWall()) + spread)
    law = _law(found.params)
    on_bound = tuple(name for name, on in zip(_NAMES, found.on_bound, strict=True) if on)
    error = float(np.median(np.abs(law.loss(n, d, u) / y - 1)))
    return DataWallFit(law, error, on_bound, found.converged)


def _law(x: Floats) -> DataWall:
    a, b, e, r_d, r_n = np.exp(x[[0, 1, 2, 5, 6]])
    return DataWall(
        E=float(e),
        A=float(a),
        B=float(b),
        alpha=float(x[3]),
        beta=float(x[4]),
        r_d=float(r_d),
        r_n=float(r_n),
    )


def _vector(law: DataWall) -> Floats:
    logs = np.log([law.A, law.B, law.E, law.r_d, law.r_n])
    return np.concatenate([logs[:3], [law.alpha, law.beta], logs[3:]])
