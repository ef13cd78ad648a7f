"""What every model size buys for one budget: isoFLOP profiles."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data, with_marks
from t2fast.charts.library import BLUE, GREY, HEIGHT, VERMILION, WIDTH, altair
from t2fast.text import amount, counted, nominal

_FAR = 5.0
"""Times below the best of a curve at which it leaves the picture."""


def profile(
    curve: pl.DataFrame, marks: pl.DataFrame, metric: str, title: str, level: float | None = None
) -> Figure:
    """The predicted value over N along one budget line, with choices marked.

    Args:
        curve: a row a size: `n_params`, `n_tokens`, `k`, `predicted`, and with a level the ends of its
            interval, `low` and `high`.
        marks: a row a choice: `choice` (its name) and the same, and with a level the interval of its N,
            `least` and `most`, null where it has none.
        metric: what is predicted, as `Law.metric`.
        title: of the figure.
        level: confidence of the intervals; None: there are none.

    Returns:
        The figure.
    """
    alt = altair()
    banded = level is not None
    ends, spans = (["low", "high"], ["least", "most"]) if banded else ([], [])
    columns = ["n_params", "n_tokens", "k", "predicted", *ends]
    # Where the band leaves what the curve and the choices reach, it does not matter how far.
    seen = [curve["predicted"], *(marks[end] for end in ("predicted", *ends))]
    low, high = axes.ends(pl.DataFrame({"at": pl.concat(seen)}), "at")
    y = axes.value(axes.METRICS[metric], low, high, (low / 1.2, high * 1.2) if banded else None)
    tooltip = _tooltip(*ends)
    base = alt.Chart(data(curve, columns), width=WIDTH, height=HEIGHT).encode(
        x=axes.x("n_params"), tooltip=tooltip
    )
    line = base.mark_line(color=GREY).encode(y=alt.Y("predicted:Q", **y))
    names = marks["choice"].to_list()
    colours = [BLUE, VERMILION][: len(names)]
    chosen = alt.Chart(data(marks, ["choice", *columns, *spans])).encode(
        y=alt.Y("predicted:Q", **y),
        color=alt.Color("choice:N", scale=alt.Scale(domain=names, range=colours), title=None),
        tooltip=[alt.Tooltip("choice:N"), *tooltip],
    )
    points = chosen.mark_point(size=110, filled=True, opacity=1).encode(
        x=axes.x("n_params"),
        shape=alt.Shape("choice:N", scale=alt.Scale(domain=names, range=["circle", "square"]), title=None),
    )
    chart, caption = line + points, ""
    if level is not None:
        band = base.mark_area(color=GREY, opacity=0.2, clip=True).encode(y=alt.Y("low:Q", **y), y2="high:Q")
        spread = chosen.mark_rule(strokeWidth=2).encode(
            x=alt.X("least:Q", **axes.size("n_params")), x2="most:Q"
        )
        chart = band + line + spread + points
        caption = (
            f"Band: the {nominal(level)} interval of what each size would bring. Bar through a choice: the "
            f"{nominal(level)} interval of its N, chosen anew by each of the law's draws."
        )
    says = "; ".join(
        f"{row['choice']}: N = {amount(row['n_params'])}, D = {amount(row['n_tokens'])}"
        + ("" if row["k"] is None else f", k = {row['k']:.3g}")
        + f", {metric} {row['predicted']:.4g}"
        + (f" ({row['low']:.4g} to {row['high']:.4g})" if banded and row["low"] is not None else "")
        for row in marks.iter_rows(named=True)
    )
    return Figure(
        "profile",
        title,
        f"Predicted {metric} over the number of parameters. {says}.",
        with_marks(
            curve.with_columns(pl.lit(None, pl.Float64).alias(name) for name in spans),
            marks,
            "choice",
            [*columns, *spans],
        ),
        (chart,),
        caption,
    )


def profiles(frame: pl.DataFrame, metric: str, title: str) -> Figure:
    """IsoFLOP profiles: the predicted value over N, a curve a training budget, its best size marked.

    Args:
        frame: a row a budget and size that spends it: `train_flops`, `n_params`, `n_tokens`, `k`,
            `predicted`, `best`.
        metric: what is predicted, as `Law.metric`.
        title: of the figure.

    Returns:
        The figure.
    """
    alt = altair()
    columns = ["train_flops", "n_params", "n_tokens", "k", "predicted"]
    best = frame.filter("best")
    y = alt.Y("predicted:Q", **axes.value(axes.METRICS[metric], *_worth_seeing(frame, best, metric)))
    curves = frame.filter(~pl.col("best"))
    drawn = curves.filter(pl.len().over("train_flops") > 1)  # one size makes no curve
    alone = frame["train_flops"].n_unique() - drawn["train_flops"].n_unique()
    colour = axes.shades("train_flops", drawn["train_flops"])
    base = alt.Chart(data(drawn, columns), width=WIDTH, height=HEIGHT + 40)
    lines = base.mark_line(clip=True).encode(
        x=axes.x("n_params"), y=y, color=colour, detail="train_flops:Q", tooltip=_tooltip()
    )
    stars = alt.Chart(data(best, columns)).encode(x=axes.x("n_params"), y=y, tooltip=_tooltip())
    path = stars.mark_line(color=VERMILION, strokeDash=[4, 3]).encode(order="train_flops:Q")
    points = stars.mark_point(filled=True, size=70, color=VERMILION, opacity=1)
    first, last = best.row(0, named=True), best.row(-1, named=True)
    caption = (
        "A curve a training budget, over sizes that spend it within the law's reach; dots: the best size."
    )
    if alone:
        caption += f" {counted(alone, 'budget')} without a curve: within reach no two sizes spend so much."
    return Figure(
        "isoflop",
        title,
        f"Predicted {metric} over the number of parameters for {counted(best.height, 'training budget')}: "
        f"the best size goes from {amount(first['n_params'])} at {first['train_flops']:.3g} FLOPs to "
        f"{amount(last['n_params'])} at {last['train_flops']:.3g}.",
        frame,
        (lines + path + points,),
        caption,
    )


def _worth_seeing(
    frame: pl.DataFrame, best: pl.DataFrame, metric: str
) -> tuple[float, float, tuple[float, float]]:
    """The ends of the values, and those of the axis: far from the best, it does not matter how far."""
    least, most = axes.ends(frame, "predicted")
    worst = axes.ends(best, "predicted")
    low, high = least, most
    if metric in ("pass@k", "accuracy"):
        low = max(least, worst[0] / _FAR)
    else:
        high = min(most, worst[1] * (1 + (worst[1] / worst[0] - 1) + 0.2))
    return low, high, (low * 0.95, high * 1.05)


def _tooltip(*ends: str) -> list[Any]:
    alt = altair()
    return [
        alt.Tooltip("n_params:Q", title="N", format=".3s"),
        alt.Tooltip("n_tokens:Q", title="D", format=".3s"),
        alt.Tooltip("k:Q", format=".3g"),
        *(alt.Tooltip(f"{name}:Q", format=".4g") for name in ("predicted", *ends)),
    ]
