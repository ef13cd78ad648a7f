"""How hard the problems are: how many of them a checkpoint solves never, seldom, often, always."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import BLUE, WIDTH, altair
from t2fast.text import percent

FEW = 3
"""Checkpoints up to which each has bars of its own."""

_ROW, _TALL = 15, 1200
"""Height of a checkpoint's row, and of all of them at most."""


def difficulties(frame: pl.DataFrame) -> Figure:
    """The distribution of problems over the share of their samples that are right.

    Args:
        frame: a row a checkpoint and class of problems, classes in order: `checkpoint` (its name), `solved`
            (the class, in words), `problems`, `share`, and of model, n_params and n_tokens those known.

    Returns:
        The figure: bars for up to three checkpoints, a map of shades for more.
    """
    alt = altair()
    classes = frame["solved"].unique(maintain_order=True).to_list()
    names = frame["checkpoint"].unique(maintain_order=True).to_list()
    values = data(frame, ["checkpoint", "solved", "problems", "share"])
    x = alt.X("solved:N", sort=classes, title="share of samples right")
    x = x.axis(labelAngle=-40, labelOverlap=False)
    tooltip = [
        alt.Tooltip("checkpoint:N"),
        alt.Tooltip("solved:N"),
        alt.Tooltip("problems:Q"),
        alt.Tooltip("share:Q", format=".1%"),
    ]
    panels: tuple[Any, ...]
    if len(names) <= FEW:
        bars = alt.Chart(values, width=WIDTH, height=180).mark_bar(color=BLUE).encode(x=x, tooltip=tooltip)
        panels = tuple(
            bars.encode(y=alt.Y("share:Q", title="share of problems", axis=alt.Axis(format="%")))
            .transform_filter({"field": "checkpoint", "equal": name})
            .properties(title=alt.Title(name, anchor="start", fontSize=12, fontWeight="normal"))
            for name in names
        )
    else:
        # One hue, so that it reads on white paper and on black.
        scale = alt.Scale(type="sqrt", range=[0, 1], domainMin=0)
        legend = alt.Legend(format="%", symbolType="square", symbolFillColor=BLUE, symbolStrokeWidth=0)
        shade = alt.Opacity("share:Q", title="share of problems", scale=scale, legend=legend)
        crowded = _ROW * len(names) > _TALL
        y = alt.Y("checkpoint:N", sort=names, title=None, axis=axes.names(labelOverlap=crowded))
        chart = alt.Chart(values, width=WIDTH, height=min(_ROW * len(names), _TALL))
        panels = (chart.mark_rect(color=BLUE).encode(x=x, y=y, opacity=shade, tooltip=tooltip),)
    never = frame.filter(pl.col("solved") == classes[0])["share"]
    least, most = (percent(float(v or 0)) for v in (never.min(), never.max()))  # type: ignore[arg-type]
    unsolved = least if least == most else f"{least} to {most}"
    return Figure(
        "difficulty",
        "How hard the problems are",
        f"Distribution of problems over the share of their samples that are right, for "
        f"{axes.sides(frame)}: {unsolved} of the problems were never solved.",
        frame,
        panels,
        "Shares of samples, so that problems with few samples scatter more than they differ.",
    )
