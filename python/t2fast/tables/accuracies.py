"""An accuracy per checkpoint: the share of questions answered right, without the counts behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from t2fast.tables import fields as v
from t2fast.tables.models import of_source, with_sizes
from t2fast.tables.reading import KEYS, SIZES, Reading, in_order
from t2fast.tables.sources import TableSource, open_source
from t2fast.tables.table import HOW_SIZES, Floats, Table, described

_ACCURACY_FIELDS = (v.MODEL, v.N_PARAMS, v.N_TOKENS, v.TRAIN_SET, v.DATASET, v.TASK, v.ACCURACY, v.CHANCE)


@dataclass(frozen=True, eq=False)
class Accuracies(Table):
    """A share of right answers per checkpoint and task.

    `frame` has model, train_set, dataset and task if given, n_params, n_tokens, accuracy in [0, 1], and
    chance, the share that guessing gets right, the same in all rows of a task. A checkpoint may have several
    rows.
    """

    @property
    def accuracy(self) -> Floats:
        """Share of right answers, shape (rows,)."""
        return self.frame["accuracy"].to_numpy()

    @property
    def chance(self) -> float:
        """Share that guessing gets right. `ValueError` if the table is of several tasks."""
        return float(self.require_one_kind().frame["chance"][0])

    def _summaries(self) -> list[pl.Expr]:
        return [*super()._summaries(), pl.col("accuracy").mean()]


def read_accuracies(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
    where: Mapping[str, str] | None = None,
    chance: float | None = None,
) -> Accuracies:
    """Read an accuracy per checkpoint.

    The source has `n_params`, `n_tokens` and `accuracy`, and may have `model`, `train_set`, `dataset`,
    `task` and `chance`, such as 0.25 for four choices.

    Args:
        source: as for `read_counts`.
        columns: as for `read_counts`.
        models: as for `read_counts`.
        task: as for `read_counts`.
        where: as for `read_counts`.
        chance: what guessing gets right, in place of a column; without either, nothing.

    Returns:
        The accuracies, a row a measurement.

    Raises:
        ValueError: as for `read_counts`.
    """
    asked, columns = columns, of_source(columns)
    opened = open_source(source)
    names = v.find_columns(opened.name, opened.columns, _ACCURACY_FIELDS, columns)
    opened = opened.wanted(where or {}, names)
    if chance is not None and "chance" in names:
        raise ValueError(f"{opened.name} has a column for chance: leave chance= out, or drop that column")
    if chance is not None and not 0 <= chance < 1:
        raise ValueError(f"chance = {chance} must lie in [0, 1), such as 0.25 for four choices")
    reading = Reading(opened, names, _ACCURACY_FIELDS)
    reading.require(["accuracy"] if models is not None else ["accuracy", *SIZES], HOW_SIZES)
    found = Accuracies(with_sizes(reading.rows(), opened.name, models, asked))
    table = described(found, reading, task).require_sizes()
    frame = table.frame
    if "chance" not in frame.columns:
        frame = frame.with_columns(chance=pl.lit(chance or 0.0, dtype=pl.Float64))
    keys = in_order(frame, ("train_set", "dataset", "task"))
    for part in frame.partition_by(keys) if keys else [frame]:
        if part["chance"].n_unique() > 1:
            levels = part["chance"].unique().sort().to_list()
            raise ValueError(
                f"{opened.name} has several chance levels for one task: {v.listed([str(c) for c in levels])}"
            )
    return replace(table, frame=frame.select(in_order(frame, (*KEYS, "accuracy", "chance"))))
