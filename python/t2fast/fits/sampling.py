"""What sampling leaves open of a measured pass@k, in the logarithms in which forecasts are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2fast.estimators.sequential import mean_variance
from t2fast.fits.passtable import PassTable
from t2fast.laws.measurements import of_z, to_z
from t2fast.tables import Counts, Likelihoods

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_STEADY = 50
"""Problems whose own sampling noise weighs as much as that of all checkpoints together."""
_LEAST_NOISE = 1e-3
"""Of pass@k, relative: what no estimate is better than."""


def in_logarithms(table: Counts | Likelihoods, observed: PassTable) -> tuple[Floats, Floats]:
    """z = ln(-ln(1 - pass@k)) of the mean over a checkpoint's problems, and its variance by sampling.

    The problems are taken as given: only each one's own draws are noise. Half a success, or half a failure,
    stands for none; its logarithm is known to about two.

    Args:
        table: counts, or likelihoods, which have no sampling noise to speak of.
        observed: the same table's pass@k at the k wanted.

    Returns:
        Both of shape (checkpoints, K); where a problem has fewer than k samples, z is NaN and the variance 0.
    """
    known = observed.complete()
    y = np.where(known, observed.mean(), np.nan)
    if isinstance(table, Counts):
        noise, batches = _sampling_noise(table, observed)
    else:
        noise, batches = np.zeros_like(y), np.full_like(y, np.inf)
    none, all_ = y <= 0, y >= 1
    y = np.where(none, 0.5 / batches, np.where(all_, 1 - 0.5 / batches, y))
    z = to_z("pass@k", y)
    y = of_z("pass@k", z)
    noise = np.where(none, 2.0 * y, np.where(all_, 1 - y, noise)) / ((1 - y) * np.exp(z))
    # No slope here: it has no bound next to 1, and a pass@k of 1 is at least known from one of 0.999.
    least = z - to_z("pass@k", y * (1 - _LEAST_NOISE))
    return np.where(known, z, np.nan), np.where(known, np.maximum(noise, least) ** 2, 0.0)


def _sampling_noise(table: Counts, observed: PassTable) -> tuple[Floats, Floats]:
    """Standard error of the mean pass@k by the sampling of each problem alone, and how many batches of k were
    drawn.
    """
    order = np.argsort(table.checkpoint_index, kind="stable")
    problems = np.bincount(observed.checkpoint, minlength=observed.checkpoints)
    rows = np.split(order, np.cumsum(problems)[:-1])
    rule = table.sequential
    variance = np.array(
        [
            mean_variance(
                table.n[i], table.c[i], observed.ks, None if rule is None else (rule[0][i], rule[1][i])
            )
            for i in rows
        ]
    )
    if rule is not None:
        variance = _steadied(variance, observed.mean(), problems[:, None])
    drawn = np.array([table.n[i].sum() for i in rows])
    return np.sqrt(variance), drawn[:, None] / observed.ks[None, :]


def _steadied(variance: Floats, mean: Floats, problems: Integers) -> Floats:
    """Variances that are unbiased but, of few problems, now and then 0 or below, without such: each share of
    y(1 - y)/problems, the most that problems can scatter, is drawn to that of all checkpoints at this k.

    The share of all counts one more problem, whose scatter is its sampling's; that of a checkpoint, as many
    more as `_STEADY`, which have the share of all.
    """
    most = mean * (1 - mean)
    found, every = problems**2 * variance, problems * most
    middle = most.mean(axis=0)
    common = (np.maximum(found.sum(axis=0), 0) + middle) / np.maximum(every.sum(axis=0) + middle, 1e-300)
    own = (found + _STEADY * common * most) / np.maximum((problems + _STEADY) * most, 1e-300)
    return np.asarray(np.clip(own, 0.2 * common, 1) * most / problems)
