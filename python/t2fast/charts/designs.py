"""Runs to make next: which they are, and what each leaves open."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import HEIGHT, SERIES, WIDTH, altair
from t2fast.text import amount, counted

_COST = "format(datum.value, datum.value < 1e6 ? ',.6~g' : '.2~e')"
"""Dollars as they are written, FLOPs by their power of ten."""


def designs(runs: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """What is left of the target's spread over what the runs cost, and where the runs lie.

    Args:
        runs: a row a run, in their order: `n_params`, `n_tokens`, `cost`, `spent`, `spread`.
        targets: what is wanted, in words.

    Returns:
        The figure: a panel over what is spent, one of N and D.
    """
    alt = altair()
    numbered = runs.with_row_index("run", offset=1).with_columns(pl.col("run").cast(pl.Int64))
    before = pl.DataFrame({"run": [0], "spent": [0.0], "spread": [1.0]})
    spent = pl.concat([before, numbered.select("run", "spent", "spread")])
    tooltip = [
        alt.Tooltip("run:Q", title="run"),
        alt.Tooltip("spent:Q", title="spent", format=".3g"),
        alt.Tooltip("spread:Q", title="spread left", format=".1%"),
    ]
    left = (
        alt.Chart(data(spent, spent.columns), width=WIDTH * 3 // 4, height=HEIGHT)
        .mark_line(interpolate="step-after", point={"size": 45, "color": SERIES[0]}, color=SERIES[0])
        .encode(
            x=alt.X("spent:Q", title="spent (the unit of costs: FLOPs, unless the table names others)",
                    axis=alt.Axis(labelExpr=_COST, grid=False, labelOverlap=True)),
            y=alt.Y("spread:Q", title="what is left of the target's standard deviation",
                    scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            tooltip=tooltip,
        )
    )  # fmt: skip
    place = alt.Chart(
        data(numbered, ["run", *runs.columns]), width=WIDTH * 3 // 4, height=HEIGHT
    ).encode(
        x=axes.x("n_params", runs["n_params"]),
        y=alt.Y("n_tokens:Q", **axes.size("n_tokens", runs["n_tokens"])),
        tooltip=[
            *tooltip,
            alt.Tooltip("n_params:Q", title="N", format=".3s"),
            alt.Tooltip("n_tokens:Q", title="D", format=".3s"),
            alt.Tooltip("cost:Q", title="cost", format=".3g"),
        ],
    )  # fmt: skip
    dots = place.mark_circle(size=45, opacity=0.85, color=SERIES[0])
    words = place.mark_text(dx=9, dy=-8, fontSize=12, color=SERIES[0]).encode(text="run:N")
    listed = "; ".join(
        f"{number}: N = {amount(row['n_params'])}, D = {amount(row['n_tokens'])}, {row['spread']:.1%} left"
        for number, row in enumerate(runs.iter_rows(named=True), 1)
    )
    named = f"{counted(runs.height, 'run')} to make next, in their order."
    wanted = f"Wanted: {'; '.join(targets)}."
    return Figure(
        "design",
        "Runs to make next",
        f"{named} {listed}. {wanted}" if listed else f"{named} {wanted}",
        numbered,
        (left, dots + words),
        f"Numbers: the order of the runs. {wanted}",
    )
