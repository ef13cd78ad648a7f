"""Samples drawn and samples correct, per checkpoint and problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from t2fast.tables import fields as v
from t2fast.tables.models import of_source, with_sizes
from t2fast.tables.pooling import refuse_pooled
from t2fast.tables.reading import KEYS, SIZES, USAGE, Reading, in_order
from t2fast.tables.rows import Source
from t2fast.tables.sources import TableSource, open_source
from t2fast.tables.table import KEY_FIELDS, Integers, Table, described
from t2fast.tables.verdicts import counts_of, in_lists

_COUNT_FIELDS = (v.N_SAMPLES, v.N_CORRECT, v.CORRECT, v.UNTIL_SUCCESSES, v.MAX_SAMPLES, *v.USAGE)
_SEQUENTIAL = ("until_successes", "max_samples")
# Beside these a column of zeros and ones may well be counts.
_TOTALS = ("total", "n", "attempts", "trials", "n_total", "n_attempts", "n_trials", "n_generations")


@dataclass(frozen=True, eq=False)
class Counts(Table):
    """Samples drawn and samples correct, per checkpoint and problem.

    `frame` has, in this order, those of model, n_params, n_tokens, train_set, dataset, stage and task that
    were given, then problem, n_samples and n_correct: the sizes Float64, counts Int64, all else text,
    without nulls, 0 <= n_correct <= n_samples, n_samples >= 1, and no two rows for one problem of one
    checkpoint. If sampling was sequential, until_successes and max_samples follow, Int64. Then come, Float64,
    those of prompt_tokens, output_tokens, wall_seconds and usd that are known: what the samples of the row
    used in all, null where this row alone does not say it. A table of counts keeps its order; counts made of
    single samples are ordered by n_params, n_tokens, model, train_set, dataset, stage, task and problem.
    `errored` has how many of the samples that were read ended in an error, by what became of them, as far as
    the tool that wrote them says it.
    """

    errored: Mapping[str, int] = field(default_factory=dict)

    @property
    def n(self) -> Integers:
        """Samples drawn, shape (rows,)."""
        return self.frame["n_samples"].to_numpy()

    @property
    def c(self) -> Integers:
        """Samples correct, shape (rows,)."""
        return self.frame["n_correct"].to_numpy()

    @property
    def sequential(self) -> tuple[Integers, Integers] | None:
        """(until_successes, max_samples), each of shape (rows,), if sampling was sequential.

        There c/n is biased, but not the likelihood of (n, c): see `t2fast.estimators.sequential`.
        """
        if "until_successes" not in self.frame.columns:
            return None
        until, limit = (self.frame[name].to_numpy() for name in _SEQUENTIAL)
        return until, limit

    @property
    def most_samples(self) -> Integers:
        """The largest k for which each row has an unbiased pass@k, (rows,).

        Its samples, or where sampling was sequential the limit that they had.
        """
        return self.n if self.sequential is None else self.sequential[1]

    def _summaries(self) -> list[pl.Expr]:
        return [
            pl.len().cast(pl.Int64).alias("problems"),
            (pl.col("n_correct") > 0).sum().cast(pl.Int64).alias("problems_solved"),
            pl.col("n_samples").sum(),
            pl.col("n_correct").sum(),
        ]


def read_counts(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
    stage: str | None = None,
    where: Mapping[str, str] | None = None,
    duplicates: Literal["error", "sum"] = "error",
    correct_at: float | None = None,
) -> Counts:
    """Read counts, given as such or as one row a sample, from a file or a dataframe.

    The source's columns are `problem`, `n_samples` and `n_correct`; or `problem` and `correct` (0, 1, true or
    false), one row a sample, to be counted here, with memory in proportion to the counts and not to the
    samples, or one row a problem, where the cell is a list of these; and if it has them `model`, `n_params`,
    `n_tokens`, `train_set`, `dataset`, `stage` and `task`.
    Anything else is ignored and listed in `ignored_columns`, but refused where its name says that it sets
    samples apart (a temperature, a prompt, a subject; `sampling.temperature` inside an object) and they would
    be one mean. `dataset` is for
    sources that do not say whether they mean what was trained on or what was asked; it is pooled as little as
    the two. Both may have `prompt_tokens`, `output_tokens`, `wall_seconds` and `usd`, what the sample, or all
    samples of the row together, used; an empty cell says that this is not known. Counts of sequential
    sampling also have `until_successes`, at which a problem ended, and `max_samples`, at which it did in any
    case: so n_samples is at most max_samples, n_correct at most until_successes, and one of the two was
    reached. Where something else cut a problem short, whatever its samples were, max_samples is its
    n_samples.

    Args:
        source: a path to .csv, .tsv, .json, .jsonl, .ndjson (each also .gz and .zst), .parquet or .arrow
            (.feather), a polars frame, any object with `__arrow_c_stream__` (pyarrow, pandas, duckdb, …), or
            a mapping of columns.
        columns: canonical name -> the source's name, for columns that go by another one; those of the models
            table as models.model, models.n_params and models.n_tokens. What is inside objects goes by a path:
            doc.id.
        models: a second table, of `model` and what it has of `n_params` and `n_tokens` that the first one
            lacks.
        task: keep this task alone, if the source tells tasks apart; otherwise the name of its only task.
        stage: likewise of training (base, sft, …). A source with several stages needs a choice.
        where: column -> value: only the rows that have it, as the same text or the same number. A column goes
            by its name in the source or by the canonical one.
        duplicates: what to do when two rows of counts are for one problem of one checkpoint: refuse them
            (`"error"`), or add them up (`"sum"`).
        correct_at: the score from which on a sample is correct, where `correct` is a column of scores.

    Returns:
        The counts, a row a problem of a checkpoint.

    Raises:
        ValueError: one error lists the rows that cannot be used, up to ten of them, by number, column and
            value.
    """
    if duplicates not in ("error", "sum"):
        raise ValueError(f"duplicates is {duplicates!r}, not 'error' or 'sum'")
    asked, columns = columns, of_source(columns)
    opened = open_source(source)
    fields = (*KEY_FIELDS, *_COUNT_FIELDS)
    names = v.find_columns(opened.name, opened.columns, fields, columns)
    opened = opened.wanted(where or {}, names)
    by_sample = "correct" in columns or ("correct" in names and not {"n_samples", "n_correct"} & names.keys())
    if correct_at is not None:
        if not by_sample:
            score = v.likely("correct", opened.columns)
            raise ValueError(
                f"correct_at= {correct_at:g} is for a score of every sample, and {opened.name} has no column "
                f"correct: say which it is by columns={{'correct': {score or '…'!r}}}"
            )
        fields = tuple(v.correct_from(correct_at) if field is v.CORRECT else field for field in fields)
    if by_sample and in_lists(opened, names["correct"]):
        correct = next(field for field in fields if field.name == "correct")
        others = (field for field in fields if field.name not in ("n_samples", "n_correct", "correct"))
        fields = (*others, *counts_of(correct))
        names["n_samples"] = names["n_correct"] = names.pop("correct")
        by_sample = False
    if by_sample and "until_successes" in names:
        raise ValueError(
            f"{opened.name} has one row a sample and {names['until_successes']!r}, a rule of whole problems: "
            "count the samples first, one row a problem with n_samples and n_correct"
        )
    if by_sample and "correct" not in columns:
        unread = [name for name in opened.columns if name not in names.values()]
        _refuse_totals(opened.name, unread, names["correct"])
    if "problem" in names:  # else that is what is missing, and is said below
        refuse_pooled(opened, names)
    sequential = _SEQUENTIAL if not by_sample and names.keys() & set(_SEQUENTIAL) else ()
    counted = any(v.likely(name, opened.columns) for name in ("n_samples", "n_correct"))
    scored = (
        not counted and not {"n_samples", "n_correct"} & names.keys() and v.likely("correct", opened.columns)
    )
    values = ("correct",) if by_sample or scored else ("n_samples", "n_correct", *sequential)
    used = tuple(name for name in USAGE if name in names)
    reading = Reading(opened, names, fields).of(
        (*values, *used),
        "A score is correct from correct_at= on. Or give n_samples and n_correct"
        if scored
        else "Or give one row a sample, with a column 'correct' of 0 and 1",
    )
    frame = with_sizes(reading.counted_samples() if by_sample else reading.rows(), opened.name, models, asked)
    table = described(Counts(frame), reading, task, stage)
    # In floating point, because a sum that overflows is the very thing to be found.
    if table.frame["n_samples"].cast(pl.Float64).sum() >= 2.0**63:
        raise ValueError(f"the n_samples of {opened.name} add up to more than a 64-bit integer holds")
    if by_sample:
        frame = table.frame.sort(
            in_order(table.frame, (*SIZES, "model", "train_set", "dataset", "stage", "task", "problem"))
        )
    else:
        # Two runs that each ended on a success are not one that did.
        frame = reading.without_duplicates(table.frame, add_up=duplicates == "sum" and not sequential)
    return replace(
        table, frame=frame.select(*in_order(frame, KEYS), "n_samples", "n_correct", *sequential, *used)
    )


def _with_columns(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """`frame` with these columns last, null where it lacks one."""
    absent = [pl.lit(None, dtype=pl.Float64).alias(name) for name in names if name not in frame.columns]
    return frame.with_columns(absent).select(pl.exclude(names), *names)


def _refuse_totals(source: str, unread: Sequence[str], correct: str) -> None:
    """`ValueError` if `correct`, beside some total, may be how many of several samples were."""
    # N is a size.
    spelt = {v.spelt(name).replace("num_", "n_"): name for name in unread if name != "N"}
    total = next((spelt[name] for name in _TOTALS if name in spelt), None)
    if total is not None:
        raise ValueError(
            f"{source} has {correct!r} beside {total!r}: if they are counts, say columns="
            f"{{'n_correct': {correct!r}, 'n_samples': {total!r}}}; if each row is one sample, columns="
            f"{{'correct': {correct!r}}}"
        )


def joined_counts(tables: Sequence[Counts], *, duplicates: Literal["error", "sum"] = "error") -> Counts:
    """Several tables of counts as one, with the same columns in all; N and D where all of them have these.

    Errors: `ValueError` that names the table whose columns differ, or the rows that repeat.
    """
    if len(tables) == 1:
        return tables[0]
    tables, notes = _alike_in_sizes(tables)
    # What samples used is null where a table does not tell it.
    used = [name for name in USAGE if any(name in table.frame.columns for table in tables)]
    tables = [replace(table, frame=_with_columns(table.frame, used)) for table in tables]
    first = tables[0]
    for table in tables[1:]:
        differing = sorted(set(first.frame.columns) ^ set(table.frame.columns))
        if differing:
            has = [name for name in differing if name in first.frame.columns]
            (whole, lacking), shown = ((first, table), has) if has else ((table, first), differing)
            raise ValueError(
                f"{first.source} and {table.source} cannot be joined: {lacking.source} has no "
                f"{', '.join(shown)}, which {whole.source} has. Add what is missing, or take each by itself"
            )
    frame = pl.concat([table.frame.select(first.frame.columns) for table in tables])
    source = " and ".join(table.source for table in tables)
    parts = tuple((table.source, table.frame.height) for table in tables)
    joined = read_counts(
        Source(source, frame.lazy(), tuple(frame.columns), parts=parts), duplicates=duplicates
    )
    errored: Counter[str] = Counter()
    for table in tables:
        errored.update(table.errored)
    return replace(
        joined,
        errored=dict(errored),
        left_out=tuple(part for table in tables for part in table.left_out),
        notes=(*dict.fromkeys(note for table in tables for note in table.notes), *notes, *joined.notes),
    )


def _alike_in_sizes(tables: Sequence[Counts]) -> tuple[list[Counts], tuple[str, ...]]:
    """The tables without those of N and D that one of them lacks, and what to say of that.

    Errors: `ValueError` where nothing else would tell the checkpoints of a table apart.
    """
    unknown = [name for name in SIZES if not all(name in table.frame.columns for table in tables)]
    kept = [replace(table, frame=table.frame.drop(unknown, strict=False)) for table in tables]
    without = [table.source for table in tables if set(unknown) - set(table.frame.columns)]
    if len(without) in (0, len(tables)):
        return kept, ()
    words, lacking = " and ".join(unknown), ", ".join(without)
    for table, less in zip(tables, kept, strict=True):
        if less.checkpoints.height < table.checkpoints.height:
            raise ValueError(
                f"{table.source} cannot be joined with {lacking}: its checkpoints are told apart by {words}, "
                "which are missing there. Add them there, or take each by itself"
            )
    return kept, (f"{words} are left out, because {lacking} has none: add them there to have them",)
