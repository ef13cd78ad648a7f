"""Where rows come from: a file or any dataframe, opened as one lazy polars frame, read in bounded batches.

Text files are opened with every column as text, so that what the file says is what the checks see: `007`
stays `007`, and a number that does not parse is an error about a row, not about a type that was guessed
from the first rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from t2fast.tables.containers import opened, packing, require_file
from t2fast.tables.json_columns import rows_of_object
from t2fast.tables.json_lines import of_rows, open_json_lines
from t2fast.tables.rows import Readable, Source

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
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_SUPPORTED = ".csv, .tsv, .json, .jsonl, .ndjson (each also .gz and .zst), .parquet and .arrow"
#: What Arrow's files and streams begin with; a stream is what Hugging Face's datasets keep.
_ARROW_FILE, _ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"
_PACKED = (".gz", ".zst")
_HEAD_BYTES = 4096


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
    with Readable(name):
        frame = scan()
        return Source(name, frame, tuple(frame.collect_schema().names()), **traits)


def _open_file(path: str | bytes) -> Source:
    path = os.fsdecode(path)
    require_file(path)
    with open(path, "rb") as file:
        zipped = packing(file.read(4))
    with opened(path) as unpacked:
        head = unpacked.read(_HEAD_BYTES)
    if not head.strip():
        raise ValueError(f"{path} is empty")
    kind = _kind(path, head)
    if kind == "parquet":
        if zipped:
            raise ValueError(f"{path} is Parquet inside {zipped}: decompress it first")
        return _scanned(
            path, lambda: pl.scan_parquet(path, glob=False, hive_partitioning=False), random_access=True
        )
    if kind == "arrow":
        if zipped:
            raise ValueError(f"{path} is Arrow inside {zipped}: decompress it first")
        if head.startswith(_ARROW_STREAM):
            return _scanned(path, lambda: pl.read_ipc_stream(path).lazy(), random_access=True)
        return _scanned(path, lambda: pl.scan_ipc(path, glob=False), random_access=True)
    if kind == "jsonl":
        rows = rows_of_object(path)
        return open_json_lines(path) if rows is None else of_rows(path, rows)
    if b"\r" in head[:-1].split(b'"')[0] and b"\n" not in head:
        raise ValueError(f"{path} ends its lines with a bare carriage return: end them with a line feed")
    separator = "\t" if kind == "tsv" else ","
    return _scanned(
        path, lambda: pl.scan_csv(path, separator=separator, infer_schema=False, glob=False), blank_rows=True
    )


def _kind(path: str, head: bytes) -> str:
    stem, ending = os.path.splitext(path.lower())
    kind = FORMATS.get(os.path.splitext(stem)[1] if ending in _PACKED else ending)
    start = head.lstrip()[:1]
    if head.startswith(b"PAR1"):
        return "parquet"
    if kind == "parquet":
        raise ValueError(f"{path} is no Parquet file: it does not begin with the bytes PAR1")
    if head.startswith((_ARROW_FILE, _ARROW_STREAM)):
        return "arrow"
    if head.startswith(b"FEA1"):
        raise ValueError(f"{path} is the first version of Feather: write it anew by pandas, or as Parquet")
    if kind == "arrow":
        raise ValueError(f"{path} is no Arrow file: it does not begin as one")
    if kind is None and start == b"{":
        return "jsonl"
    if kind is None:
        raise ValueError(f"cannot tell what kind of file {path} is: name it by one of {_SUPPORTED}")
    return kind


def _to_polars(source: TableSource, label: str) -> pl.DataFrame:
    with Readable(label):
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
