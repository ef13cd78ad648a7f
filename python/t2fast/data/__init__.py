"""Measurements that come with the package, and others kept in the same way.

    bed = t2fast.data.testbed()                # counts, likelihoods and losses of every checkpoint
    law = t2fast.fit_forecast(bed.likelihoods.filter(task="arithmetic"))

`t2fast testbed pack` writes such a folder: three Parquet files of some hundred kilobytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import atomic
from t2fast.tables import Counts, Likelihoods, Losses, read_counts, read_likelihoods, read_losses

__all__ = ["Measurements", "testbed"]

_SHIPPED = Path(__file__).parent / "testbed"
_NAMES = ("counts", "likelihoods", "losses")
_STEP = 2.0**-13
"""Of a log-likelihood that is kept."""
_BITS = 11
"""Binary digits that it has at least after the first, next to 0, where 1 - p goes with it."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of the checkpoints of a testbed.

    Attributes:
        counts: samples drawn and correct, by checkpoint, task and problem.
        likelihoods: of the reference answers, likewise.
        losses: held out, a checkpoint each, in nats a token.
    """

    counts: Counts
    likelihoods: Likelihoods
    losses: Losses

    def write(self, folder: str | Path) -> list[Path]:
        """Keep them as Parquet files, log-likelihoods to 2^-14, or one part in 4096 where that is finer.

        k p (1 - p)^(k - 1), the slope of 1 - (1 - p)^k in ln p, is at most 1: so no pass@k moves by more than
        6.2e-5, whatever the k.

        Args:
            folder: made if it is not there.

        Returns:
            The files.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name, frame in self._frames():
            path, content = folder / f"{name}.parquet", io.BytesIO()
            frame.write_parquet(content, compression="zstd", compression_level=19)
            atomic.write(path, [content.getvalue()])
            written.append(path)
        return written

    def _frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        small = (
            pl.col(name).cast(kind) for name, kind in (("n_samples", pl.UInt32), ("n_correct", pl.UInt32))
        )
        yield "counts", self.counts.frame.with_columns(small)
        rounded = pl.Series("log_likelihood", _rounded(self.likelihoods.log_likelihood), pl.Float32)
        yield "likelihoods", self.likelihoods.frame.with_columns(rounded)
        yield "losses", self.losses.frame


def _rounded(log_likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    """To steps of 2^-13, or 2^-11 of the power of two below where that is less: it takes half the space."""
    _, exponent = np.frexp(log_likelihood)
    step = np.minimum(_STEP, np.ldexp(1.0, exponent - 1 - _BITS))
    return np.asarray(np.round(log_likelihood / step) * step)


def testbed(folder: str | Path | None = None) -> Measurements:  # noqa: PT028 (no test)
    """The measurements of a testbed.

    Args:
        folder: of `t2fast testbed pack`; None: the testbed that comes with the package.

    Returns:
        Counts, likelihoods and losses of all its checkpoints.

    Raises:
        ValueError: if the folder has no such files.
    """
    place = _SHIPPED if folder is None else Path(folder)
    files = [place / f"{name}.parquet" for name in _NAMES]
    if absent := [file.name for file in files if not file.exists()]:
        raise ValueError(f"{place} has no {absent[0]}: t2fast testbed pack writes it")
    counts, likelihoods, losses = files
    return Measurements(read_counts(counts), read_likelihoods(likelihoods), read_losses(losses))
