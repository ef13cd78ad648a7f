"""JSON Lines as a source: a row an object, or one array of them, in pieces, so that memory stays bounded.

Polars parses the pieces, and Python those that polars cannot, such as with a bare NaN in a key that is not
read. An object that has a key twice is no row: which of its values is meant cannot be told.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import IO, Any

import polars as pl

from t2fast.tables import fields as v
from t2fast.tables.containers import opened
from t2fast.tables.nested import column_of
from t2fast.tables.rows import Source

#: Longer than any sample; a gzipped line of zeros is a thousand times as long as its file.
LONGEST_LINE = 1 << 26
# Larger pieces fall out of the processor's cache: 64 MiB take a third longer.
_PIECE = 1 << 24
_ROWS_FOR_NAMES = 10_000
# OSError: polars takes what is packed twice for packed.
_UNPARSED = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def parsed(content: bytes, where: str) -> Any:
    """JSON, also with a bare NaN, as some tools write it.

    Errors: `ValueError` that begins with `where`, also for an object that has a key twice.
    """
    try:
        return json.loads(content, object_pairs_hook=_once)
    except _Twice as error:
        raise ValueError(f"{where} has the key {error} twice in one object") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not UTF-8 (byte {error.start + 1} of it): save it as UTF-8") from None
    except RecursionError:
        raise ValueError(f"{where} cannot be read: its JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{where} is no JSON: {error}. Check that it is complete") from None


def is_whole(content: bytes) -> bool:
    """Whether this is one JSON value, and all of it."""
    try:
        parsed(content, "")
    except ValueError:
        return False
    return True


def open_json_lines(path: str) -> Source:
    """A file of rows, whose columns are the keys of its first 10,000; of one array, which is read at once."""
    with opened(path) as file:
        if _is_array(file):
            return _array(file, path)
        piece = next(_pieces(file, path), b"")
    try:
        frame = pl.scan_ndjson(io.BytesIO(piece), infer_schema_length=_ROWS_FOR_NAMES)
        names = frame.collect_schema().names()
    except _UNPARSED:
        rows = islice(_rows(piece, path, 0), _ROWS_FOR_NAMES)
        names = list(dict.fromkeys(name for row in rows for name in row))
    return JsonLines(path, pl.LazyFrame(schema=dict.fromkeys(names, pl.String)), tuple(names))


def _array(file: IO[bytes], path: str) -> Source:
    # A gzipped file may hold a thousand times its size: what it warrants ends at a hundredfold.
    limit = LONGEST_LINE + 100 * os.path.getsize(path)
    content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path} unzips to more than a hundred times its size")
    first, _, rest = content.strip().partition(b"\n")
    if rest and is_whole(first):
        return of_rows(path, [parsed(first, path)])  # an array a line, which is refused as a row
    return of_rows(path, parsed(content, path))


def of_rows(path: str, items: Sequence[Any]) -> Source:
    """Rows that are there, each an object."""
    if not items:
        raise ValueError(f"{path} has no rows")
    rows = [_object(row, f"row {i} of {path}") for i, row in enumerate(items, 1)]
    schema = dict.fromkeys((name for row in rows for name in row), pl.String)
    texts = [{name: _text(row.get(name)) for name in schema} for row in rows]
    frame = pl.DataFrame(texts, schema=schema)
    return Source(path, frame.lazy(), tuple(frame.columns), random_access=True)


class JsonLines(Source):
    """A file of rows. Numbers and truths are read as the text that stands for them."""

    def first(self, columns: Sequence[str]) -> pl.DataFrame:
        """The first rows, some thousand, of these columns as they are."""
        schema = dict.fromkeys(columns, pl.String)
        with opened(self.name) as file:
            lines = list(islice(iter(partial(file.readline, LONGEST_LINE), b""), 1_000))
        return _parsed_piece(b"".join(lines), self.name, schema, 0)

    def batches(self, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
        """Rows in order, a piece at a time."""
        chosen = self.selected(columns)
        asked = {column_of(name, self.columns)[0] for name in (*columns.values(), *self.where)}
        names = [name for name in self.columns if name in asked]
        schema = dict.fromkeys(names, pl.String)
        yield pl.DataFrame(schema=schema).select(chosen)
        rows = 0
        with opened(self.name) as file:
            for piece in _pieces(file, self.name):
                frame = _parsed_piece(piece, self.name, schema, rows)
                rows += frame.height
                yield frame.select(chosen)


def _parsed_piece(piece: bytes, path: str, schema: Mapping[str, Any], before: int) -> pl.DataFrame:
    try:
        frame = pl.read_ndjson(piece, schema=schema)
    except _UNPARSED:
        frame = None
    # Polars takes one of two values of a key; a key in quotes, without a backslash, is a key or a value.
    if frame is not None and all(piece.count(f'"{name}"'.encode()) <= frame.height for name in schema):
        return frame
    rows = [{name: _text(row.get(name)) for name in schema} for row in _rows(piece, path, before)]
    return pl.DataFrame(rows, schema=schema)


def _rows(piece: bytes, path: str, before: int) -> Iterator[dict[str, Any]]:
    """The objects of a piece. `ValueError` that names the row at fault."""
    for row, line in enumerate(filter(None, map(bytes.strip, piece.split(b"\n"))), before + 1):
        where = f"row {row} of {path}"
        yield _object(parsed(line, where), where)


def _object(found: Any, where: str) -> dict[str, Any]:
    if isinstance(found, list):
        raise ValueError(
            f"{where} is an array, not an object: its values need the names of their columns, as pandas "
            "writes them by to_json(orient='records')"
        )
    if not isinstance(found, dict):
        raise ValueError(f"{where} is {v.shown(found)}, not an object")
    return found


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)


def _pieces(file: IO[bytes], path: str) -> Iterator[bytes]:
    """The file in pieces of whole lines."""
    while piece := file.read(_PIECE):
        rest = file.readline(LONGEST_LINE)
        if len(rest) == LONGEST_LINE:
            raise ValueError(f"a row of {path} is longer than {LONGEST_LINE >> 20} MiB")
        yield piece + rest


def _is_array(file: io.BufferedReader) -> bool:
    return file.peek(1).lstrip()[:1] == b"["


class _Twice(Exception):
    """A key that one object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(v.shown(next(name for name in names if names.count(name) > 1)))
    return found
