"""The best N, D and k over training budgets, and what they are predicted to bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import GREY, WIDTH, altair
from t2fast.text import amount

OURS, THEIRS = "plan", "Chinchilla"

_DRAWN = ("predicted", "n_params", "n_tokens", "k")


def frontier(frame: pl.DataFrame, domain: Mapping[str, tuple[float, float]] | None = None) -> Figure:
    """Plans over training budgets beside Chinchilla's, with bands and with where the law's data end.

    Args:
        frame: what `t2fast.frontier` returned.
        domain: the law's.

    Returns:
        The figure: panels for the predicted value, N, D and k.

    Raises:
        ValueError: if a column is missing.
    """
    alt = altair()
    needed = ["train_flops", "metric", *(f"{side}{name}" for side in ("", "chinchilla_") for name in _DRAWN)]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ValueError(f"the frame has no column {missing[0]!r}: pass what frontier returned")
    metric = str(frame["metric"][0])
    panels = []
    for name in _DRAWN:
        long = _long(frame, name)
        if not long.height:  # a law without k
            continue
        panels.append(_panel(alt, long, name, metric, (domain or {}).get(name)))
    first, last = frame.row(0, named=True), frame.row(-1, named=True)
    says = (
        f"The best model over training budgets from {first['train_flops']:.3g} to "
        f"{last['train_flops']:.3g} FLOPs: N from {amount(first['n_params'])} to {amount(last['n_params'])}, "
        f"D from {amount(first['n_tokens'])} to {amount(last['n_tokens'])}"
    )
    if last["k"] is not None:
        says += f", k from {first['k']:.3g} to {last['k']:.3g}"
    says += (
        f"; predicted {metric} from {first['predicted']:.4g} to {last['predicted']:.4g}, by Chinchilla's "
        f"choice from {first['chinchilla_predicted']:.4g} to {last['chinchilla_predicted']:.4g}."
    )
    inference = frame["inference_flops"].unique().to_list() if "inference_flops" in frame.columns else []
    title = "The best choice by training budget"
    if len(inference) == 1 and inference[0] is not None:
        title += f", at {inference[0]:.3g} inference FLOPs per token"
    banded = "predicted_low" in frame.columns
    caption = "Bands: intervals over the law's draws." if banded else "The law has no draws, hence no bands."
    if domain:
        caption += " Dashed grey lines: where the law's data end."
    return Figure("frontier", title, says, frame, tuple(panels), caption)


def _long(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """A row a budget and side: `train_flops`, `choice`, `value`, `low`, `high`."""
    sides = []
    for prefix, choice in (("", OURS), ("chinchilla_", THEIRS)):
        column = prefix + name
        ends = [f"{column}_low", f"{column}_high"]
        banded = set(ends) <= set(frame.columns)
        nothing = pl.lit(None, dtype=pl.Float64)
        low, high = (pl.col(end) if banded else nothing for end in ends)
        sides.append(
            frame.select(
                "train_flops",
                pl.lit(choice).alias("choice"),
                pl.col(column).cast(pl.Float64).alias("value"),
                low.cast(pl.Float64).alias("low"),
                high.cast(pl.Float64).alias("high"),
            )
        )
    return pl.concat(sides).filter(pl.col("value").is_not_null())


def _panel(alt: Any, long: pl.DataFrame, name: str, metric: str, seen: tuple[float, float] | None) -> Any:
    title = axes.METRICS[metric] if name == "predicted" else axes.NAMES[name]
    colour, dash = axes.series("choice", [OURS, THEIRS])
    base = alt.Chart(data(long, long.columns), width=WIDTH * 3 // 4, height=220).encode(
        x=axes.flops(long["train_flops"]), color=colour
    )
    y = axes.value(title, *axes.ends(long, "value")) if name == "predicted" else axes.size(name)
    tooltip = [
        alt.Tooltip("choice:N"),
        alt.Tooltip("train_flops:Q", format=".3g"),
        *(alt.Tooltip(f"{column}:Q", title=shown, format=".4g" if name in ("predicted", "k") else ".3s")
          for column, shown in (("value", title), ("low", "low"), ("high", "high"))),
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
