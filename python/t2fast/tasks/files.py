"""Rows of local files in which tasks are published: JSON Lines, a JSON array or Parquet, gzipped or not."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl


class Row:
    """A row that knows where it stands, so that what it lacks can be named."""

    def __init__(self, path: Path, number: int, values: Mapping[str, Any]):
        self.path, self.number, self.values = path, number, values

    def fault(self, what: str) -> ValueError:
        """An error about this row."""
        return ValueError(f"{self.path}, row {self.number}: {what}")

    def get(self, *names: str) -> Any:
        """The value of the first of these columns that is there."""
        for name in names:
            if self.values.get(name) is not None:
                return self.values[name]
        raise self.fault(f"no {' or '.join(map(repr, names))}; it has {', '.join(map(repr, self.values))}")

    def text(self, *names: str) -> str:
        """The same, which must be text, or a number that is taken as text."""
        value = self.get(*names)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.fault(f"{names[0]} is {str(value)[:40]!r}, not text")
        return str(value)


def rows(path: str | Path) -> list[Row]:
    """Every row of the file. Errors: `OSError`; `ValueError` that names the row that cannot be read."""
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        return _parquet(path)
    try:
        with gzip.open(path, "rb") if head[:2] == b"\x1f\x8b" else path.open("rb") as file:
            text = file.read().decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} cannot be read as UTF-8 text: {error}") from error
    values = _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)
    if not values:
        raise ValueError(f"{path} has no rows")
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise ValueError(f"{path}, row {number}: an object is wanted, not {str(value)[:40]!r}")
    return [Row(path, number, value) for number, value in enumerate(values)]


def _parquet(path: Path) -> list[Row]:
    try:
        found = pl.read_parquet(path, glob=False, hive_partitioning=False).to_dicts()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not found:
        raise ValueError(f"{path} has no rows")
    return [Row(path, number, value) for number, value in enumerate(found)]


def _array(path: Path, text: str) -> list[Any]:
    try:
        return list(json.loads(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error


def _lines(path: Path, text: str) -> list[Any]:
    values = []
    # Not splitlines(), which also splits at characters that JSON allows inside a string.
    for number, line in enumerate(text.split("\n")):
        if line.strip():
            try:
                values.append(json.loads(line))
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f"{path}, line {number + 1}: no JSON ({error})") from error
    return values
