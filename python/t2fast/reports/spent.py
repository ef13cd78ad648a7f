"""A plan under one budget for training and all queries, or for a target: what it is and what it costs."""

from __future__ import annotations

from t2fast import charts
from t2fast.plans import SpendingPlan
from t2fast.plans.judging import by_samples
from t2fast.plans.spending_frontier import spending_frontier
from t2fast.reports.page import Block, Grid, Prose, Section
from t2fast.text import Columns


def spent(found: SpendingPlan) -> Section:
    """The section about such a plan."""
    blocks: list[Block] = [
        _grid(found.table(), found.title),
        *(Prose(f"{words[0].upper()}{words[1:]}.") for words in found.findings() if words[0] != "!"),
    ]
    if found.answers is not None:
        table = by_samples(found.answers.by_k, found.answers.judging, found.chosen.k)
        blocks.append(_grid(table, "The same model by samples a query; *: the plan"))
    blocks.append(found.figure())
    # Where the check errs, every place of a frontier takes seconds.
    if found.answers is None and (frame := spending_frontier(found)).height > 1:
        blocks.append(charts.frontier(frame, found.law.domain, found.workload.unit))
    return Section("The plan beside Chinchilla's", blocks)


def spent_warnings(found: SpendingPlan) -> list[str]:
    """What must not be overlooked."""
    return [*(words[2:] for words in found.findings() if words[0] == "!"), *found.warnings]


def _grid(table: Columns, caption: str) -> Grid:
    """A table of the terminal."""
    return Grid(table.headers, table.rows, caption=caption)
