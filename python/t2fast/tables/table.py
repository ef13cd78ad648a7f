"""What all tables have in common: a checked frame, where it came from, and what was left out of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from t2fast import atomic
from t2fast.charts import Reported
from t2fast.charts.curves import label
from t2fast.compute import train_flops
from t2fast.tables import fields as v
from t2fast.tables.reading import CHECKPOINT, GROUP, SIZES, LeftOut, Reading
from t2fast.text import amount

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

KEY_FIELDS = (v.MODEL, v.N_PARAMS, v.N_TOKENS, v.TRAIN_SET, v.DATASET, v.STAGE, v.TASK, v.PROBLEM)
HOW_SIZES = "Give n_params and n_tokens as columns, or models=, a table of model, n_params and n_tokens"
_BOUNDS = "by which rows were to be chosen"

T = TypeVar("T", bound="Table")


@dataclass(frozen=True, eq=False)
class Table(Reported):
    """A checked table. `frame` holds it, `source` says where it came from.

    `ignored_columns` are those of the source that were not used; `left_out` is what a choice of the caller
    (a task, a filter) or an empty line of a file kept out; `notes` say what else to know of it, such as the
    layout of the tool that wrote it.
    """

    frame: pl.DataFrame
    source: str = "the table"
    ignored_columns: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.frame.height

    @property
    def has_sizes(self) -> bool:
        """Whether every row has both n_params and n_tokens."""
        return all(name in self.frame.columns for name in SIZES)

    def require_sizes(self: T, why: str = "which a law needs") -> T:
        """The table itself if it has N and D; otherwise a `ValueError` that says how to give them."""
        missing = [name for name in SIZES if name not in self.frame.columns]
        if missing:
            raise ValueError(f"{self.source} has no {' and no '.join(missing)}, {why}. {HOW_SIZES}")
        return self

    def require_one_kind(self: T) -> T:
        """The table itself if it is of one task and one training set, which a law has in common.

        Errors: `ValueError` that names the tasks or training sets.
        """
        for column, words in (("task", "tasks"), ("train_set", "training sets"), ("dataset", "datasets")):
            if column in self.frame.columns and self.frame[column].n_unique() > 1:
                names = self.frame[column].unique().sort().to_list()
                raise ValueError(
                    f"{self.source} has {len(names)} {words}, which no law has in common: "
                    f"{v.listed([v.shown(name) for name in names])}. Choose one by "
                    f"where={{{column!r}: {names[0]!r}}}, take each by itself by groups({column!r}), or "
                    "leave the column out if they are one"
                )
        return self

    def groups(self: T, column: str) -> dict[str, T]:
        """The table of every value of a column of keys, in the order in which they occur."""
        if column not in self.frame.columns:
            there = v.listed([name for name in GROUP if name in self.frame.columns])
            raise ValueError(
                f"{self.source} has no column {column!r} to group by; it has, by these names, {there}"
            )
        parts = self.frame.partition_by(column, maintain_order=True)
        return {str(part[column][0]): replace(self, frame=part) for part in parts}

    def by_checkpoint(self: T) -> dict[str, T]:
        """The table of every checkpoint, smallest first, by a name of its own.

        Of several training sets, datasets, stages or tasks each is by itself, and named with it.
        """
        keys = [name for name in GROUP if name in self.frame.columns]
        if not keys:
            return {label(None, None, None): self}
        parts = self.frame.partition_by(keys, maintain_order=True)
        sizes = [name for name in SIZES if name in keys]
        parts.sort(key=lambda part: [part[name][0] for name in sizes])
        several = [name for name in ("train_set", "dataset", "stage", "task") if name in keys]
        several = [name for name in several if self.frame[name].n_unique() > 1]
        names = _names([part.row(0, named=True) for part in parts], several)
        return {name: replace(self, frame=part) for name, part in zip(names, parts, strict=True)}

    @property
    def n_params(self) -> Floats:
        """N of every row, shape (rows,). `ValueError` without sizes."""
        return self.require_sizes().frame["n_params"].to_numpy()

    @property
    def n_tokens(self) -> Floats:
        """D of every row, shape (rows,). `ValueError` without sizes."""
        return self.require_sizes().frame["n_tokens"].to_numpy()

    @property
    def unexplained(self) -> tuple[str, ...]:
        """A note where several checkpoints have one N and D, and columns were not read.

        They may be why: two recipes of training would be one law.
        """
        if not (self.ignored_columns and self.has_sizes):
            return ()
        there = self.checkpoints if "problem" in self.frame.columns else self.frame
        sizes = there.select(SIZES).n_unique()
        if sizes == there.height:
            return ()
        return (
            f"{self.source}: {there.height} checkpoints have {sizes} pairs of N and D, and one law is fitted "
            "to all. Not read, and perhaps what sets them apart: "
            f"{v.listed([v.shown(name) for name in self.ignored_columns])} (where chooses by it)",
        )

    @cached_property
    def checkpoints(self) -> pl.DataFrame:
        """One row per checkpoint, ordered by n_params, n_tokens and model.

        The columns are those of model, n_params, n_tokens that the table has, then summaries of its rows. A
        table with none of the three is one checkpoint.
        """
        keys = self._checkpoint_keys
        if not keys:
            return self.frame.select(self._summaries())
        order = [name for name in (*SIZES, "model") if name in keys]
        return self.frame.group_by(keys).agg(self._summaries()).sort(order)

    @cached_property
    def checkpoint_index(self) -> Integers:
        """For every row, its row in `checkpoints`; shape (rows,)."""
        keys = self._checkpoint_keys
        if not keys:
            return np.zeros(len(self), np.int64)
        numbered = self.checkpoints.select(keys).with_row_index("index")
        found = self.frame.select(keys).join(numbered, on=keys, how="left", maintain_order="left")
        return found["index"].to_numpy().astype(np.int64)

    @property
    def _checkpoint_keys(self) -> list[str]:
        return [name for name in CHECKPOINT if name in self.frame.columns]

    def _summaries(self) -> list[pl.Expr]:
        return [pl.len().cast(pl.Int64).alias("rows")]

    def filter(
        self: T,
        *,
        min_params: float | None = None,
        max_params: float | None = None,
        min_tokens: float | None = None,
        max_tokens: float | None = None,
        min_train_flops: float | None = None,
        max_train_flops: float | None = None,
        task: str | None = None,
    ) -> T:
        """The rows within all bounds, both ends included; train_flops is 6 N D. `left_out` notes what goes.

        Errors: `ValueError` if the table has no sizes or tasks to filter by, or if no row is left.
        """
        cost = train_flops(pl.col("n_params"), pl.col("n_tokens"))
        bounds: list[tuple[str, pl.Expr, float | None, float | None]] = [
            ("n_params", pl.col("n_params"), min_params, max_params),
            ("n_tokens", pl.col("n_tokens"), min_tokens, max_tokens),
            ("train_flops", cost, min_train_flops, max_train_flops),
        ]
        table = self
        for name, value, least, most in bounds:
            if least is not None:
                table = table.require_sizes(_BOUNDS)._keep(value >= least, f"{name} below {least:g}")
            if most is not None:
                table = table.require_sizes(_BOUNDS)._keep(value <= most, f"{name} above {most:g}")
        if task is not None:
            if "task" not in self.frame.columns:
                raise ValueError(f"{self.source} has no column 'task' to filter by")
            table = table._keep(pl.col("task") == task, f"task other than {task!r}")
        return table

    def _keep(self: T, condition: pl.Expr, reason: str) -> T:
        frame = self.frame.filter(condition)
        gone = self.frame.height - frame.height
        if not frame.height:
            raise ValueError(f"no row of {self.source} is left: all {gone} have {reason}")
        return replace(self, frame=frame, left_out=(*self.left_out, LeftOut(gone, reason))) if gone else self

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the table to a .csv, .tsv, .parquet, .jsonl or .ndjson file, whole or not at all.

        What was written reads back as the same table. `ValueError` for any other suffix; errors of the system
        as `t2fast.atomic.write` raises them.
        """
        suffix = os.path.splitext(os.fspath(path))[1].lower()
        if suffix not in (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson"):
            raise ValueError(f"cannot write {path}: name it .csv, .tsv, .parquet, .jsonl or .ndjson")
        with atomic.writer(path) as file:
            if suffix == ".parquet":
                self.frame.write_parquet(file)
            elif suffix in (".csv", ".tsv"):
                self.frame.write_csv(file, separator="," if suffix == ".csv" else "\t")
            else:
                self.frame.write_ndjson(file)


def described(table: T, reading: Reading, task: str | None, stage: str | None = None) -> T:
    """`table` told its origin and what was left out, with its task and stage chosen or named."""
    name = reading.source.name
    table = replace(table, source=name, ignored_columns=reading.ignored_columns, left_out=reading.left_out)
    if "stage" in table.frame.columns and stage is None and table.frame["stage"].n_unique() > 1:
        stages = table.frame["stage"].unique().sort().to_list()
        raise ValueError(
            f"{name} has several stages, which no law has in common: "
            f"{v.listed([v.shown(one) for one in stages])}. Choose one by stage="
        )
    return _chosen(_chosen(table, "stage", stage), "task", task)


def _chosen(table: T, column: str, value: str | None) -> T:
    """The rows whose `column` is `value`; where there is no such column, all rows get it."""
    if value is None:
        return table
    if column not in table.frame.columns:
        return replace(table, frame=table.frame.with_columns(pl.lit(value).alias(column)))
    values = table.frame[column].unique().sort().to_list()
    if value not in values:
        raise ValueError(
            f"{table.source} has no {column} {value!r}; "
            f"it has {v.listed([v.shown(other) for other in values])}"
        )
    return table._keep(pl.col(column) == value, f"{column} other than {value!r}")


def _names(groups: Sequence[Mapping[str, Any]], several: Sequence[str]) -> list[str]:
    """A name for each group of rows, no two alike: its model or sizes, and what `several` tell apart."""
    names = [
        ", ".join([label(*(group.get(key) for key in CHECKPOINT)), *(str(group[key]) for key in several)])
        for group in groups
    ]
    repeated = _repeated(names)  # a model measured after several numbers of tokens
    for i, group in enumerate(groups):
        if names[i] in repeated and "n_tokens" in group:
            names[i] += f", D = {amount(group['n_tokens'])}"
    repeated = _repeated(names)  # sizes that differ in digits that are not shown
    return [f"{name} ({i})" if name in repeated else name for i, name in enumerate(names, 1)]


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}
