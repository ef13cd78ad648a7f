"""How far sides of a comparison lie from the first."""

from __future__ import annotations

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import GREY, HEIGHT, WIDTH, altair
from t2fast.text import nominal


def differences(frame: pl.DataFrame, first: str, level: float) -> Figure:
    """Differences of pass@k from the first side over k, each with its band.

    Args:
        frame: a row a side and k, without the first: `name`, `k`, `difference`, `low`, `high`.
        first: the name of the side that they are from.
        level: confidence of a band, at every k at once.

    Returns:
        The figure.
    """
    alt = altair()
    names = frame["name"].unique(maintain_order=True).to_list()
    colour, dash = axes.series("name", names)
    columns = ["name", "k", "difference", "low", "high"]
    title = f"pass@k less that of {first}"
    base = alt.Chart(data(frame, columns), width=WIDTH, height=HEIGHT).encode(x=axes.x("k"), color=colour)
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    line = base.mark_line().encode(
        y=alt.Y("difference:Q", title=title),
        strokeDash=dash,
        tooltip=[
            alt.Tooltip("name:N"),
            alt.Tooltip("k:Q"),
            *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in ("difference", "low", "high")),
        ],
    )
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=GREY).encode(y="zero:Q")
    last = frame.filter(pl.col("k") == frame["k"].max())
    says = "; ".join(
        f"{row['name']}: {row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}) at k = {row['k']}"
        for row in last.iter_rows(named=True)
    )
    return Figure(
        "differences",
        f"Differences of pass@k from {first}",
        f"Differences of pass@k from {first} over the number of samples. {says}.",
        frame,
        (zero + band + line,),
        f"A {nominal(level)} band holds at every k at once: where it excludes 0 the sign is settled.",
    )
