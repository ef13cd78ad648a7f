"""A table of transformers, one a row, to choose among."""

from __future__ import annotations

from typing import Any

from t2fast.costs.flops import Architecture
from t2fast.tables.sources import TableSource, open_source
from t2fast.text import nearest

_NEEDED = ("layers", "width", "hidden", "vocab", "heads", "head_dim")
_OPTIONAL = ("kv_heads", "gated", "tied")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_architectures(table: TableSource) -> list[Architecture]:
    """Transformers, one a row.

    Args:
        table: columns layers, width, hidden, vocab, heads and head_dim; kv_heads, gated and tied where they
            differ from `Architecture`'s defaults.

    Returns:
        The architectures, in the table's order.

    Raises:
        ValueError: without one of these columns, for a value that is no positive whole number (or no yes or
            no), naming its row, or for a table without rows.
    """
    source = open_source(table, "the architectures")
    for column in _NEEDED:
        if column not in source.columns:
            hint = nearest(column, source.columns)
            raise ValueError(
                f"{source.name} has no column {column!r}; it needs {', '.join(_NEEDED)}"
                + (f" ({hint!r} is near)" if hint else "")
            )
    columns = [column for column in (*_NEEDED, *_OPTIONAL) if column in source.columns]
    rows = source.frame.select(columns).collect().iter_rows(named=True)
    models = [_architecture(row, f"{source.name}, row {number}") for number, row in enumerate(rows, 1)]
    if not models:
        raise ValueError(f"{source.name} has no rows: give an architecture in each")
    return models


def _architecture(row: dict[str, Any], where: str) -> Architecture:
    values: dict[str, Any] = {}
    for column, value in row.items():
        text = str(value).strip().lower()
        if column in ("gated", "tied"):
            if text in _FLAGS:
                values[column] = _FLAGS[text]
            elif value is not None and text:
                raise ValueError(f"{where}: {column} is {value!r}: write true or false")
        elif column != "kv_heads" or (value is not None and text):
            if not text.isdecimal() or int(text) == 0:
                shown = "empty" if value is None else repr(value)
                raise ValueError(f"{where}: {column} is {shown}: give a positive whole number")
            values[column] = int(text)
    return Architecture(**values)
