"""JSON that holds a table by its columns, as pandas' `to_json` does unless asked for rows."""

from __future__ import annotations

import os
from typing import Any

from t2fast.tables.containers import opened
from t2fast.tables.json_lines import LONGEST_LINE, parsed


def rows_by_columns(path: str) -> list[dict[str, Any]] | None:
    """The rows of a file that is one object of columns; None for any other JSON.

    Columns are arrays of one length, or objects with the same keys (pandas' default); or they are named once
    beside the data (its orient="split" and "table").
    """
    found = _only_object(path) or {}
    names, schema, data = found.get("columns"), found.get("schema"), found.get("data")
    if isinstance(names, list) and isinstance(data, list):
        whole = all(isinstance(row, list) and len(row) == len(names) for row in data)
        return [dict(zip(map(str, names), row, strict=True)) for row in data] if whole else None
    if isinstance(schema, dict) and isinstance(data, list):
        return data if all(isinstance(row, dict) for row in data) else None
    columns = _columns(list(found.values()))
    if columns is None:
        return None
    return [dict(zip(found, row, strict=True)) for row in zip(*columns, strict=True)]


def _columns(values: list[Any]) -> list[list[Any]] | None:
    """Columns of one length, if these are some."""
    if values and all(isinstance(value, list) for value in values):
        return values if len({len(value) for value in values}) == 1 else None
    if not values or not all(
        isinstance(value, dict) and value.keys() == values[0].keys() for value in values
    ):
        return None
    return [[value[row] for row in values[0]] for value in values]


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
