"""pass@k over k, a curve a checkpoint."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import BLUE, HEIGHT, SERIES, WIDTH, altair
from t2fast.text import amount, counted, nominal

FEW = len(SERIES)
"""Curves up to which each has a colour and a band of its own."""
NAMED = 2 * FEW
"""Curves up to which a legend tells them apart, where nothing else does."""


def pass_curves(frame: pl.DataFrame, level: float) -> Figure:
    """Estimated pass@k with intervals.

    Args:
        frame: a row a checkpoint and k: `checkpoint`, `k`, `pass_at_k`, `low`, `high`, and if known
            `n_params`.
        level: confidence of the intervals.

    Returns:
        The figure. Up to six curves have colours and bands of their own; more are coloured by N if that
        is known, or alike where they are more than a dozen, and have bands at the highest and the lowest
        curve, until one is picked from a list: then at that.
    """
    alt = altair()
    known = frame.filter(pl.col("pass_at_k").is_finite())
    names = known["checkpoint"].unique(maintain_order=True).to_list()
    sized = "n_params" in frame.columns
    least, most = axes.ends(known, "pass_at_k")
    log = most / least > axes.WIDE
    floor = least / 2 if log else 0.0
    drawn = known.with_columns(pl.col("low").clip(floor)) if log else known
    drawn = drawn.filter(pl.col("pass_at_k") > 0) if log else drawn
    columns = ["checkpoint", "k", "pass_at_k", "low", "high", *(["n_params"] if sized else [])]
    base = alt.Chart(data(drawn, columns), width=WIDTH, height=HEIGHT).encode(x=axes.x("k"))
    top = most * 1.5 if log else axes.ends(known, "high")[1]
    domain = (floor, min(1.0, top))
    y = axes.value("pass@k", least, most, domain)
    tooltip = [
        alt.Tooltip("checkpoint:N"),
        alt.Tooltip("k:Q"),
        *(alt.Tooltip(f"{name}:Q", format=".4g") for name in ("pass_at_k", "low", "high")),
    ]
    few = len(names) <= FEW
    colour, dash = axes.series("checkpoint", names)
    told = few or len(names) <= NAMED
    if not few and sized:
        colour = axes.shades("n_params", frame["n_params"])
    elif not told:
        colour = alt.value(BLUE)
    base = base.encode(detail="checkpoint:N", color=colour)
    band = base.mark_area(clip=True).encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = base.mark_line(point={"size": 25}, clip=True).encode(y=alt.Y("pass_at_k:Q", **y), tooltip=tooltip)
    if few:
        chart = band.encode(opacity=alt.value(0.15)) + line.encode(strokeDash=dash)
    else:
        there = drawn["checkpoint"].unique(maintain_order=True).to_list()
        listed = alt.binding_select(options=[None, *there], labels=["all", *there], name="checkpoint ")
        pick = alt.selection_point(name="pick", fields=["checkpoint"], bind=listed)
        shown = alt.condition(pick, alt.value(0.25), alt.value(0.0), empty=False)
        line = line.encode(strokeDash=dash) if told and not sized else line
        faded = alt.condition(pick, alt.value(1.0), alt.value(0.12))
        ends = [row["checkpoint"] for row in _ends(drawn)[1]] if drawn.height else []
        unpicked = alt.condition("isDefined(pick.checkpoint)", alt.value(0.0), alt.value(0.2))
        outer = band.transform_filter({"field": "checkpoint", "oneOf": ends}).encode(opacity=unpicked)
        chart = (
            outer
            + band.encode(opacity=shown)
            + line.encode(opacity=faded).properties(name="lines").add_params(pick)
        )
    unseen = known.height - drawn.height
    missing = frame.height - known.height
    caption = (
        f"Bands: {nominal(level)} intervals, each k for itself, problems taken for draws from a population."
    )
    if not few:
        caption += (
            " Only the highest and the lowest curve have theirs here; pick a checkpoint from the list to see "
            "its band instead."
        )
    if unseen:
        caption += f" {counted(unseen, 'point')} with pass@k = 0 cannot be shown on a logarithmic axis."
    if missing:
        caption += f" {counted(missing, 'point')} left out: some problem has fewer than k samples."
    return Figure("pass_at_k", "pass@k by number of samples", _says(known), frame, (chart,), caption)


def _ends(known: pl.DataFrame) -> tuple[int, list[dict[str, Any]]]:
    """The largest k that most curves have, and there the highest curve and the lowest."""
    shared = known.group_by("k").len()
    common = shared.filter(pl.col("len") == pl.max("len"))["k"].sort()[-1]
    there = known.filter(pl.col("k") == common).sort("pass_at_k", descending=True, maintain_order=True)
    rows = there.rows(named=True)
    return common, rows[:1] + rows[1:][-1:]


def _says(known: pl.DataFrame) -> str:
    """The ends of the curves, at the largest k that most have."""
    if not known.height:
        return "No pass@k could be estimated."
    common, rows = _ends(known)
    ends = [f"{row['pass_at_k']:.3g} of {row['checkpoint']}" for row in rows]
    values = f" At k = {common} it is {' down to '.join(ends)}."
    return f"pass@k of {axes.sides(known)} over the number of samples.{values}"


def label(model: str | None, n_params: float | None, n_tokens: float | None) -> str:
    """What a checkpoint is called: its model, or its sizes."""
    if model is not None:
        return model
    sizes = [f"{symbol} = {amount(v)}" for symbol, v in (("N", n_params), ("D", n_tokens)) if v is not None]
    return ", ".join(sizes) or "the model"
