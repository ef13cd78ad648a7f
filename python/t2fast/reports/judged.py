"""What a validation found."""

from __future__ import annotations

import math

from t2fast.reports.page import Grid, Prose, Section
from t2fast.text import percent
from t2fast.validation import Validation


def judged(found: Validation) -> Section:
    """The section about a validation."""
    rows = []
    for row in found.methods.iter_rows(named=True):
        shown = [_share(row[name]) for name in ("mean", "median", "worse", "coverage")]
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
    return Section(
        "How good its forecasts are", [Prose(words), Grid(headers, rows, caption=caption), found.figure()]
    )


def _share(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else percent(value)
