"""Right and wrong answers by the number of samples, where the check errs."""

from __future__ import annotations

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import GREY, HEIGHT, WIDTH, altair


def answers(frame: pl.DataFrame, chosen: float, metric: str, title: str) -> Figure:
    """Shares of problems over k, the chosen k marked.

    Args:
        frame: a row a k: `k`, `right`, `wrong`, `worth` and `perfect`, the share solved under a check that
            does not err.
        chosen: the k of the plan.
        metric: what `worth` is.
        title: what was asked for.

    Returns:
        The figure.
    """
    alt = altair()
    names = {"right": "right answers", "wrong": "wrong answers", "worth": metric, "perfect": "perfect check"}
    if metric == names["right"]:
        del names["worth"]
    long = frame.select("k", *(pl.col(name).alias(label) for name, label in names.items())).unpivot(
        index="k", variable_name="answers", value_name="share"
    )
    colour, dash = axes.series("answers", list(names.values()))
    y = alt.Y("share:Q", title="share of problems", axis=alt.Axis(format="~g"))
    lines = (
        alt.Chart(data(long, ["k", "answers", "share"]), width=WIDTH, height=HEIGHT)
        .mark_line()
        .encode(
            x=axes.x("k"),
            y=y,
            color=colour,
            strokeDash=dash,
            tooltip=[
                alt.Tooltip("answers:N"),
                alt.Tooltip("k:Q", format=".4g"),
                alt.Tooltip("share:Q", format=".4g"),
            ],
        )
    )
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
    return Figure("answers", title, says, frame, (lines + mark,), caption)
