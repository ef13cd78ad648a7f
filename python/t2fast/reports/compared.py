"""How models, checkpoints or settings compare on the same problems."""

from __future__ import annotations

import polars as pl

from t2fast.charts.differences import FEW
from t2fast.comparisons import Comparison
from t2fast.reports.page import Block, Grid, Prose, Section
from t2fast.text import nominal


def compared(found: Comparison) -> Section:
    """The section about a comparison: where the sign is settled, then powers of two and the last k."""
    ks = [k for k in found.k.tolist() if k & (k - 1) == 0 or k == found.k[-1]]
    shown = found.frame.filter(pl.col("k").is_in(ks))
    rows = []
    for row in shown.sort("k", maintain_order=True).iter_rows(named=True):
        first = row["name"] == found.names[0]
        band = "" if first else f"{row['low']:+.4f} to {row['high']:+.4f}"
        rows.append(
            [
                row["name"],
                str(row["k"]),
                f"{row['pass_at_k']:.4f}",
                "" if first else f"{row['difference']:+.4f}",
                band,
                f"{row['best']:.0%}",
            ]
        )
    headers = ["side", "k", "pass@k", "difference", f"{nominal(found.level)} band", "chance that it is best"]
    caption = (
        f"Differences from {found.names[0]} over {found.problems} problems; a band holds at every k at once"
    )
    drawn = f"Bands and chances are from {found.draws:,} draws of the problems, seed {found.seed}."
    others = range(1, len(found.names))
    settled: list[Block] = [Prose(f"{found.words(side)}.") for side in others]
    if len(others) > FEW:
        lines = [[found.names[side], found.finding(side)] for side in others]
        settled = [Grid(["side", f"beside {found.names[0]}"], lines, 2, "Where the sign is settled")]
    table = Grid(headers, rows, caption=caption)
    return Section("How they compare", [*settled, found.figure(), table, Prose(drawn)])
