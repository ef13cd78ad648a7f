"""What a testbed measured: sizes at equal cost, what laws recommend, and what became of promises."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts import axes
from t2fast.charts.figure import Figure, data
from t2fast.charts.library import BLUE, GREY, SERIES, VERMILION, WIDTH, altair
from t2fast.text import counted

_COLUMNS = 2
"""Tasks side by side."""
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""Of laws, so that colour is not all that tells them apart."""
_ROW = 26
"""Height of a line of a list, in pixels."""


def testbed(sizes: pl.DataFrame, plans: pl.DataFrame, loop: pl.DataFrame, budget: float) -> Figure:
    """IsoFLOP profiles that were measured, D/N as laws recommend it, and promises beside what came of them.

    Args:
        sizes: a row a task, training budget and size: `task`, `train_flops`, `n_params`, `n_tokens`, `k`,
            `measured` (pass@k), `best`.
        plans: a row a task and law: `task`, `law`, `n_params`, `n_tokens`; it may have no rows.
        loop: a row a task and choice: `task`, `choice`, `predicted`, `low`, `high`, `measured`; it may have
            no rows.
        budget: training FLOPs that the laws were asked for.

    Returns:
        The figure; its data are the sizes'.
    """
    sizes, plans, loop = _named(sizes), _named(plans), _named(loop)
    panels, says = [_profiles(sizes)], [_best(sizes)]
    if plans.height:
        panels.append(_advice(plans, budget))
        says.append(f"D/N that {counted(plans['law'].n_unique(), 'law')} recommend for {budget:.3g} FLOPs.")
    if loop.height:
        panels.append(_promises(loop))
        inside = loop.filter(pl.col("measured").is_between(pl.col("low"), pl.col("high"))).height
        says.append(f"{inside} of {counted(loop.height, 'promise')} were kept within their intervals.")
    return Figure(
        "testbed",
        "What the testbed measured",
        " ".join(says),
        sizes,
        tuple(panels),
        "Profiles: a curve a training budget, at the k that the inference budget buys of each size; dots: "
        "the best size measured. Promises: bars are 90% intervals, ticks what was promised, dots what was "
        "measured.",
    )


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Tasks without their settings, which titles have no room for, where that tells them apart."""
    if not frame.height:
        return frame
    bare = pl.col("task").str.split(":").list.first()
    return frame.with_columns(
        task=pl.when(pl.col("task").n_unique().over(bare) == 1).then(bare).otherwise("task")
    )


def _best(sizes: pl.DataFrame) -> str:
    most = sizes.filter(pl.col("best") & (pl.col("train_flops") == pl.col("train_flops").max()))
    listed = "; ".join(
        f"{row['task']} {row['n_tokens'] / row['n_params']:.3g}" for row in most.iter_rows(named=True)
    )
    return f"Tokens a parameter of the best size at the largest budget: {listed}."


def _profiles(sizes: pl.DataFrame) -> Any:
    alt = altair()
    columns = ["task", "train_flops", "n_params", "n_tokens", "k", "measured", "best"]
    tooltip = [
        alt.Tooltip("n_params:Q", title="N", format=".3s"),
        alt.Tooltip("n_tokens:Q", title="D", format=".3s"),
        alt.Tooltip("k:Q", format=".3g"),
        alt.Tooltip("measured:Q", title="pass@k", format=".4g"),
    ]
    # A scale a task: where one is solved and another hardly begun, a common one shows neither.
    y = alt.Y("measured:Q", title="pass@k", scale=alt.Scale(zero=False))
    base = alt.Chart(width=WIDTH // 2, height=150).encode(x=axes.x("n_params"), y=y, tooltip=tooltip)
    lines = base.mark_line(point={"size": 15}).encode(
        color=axes.shades("train_flops", sizes["train_flops"]), detail="train_flops:Q"
    )
    dots = base.transform_filter("datum.best").mark_point(filled=True, size=60, color=VERMILION, opacity=1)
    tasks = alt.Facet("task:N", title=None, sort=sizes["task"].unique(maintain_order=True).to_list())
    panels = alt.layer(lines, dots, data=data(sizes, columns)).facet(facet=tasks, columns=_COLUMNS)
    return panels.resolve_scale(y="independent")


def _advice(plans: pl.DataFrame, budget: float) -> Any:
    alt = altair()
    shown = plans.with_columns(ratio=pl.col("n_tokens") / pl.col("n_params"))
    laws = shown["law"].unique(maintain_order=True).to_list()
    colours = alt.Scale(domain=laws, range=SERIES[: len(laws)])
    shapes = alt.Scale(domain=laws, range=_SHAPES[: len(laws)])
    names = shown["task"].unique(maintain_order=True).to_list()
    values = data(shown, ["task", "law", "ratio", "n_params"])
    return (
        alt.Chart(values, width=WIDTH // 2, height=_ROW * len(names))
        .mark_point(size=60, filled=True, opacity=0.8)
        .encode(
            x=alt.X("ratio:Q", title=f"D/N recommended for {budget:.3g} FLOPs", scale=alt.Scale(type="log")),
            y=alt.Y("task:N", title=None, sort=names),
            color=alt.Color("law:N", scale=colours, title=None),
            shape=alt.Shape("law:N", scale=shapes, legend=None),
            tooltip=[
                alt.Tooltip("law:N"),
                alt.Tooltip("ratio:Q", title="D/N", format=".3g"),
                alt.Tooltip("n_params:Q", title="N", format=".3s"),
            ],
        )
    )


def _promises(loop: pl.DataFrame) -> Any:
    alt = altair()
    shown = loop.with_columns(promise=pl.concat_str("task", "choice", separator=", "))
    names = shown["promise"].to_list()
    columns = ["promise", "predicted", "low", "high", "measured"]
    ends = axes.ends(shown, "low", "high", "measured")
    axis = axes.value("pass@k promised (bar) and measured (dot)", *ends)
    base = alt.Chart(data(shown, columns), width=WIDTH // 2, height=_ROW * len(names)).encode(
        y=alt.Y("promise:N", title=None, sort=names),
        tooltip=[
            alt.Tooltip("promise:N"),
            *(alt.Tooltip(f"{name}:Q", format=".4g") for name in columns[1:]),
        ],
    )
    bars = base.mark_bar(height=8, color=GREY, opacity=0.4).encode(x=alt.X("low:Q", **axis), x2="high:Q")
    said = base.mark_tick(color=BLUE, thickness=3, size=14).encode(x=alt.X("predicted:Q", **axis))
    dots = base.mark_point(filled=True, size=60, color=VERMILION, opacity=1).encode(
        x=alt.X("measured:Q", **axis)
    )
    return bars + said + dots
