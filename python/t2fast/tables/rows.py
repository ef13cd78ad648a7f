"""Rows to be read: one lazy polars frame, or what a subclass knows to read, in bounded batches."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from t2fast.tables.delimited import csv_fault
from t2fast.tables.fields import WANTED, listed
from t2fast.tables.nested import column_of, value_of
from t2fast.text import nearest

# Large enough to amortise a group_by, small enough that a few batches of text stay far below 1 GiB.
_BATCH_ROWS = 1_000_000
_FIRST_ROWS = 1_000


@dataclass(frozen=True)
class Source:
    """Rows to be read: their `name` in messages, and what their format allows."""

    name: str
    frame: pl.LazyFrame
    columns: tuple[str, ...]
    blank_rows: bool = False  # whether a row of nulls is but an empty line
    random_access: bool = False  # whether a slice costs no more than its own rows
    where: Mapping[str, str] = field(default_factory=dict)  # the rows wanted: column -> value
    parts: tuple[tuple[str, int], ...] = ()  # whence rows come that were joined, and how many

    def wanted(self, where: Mapping[str, str], names: Mapping[str, str]) -> Source:
        """The same source, of which rows are wanted that have these values; canonical names of columns go by
        `names`. `ValueError` without a column.
        """
        own = {
            name if name in self.columns else names.get(name, name): value for name, value in where.items()
        }
        for name in own:
            if column_of(name, self.columns)[0] not in self.columns:
                hint = nearest(name, self.columns)
                raise ValueError(
                    f"where= {name!r}: {self.name} has no column {name!r}; it has {listed(self.columns)}"
                    + (f" (did you mean {hint!r}?)" if hint else "")
                )
        return replace(self, where=own)

    def selected(self, columns: Mapping[str, str]) -> list[pl.Expr]:
        """`columns` (canonical name -> source name), renamed, and whether a row is wanted if asked."""
        schema = self.frame.collect_schema()
        chosen = [value_of(name, schema).alias(canonical) for canonical, name in columns.items()]
        if self.where:
            same = [_is(value_of(name, schema), value) for name, value in self.where.items()]
            chosen.append(pl.all_horizontal(same).alias(WANTED))
        return chosen

    def first(self, columns: Sequence[str]) -> pl.DataFrame:
        """The first rows, some thousand, of these columns as they are."""
        with Readable(self.name):
            return self.frame.select(columns).head(_FIRST_ROWS).collect()

    def batches(self, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
        """Rows in order, some 1e6 at a time, with only `columns` (canonical name -> source name), renamed.

        The first batch is empty and tells the types alone. `ValueError` if the source cannot be read.
        """
        chosen = self.frame.select(self.selected(columns))
        with Readable(self.name):
            empty = pl.DataFrame(schema=chosen.collect_schema())
        yield empty
        batches = self._slices(chosen) if self.random_access else self._stream(chosen)
        while True:
            with Readable(self.name):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    @staticmethod
    def _slices(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        # A stream reads ahead by row groups for every thread: 1.5 GiB with 16 threads, where this takes 0.3.
        for start in itertools.count(0, _BATCH_ROWS):
            batch = frame.slice(start, _BATCH_ROWS).collect(engine="streaming")
            yield batch
            if batch.height < _BATCH_ROWS:
                return

    @staticmethod
    def _stream(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        yield from frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming")


def _is(column: pl.Expr, value: str) -> pl.Expr:
    """Whether a column has a value: the same text, or the same number, however it is written."""
    same = column.cast(pl.String) == value
    try:
        return same | (column.cast(pl.String).cast(pl.Float64, strict=False) == float(value))
    except ValueError:
        return same


class Readable:
    """Turns what polars and zlib raise about unreadable input into a `ValueError` that names the source."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def is_csv(self) -> bool:
        """Whether there is a CSV file by the name."""
        return self.name.lower().endswith((".csv", ".tsv")) and os.path.isfile(self.name)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # PanicException is how polars reports some malformed files; it is no Exception, so it must be named.
        if isinstance(error, (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, EOFError)):
            fault = csv_fault(self.name) if self.is_csv else None
            if fault:
                raise ValueError(f"{self.name} cannot be read: {fault}") from error
            reason = str(error).split("\n", 1)[0] or type(error).__name__
            raise ValueError(
                f"{self.name} cannot be read: {reason}. "
                "Check that it is complete, and of the kind that its name says"
            ) from error
