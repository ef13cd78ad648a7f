"""A law held against the measurements that it was fitted to."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import BLUE, GREY, HEIGHT, VERMILION, WIDTH, altair
from t2fast.text import counted, nominal, percent

_VALUES = 20
"""Sizes up to which each has a median of its own."""

_TITLE = "The law against what was measured"


def fit(
    frame: pl.DataFrame, metric: str, level: float | None = None, name: str = "fit", title: str = _TITLE
) -> Figure:
    """Predicted over measured values, with the diagonal on which they agree.

    Args:
        frame: a row a checkpoint and k: `n_params`, `n_tokens`, `k`, `observed`, `predicted`, and, where the
            law has draws, `low` and `high`.
        metric: what was measured, as `Law.metric`.
        level: confidence of the intervals, if there are any.
        name: of the figure's files.
        title: what it shows.

    Returns:
        The figure.
    """
    alt = altair()
    shown = frame.filter((pl.col("observed") > 0) & (pl.col("predicted") > 0))
    unit = axes.METRICS[metric]
    banded = level is not None and {"low", "high"} <= set(frame.columns)
    ends = axes.ends(shown, "observed", "predicted")
    domain = (ends[0] / 1.15, ends[1] * 1.15)
    columns = ["n_params", "n_tokens", "k", "observed", "predicted", *(["low", "high"] if banded else [])]
    base = alt.Chart(data(shown, columns), width=WIDTH, height=HEIGHT + 40)
    y = axes.value(f"{unit}, by the law", *ends, domain)
    x = alt.X("observed:Q", **(y | {"title": f"{unit}, measured"}))
    diagonal = (
        alt.Chart(alt.InlineData(values=[{"at": domain[0]}, {"at": domain[1]}]))
        .mark_line(color=GREY, strokeDash=[4, 3])
        .encode(x=alt.X("at:Q"), y=alt.Y("at:Q"))
    )
    several = shown["k"].n_unique() > 1
    colour: dict[str, Any] = {"color": alt.value(BLUE)}
    if several:
        colour = {"color": axes.shades("k", shown["k"])}
    points = base.mark_circle(size=40, opacity=0.85, clip=True).encode(
        x=x, y=alt.Y("predicted:Q", **y), tooltip=_tooltip(), **colour
    )
    chart = diagonal + points
    if banded:
        whiskers = base.mark_rule(opacity=0.35, clip=True).encode(
            x=x, y=alt.Y("low:Q", **y), y2="high:Q", **colour
        )
        chart = diagonal + whiskers + points
    gap = (shown["predicted"] / shown["observed"] - 1).abs()
    median = percent(_number(gap.median())) if len(gap) else "-"
    left = frame.height - shown.height
    caption = "On the dashed line the law says what was measured."
    if banded and level is not None:
        caption += f" Bars: {nominal(level)} intervals of the law."
    if left:
        caption += f" {counted(left, 'point')} without a positive value left out."
    return Figure(
        name,
        title,
        f"Values of the law over {counted(shown.height, 'measured value')} of {unit}: the median relative "
        f"difference is {median}.",
        frame,
        (chart,),
        caption,
    )


def residuals(frame: pl.DataFrame, metric: str) -> Figure:
    """ln(measured / predicted) over N, D and k: where it has a slope, the law has the wrong form.

    Args:
        frame: as for `fit`.
        metric: as for `fit`.

    Returns:
        The figure, a panel each for N, D and k where they vary.
    """
    alt = altair()
    positive = (pl.col("observed") > 0) & (pl.col("predicted") > 0)
    shown = frame.filter(positive).with_columns(
        (pl.col("observed") / pl.col("predicted")).log().alias("residual")
    )
    columns = ["n_params", "n_tokens", "k", "observed", "predicted", "residual"]
    values = data(shown, columns)
    varying = [name for name in ("n_params", "n_tokens", "k") if shown[name].n_unique() > 1]
    y = {"title": "ln(measured / law)", "axis": alt.Axis(format="+.2~f")}
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=GREY).encode(y="zero:Q")
    panels = []
    for name in varying or ["n_params"]:
        base = alt.Chart(values, width=WIDTH // 2, height=200)
        points = base.mark_circle(color=BLUE, size=25, opacity=0.5).encode(
            x=axes.x(name), y=alt.Y("residual:Q", **y), tooltip=_tooltip()
        )
        middle = (
            alt.Chart(data(_middle(shown, name), [name, "residual"]))
            .mark_line(color=VERMILION, strokeWidth=2)
            .encode(x=axes.x(name), y=alt.Y("residual:Q", **y))
        )
        panels.append(zero + points + middle)
    worst = _number(shown["residual"].abs().max())
    over = ", ".join(axes.NAMES[name] for name in varying)
    return Figure(
        "residuals",
        "What the law leaves unexplained",
        f"Residuals, ln of measured over predicted {metric}, over {over}: at most {worst:.2g} in size.",
        shown,
        tuple(panels),
        "Above zero the law says too little. Line: median at each value, or of tenths of the points where "
        "values are many; a slope or a bow means that the law has the wrong form there.",
    )


def _middle(shown: pl.DataFrame, name: str) -> pl.DataFrame:
    """Median residuals along a column; of many values by tenths."""
    if shown[name].n_unique() > _VALUES:
        rank = pl.col(name).rank("max") - 1
        group = (rank * 10 / shown.height).floor()
    else:
        group = pl.col(name)
    return (
        shown.group_by(group.alias("group"))
        .agg(pl.col(name).median(), pl.col("residual").median())
        .sort(name)
        .select(name, "residual")
    )


def _number(value: Any) -> float:
    """A statistic of a column, 0 of an empty one."""
    return float(value or 0)


def _tooltip() -> list[Any]:
    alt = altair()
    return [
        alt.Tooltip("n_params:Q", title="N", format=".3s"),
        alt.Tooltip("n_tokens:Q", title="D", format=".3s"),
        alt.Tooltip("k:Q"),
        alt.Tooltip("observed:Q", title="measured", format=".4g"),
        alt.Tooltip("predicted:Q", title="law", format=".4g"),
    ]
