"""What a forecast law was fitted to, and its refits to such measurements perturbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from t2fast import _core

Floats = NDArray[np.float64]
Metric: TypeAlias = Literal["pass@k", "accuracy", "loss"]

NOISE = 6
"""Numbers that say what sets checkpoints apart in a draw."""
MOST_CHECKPOINTS = 2000
"""A process over more of them takes minutes and gigabytes."""

_INSIDE = 1e-300, 1 - 1e-15
"""How near to 0 and to 1 a pass@k may lie for its z to be finite."""


def to_z(metric: Metric, values: Floats) -> Floats:
    """What the forecast law is a law of: ln L of a loss, ln(-ln(1 - y)) of a pass@k or an accuracy.

    A pass@k is 0 or 1 where no problem is solved or all are, or by rounding: taken for one just inside.
    """
    return np.asarray(np.log(values) if metric == "loss" else np.log(-np.log1p(-np.clip(values, *_INSIDE))))


def of_z(metric: Metric, z: Floats) -> Floats:
    """The measured quantity itself: the inverse of `to_z`."""
    return np.asarray(np.exp(z) if metric == "loss" else -np.expm1(-np.exp(z)))


@dataclass(frozen=True)
class Measurements:
    """What a forecast law was fitted to.

    Attributes:
        n_params, n_tokens: of the checkpoints, (checkpoints,).
        ks: rising, (K,); 1 alone for losses and accuracies.
        z: ln(-ln(1 - pass@k)) or ln L, (checkpoints, K); NaN where it was not measured.
        variance: of z by sampling, (checkpoints, K).
    """

    n_params: Floats
    n_tokens: Floats
    ks: Floats
    z: Floats
    variance: Floats

    def __post_init__(self) -> None:
        checkpoints, width = len(self.n_params), len(self.ks)
        if not 0 < checkpoints <= MOST_CHECKPOINTS:
            raise ValueError(f"{checkpoints} checkpoints: the forecast law takes 1 to {MOST_CHECKPOINTS}")
        for name, shape in (
            ("n_tokens", (checkpoints,)),
            ("z", (checkpoints, width)),
            ("variance", (checkpoints, width)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        for name in ("n_params", "n_tokens", "ks"):
            values = getattr(self, name)
            if not (np.isfinite(values).all() and (values > 0).all()):
                raise ValueError(f"{name} must be positive and finite")
        if width == 0 or (np.diff(self.ks) <= 0).any():
            raise ValueError(f"k = {self.ks.tolist()} must rise")
        if np.isinf(self.z).any() or not np.isfinite(np.where(np.isnan(self.z), 0.0, self.variance)).all():
            raise ValueError("z and its variance must be finite where z was measured")
        if (self.variance < 0).any() or np.isnan(self.z).all(axis=0).any():
            raise ValueError("a variance is negative, or nothing was measured at some k")

    @property
    def places(self) -> Floats:
        """ln N and ln D, (checkpoints, 2)."""
        return np.ascontiguousarray(np.log(np.column_stack([self.n_params, self.n_tokens])))

    def table(self, metric: Metric, chance: float) -> _core.ForecastTable:
        """The same for the core, as measurements of `metric` above `chance`."""
        return _core.ForecastTable(metric, chance, self.places, self.ks, self.z, self.variance)


@dataclass(frozen=True)
class ForecastDraws:
    """Refits to perturbed measurements, one a row.

    Attributes:
        thetas: parameters of all members, (draws, members * parameters).
        z: the measurements refitted to, (draws, checkpoints * K).
        noise: what sets checkpoints apart, in units of their scatter, (draws, 6): amplitude, length
            and number of a smooth function of N and D drawn at random, standard deviation of each own
            part, that of a new checkpoint in standard deviations, and whose transform of the members they
            scatter alike in, by index.
    """

    thetas: Floats
    z: Floats
    noise: Floats

    def __len__(self) -> int:
        return len(self.noise)

    def check(self, parameters: int, measured: Measurements) -> None:
        """`ValueError` unless these are refits of so many parameters to these measurements."""
        rows = len(self)
        shapes = (rows, parameters), (rows, measured.z.size), (rows, NOISE)
        found = self.thetas.shape, self.z.shape, self.noise.shape
        if found != shapes:
            raise ValueError(f"draws have shapes {found}, expected {shapes}")
        known = ~np.isnan(measured.z.ravel())
        if not all(np.isfinite(part).all() for part in (self.thetas, self.noise, self.z[:, known])):
            raise ValueError("a number among the draws is not finite")
