"""Results as a person wants to read them: columns and amounts for the terminal, and their plain text."""

from __future__ import annotations

import difflib
import io
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import polars as pl
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
_LONG = 1e12  # from here on digits are no longer counted by eye
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def plain(renderable: RenderableType, width: int = 100, encoding: str | None = None) -> str:
    """A renderable as plain text, of what `encoding` can hold; None: anything."""
    encoding = encoding or "utf-8"
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding, errors="replace", newline="\n", write_through=True)
    Console(file=file, width=width, color_system=None, highlight=False, markup=False).print(renderable)
    text = written.getvalue().decode(encoding)
    return "\n".join(line.rstrip() for line in text.splitlines())


class Columns:
    """A table without lines: headers in bold, numbers to the right, those named in `left` to the left.

    Nothing of it is ever cut. Where it is wider than the terminal its headers go over several lines, then
    columns that say the same in every row go to a line above it, then words in `left` columns go over several
    lines; where that is not enough each row is stacked, as `header value` pairs over as many lines as it
    needs. Numbers are never broken. Cells are text as it is: brackets are no markup, and control characters
    are shown as such.
    """

    def __init__(self, headers: Sequence[str], left: Sequence[str] = ()) -> None:
        self.headers = [clean(header) for header in headers]
        self.left = {clean(header) for header in left}
        self.rows: list[list[str]] = []

    def add_row(self, *cells: str) -> None:
        """Add a row: a cell a header."""
        self.rows.append([clean(cell).replace("\n", "\\n").replace("\t", "\\t") for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table in the width there is, by what the terminal can show."""
        shown = Columns([_within(header, options.encoding) for header in self.headers])
        shown.left = {_within(header, options.encoding) for header in self.left}
        shown.rows = [[_within(cell, options.encoding) for cell in row] for row in self.rows]
        yield from shown._laid_out(options.max_width)

    def _laid_out(self, width: int) -> Iterator[RenderableType]:
        places = list(range(len(self.headers)))
        same = [i for i in places if len(self.rows) > 1 and len({row[i] for row in self.rows}) == 1]
        varying = [i for i in places if i not in same]
        for shown, breaking in ((places, False), (varying, False), (places, True), (varying, True)):
            if widths := self._widths(shown, width, breaking):
                if len(shown) < len(places):
                    yield from self._stacked(self.rows[0], same, width)
                yield self._table(shown, widths)
                return
        if same:
            yield from self._stacked(self.rows[0], same, width)
        for number, row in enumerate(self.rows):
            if number:
                yield Text("")
            yield from self._stacked(row, varying, width)

    def _widths(self, places: Sequence[int], width: int, breaking: bool) -> list[int]:
        """Of columns that fit: as wide as they are, or the widest made narrower at spaces of its header and,
        if `breaking`, of its words. Empty where they do not fit.
        """
        widths, least = [], []
        for i in places:
            cells, header = [row[i] for row in self.rows], self.headers[i]
            broken = [part for text in cells for part in text.split(" ")]
            narrow = broken if breaking and header in self.left else cells
            widths.append(max(map(cell_len, [header, *cells])))
            least.append(max(map(cell_len, [*header.split(" "), *narrow])))
        room = width - 2 * (len(places) - 1)
        if sum(least) > room:
            return []
        for _ in range(sum(widths) - room):
            widest = max(range(len(widths)), key=lambda c: (widths[c] > least[c], widths[c]))
            widths[widest] -= 1
        for c, i in enumerate(places):  # no wider than the lines that this leaves need
            while least[c] < widths[c] and self._lines(i, widths[c] - 1) == self._lines(i, widths[c]):
                widths[c] -= 1
        return widths

    def _lines(self, place: int, width: int) -> int:
        """Of a column of this width, all rows together."""
        return sum(len(textwrap.wrap(row[place], width)) for row in (self.headers, *self.rows))

    def _table(self, places: Sequence[int], widths: Sequence[int]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for i, width in zip(places, widths, strict=True):
            justify: Literal["left", "right"] = "left" if self.headers[i] in self.left else "right"
            table.add_column(Text(self.headers[i]), justify=justify, width=width, vertical="top")
        for row in self.rows:
            table.add_row(*(Text(row[i]) for i in places))
        return table

    def _stacked(self, row: Sequence[str], places: Sequence[int], width: int) -> Iterator[Text]:
        """`header value` pairs, as many a line as fit; a longer value goes on in the next. What has no header
        is a line of its own above them.
        """
        line, margin = Text(), ""
        for i in places:
            if not row[i]:
                continue
            if not self.headers[i]:
                yield Text(row[i], style="bold")
                margin = "  "
                continue
            pair = Text.assemble((self.headers[i], "bold"), " ", row[i])
            if line.cell_len and line.cell_len + 3 + pair.cell_len > width:
                yield line
                line = Text()
            line = Text.assemble(line, "   ", pair) if line.cell_len else Text.assemble(margin, pair)
        line.overflow = "fold"
        yield line


def columns(*headers: str, left: tuple[str, ...] = ()) -> Columns:
    """An empty table with these headers."""
    return Columns(headers, left)


def frame_columns(frame: pl.DataFrame) -> Columns:
    """Any small table: text to the left, numbers with four digits to the right."""
    words = [name for name, kind in frame.schema.items() if kind == pl.String]
    table = columns(*frame.columns, left=tuple(words))
    for row in frame.iter_rows():
        table.add_row(*(v if isinstance(v, str) else "-" if v is None else f"{v:.4g}" for v in row))
    return table


def clean(text: str) -> str:
    """Text of a file as a terminal may have it: control and direction characters by their escapes."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _within(text: str, encoding: str) -> str:
    """Text whose characters a terminal of this encoding can all show: others by their escapes, so that two
    names that differ look different.
    """
    return text.encode(encoding, "backslashreplace").decode(encoding)


def line(words: str, style: str = "") -> Text:
    """A line of a result: brackets are no markup, and control characters are shown as such."""
    return Text(clean(words), style=style)


def note(words: str) -> Text:
    """Something a reader must not overlook."""
    return line(f"! {words}", "yellow")


def counted(number: int, noun: str) -> str:
    """A number and what there is so many of: 1 checkpoint, 2 checkpoints."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that most resembles `name`, if any does."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return close[0] if close else None


def amount(value: float | None) -> str:
    """A size or number of tokens, such as 51.9M."""
    if value is None or not math.isfinite(value):
        return "-"
    for unit, letter in _UNITS:
        if value >= 0.9995 * unit and value < 1e15:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def with_unit(text: str) -> float:
    """A number such as 1e9, 160M or 1.2B, as `amount` writes them. `ValueError` if it is none."""
    text = text.strip()
    factor = {letter.upper(): unit for unit, letter in _UNITS}.get(text[-1:].upper(), 1.0)
    return float(text if factor == 1.0 else text[:-1]) * factor


def samples(value: float | None) -> str:
    """A number of samples k: whole where it is, three digits otherwise."""
    if value is None:
        return "-"
    if value >= _LONG:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:.3g}"


def ratio(value: float) -> str:
    """A ratio such as tokens per parameter: whole from 10 on, two digits below."""
    return f"{value:,.0f}" if 10 <= value < _LONG else f"{value:.3g}" if value >= _LONG else f"{value:.2g}"


def chance(value: float) -> str:
    """A pass@k or another value of a law with four decimals; a small one with the digits that say something,
    0.000032 and not 0.0000.
    """
    return f"{value:.2g}" if 0 < abs(value) < 9.5e-4 else f"{value:.4f}"


def percent(value: float) -> str:
    """A share or a relative error with two digits that say something: 14%, 1.8%, 0.35%, 240%."""
    return f"{100 * value:.0f}%" if 100 * value >= 9.95 else f"{100 * value:.2g}%"


def nominal(level: float) -> str:
    """The confidence that an interval is meant to have, with all of its digits: 95%, 97.5%."""
    return f"{100 * level:.12g}%"
