"""A figure: charts, the table that they show, and what they say to someone who cannot see them."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from t2fast import atomic
from t2fast.charts import library
from t2fast.text import clean

SUFFIXES = (".svg", ".png", ".pdf")
"""Of the files that `Figure.save` writes."""

_MARGIN = {"left": 40, "right": 16, "top": 5, "bottom": 5}
_LETTERS = 76  # of a line of the title, for each panel
_SCALE = 2.0  # pixels of a PNG for a unit of the chart: sharp on dense screens


@dataclass(frozen=True, eq=False)
class Figure:
    """Charts of one table.

    Attributes:
        name: of its files: letters, digits and `_`.
        title: what it shows.
        says: the same in words, with the figures that matter: for who cannot see it.
        frame: the data, a row a mark.
        panels: Altair charts, side by side.
        caption: how to read it.
    """

    name: str
    title: str
    says: str
    frame: pl.DataFrame
    panels: tuple[Any, ...]
    caption: str = ""

    @property
    def chart(self) -> Any:
        """The panels as one Altair chart, with the title."""
        alt = library.altair()
        lines = textwrap.wrap(self.title, _LETTERS * len(self.panels))
        title = alt.Title(lines, anchor="start", fontSize=14)
        if len(self.panels) == 1:
            return self.panels[0].properties(title=title)
        return alt.hconcat(*self.panels, title=title)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the chart to a file named .svg, .png or .pdf, whole or not at all.

        Args:
            path: of the file.

        Raises:
            ValueError: for any other name.
        """
        suffix = os.path.splitext(os.fspath(path))[1].lower()
        convert = library.converter()
        if suffix == ".svg":
            content = convert.vegalite_to_svg(themed(specification(self.chart), "white")).encode()
        elif suffix == ".png":
            content = convert.vegalite_to_png(themed(specification(self.chart), "white"), scale=_SCALE)
        elif suffix == ".pdf":
            content = convert.vegalite_to_pdf(themed(specification(self.chart), "white"))
        else:
            raise ValueError(f"cannot draw {os.fspath(path)}: name it .svg, .png, .pdf or .html")
        atomic.write(path, [content])


def specification(chart: Any) -> dict[str, Any]:
    """A chart as Vega-Lite has it, without its looks."""
    # Checking it against the schema takes longer than drawing it.
    spec: dict[str, Any] = _cleaned(chart.to_dict(validate=False))
    spec.pop("config", None)
    return spec


def _cleaned(part: Any) -> Any:
    """The same with control characters of names by their escapes: vl-convert dies of them."""
    if isinstance(part, str):
        return clean(part)
    if isinstance(part, dict):
        return {key: _cleaned(value) for key, value in part.items()}
    return [_cleaned(value) for value in part] if isinstance(part, list) else part


def themed(spec: dict[str, Any], background: str) -> dict[str, Any]:
    """The specification with the looks of a page of white paper.

    Letters are measured here, and are up to a sixth wider where the picture is shown: the margin is theirs.
    """
    return {**spec, "config": {**library.LOOKS, "background": background, "padding": _MARGIN}}


def data(frame: pl.DataFrame, names: Sequence[str]) -> Any:
    """Columns of a frame as the data of a chart; numbers that JSON has not are null."""
    numbers = [name for name in names if frame.schema[name].is_float()]
    finite = [pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in numbers]
    return library.altair().InlineData(values=frame.select(names).with_columns(finite).to_dicts())


def with_marks(curve: pl.DataFrame, marks: pl.DataFrame, name: str, columns: Sequence[str]) -> pl.DataFrame:
    """Rows of a curve, then what is marked on it: `columns` of both, and `name`, null on the curve."""
    both = [curve.select(pl.lit(None, pl.String).alias(name), *columns), marks.select(name, *columns)]
    return pl.concat(both).select(*columns, name)
