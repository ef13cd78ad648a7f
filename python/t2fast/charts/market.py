"""Models that exist: what they solve for what they cost."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data, with_marks
from t2fast.charts.library import GREY, HEIGHT, WIDTH, altair
from t2fast.text import nominal

_SOLVED = "share of queries solved"


def market(frontier: pl.DataFrame, picks: pl.DataFrame, title: str, level: float) -> Figure:
    """pass@k over US dollars a query, with intervals, a colour a model, the best of each kind marked.

    Args:
        frontier: a row an option that nothing cheaper equals: `model`, `k`, `usd_per_query`, `pass_at_k`,
            `low`, `high`.
        picks: a row a kind of choice: `pick` and the same.
        title: what was asked for.
        level: confidence of the intervals.

    Returns:
        The figure.
    """
    alt = altair()
    columns = ["model", "k", "usd_per_query", "pass_at_k", "low", "high"]
    models = frontier["model"].unique(maintain_order=True).to_list()
    x = alt.X(
        "usd_per_query:Q",
        title="US dollars a query",
        scale=_dollars(alt, frontier, picks),
        axis=alt.Axis(format="~g"),
    )
    scale = alt.Scale(zero=False)
    y = alt.Y("pass_at_k:Q", title=_SOLVED, scale=scale)
    base = alt.Chart(data(frontier, columns), width=WIDTH, height=HEIGHT).encode(x=x)
    band = base.mark_area(opacity=0.2, color=GREY).encode(
        y=alt.Y("low:Q", title=_SOLVED, scale=scale), y2="high:Q"
    )
    tooltip = _tooltip(alt)
    colour, dash = axes.series("model", models)
    line = base.mark_line(point={"size": 25}).encode(
        y=y,
        color=colour,
        strokeDash=dash,
        tooltip=tooltip,
    )
    kinds = picks["pick"].to_list()
    marked = (
        alt.Chart(data(picks, ["pick", *columns]))
        .mark_point(size=160, filled=False, strokeWidth=2.5, color=GREY)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape(
                "pick:N",
                scale=alt.Scale(domain=kinds, range=["circle", "triangle-up", "square"][: len(kinds)]),
                title="best",
            ),
            tooltip=[alt.Tooltip("pick:N"), *tooltip],
        )
    )
    says = "; ".join(
        f"best {row['pick']}: {row['model']}, k = {row['k']}, {row['pass_at_k']:.3f} solved for "
        f"{row['usd_per_query']:.3g} USD"
        for row in picks.iter_rows(named=True)
    )
    return Figure(
        "market",
        title,
        f"Share of queries solved over US dollars a query. {says[0].upper()}{says[1:]}.",
        with_marks(frontier, picks, "pick", columns),
        (band + line + marked,),
        f"Options that nothing cheaper equals. Band: {nominal(level)} intervals, for all compared at once.",
    )


def _dollars(alt: Any, frontier: pl.DataFrame, picks: pl.DataFrame) -> Any:
    costs = pl.concat([frontier["usd_per_query"], picks["usd_per_query"]])
    least, most = axes.ends(pl.DataFrame({"usd": costs}), "usd")
    free = bool((costs <= 0).any())
    return alt.Scale(type="linear" if free or most == least else "log", nice=False, padding=8)


def _tooltip(alt: Any) -> list[Any]:
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("k:Q"),
        *(alt.Tooltip(f"{name}:Q", format=".4g") for name in ("usd_per_query", "pass_at_k", "low", "high")),
    ]
