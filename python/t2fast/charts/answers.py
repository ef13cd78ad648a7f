"""Right and wrong answers by the number of samples, where the check errs."""

from __future__ import annotations

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import GREY, HEIGHT, WIDTH, altair
from t2fast.text import nominal


def answers(
    frame: pl.DataFrame, chosen: float, metric: str, title: str, level: float | None = None
) -> Figure:
    """Shares of problems over k, the chosen k marked.

    Args:
        frame: a row a k: `k`, `right`, `wrong`, `worth` and `perfect`, the share solved under a check that
            does not err; with a level also `right_low`, `right_high`, and so on of `wrong` and `worth`.
        chosen: the k of the plan.
        metric: what `worth` is.
        title: what was asked for.
        level: confidence of the intervals; None: there are none.

    Returns:
        The figure.
    """
    alt = altair()
    names = {"right": "right answers", "wrong": "wrong answers", "worth": metric, "perfect": "perfect check"}
    if metric == names["right"]:
        del names["worth"]
    long = pl.concat([_side(frame, name, label) for name, label in names.items()])
    colour, dash = axes.series("answers", list(names.values()))
    y = {"title": "share of problems", "axis": alt.Axis(format="~g")}
    ends = () if level is None else ("low", "high")
    base = alt.Chart(data(long, long.columns), width=WIDTH, height=HEIGHT).encode(x=axes.x("k"), color=colour)
    shown = base.mark_line().encode(
        y=alt.Y("share:Q", **y),
        strokeDash=dash,
        tooltip=[
            alt.Tooltip("answers:N"),
            *(alt.Tooltip(f"{name}:Q", format=".4g") for name in ("k", "share", *ends)),
        ],
    )
    if level is not None:
        band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.15)
        shown = band.encode(y=alt.Y("low:Q", **y), y2="high:Q") + shown
    at = pl.DataFrame({"k": [float(chosen)]})
    mark = alt.Chart(data(at, ["k"])).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x=axes.x("k"))
    least, most = frame.row(0, named=True), frame.row(-1, named=True)
    says = (
        f"From k = {least['k']:.3g} to {most['k']:.3g} right answers go from {least['right']:.4g} to "
        f"{most['right']:.4g} and wrong ones from {least['wrong']:.4g} to {most['wrong']:.4g}; a perfect "
        f"check would have {least['perfect']:.4g} to {most['perfect']:.4g} right. The plan draws "
        f"{chosen:.3g}."
    )
    caption = "Dashed vertical line: the plan's k. All of it at the plan's N and D."
    if level is not None:
        caption += f" Bands: {nominal(level)} intervals over the draws of the law and of the check's rates."
    return Figure("answers", title, says, frame, (shown + mark,), caption)


def _side(frame: pl.DataFrame, name: str, label: str) -> pl.DataFrame:
    """One of the shares: `k`, `answers` (what it is of), `share`, and the ends of its interval or null."""
    found = [pl.lit(label).alias("answers"), pl.col(name).alias("share")]
    for end in ("low", "high"):
        column = f"{name}_{end}"
        known = pl.col(column) if column in frame.columns else pl.lit(None, pl.Float64)
        found.append(known.alias(end))
    return frame.select("k", *found)
