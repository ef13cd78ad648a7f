"""How far sides of a comparison lie from the first."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import BLUE, GREY, HEIGHT, SERIES, VERMILION, WIDTH, altair
from t2fast.text import counted, nominal

FEW = len(SERIES)
"""Sides up to which each has a curve over k; of more, each has a row."""

_LINE = 34
"""Letters that fit beside the axis of curves."""

_ROW = 16
"""Height of a side's row."""

_SIGNS = {1: "above", 0: "not settled", -1: "below"}


def differences(frame: pl.DataFrame, first: str, level: float) -> Figure:
    """Differences of pass@k from the first side, each with its band.

    Args:
        frame: a row a side and k, without the first: `name`, `k`, `difference`, `low`, `high`.
        first: the name of the side that they are from.
        level: confidence of a band, at every k at once.

    Returns:
        The figure: curves over k for up to six sides. For more of them, and for a single k, a row a side,
        highest first, at the least k and at the greatest.
    """
    names = frame["name"].unique(maintain_order=True).to_list()
    few = len(names) <= FEW and frame["k"].n_unique() > 1
    title = [f"pass@k less that of {first}"]
    if len(title[0]) > _LINE:
        title = ["pass@k less that of", axes.shortened(first)]
    caption = f"A {nominal(level)} band holds at every k at once: where it excludes 0 the sign is settled."
    return Figure(
        "differences",
        f"Differences of pass@k from {first}",
        f"Differences of pass@k from {first} over the number of samples. {_says(frame, len(names))}",
        frame,
        (_curves(frame, names, title),) if few else _rows(frame, title),
        caption if few else f"{caption} Highest first; hollow: not settled.",
    )


def _curves(frame: pl.DataFrame, names: list[str], title: list[str]) -> Any:
    """A curve a side over k."""
    alt = altair()
    colour, dash = axes.series("name", names)
    columns = ["name", "k", "difference", "low", "high"]
    base = alt.Chart(data(frame, columns), width=WIDTH, height=HEIGHT).encode(x=axes.x("k"), color=colour)
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    line = base.mark_line().encode(y=alt.Y("difference:Q", title=title), strokeDash=dash, tooltip=_tooltip())
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=GREY).encode(y="zero:Q")
    return zero + band + line


def _rows(frame: pl.DataFrame, title: list[str]) -> tuple[Any, ...]:
    """A row a side at the least k, and another panel at the greatest."""
    alt = altair()
    settled = (pl.col("low") > 0).cast(pl.Int8) - (pl.col("high") < 0).cast(pl.Int8)
    marked = frame.with_columns(settled.replace_strict(_SIGNS).alias("sign"))
    signs = list(_SIGNS.values())
    colour = alt.Color("sign:N", scale=alt.Scale(domain=signs, range=[BLUE, GREY, VERMILION]), legend=None)
    # The sign is told by the place; hollow is what colours alone would not tell everybody.
    fill = alt.FillOpacity(
        "sign:N", scale=alt.Scale(type="ordinal", domain=signs, range=[1, 0, 1]), legend=None
    )
    panels = []
    ks = marked["k"].unique().sort().to_list()
    for k in dict.fromkeys((ks[0], ks[-1])):
        there = marked.filter(k=k).sort("difference", descending=True, maintain_order=True)
        columns = ["name", "k", "difference", "low", "high", "sign"]
        base = alt.Chart(data(there, columns), width=WIDTH * 2 // 3, height=_ROW * there.height).encode(
            y=alt.Y("name:N", sort=there["name"].to_list(), title=None, axis=axes.names(labelOverlap=False)),
            color=colour,
            tooltip=_tooltip(),
        )
        bars = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title=title), x2="high:Q")
        dots = base.mark_point(size=45, strokeWidth=1.5).encode(
            x=alt.X("difference:Q", title=title), fill=colour, fillOpacity=fill
        )
        zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=GREY).encode(x="zero:Q")
        heading = alt.Title(f"k = {k}", anchor="start", fontSize=12, fontWeight="normal")
        panels.append((zero + bars + dots).properties(title=heading))
    return tuple(panels)


def _tooltip() -> list[Any]:
    alt = altair()
    return [
        alt.Tooltip("name:N"),
        alt.Tooltip("k:Q"),
        *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in ("difference", "low", "high")),
    ]


def _says(frame: pl.DataFrame, sides: int) -> str:
    """Where the sides lie at the greatest k: each of few, the ends of many."""
    k = frame["k"].sort()[-1]
    last = frame.filter(k=k).sort("difference", descending=True, maintain_order=True)
    above, below = last.filter(pl.col("low") > 0).height, last.filter(pl.col("high") < 0).height
    shown = frame.filter(k=k) if sides <= FEW else pl.concat([last.head(1), last.tail(1)])
    rows = [
        f"{row['name']}: {row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"
        for row in shown.iter_rows(named=True)
    ]
    if sides <= FEW:
        return f"At k = {k}, {'; '.join(rows)}."
    return (
        f"At k = {k}, of {counted(sides, 'side')} {above} are settled above it and {below} below; from "
        f"{rows[0]} down to {rows[1]}."
    )
