"""How well a law forecasts checkpoints that it has not seen, beside the humblest baseline: the nearest one
it has.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast.fits import FitWarning, fit_accuracy, fit_counts, fit_loss
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.tables import Counts

Floats = NDArray[np.float64]

KS = (1, 8, 64, 128)
"""The k to judge by, where there are samples for them."""

FITS: dict[str, Callable[[Counts], Law]] = {
    "loss": lambda counts: fit_loss(counts, draws=0),
    "accuracy": lambda counts: fit_accuracy(counts, draws=0),
    "counts": lambda counts: fit_counts(counts, draws=0),
}


def compare_forecasts(seen: Counts, unseen: Counts, ks: Sequence[int] | None = None) -> pl.DataFrame:
    """Median over the unseen checkpoints of |forecast - measured| / measured pass@k, one row a method.

    Methods: the three laws that counts can fit, each fitted to ``seen`` alone, and ``nearest``, the measured
    pass@k of the seen checkpoint at the least distance in (log N, log D).

    Args:
        seen: counts to fit, with N and D.
        unseen: counts of other checkpoints, to be forecast.
        ks: the k to judge by; each law is fitted at its own. None: those of 1, 8, 64 and 128 that some
            problem of every checkpoint has samples for.

    Returns:
        Columns ``method``, ``all`` (median over checkpoints and k) and one for each k.

    Raises:
        ValueError: where an unseen checkpoint was never right at some k, or one of either has no
            problem with k samples.
    """
    ks = _known(seen, unseen) if ks is None else ks
    measured, near = PassTable.of(unseen, ks), PassTable.of(seen, ks)
    truth = measured.mean()
    for table, which in ((near, "seen"), (measured, "unseen")):
        for k, column in zip(table.ks, table.mean().T, strict=True):
            short = int(np.isnan(column).sum())
            if short:
                raise ValueError(
                    f"{short} of {table.checkpoints} {which} checkpoints have no problem with {k:g} samples: "
                    "leave this k out of ks"
                )
    if not (truth > 0).all():
        raise ValueError(
            "an unseen checkpoint was never right at some k: a relative error against 0 says nothing"
        )
    rows = []
    for name, fit in FITS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # this table is where their misfit is reported
            law = fit(seen)
        value = np.asarray(
            law.predict(measured.n_params[:, None], measured.n_tokens[:, None], measured.ks[None, :])
        )
        rows.append((name, np.exp(-value) if law.metric != "pass@k" else value))
    rows.append(("nearest", nearest_checkpoint(near, measured)))
    errors = {name: np.abs(forecast - truth) / truth for name, forecast in rows}
    return pl.DataFrame(
        {
            "method": list(errors),
            "all": [float(np.median(e)) for e in errors.values()],
            **{f"k={k}": [float(np.median(e[:, j])) for e in errors.values()] for j, k in enumerate(ks)},
        }
    )


def _known(*tables: Counts) -> list[int]:
    """Those of `KS` that some problem of every checkpoint has samples for."""
    means = np.concatenate([PassTable.of(table, KS).mean() for table in tables])
    return [k for k, known in zip(KS, ~np.isnan(means).any(axis=0), strict=True) if known]


def nearest_checkpoint(seen: PassTable, unseen: PassTable) -> Floats:
    """Mean pass@k of the seen checkpoint nearest in (log N, log D) to each unseen one, (unseen, K)."""
    distance = (np.log(seen.n_params)[None, :] - np.log(unseen.n_params)[:, None]) ** 2
    distance += (np.log(seen.n_tokens)[None, :] - np.log(unseen.n_tokens)[:, None]) ** 2
    return np.asarray(seen.mean()[np.argmin(distance, axis=1)])
