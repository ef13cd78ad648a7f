"""The data wall's law fitted to runs that repeat their data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.laws.data_wall import DataWall

Floats: TypeAlias = npt.NDArray[np.float64]

# ln A, ln B, ln E, alpha, beta, ln R_D*, ln R_N*: where the search begins and between which bounds it stays.
_NAMES = ("A", "B", "E", "alpha", "beta", "r_d", "r_n")
_LOW = np.array([-5.0, -5.0, -5.0, 0.05, 0.05, -3.0, -3.0])
_HIGH = np.array([25.0, 30.0, 3.0, 1.5, 1.5, 8.0, 8.0])
_SPREAD = np.array([1.0, 1.0, 0.3, 0.1, 0.1, 1.0, 1.0])
_STEPS = 300
_BEND = 0.01


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
    starts: int = 8,
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
        starts: searches.
        seed: of their starts.

    Returns:
        The law, the objective and what it leaves.

    Raises:
        ValueError: for arrays of different length, values that are not positive, fewer than 8 runs.
    """
    arrays = [np.atleast_1d(np.asarray(a, dtype=float)) for a in (n_params, n_tokens, unique_tokens, loss)]
    names = ("n_params", "n_tokens", "unique_tokens", "loss")
    for name, values in zip(names, arrays, strict=True):
        if values.shape != arrays[0].shape or values.ndim != 1:
            raise ValueError(
                f"{name} has shape {values.shape} and n_params {arrays[0].shape}: give one a run"
            )
        bad = np.flatnonzero(~((values > 0) & np.isfinite(values)))
        if bad.size:
            raise ValueError(f"{name}[{bad[0]}] is {values[bad[0]]}: it has to be positive and finite")
    if len(arrays[0]) <= len(_NAMES):
        raise ValueError(f"{len(arrays[0])} runs cannot determine {len(_NAMES)} parameters: give more")
    n, d, u, y = arrays
    log_y = np.log(y)

    def residuals(x: Floats) -> Floats:
        # Their squares add up to 2 s^2 (sqrt(1 + (r/s)^2) - 1) of the plain residuals r.
        scaled = (np.log(_law(x).loss(n, d, u)) - log_y) / _BEND
        return np.asarray(np.sign(scaled) * _BEND * np.sqrt(2 * (np.sqrt(1 + scaled**2) - 1)))

    rng = np.random.default_rng(seed)
    published = _vector(DataWall())
    found = []
    for i in range(starts):
        start = published + (rng.normal(size=len(published)) * _SPREAD if i else 0.0)
        found.append(_descend(residuals, np.clip(start, _LOW, _HIGH)))
    x, _, converged = min(found, key=lambda end: end[1])
    on_bound = [i for i in range(len(x)) if min(x[i] - _LOW[i], _HIGH[i] - x[i]) < 1e-6]
    law = _law(x)
    error = float(np.median(np.abs(law.loss(n, d, u) / y - 1)))
    return DataWallFit(law, error, tuple(_NAMES[i] for i in on_bound), converged)


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


def _descend(residuals: Callable[[Floats], Floats], x: Floats) -> tuple[Floats, float, bool]:
    """Damped Gauss-Newton steps within the bounds, slopes by central differences."""
    r = residuals(x)
    cost, damping = float(r @ r), 1e-3
    for _ in range(_STEPS):
        slopes = np.empty((len(r), len(x)))
        for i in range(len(x)):
            step = np.zeros(len(x))
            step[i] = 1e-6
            slopes[:, i] = (residuals(x + step) - residuals(x - step)) / 2e-6
        normal, gradient = slopes.T @ slopes, slopes.T @ r
        free = ~(((x <= _LOW) & (gradient > 0)) | ((x >= _HIGH) & (gradient < 0)))
        while True:
            scale = np.diag(np.diag(normal)[free] + 1e-12) * damping
            move = np.zeros(len(x))
            move[free] = -np.linalg.solve(normal[np.ix_(free, free)] + scale, gradient[free])
            new = np.clip(x + move, _LOW, _HIGH)
            r_new = residuals(new)
            new_cost = float(r_new @ r_new)
            if new_cost < cost:
                break
            damping *= 4
            if damping > 1e12:
                return x, cost, True
        gain = cost - new_cost
        x, r, cost, damping = new, r_new, new_cost, max(damping / 6, 1e-12)
        if gain <= 1e-12 * cost:
            return x, cost, True
    return x, cost, False
