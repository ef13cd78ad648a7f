"""What was measured of each checkpoint, over what its training took."""

from __future__ import annotations

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import HEIGHT, WIDTH, altair
from t2fast.compute import train_flops
from t2fast.text import counted


def values(frame: pl.DataFrame, value: str, title: str) -> Figure:
    """A value a checkpoint, over its training FLOPs 6ND, coloured by N.

    Args:
        frame: a row a checkpoint: `n_params`, `n_tokens`, the value, and if known `model`.
        value: the name of its column.
        title: of its axis, with a unit.

    Returns:
        The figure.
    """
    alt = altair()
    flops = train_flops(pl.col("n_params"), pl.col("n_tokens")).alias("train_flops")
    shown = frame.with_columns(flops).filter(pl.col(value).is_finite())
    named = ["model"] if "model" in frame.columns else []
    columns = [*named, "n_params", "n_tokens", "train_flops", value]
    ends = axes.ends(shown, value)
    positive = shown.height > 0 and bool((shown[value] > 0).all())
    # Only what is positive may be far apart.
    y = axes.value(title, *(ends if positive else (1.0, 1.0)))
    chart = (
        alt.Chart(data(shown, columns), width=WIDTH, height=HEIGHT)
        .mark_circle(size=45, opacity=0.85)
        .encode(
            x=axes.flops(shown["train_flops"]),
            y=alt.Y(f"{value}:Q", **y),
            color=axes.shades("n_params", shown["n_params"]),
            tooltip=[
                *(alt.Tooltip(f"{name}:N") for name in named),
                alt.Tooltip("n_params:Q", title="N", format=".3s"),
                alt.Tooltip("n_tokens:Q", title="D", format=".3s"),
                alt.Tooltip(f"{value}:Q", title=title, format=".4g"),
            ],
        )
    )
    least, most = shown.select(least=pl.min(value), most=pl.max(value)).row(0)
    between = "" if least is None else f", between {least:.4g} and {most:.4g}"
    return Figure(
        "values",
        f"{title[0].upper()}{title[1:]} by training compute",
        f"{title} of {counted(shown.height, 'checkpoint')} over training FLOPs{between}.",
        shown.select(columns),
        (chart,),
        "A dot a checkpoint; rows of one checkpoint are averaged.",
    )
