"""The tables of a testbed: counts, likelihoods and losses of its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from t2fast import atomic
from t2fast.tables import Counts, Likelihoods, Losses, read_counts, read_likelihoods, read_losses
from t2fast.testbed.grid import Checkpoint
from t2fast.testbed.tune import STAGES
from t2fast.testbed.work import BEGUN, COUNTS, LIKELIHOODS, TUNED, table_of, trained_of


def counts_of(folder: Path, checkpoints: Sequence[Checkpoint]) -> Counts:
    """Samples drawn and correct, of every checkpoint, task and problem."""
    return read_counts(pl.concat([read_counts(table_of(folder, one, COUNTS)).frame for one in checkpoints]))


def begun_of(folder: Path, checkpoints: Sequence[Checkpoint]) -> Counts:
    """Samples drawn, and those that begin with an answer."""
    return read_counts(pl.concat([read_counts(table_of(folder, one, BEGUN)).frame for one in checkpoints]))


def likelihoods_of(folder: Path, checkpoints: Sequence[Checkpoint]) -> Likelihoods:
    """The log-likelihood of every problem's answer."""
    return read_likelihoods(
        pl.concat([read_likelihoods(table_of(folder, one, LIKELIHOODS)).frame for one in checkpoints])
    )


def tuned_of(folder: Path, checkpoints: Sequence[Checkpoint]) -> dict[str, Likelihoods]:
    """The log-likelihood of every problem's answer after fine-tuning, by stage; empty if none was."""
    paths = [table_of(folder, one, TUNED) for one in checkpoints if one.tuned]
    return {
        stage: read_likelihoods(pl.concat([read_likelihoods(path, stage=stage).frame for path in paths]))
        for stage in (STAGES if paths else ())
    }


def losses_of(folder: Path, checkpoints: Sequence[Checkpoint]) -> Losses:
    """The held-out loss of every checkpoint, in nats a token."""
    rows = [(one.name, trained_of(folder, one)) for one in checkpoints]
    return read_losses(
        pl.DataFrame(
            {
                "model": [name for name, _ in rows],
                "n_params": [float(trained.n_params) for _, trained in rows],
                "n_tokens": [float(trained.n_tokens) for _, trained in rows],
                "loss": [trained.loss for _, trained in rows],
            }
        )
    )


def write_tables(folder: Path, checkpoints: Sequence[Checkpoint]) -> list[Path]:
    """Write counts.csv, begun.csv, likelihoods.csv, losses.csv and, if any is fine-tuned, tuned.csv."""
    tables = {
        "counts": counts_of(folder, checkpoints).frame,
        "begun": begun_of(folder, checkpoints).frame,
        "likelihoods": likelihoods_of(folder, checkpoints).frame,
        "losses": losses_of(folder, checkpoints).frame,
    }
    if tuned := tuned_of(folder, checkpoints):
        tables["tuned"] = pl.concat([table.frame for table in tuned.values()])
    written = []
    for name, frame in tables.items():
        path = folder / f"{name}.csv"
        atomic.write(path, [frame.write_csv().encode()])
        written.append(path)
    return written
