"""Results as a person wants to read them: columns and amounts for the terminal, and their plain text."""

from __future__ import annotations

import io
import math

import polars as pl
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def plain(renderable: RenderableType, width: int = 100) -> str:
    """A renderable as plain text."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def columns(*headers: str, left: tuple[str, ...] = ()) -> Table:
    """A table without lines: headers in bold, numbers to the right, those named in `left` to the left."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, justify="left" if header in left else "right", no_wrap=True)
    return table


def frame_columns(frame: pl.DataFrame) -> Table:
    """Any small table: text to the left, numbers with four digits to the right."""
    words = [name for name, kind in frame.schema.items() if kind == pl.String]
    table = columns(*frame.columns, left=tuple(words))
    for row in frame.iter_rows():
        table.add_row(*(v if isinstance(v, str) else "-" if v is None else f"{v:.4g}" for v in row))
    return table


def note(words: str) -> Text:
    """Something a reader must not overlook."""
    return Text(f"! {words}", style="yellow")


def amount(value: float | None) -> str:
    """A size or number of tokens, such as 51.9M."""
    if value is None or not math.isfinite(value):
        return "-"
    for unit, letter in _UNITS:
        if value >= 0.9995 * unit and value < 1e15:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def samples(value: float | None) -> str:
    """A number of samples k: whole where it is, three digits otherwise."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:.3g}"


def ratio(value: float) -> str:
    """A ratio such as tokens per parameter: whole from 10 on, two digits below."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def percent(value: float) -> str:
    """A share or a relative error with two digits that say something: 14%, 1.8%, 0.35%, 240%."""
    return f"{100 * value:.0f}%" if 100 * value >= 9.95 else f"{100 * value:.2g}%"
