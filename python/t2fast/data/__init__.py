"""Measurements that come with the package, and others kept in the same way.

    bed = t2fast.data.testbed("data")          # counts, likelihoods and losses of every checkpoint
    law = t2fast.fit_forecast(bed.likelihoods.filter(task="arithmetic"))

`t2fast testbed pack` writes such a folder: three Parquet files of some hundred kilobytes to megabytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from t2fast import atomic
from t2fast.tables import Counts, Likelihoods, Losses, read_counts, read_likelihoods, read_losses

__all__ = ["Measurements", "testbed"]

_SHIPPED = Path(__file__).parent / "testbed"
_NAMES = ("counts", "likelihoods", "losses")


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
        """Keep them as Parquet files; log-likelihoods in single precision.

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
        yield "likelihoods", self.likelihoods.frame.with_columns(pl.col("log_likelihood").cast(pl.Float32))
        yield "losses", self.losses.frame


def testbed(folder: str | Path | None = None) -> Measurements:  # noqa: PT028 (no test)
    """The measurements of a testbed.

    Args:
        folder: of `t2fast testbed pack`; None: the testbed that comes with the package.

    Returns:
        Counts, likelihoods and losses of all its checkpoints.

    Raises:
        ValueError: if the folder has no such files, or this version of the package comes with none.
    """
    place = _SHIPPED if folder is None else Path(folder)
    files = [place / f"{name}.parquet" for name in _NAMES]
    if absent := [file.name for file in files if not file.exists()]:
        if folder is None:
            raise ValueError(
                "no testbed comes with this version of t2fast: run one (t2fast testbed full), pack it "
                "(t2fast testbed pack) and name the folder"
            )
        raise ValueError(f"{place} has no {absent[0]}: t2fast testbed pack writes it")
    counts, likelihoods, losses = files
    return Measurements(read_counts(counts), read_likelihoods(likelihoods), read_losses(losses))
