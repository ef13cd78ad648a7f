"""Tables of measurements: counts, likelihoods and losses, read from any file or dataframe and checked once.

Everything behind the readers may rely on what they checked. Nothing is dropped or repaired in silence: a
row that cannot be used is an error that names it, and what the caller's choices left out is on the result.

A table's columns go by the names below. The caller may map others (`columns={"problem": "question"}`), and
where a name is absent one of these is taken in its place, if only one of them is there: `problem_id`,
`question_id` for `problem`; `num_samples`, `num_correct` for `n_samples`, `n_correct`; `is_correct`,
`passed` for `correct`; `num_params` for `n_params`; `train_tokens`, `training_tokens` for `n_tokens`;
`probability` for `p`; `loglikelihood` for `log_likelihood`. In JSON Lines a column must occur within the
first 10,000 lines to be seen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from t2fast import validation as v
from t2fast.rows import CHECKPOINT, KEYS, SIZES, LeftOut, Reading, in_order, with_sizes
from t2fast.sources import TableSource, open_source

__all__ = ["Counts", "LeftOut", "Likelihoods", "Losses", "read_counts", "read_likelihoods", "read_losses"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_KEY_FIELDS = (v.MODEL, v.N_PARAMS, v.N_TOKENS, v.STAGE, v.TASK, v.PROBLEM)
_COUNT_FIELDS = (v.N_SAMPLES, v.N_CORRECT, v.CORRECT, v.UNTIL_SUCCESSES, v.MAX_SAMPLES)
_SEQUENTIAL = ("until_successes", "max_samples")
_LOSS_FIELDS = (v.MODEL, v.N_PARAMS, v.N_TOKENS, v.TASK, v.LOSS, v.WEIGHT)
_HOW_SIZES = "Give n_params and n_tokens as columns, or models=, a table of model, n_params and n_tokens"

T = TypeVar("T", bound="_Table")


@dataclass(frozen=True, eq=False)
class _Table:
    """A checked table. `frame` holds it, `source` says where it came from.

    `ignored_columns` are those of the source that were not used; `left_out` is what a choice of the caller
    (a task, a filter) or an empty line of a file kept out.
    """

    frame: pl.DataFrame
    source: str = "the table"
    ignored_columns: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return self.frame.height

    @property
    def has_sizes(self) -> bool:
        """Whether every row has both n_params and n_tokens."""
        return all(name in self.frame.columns for name in SIZES)

    def require_sizes(self: T) -> T:
        """The table itself if it has N and D; otherwise a `ValueError` that says how to give them."""
        missing = [name for name in SIZES if name not in self.frame.columns]
        if missing:
            raise ValueError(
                f"{self.source} has no {' and no '.join(missing)}, which a law needs. {_HOW_SIZES}"
            )
        return self

    @property
    def n_params(self) -> FloatArray:
        """N of every row, shape (rows,). `ValueError` without sizes."""
        return self.require_sizes().frame["n_params"].to_numpy()

    @property
    def n_tokens(self) -> FloatArray:
        """D of every row, shape (rows,). `ValueError` without sizes."""
        return self.require_sizes().frame["n_tokens"].to_numpy()

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
    def checkpoint_index(self) -> IntArray:
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
        bounds: list[tuple[str, pl.Expr, float | None, float | None]] = [
            ("n_params", pl.col("n_params"), min_params, max_params),
            ("n_tokens", pl.col("n_tokens"), min_tokens, max_tokens),
            ("train_flops", 6.0 * pl.col("n_params") * pl.col("n_tokens"), min_train_flops, max_train_flops),
        ]
        table = self
        for name, value, least, most in bounds:
            if least is not None:
                table = table.require_sizes()._keep(value >= least, f"{name} below {least:g}")
            if most is not None:
                table = table.require_sizes()._keep(value <= most, f"{name} above {most:g}")
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

        It is written under a temporary name beside `path` and then renamed. What was written reads back as
        the same table. `ValueError` for any other suffix.
        """
        target = os.fspath(path)
        suffix = os.path.splitext(target)[1].lower()
        temporary = f"{target}.{os.getpid()}.tmp"
        if suffix not in (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson"):
            raise ValueError(f"cannot write {target}: name it .csv, .tsv, .parquet, .jsonl or .ndjson")
        try:
            with open(temporary, "wb") as file:
                if suffix == ".parquet":
                    self.frame.write_parquet(file)
                elif suffix in (".csv", ".tsv"):
                    self.frame.write_csv(file, separator="," if suffix == ".csv" else "\t")
                else:
                    self.frame.write_ndjson(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.remove(temporary)
            raise


@dataclass(frozen=True, eq=False)
class Counts(_Table):
    """Samples drawn and samples correct, per checkpoint and problem.

    `frame` has, in this order, those of model, n_params, n_tokens, stage and task that were given, then
    problem, n_samples and n_correct: text, Float64, Float64, text, text, text, Int64, Int64, without nulls, 0
    <= n_correct <= n_samples, n_samples >= 1, and no two rows for one problem of one checkpoint. If sampling
    was sequential, until_successes and max_samples follow, Int64. A table of counts keeps its order; counts
    made of single samples are ordered by n_params, n_tokens, model, stage, task and problem.
    """

    @property
    def n(self) -> IntArray:
        """Samples drawn, shape (rows,)."""
        return self.frame["n_samples"].to_numpy()

    @property
    def c(self) -> IntArray:
        """Samples correct, shape (rows,)."""
        return self.frame["n_correct"].to_numpy()

    @property
    def sequential(self) -> tuple[IntArray, IntArray] | None:
        """(until_successes, max_samples), each of shape (rows,), if sampling was sequential.

        There c/n is biased, but not the likelihood of (n, c): see `t2fast.sequential`.
        """
        if "until_successes" not in self.frame.columns:
            return None
        until, limit = (self.frame[name].to_numpy() for name in _SEQUENTIAL)
        return until, limit

    def _summaries(self) -> list[pl.Expr]:
        return [
            pl.len().cast(pl.Int64).alias("problems"),
            (pl.col("n_correct") > 0).sum().cast(pl.Int64).alias("problems_solved"),
            pl.col("n_samples").sum(),
            pl.col("n_correct").sum(),
        ]


@dataclass(frozen=True, eq=False)
class Likelihoods(_Table):
    """Log-probability that one sample is correct, per checkpoint and problem: log p <= 0, natural logarithm.

    `frame` is that of `Counts` with log_likelihood (Float64) in place of the counts.
    """

    @property
    def log_likelihood(self) -> FloatArray:
        """log p, shape (rows,)."""
        return self.frame["log_likelihood"].to_numpy()

    @property
    def p(self) -> FloatArray:
        """p, shape (rows,); zero where log p is below about -745."""
        return np.exp(self.log_likelihood)

    def _summaries(self) -> list[pl.Expr]:
        return [pl.len().cast(pl.Int64).alias("problems"), pl.col("log_likelihood").mean()]


@dataclass(frozen=True, eq=False)
class Losses(_Table):
    """A mean negative log-likelihood per checkpoint, in nats.

    `frame` has model and task if given, n_params, n_tokens, loss and, if given, weight: all Float64, finite
    and above 0. A checkpoint may have several rows.
    """

    @property
    def loss(self) -> FloatArray:
        """L, shape (rows,)."""
        return self.frame["loss"].to_numpy()

    @property
    def weight(self) -> FloatArray:
        """Weight of every row, shape (rows,); ones where the table has none."""
        return self.frame["weight"].to_numpy() if "weight" in self.frame.columns else np.ones(len(self))

    def _summaries(self) -> list[pl.Expr]:
        return [*super()._summaries(), pl.col("loss").mean()]


def read_counts(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
    stage: str | None = None,
    duplicates: Literal["error", "sum"] = "error",
) -> Counts:
    """Read counts, given as such or as one row a sample, from a file or a dataframe.

    source: a path to .csv, .tsv, .jsonl, .ndjson (each also gzipped) or .parquet, a polars frame, any
        object with `__arrow_c_stream__` (pyarrow, pandas, duckdb, …), or a mapping of columns. Its columns
        are `problem`, `n_samples` and `n_correct`; or `problem` and `correct` (0, 1, true or false), one
        row a sample, to be counted here, with memory in proportion to the counts and not to the samples;
        and if it has them `model`, `n_params`, `n_tokens`, `stage` and `task`. Anything else is ignored and
        listed in `ignored_columns`. Counts of sequential sampling also have `until_successes`, at which a
        problem ended, and `max_samples`, at which it did in any case.
    columns: canonical name -> the source's name, for columns that go by another one.
    models: a second table, of `model` and whichever of `n_params` and `n_tokens` the first one lacks.
    task: keep this task alone, if the source tells tasks apart; otherwise the name of its only task.
    stage: likewise of training (base, sft, …). A source with several stages needs a choice.
    duplicates: what to do when two rows of counts are for one problem of one checkpoint: refuse them, or
    add them up.

    Errors: one `ValueError` lists the rows that cannot be used, up to ten of them, by number, column and
    value.
    """
    if duplicates not in ("error", "sum"):
        raise ValueError(f"duplicates is {duplicates!r}, not 'error' or 'sum'")
    columns = columns or {}
    opened = open_source(source)
    names = v.find_columns(opened.name, opened.columns, (*_KEY_FIELDS, *_COUNT_FIELDS), columns)
    by_sample = "correct" in columns or ("correct" in names and not {"n_samples", "n_correct"} & names.keys())
    sequential = _SEQUENTIAL if not by_sample and names.keys() & set(_SEQUENTIAL) else ()
    values = ("correct",) if by_sample else ("n_samples", "n_correct", *sequential)
    reading = Reading(opened, names, (*_KEY_FIELDS, *_COUNT_FIELDS))
    reading.choose(values, "Or give one row a sample, with a column 'correct' of 0 and 1")
    frame = with_sizes(reading.counted_samples() if by_sample else reading.rows(), opened.name, models)
    table = _told(Counts(frame), reading, task, stage)
    # In floating point, because a sum that overflows is the very thing to be found.
    if table.frame["n_samples"].cast(pl.Float64).sum() >= 2.0**63:
        raise ValueError(f"the n_samples of {opened.name} add up to more than a 64-bit integer holds")
    if by_sample:
        frame = table.frame.sort(in_order(table.frame, (*SIZES, "model", "stage", "task", "problem")))
    else:
        # Two runs that each ended on a success are not one that did.
        frame = reading.without_duplicates(table.frame, add_up=duplicates == "sum" and not sequential)
    return replace(table, frame=frame.select(*in_order(frame, KEYS), "n_samples", "n_correct", *sequential))


def read_likelihoods(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
    stage: str | None = None,
) -> Likelihoods:
    """Read the probability that one sample is correct, per checkpoint and problem.

    The source has `problem` and either `p`, in (0, 1], or `log_likelihood`, a natural logarithm of at most
    0; and if it has them `model`, `n_params`, `n_tokens` and `task`. Where it holds both, `columns` says
    which to take. The rest is as for `read_counts`; two rows for one problem of one checkpoint are always
    an error.
    """
    columns = columns or {}
    opened = open_source(source)
    fields = (*_KEY_FIELDS, v.P, v.LOG_LIKELIHOOD)
    names = v.find_columns(opened.name, opened.columns, fields, columns)
    given = [name for name in ("p", "log_likelihood") if name in names]
    chosen = [name for name in given if name in columns] or given
    if len(chosen) > 1:
        raise ValueError(
            f"{opened.name} has both {names['p']!r} and {names['log_likelihood']!r}: "
            f"choose by columns={{'log_likelihood': {names['log_likelihood']!r}}}"
        )
    value = chosen[0] if chosen else "log_likelihood"
    reading = Reading(opened, names, fields)
    reading.choose((value,), "Or give p, a probability in (0, 1]")
    table = _told(Likelihoods(with_sizes(reading.rows(), opened.name, models)), reading, task, stage)
    frame = reading.without_duplicates(table.frame)
    if value == "p":
        frame = frame.with_columns(pl.col("p").log().alias("log_likelihood"))
    return replace(table, frame=frame.select(*in_order(frame, KEYS), "log_likelihood"))


def read_losses(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
) -> Losses:
    """Read a loss per checkpoint.

    The source has `n_params`, `n_tokens` and `loss`, and may have `weight`, `model` and `task`. The rest is
    as for `read_counts`, but N and D must be there, in the source or through `models`, and a checkpoint may
    have several rows.
    """
    opened = open_source(source)
    names = v.find_columns(opened.name, opened.columns, _LOSS_FIELDS, columns or {})
    reading = Reading(opened, names, _LOSS_FIELDS)
    reading.require(["loss"] if models is not None else ["loss", *SIZES], _HOW_SIZES)
    table = _told(Losses(with_sizes(reading.rows(), opened.name, models)), reading, task).require_sizes()
    return replace(table, frame=table.frame.select(in_order(table.frame, (*KEYS, "loss", "weight"))))


def _told(table: T, reading: Reading, task: str | None, stage: str | None = None) -> T:
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
