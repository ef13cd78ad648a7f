"""JSON that holds a table as one object, as pandas' `to_json` does unless asked for a list of rows."""

from __future__ import annotations

import os
from typing import Any

from t2fast.tables.containers import opened
from t2fast.tables.fields import is_usual
from t2fast.tables.json_lines import LONGEST_LINE, parsed

_INDEX = "index"
"""The column of what pandas told rows apart by, where that says more than their order."""


def rows_of_object(path: str) -> list[dict[str, Any]] | None:
    """The rows of a file that is one object with a table in it; None for any other JSON.

    Its values are columns, arrays of one length or objects with the same keys (pandas' default), or rows
    (orient="index"); or columns are named once beside the data (orient="split" and "table"). Rows that are
    told apart by something else than their number have it in a column `index`.
    """
    found = _only_object(path) or {}
    names, schema, data = found.get("columns"), found.get("schema"), found.get("data")
    if isinstance(names, list) and isinstance(data, list):
        return _named(names, data, found.get("index"))
    if isinstance(schema, dict) and isinstance(data, list):
        return data if all(isinstance(row, dict) for row in data) else None
    values = list(found.values())
    if not values:
        return None
    if all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        return [dict(zip(found, row, strict=True)) for row in zip(*values, strict=True)]
    if all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return _of_objects(found, list(values[0]))
    return None


def _named(names: list[Any], data: list[Any], index: Any) -> list[dict[str, Any]] | None:
    """The rows of arrays of values, each a column's."""
    if not all(isinstance(row, list) and len(row) == len(names) for row in data):
        return None
    return _with_index([dict(zip(map(str, names), row, strict=True)) for row in data], index)


def _of_objects(found: dict[str, dict[str, Any]], inner: list[str]) -> list[dict[str, Any]]:
    """The rows of objects with the keys `inner`: each is a row, or a column."""
    if _likely_columns(inner) > _likely_columns(list(found)):
        return _with_index(list(found.values()), list(found))
    return _with_index([{name: found[name][row] for name in found} for row in inner], inner)


def _likely_columns(names: list[str]) -> tuple[int, bool]:
    """How much these look like names of columns, and not of rows: larger is more."""
    return sum(map(is_usual, names)), not all(name.isdecimal() for name in names)


def _with_index(rows: list[dict[str, Any]], index: Any) -> list[dict[str, Any]]:
    """The rows with their names, unless these are their numbers from 0 on."""
    told = isinstance(index, list) and len(index) == len(rows)
    if not told or [str(name) for name in index] == [str(i) for i in range(len(rows))]:
        return rows
    if any(_INDEX in row for row in rows):
        return rows
    return [{_INDEX: name, **row} for name, row in zip(index, rows, strict=True)]


def _only_object(path: str) -> dict[str, Any] | None:
    """What a file holds that is one object, on one line or several."""
    with opened(path) as file:
        if file.peek(1).lstrip()[:1] != b"{":
            return None
        content = file.readline(LONGEST_LINE)
        rest = file.read(1 << 12)
        if rest.strip():
            if _whole(content) is not None:
                return None  # a row a line
            # A gzipped file may hold a thousand times its size: as for an array of rows.
            content += rest + file.read(LONGEST_LINE + 100 * os.path.getsize(path))
    return _whole(content)


def _whole(content: bytes) -> dict[str, Any] | None:
    """An object, if that is what this is, and all of it."""
    try:
        found = parsed(content, "")
    except ValueError:
        return None  # what is wrong with it is for who takes it for rows to say
    return found if isinstance(found, dict) else None
