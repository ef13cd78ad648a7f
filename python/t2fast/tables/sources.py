"""Where rows come from: a file or any dataframe, opened as one lazy polars frame, read in bounded batches.

Text files are opened with every column as text, so that what the file says is what the checks see: `007`
stays `007`, and a number that does not parse is an error about a row, not about a type that was guessed
from the first rows.
"""

from __future__ import annotations

import glob
import gzip
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from t2fast.tables.delimited import csv_fault
from t2fast.tables.fields import WANTED, listed
from t2fast.text import nearest

#: A path, a polars frame, any object with `__arrow_c_stream__` (pyarrow, pandas, duckdb, …), any dataframe
#: with `columns` and `[name]`, or a mapping of column names to sequences.
TableSource: TypeAlias = Any

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_SUPPORTED = ".csv, .tsv, .jsonl, .ndjson (each also .gz) and .parquet"
# Large enough to amortise a group_by, small enough that a few batches of text stay far below 1 GiB.
_BATCH_ROWS = 1_000_000
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Source:
    """Rows to be read: their `name` in messages, and what their format allows."""

    name: str
    frame: pl.LazyFrame
    columns: tuple[str, ...]
    blank_rows: bool = False  # whether a row of nulls is but an empty line
    random_access: bool = False  # whether a slice costs no more than its own rows
    where: Mapping[str, str] = field(default_factory=dict)  # the rows wanted: column -> value

    def wanted(self, where: Mapping[str, str], names: Mapping[str, str]) -> Source:
        """The same source, of which rows are wanted that have these values; canonical names of columns go by
        `names`. `ValueError` without a column.
        """
        own = {
            name if name in self.columns else names.get(name, name): value for name, value in where.items()
        }
        for name in own:
            if name not in self.columns:
                hint = nearest(name, self.columns)
                raise ValueError(
                    f"where: {self.name} has no column {name!r}; it has {listed(self.columns)}"
                    + (f" (did you mean {hint!r}?)" if hint else "")
                )
        return replace(self, where=own)

    def selected(self, columns: Mapping[str, str]) -> list[pl.Expr]:
        """`columns` (canonical name -> source name), renamed, and whether a row is wanted if asked."""
        chosen = [pl.col(name).alias(canonical) for canonical, name in columns.items()]
        if self.where:
            same = [_is(pl.col(name), value) for name, value in self.where.items()]
            chosen.append(pl.all_horizontal(same).alias(WANTED))
        return chosen

    def batches(self, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
        """Rows in order, some 1e6 at a time, with only `columns` (canonical name -> source name), renamed.

        The first batch is empty and tells the types alone. `ValueError` if the source cannot be read.
        """
        chosen = self.frame.select(self.selected(columns))
        with _Readable(self.name):
            empty = pl.DataFrame(schema=chosen.collect_schema())
        yield empty
        batches = self._slices(chosen) if self.random_access else self._stream(chosen)
        while True:
            with _Readable(self.name):
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


class _Readable:
    """Turns what polars and zlib raise about unreadable input into a `ValueError` that names the source."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def is_csv(self) -> bool:
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


def open_source(source: TableSource, name: str = "the table") -> Source:
    """Open `source` without reading its rows. `name` is what messages call it if it is no file.

    Errors: `FileNotFoundError` and kin from the operating system as they are; `ValueError` for a file that
    is empty, damaged or of no known kind, and for columns of unequal length; `TypeError` for an object that
    is no table.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _open_file(os.fspath(source))
    if isinstance(source, pl.LazyFrame):
        return _scanned(name, lambda: source)
    frame = _to_polars(source, name)
    return _scanned(name, frame.lazy, random_access=True)


def _scanned(name: str, scan: Callable[[], pl.LazyFrame], **traits: Any) -> Source:
    with _Readable(name):
        frame = scan()
        return Source(name, frame, tuple(frame.collect_schema().names()), **traits)


def _open_file(path: str | bytes) -> Source:
    path = os.fsdecode(path)
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    zipped = head.startswith(b"\x1f\x8b")
    if zipped:
        with _Readable(path), gzip.open(path, "rb") as unzipped:
            head = unzipped.read(_HEAD_BYTES)
    if not head.strip():
        raise ValueError(f"{path} is empty")
    kind = _kind(path, head)
    if kind == "parquet":
        if zipped:
            raise ValueError(f"{path} is Parquet inside gzip: decompress it first")
        return _scanned(
            path, lambda: pl.scan_parquet(path, glob=False, hive_partitioning=False), random_access=True
        )
    if kind == "jsonl":
        return _scanned(path, lambda: _scan_json_lines(path))
    separator = "\t" if kind == "tsv" else ","
    return _scanned(
        path, lambda: pl.scan_csv(path, separator=separator, infer_schema=False, glob=False), blank_rows=True
    )


def _scan_json_lines(path: str) -> pl.LazyFrame:
    escaped = glob.escape(path)  # scan_ndjson has no glob=False
    # Inference is asked for names alone: see the module's docstring.
    names = pl.scan_ndjson(escaped, infer_schema_length=10_000).collect_schema().names()
    return pl.scan_ndjson(escaped, schema=dict.fromkeys(names, pl.String))


def _kind(path: str, head: bytes) -> str:
    stem = path[:-3] if path.lower().endswith(".gz") else path
    kind = FORMATS.get(os.path.splitext(stem)[1].lower())
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if head.startswith(b"PAR1"):
        return "parquet"
    if kind == "parquet":
        raise ValueError(f"{path} is no Parquet file: it does not begin with the bytes PAR1")
    if kind is None and start == b"{":
        return "jsonl"
    if kind is None:
        raise ValueError(f"cannot tell what kind of file {path} is: name it by one of {_SUPPORTED}")
    if kind == "jsonl" and start == b"[":
        raise ValueError(f"{path} is one JSON array: write one object a line (JSON Lines) instead")
    return kind


def _to_polars(source: TableSource, label: str) -> pl.DataFrame:
    with _Readable(label):
        if isinstance(source, pl.DataFrame):
            return source
        if isinstance(source, Mapping):
            return pl.DataFrame([_series(str(name), values) for name, values in source.items()])
        names = getattr(getattr(source, "index", None), "names", None)
        if names is not None and any(name is not None for name in names):
            source = source.reset_index()  # what pandas' groupby leaves: the keys are in the index
        if hasattr(source, "__arrow_c_stream__"):
            try:
                return pl.DataFrame(_ArrowStream(source))
            except (ImportError, pl.exceptions.PolarsError, ValueError, TypeError):
                # pandas without pyarrow, or a column of mixed types that Arrow has no type for: go by
                # columns, so that the checks can name the rows.
                if not hasattr(source, "columns"):
                    raise
        if hasattr(source, "columns") and hasattr(source, "__getitem__"):
            return pl.DataFrame([_series(str(name), source[name]) for name in source.columns])
    raise TypeError(
        "a table is a path, a dataframe (polars, pandas, pyarrow or anything with __arrow_c_stream__) "
        f"or a mapping of columns, not {type(source).__name__}"
    )


class _ArrowStream:
    """Shows polars nothing of an object but its Arrow stream, so that every library takes the same way in."""

    def __init__(self, source: TableSource) -> None:
        self.source = source

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.source.__arrow_c_stream__(requested_schema)


def _series(name: str, values: Any) -> pl.Series:
    if isinstance(values, pl.Series):
        return values.alias(name)
    # Lists stay away from numpy, which cuts the NULs off the end of text.
    if isinstance(values, (list, tuple)):
        items = list(values)
    else:
        array = np.asarray(values)
        if array.ndim != 1:
            raise ValueError(f"column {name!r} has {array.ndim} dimensions: give one value a row")
        if array.dtype != object:
            return pl.Series(name, array)
        items = [value if _present(value) else None for value in array.tolist()]
    try:
        series = pl.Series(name, items)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        pass
    else:
        if series.dtype != pl.Object:
            return series
    # Values of several types, as text, so that the checks can name those that are wrong.
    return pl.Series(name, [str(item) if _present(item) else None for item in items], dtype=pl.String)


def _present(value: object) -> bool:
    """Whether an object is a value: not None, nor what differs from itself (NaN, NaT) or cannot tell (NA)."""
    if value is None:
        return False
    try:
        return bool(value == value)  # noqa: PLR0124
    except (TypeError, ValueError):
        return type(value).__name__ != "NAType"
