"""How far forecasts were off what had been held out."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import DASHES, GREY, HEIGHT, SERIES, WIDTH, altair
from t2fast.text import percent

_PLACES = {
    "compute": ("held out from training FLOPs (6ND)", "~e"),
    "ratio": ("held out from tokens per parameter (D/N)", "~s"),
    "size": ("held out from parameters (N)", "~s"),
}


def errors(splits: pl.DataFrame, by: str, nearest: str) -> Figure:
    """The error of every method over the splits, the nearest checkpoint's in grey.

    Args:
        splits: a row a split and method, as `Validation.splits` has them.
        by: what was held out.
        nearest: the name of the method that is no forecast.

    Returns:
        The figure.
    """
    alt = altair()
    shown = splits.filter(pl.col("error").is_not_null()).with_columns(
        (100 * pl.col("error")).alias("percent")
    )
    names = shown["method"].unique(maintain_order=True).to_list()
    others = [name for name in names if name != nearest]
    colours = dict(zip(others, (*SERIES, *SERIES), strict=False)) | {nearest: GREY}
    dashes = dict(zip(others, (*DASHES, *DASHES), strict=False)) | {nearest: [1, 0]}
    x: Any
    if by in _PLACES:
        title, form = _PLACES[by]
        scale = alt.Scale(type="log", nice=False, padding=8)
        x = alt.X("threshold:Q", title=title, scale=scale, axis=alt.Axis(format=form))
    else:
        order = shown["split"].unique(maintain_order=True).to_list()
        x = alt.X("split:N", sort=order, title="held out", axis=alt.Axis(labelAngle=-60, labelLimit=120))
    columns = ["split", "threshold", "method", "percent", "seen", "held_out"]
    chart = (
        alt.Chart(data(shown, columns), width=WIDTH, height=HEIGHT)
        .mark_line(point={"size": 30})
        .encode(
            x=x,
            y=alt.Y("percent:Q", **axes.value("median relative error, %", *axes.ends(shown, "percent"))),
            color=alt.Color("method:N", scale=_scale(alt, names, colours), title=None, legend=axes.strokes()),
            strokeDash=alt.StrokeDash(
                "method:N", scale=_scale(alt, names, dashes), title=None, legend=axes.strokes()
            ),
            tooltip=[
                alt.Tooltip("method:N"),
                alt.Tooltip("split:N"),
                alt.Tooltip("percent:Q", title="error, %", format=".3g"),
                alt.Tooltip("seen:Q", title="checkpoints seen"),
                alt.Tooltip("held_out:Q", title="held out"),
            ],
        )
    )
    means = shown.group_by("method", maintain_order=True).agg(pl.col("error").mean())
    listed = ", ".join(f"{name} {percent(error)}" for name, error in means.iter_rows())
    return Figure(
        "errors",
        "How far forecasts were off",
        f"Median relative error of each method over the splits; on average: {listed}.",
        splits,
        (chart,),
        "Lower is better; above the nearest checkpoint's line a forecast is worse than a copy of that one.",
    )


def _scale(alt: Any, names: list[str], values: dict[str, Any]) -> Any:
    return alt.Scale(domain=names, range=[values[name] for name in names])
