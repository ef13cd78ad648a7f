"""What a validation found."""

from __future__ import annotations

import math
from collections.abc import Iterator

import polars as pl

from t2fast import charts
from t2fast.charts import Figure
from t2fast.reports.page import Grid, Prose, Section
from t2fast.text import counted, percent
from t2fast.validation import Validation


def judged(found: Validation) -> Section:
    """The section about a validation."""
    rows = []
    for row in found.methods.iter_rows(named=True):
        shown = [_share(row[name]) for name in ("mean", "median", "worse", "coverage")]
        if row["method"] == "nearest":  # which is what "worse" is held against
            shown[2] = "-"
        width = "-" if row["width"] is None else f"{row['width']:.2g}"
        rows.append([row["method"], str(row["splits"]), *shown, width])
    headers = [
        "method",
        "splits",
        "mean error",
        "median",
        "worse than nearest",
        f"in {percent(found.level)} intervals",
        "width",
    ]
    words = f"{found.verdict[0].upper()}{found.verdict[1:]}."
    caption = (
        f"Relative error of {found.quantity} held out by {found.by}; worse: splits with an error above the "
        "nearest checkpoint's; width: upper over lower end"
    )
    grid = Grid(headers, rows, caption=caption)
    behind = f"from {found.draws:,} draws a split" if found.draws else "there are none"
    how = f"{counted(found.splits['split'].n_unique(), 'split')}; intervals: {behind}; seed {found.seed}."
    return Section(
        "How good its forecasts are",
        [Prose(words), grid, Prose(how), *_refusals(found), found.figure(), *_forecasts(found)],
    )


def _refusals(found: Validation) -> Iterator[Prose]:
    """Why methods have no forecast of some splits."""
    for row in found.methods.filter(pl.col("refused") > 0).iter_rows(named=True):
        splits = f"{row['refused']} of {row['refused'] + row['splits']} splits"
        yield Prose(f"{row['method']}: {splits} without a forecast: {row['refusal']}.")


def _forecasts(found: Validation) -> Iterator[Figure]:
    """What the primary method forecast beside what was measured."""
    points = found.points.filter(method=found.primary).rename(
        {"measured": "observed", "forecast": "predicted"}
    )
    points = points.filter(pl.col("predicted").is_finite())
    if points.height:
        level = found.level if points["low"].is_finite().any() else None
        title = f"Forecasts by the method {found.primary} against what was measured"
        yield charts.fit(points, found.quantity, level, "forecasts", title)


def _share(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else percent(value)
