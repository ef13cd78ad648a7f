"""Values inside objects: `sampling.temperature` is temperature of the column `sampling`.

Objects are polars' structs, or text that is JSON, which is how text files are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

_DEPTH = 3  # of the objects that are looked into


def column_of(name: str, columns: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The column that `name` is or begins with, and the path to the value inside its objects."""
    if name in columns:
        return name, ()
    for own in sorted(columns, key=len, reverse=True):
        if name.startswith(f"{own}."):
            return own, tuple(name.removeprefix(f"{own}.").split("."))
    return name, ()


def value_of(name: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """The values that `name` is the name of, null where there is none."""
    own, path = column_of(name, list(schema))
    column = pl.col(own)
    dtype: Any = schema.get(own)
    if path and isinstance(dtype, pl.String):
        return column.str.json_path_match("$" + "".join(f"[{json.dumps(key)}]" for key in path))
    for key in path:
        fields = {field.name: field.dtype for field in dtype.fields} if isinstance(dtype, pl.Struct) else {}
        if key not in fields:
            return pl.lit(None, dtype=pl.String)
        column, dtype = column.struct.field(key), fields[key]
    return column


def paths(values: Sequence[object]) -> list[tuple[str, ...]]:
    """The paths to all single values of these objects, in the order in which they occur."""
    found: dict[tuple[str, ...], None] = {}
    for value in values:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)  # noqa: PLW2901
            except (ValueError, RecursionError):
                continue
        if isinstance(value, dict):
            found.update(dict.fromkeys(_leaves(value, ())))
    return list(found)


def _leaves(value: Mapping[str, object], at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and len(at) + 1 < _DEPTH:
            yield from _leaves(inner, (*at, key))
        elif isinstance(inner, str | int | float):
            yield *at, key
