"""The best N, D and k over budgets or targets, and what they are predicted to bring or to cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import GREY, ROUND, SIZE, TENTH, WIDTH, altair
from t2fast.text import amount

OURS, THEIRS = "plan", "Chinchilla"

_DRAWN = ("n_params", "n_tokens", "k")
_ALONG = {"train_flops": "training budget", "budget": "budget", "target": "target"}
"""What a frontier may run along, in words."""


def frontier(
    frame: pl.DataFrame, domain: Mapping[str, tuple[float, float]] | None = None, unit: str = "FLOPs"
) -> Figure:
    """Plans over budgets or targets beside Chinchilla's, with bands and with where the law's data end.

    Args:
        frame: what `t2fast.frontier` returned; or with `budget` or `target` in place of `train_flops`, and
            the `cost` of targets.
        domain: the law's.
        unit: of budgets and costs.

    Returns:
        The figure: panels for the predicted value, or for the cost of a target, for N, D and k.

    Raises:
        ValueError: if a column is missing.
    """
    alt = altair()
    along = next((name for name in _ALONG if name in frame.columns), "train_flops")
    brings = "cost" if along == "target" else "predicted"
    drawn = (brings, *_DRAWN)
    needed = [along, "metric", *(f"{side}{name}" for side in ("", "chinchilla_") for name in drawn)]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ValueError(f"the frame has no column {missing[0]!r}: pass what frontier returned")
    metric = str(frame["metric"][0])
    panels = []
    titles = {"predicted": axes.METRICS.get(metric, metric), "cost": f"cost ({unit})"}
    for name in drawn:
        long = _long(frame, along, name)
        if not long.height:  # a law without k
            continue
        x = _across(alt, long, along, metric, unit)
        panels.append(_panel(alt, x, long, name, titles.get(name), (domain or {}).get(name)))
    first, last = frame.row(0, named=True), frame.row(-1, named=True)

    def spelled(value: float) -> str:
        return amount(value) if unit == "USD" and value >= 1 else f"{value:.3g}"

    of = "" if along == "target" else f" {unit}"
    says = (
        f"The best model over {_ALONG[along]}s from {spelled(first[along])} to {spelled(last[along])}{of}: "
        f"N from {amount(first['n_params'])} to {amount(last['n_params'])}, "
        f"D from {amount(first['n_tokens'])} to {amount(last['n_tokens'])}"
    )
    if last["k"] is not None:
        says += f", k from {first['k']:.3g} to {last['k']:.3g}"
    if brings == "cost":
        says += f"; cost from {spelled(first['cost'])} to {spelled(last['cost'])} {unit}"
    else:
        says += f"; predicted {metric} from {first[brings]:.4g} to {last[brings]:.4g}"
    theirs = frame["chinchilla_predicted"].drop_nulls()
    if brings == "predicted" and len(theirs):
        says += f", by Chinchilla's choice from {theirs[0]:.4g} to {theirs[-1]:.4g}"
    says += "."
    inference = frame["inference_flops"].unique().to_list() if "inference_flops" in frame.columns else []
    title = f"The best choice by {_ALONG[along]}"
    if len(inference) == 1 and inference[0] is not None:
        title += f", at {inference[0]:.3g} inference FLOPs per token"
    banded = f"{brings}_low" in frame.columns
    caption = "Bands: intervals over the law's draws." if banded else "The law has no draws, hence no bands."
    if domain:
        caption += " Dashed grey lines: where the law's data end."
    return Figure("frontier", title, says, frame, tuple(panels), caption)


def _long(frame: pl.DataFrame, along: str, name: str) -> pl.DataFrame:
    """A row a place and side: the place, `choice`, `value`, `low`, `high`. Of costs our side alone, since
    Chinchilla's is the same.
    """
    sides = []
    for prefix, choice in (("", OURS), ("chinchilla_", THEIRS)):
        column = prefix + name
        ends = [f"{column}_low", f"{column}_high"]
        banded = set(ends) <= set(frame.columns)
        nothing = pl.lit(None, dtype=pl.Float64)
        low, high = (pl.col(end) if banded else nothing for end in ends)
        sides.append(
            frame.select(
                along,
                pl.lit(choice).alias("choice"),
                pl.col(column).cast(pl.Float64).alias("value"),
                low.cast(pl.Float64).alias("low"),
                high.cast(pl.Float64).alias("high"),
            )
        )
    return pl.concat(sides[: 1 if name == "cost" else 2]).filter(pl.col("value").is_not_null())


def _across(alt: Any, long: pl.DataFrame, along: str, metric: str, unit: str) -> Any:
    """The horizontal axis."""
    if along == "train_flops":
        return axes.flops(long["train_flops"])
    if along == "target":
        scale = alt.Scale(zero=False, nice=False, padding=8)
        return alt.X(
            "target:Q", title=f"target {metric}", scale=scale, axis=alt.Axis(format="~g", grid=False)
        )
    label = "format(datum.value, '~e')" if unit == "FLOPs" else SIZE
    scale = alt.Scale(type="log", nice=False, padding=8)
    axis = alt.Axis(labelExpr=(TENTH if unit == "FLOPs" else ROUND) + label, grid=False)
    return alt.X("budget:Q", title=f"budget ({unit})", scale=scale, axis=axis)


def _panel(
    alt: Any, x: Any, long: pl.DataFrame, name: str, title: str | None, seen: tuple[float, float] | None
) -> Any:
    along = long.columns[0]
    titled = title or axes.NAMES[name]
    colour, dash = axes.series("choice", [OURS, THEIRS])
    base = alt.Chart(data(long, long.columns), width=WIDTH * 3 // 4, height=220).encode(x=x, color=colour)
    y = axes.size(name) if title is None else axes.value(title, *axes.ends(long, "value"))
    tooltip = [
        alt.Tooltip("choice:N"),
        alt.Tooltip(f"{along}:Q", format=".3g"),
        *(alt.Tooltip(f"{column}:Q", title=shown, format=".4g" if name in ("predicted", "k") else ".3s")
          for column, shown in (("value", titled), ("low", "low"), ("high", "high"))),
    ]  # fmt: skip
    line = base.mark_line(point={"size": 20}).encode(
        y=alt.Y("value:Q", **y), strokeDash=dash, tooltip=tooltip
    )
    chart = line
    if long["low"].count():
        band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", **y), y2="high:Q")
        chart = band + line
    if seen is not None:
        ends = alt.Chart(alt.InlineData(values=[{"end": end} for end in sorted(set(seen))]))
        chart = ends.mark_rule(color=GREY, strokeDash=[3, 3]).encode(y=alt.Y("end:Q", **y)) + chart
    return chart
