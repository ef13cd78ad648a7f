"""A plan under one budget for training and all queries, or for a target; and one whose check errs."""

from __future__ import annotations

from t2fast import charts
from t2fast.plans import CheckedPlan, SpendingPlan
from t2fast.plans.judging import by_samples
from t2fast.plans.spending_frontier import spending_frontier
from t2fast.reports.page import Block, Grid, Prose, Section
from t2fast.text import Columns

_TITLE = "The plan beside Chinchilla's"
_BY_SAMPLES = "The same model by samples; *: the plan"


def spent(found: SpendingPlan) -> Section:
    """The section about a plan under one budget, or for a target."""
    blocks: list[Block] = [
        _grid(found.table(), found.title),
        *(Prose(f"{words[0].upper()}{words[1:]}.") for words in found.findings() if words[0] != "!"),
    ]
    if found.answers is not None:
        table = by_samples(found.answers.by_k, found.answers.judging, found.chosen.k)
        blocks.append(_grid(table, _BY_SAMPLES))
    blocks.append(found.figure())
    # Where the check errs, every place of a frontier takes seconds.
    if found.answers is None and (frame := spending_frontier(found)).height > 1:
        blocks.append(charts.frontier(frame, found.law.domain, found.workload.unit))
    return Section(_TITLE, blocks)


def checked(found: CheckedPlan) -> Section:
    """The section about a plan under two budgets whose check errs."""
    says = found.finding()
    table = by_samples(found.by_k, found.judging, found.chosen.k)
    blocks: list[Block] = [_grid(found.table(), found.title), Prose(f"{says[0].upper()}{says[1:]}.")]
    return Section(_TITLE, [*blocks, _grid(table, _BY_SAMPLES), found.figure()])


def spent_warnings(found: SpendingPlan) -> list[str]:
    """What must not be overlooked."""
    return [*(words[2:] for words in found.findings() if words[0] == "!"), *found.warnings]


def _grid(table: Columns, caption: str) -> Grid:
    """A table of the terminal."""
    return Grid(table.headers, table.rows, caption=caption)
