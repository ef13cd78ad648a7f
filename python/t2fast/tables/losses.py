"""A mean negative log-likelihood per checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from t2fast.tables import fields as v
from t2fast.tables.models import of_source, with_sizes
from t2fast.tables.reading import KEYS, SIZES, Reading, in_order
from t2fast.tables.sources import TableSource, open_source
from t2fast.tables.table import HOW_SIZES, Floats, Table, described

_LOSS_FIELDS = (v.MODEL, v.N_PARAMS, v.N_TOKENS, v.TRAIN_SET, v.DATASET, v.TASK, v.LOSS, v.WEIGHT)


@dataclass(frozen=True, eq=False)
class Losses(Table):
    """A mean negative log-likelihood per checkpoint, in nats.

    `frame` has model, train_set, dataset and task if given, n_params, n_tokens, loss and, if given, weight:
    all Float64, finite and above 0. A checkpoint may have several rows.
    """

    @property
    def loss(self) -> Floats:
        """L, shape (rows,)."""
        return self.frame["loss"].to_numpy()

    @property
    def weight(self) -> Floats:
        """Weight of every row, shape (rows,); ones where the table has none."""
        return self.frame["weight"].to_numpy() if "weight" in self.frame.columns else np.ones(len(self))

    def _summaries(self) -> list[pl.Expr]:
        return [*super()._summaries(), pl.col("loss").mean()]


def read_losses(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
    where: Mapping[str, str] | None = None,
) -> Losses:
    """Read a loss per checkpoint, in nats.

    The source has `n_params`, `n_tokens` and `loss`, and may have `weight`, `model`, `train_set`,
    `dataset` and `task`. N and D must be there, in the source or through `models`; a checkpoint may have
    several rows.

    Args:
        source: as for `read_counts`.
        columns: as for `read_counts`.
        models: as for `read_counts`.
        task: as for `read_counts`.
        where: as for `read_counts`.

    Returns:
        The losses, a row a measurement.

    Raises:
        ValueError: as for `read_counts`.
    """
    asked, columns = columns, of_source(columns)
    opened = open_source(source)
    names = v.find_columns(opened.name, opened.columns, _LOSS_FIELDS, columns)
    opened = opened.wanted(where or {}, names)
    reading = Reading(opened, names, _LOSS_FIELDS)
    reading.require(["loss"] if models is not None else ["loss", *SIZES], HOW_SIZES)
    table = described(
        Losses(with_sizes(reading.rows(), opened.name, models, asked)), reading, task
    ).require_sizes()
    return replace(table, frame=table.frame.select(in_order(table.frame, (*KEYS, "loss", "weight"))))
