"""Which checkpoints to make next."""

from __future__ import annotations

from t2fast.designs import Design
from t2fast.reports.page import Block, Grid, Prose, Section


def designed(found: Design) -> Section:
    """The section about runs to make next."""
    table = found.table()
    blocks: list[Block] = [Prose(f"Wanted: {words}.") for words in found.targets]
    if table.rows:
        caption = (
            f"Runs in their order, of {found.candidates:,} that could be made; spread left: what each leaves"
        )
        blocks.append(
            Grid(table.headers, table.rows, caption=f"{caption} of the target's standard deviation")
        )
    blocks.append(Prose(f"{found.stopped[0].upper()}{found.stopped[1:]}."))
    return Section("What to measure next", [*blocks, found.figure()] if table.rows else blocks)
