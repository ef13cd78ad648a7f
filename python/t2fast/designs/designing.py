"""Which checkpoints to train next, so that what one wants to know becomes known at least cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Group, RenderableType

from t2fast.arguments import require_kind
from t2fast.charts import Drawn, Figure, Reported, designs
from t2fast.designs.candidates import read_candidates
from t2fast.designs.choosing import choose_runs
from t2fast.laws import ForecastLaw
from t2fast.laws.ends import interval
from t2fast.plans.planned import Constraints
from t2fast.plans.request import check_level, comparison_rule, constraints_of, positive
from t2fast.plans.search import cloud_of
from t2fast.tables.sources import TableSource
from t2fast.text import Columns, amount, columns, line, nominal, note, plain

Floats = npt.NDArray[np.float64]
Place = tuple[float, float] | tuple[float, float, float]

_LEAST_DRAWS = 50
_MOST_RUNS = 4_000
"""Their covariances take 128 MB."""


@dataclass(frozen=True)
class Design(Drawn, Reported):
    """Runs to make next, in their order.

    Attributes:
        runs: `n_params`, `n_tokens`, `cost`, `spent` (with those before it) and `spread`: what is left of the
            target's standard deviation once it is measured, too, as a share of today's.
        targets: what is wanted, in words, with its interval as the law has it today.
        candidates: runs there were to choose from.
        stopped: why there are no more.
        warnings: what the law says of itself.
    """

    runs: pl.DataFrame
    targets: tuple[str, ...]
    candidates: int
    stopped: str
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """The runs in their order, what each leaves of the target's spread, and why there are no more."""
        parts: list[RenderableType] = [line(f"wanted: {words}") for words in self.targets]
        parts += [self.table()] if self.runs.height else []
        return Group(*parts, note(self.stopped), *map(note, self.warnings))

    def table(self) -> Columns:
        """The runs in their order, and what each leaves of the target's spread."""
        table = columns("run", "N", "D", "cost", "spent", "spread left")
        for number, row in enumerate(self.runs.iter_rows(named=True), 1):
            table.add_row(
                str(number),
                amount(row["n_params"]),
                amount(row["n_tokens"]),
                f"{row['cost']:.3g}",
                f"{row['spent']:.3g}",
                f"{row['spread']:.1%}",
            )
        return table

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return {
            "targets": list(self.targets),
            "candidates": self.candidates,
            "runs": self.runs.to_dicts(),
            "stopped": self.stopped,
            "warnings": list(self.warnings),
        }

    def figure(self) -> Figure:
        """What the runs leave of the target's spread over what is spent, and where they lie."""
        return designs(self.runs, self.targets)


def design(
    law: ForecastLaw,
    runs: TableSource,
    *,
    at: Sequence[Place] = (),
    plan_for: tuple[float, float | None] | None = None,
    budget: float | None = None,
    count: int = 8,
    columns: Mapping[str, str] | None = None,
    extrapolate: float = math.inf,
    level: float = 0.9,
) -> Design:
    """Choose the runs that shrink what a law leaves open about a target most for their cost.

    By the law's own draws, greedily: each run for the largest reduction of the target's variance for its
    cost, given those before it (sequential optimal design; the draws stand where textbooks have the
    Jacobian). The draws know nothing but the law: measure a few runs, fit anew and ask again, in rounds that
    each double what is spent, say, rather than all at once.

    Args:
        law: a forecast law with draws, fitted to what was measured so far.
        runs: a table of the runs that could be made: `n_params`, `n_tokens` and, if costs are not 6 N D,
            `cost`.
        at: targets: the law's value at these (N, D) or (N, D, k).
        plan_for: target: the N of the plan under (train_flops, inference_flops), the latter None for a law
            without k.
        budget: most that the runs may cost together; None: no limit.
        count: most runs.
        columns: of `runs`: canonical name -> the table's name.
        extrapolate: how far beyond the data the plan may go, as for `t2fast.plan`.
        level: of the intervals that are shown.

    Returns:
        The runs in their order, with what each leaves of the target's spread; it prints itself.

    Raises:
        TypeError: for another law.
        ValueError: for one without draws, no target, and for runs that cannot be read.
    """
    require_kind("a design", law, (ForecastLaw,), "t2fast.fit_forecast gives one")
    check_level(level)
    if law.draws is None or len(law.draws) < _LEAST_DRAWS:
        found = 0 if law.draws is None else len(law.draws)
        raise ValueError(
            f"the law has {found} draws, and a design rests on how they go together: fit it with draws=400"
        )
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    most = math.inf if budget is None else positive("budget", budget)
    found_runs = read_candidates(runs, columns=columns)
    if found_runs.height > _MOST_RUNS:
        raise ValueError(f"{found_runs.height} runs are too many to choose from: give at most {_MOST_RUNS}")
    targets, words = _targets(law, at, plan_for, extrapolate, level)
    n, d, cost = (found_runs[name].to_numpy() for name in ("n_params", "n_tokens", "cost"))
    # pass@1, where the law has k: a run is measured at every k, and they go together.
    values = np.log(law.draw_values(n, d, 1.0, "mean"))
    scatter = _square_spread(np.log(law.draw_values(n, d, 1.0, "checkpoint"))) - _square_spread(values)
    # What draws cannot tell from nothing is taken as little, not as none: no run is free of scatter.
    noise = np.maximum(scatter, 1e-3 * values.var(axis=0).max() + 1e-12)
    before = float(targets.var(axis=0, ddof=1).sum())
    steps = list(choose_runs(targets, values, noise, cost, most, count))
    places = [step.place for step in steps]
    taken = found_runs[places].with_columns(
        spent=pl.Series(np.cumsum(cost[places]), dtype=pl.Float64),
        spread=pl.Series([math.sqrt(max(step.variance, 0.0) / before) for step in steps], dtype=pl.Float64),
    )
    why = _why(steps, count, cost, places, most)
    said = tuple(f"the law: {caution}" for caution in law.cautions)
    return Design(taken, words, found_runs.height, why, said)


def _targets(
    law: ForecastLaw,
    at: Sequence[Place],
    plan_for: tuple[float, float | None] | None,
    extrapolate: float,
    level: float,
) -> tuple[Floats, tuple[str, ...]]:
    """Draws of the logarithm of each target, (draws, targets), and each in words."""
    drawn: list[Floats] = []
    words: list[str] = []
    for place in at:
        n, d, k = (*place, 1.0)[:3]
        values = law.draw_values(n, d, k, "mean")
        low, high = interval(values, level)
        samples = f", {k:g} {'sample' if k == 1 else 'samples'}" if law.has_k else ""
        words.append(
            f"{law.metric} of {amount(n)} parameters after {amount(d)} tokens{samples}: "
            f"{low:.4g} to {high:.4g} ({nominal(level)})"
        )
        drawn.append(np.log(values))
    if plan_for is not None:
        train, inference = positive("train_flops", plan_for[0]), plan_for[1]
        if law.has_k and inference is None:
            raise ValueError("plan_for needs (train_flops, inference_flops): the law is one of pass@k")
        sizes = _planned_sizes(law, train, inference, extrapolate)
        low, high = interval(sizes, level)
        words.append(
            f"the N of the plan for {train:.3g} training FLOPs: {amount(low)} to {amount(high)} "
            f"({nominal(level)})"
        )
        drawn.append(np.log(sizes))
    if not drawn:
        raise ValueError("nothing is wanted: give at=[(N, D, k)] or plan_for=(train_flops, inference_flops)")
    targets = np.stack(drawn, axis=1)
    if not (targets.std(axis=0) > 0).all():
        raise ValueError("the law's draws agree on a target: there is nothing to learn about it")
    return targets, tuple(words)


def _square_spread(draws: Floats) -> Floats:
    """Variance of each column by its middle 68%: new checkpoints' draws have tails that decide any other."""
    low, high = np.quantile(draws, (0.1587, 0.8413), axis=0)
    return np.asarray((high - low) ** 2 / 4)


def _planned_sizes(law: ForecastLaw, train: float, inference: float | None, extrapolate: float) -> Floats:
    """The N of every draw's plan."""
    constraints: Constraints = constraints_of(law, None, None, None, False, extrapolate)[0]
    budgets = np.array([[train], [math.inf if inference is None else positive("inference_flops", inference)]])
    cloud = cloud_of(law, budgets, constraints, comparison_rule(law, None))
    assert cloud is not None
    return np.asarray(cloud.n_params[0], dtype=np.float64)


def _why(steps: list[Any], count: int, cost: Floats, places: list[int], most: float) -> str:
    if len(steps) == count:
        return f"{count} runs were asked for: measure them, fit anew, and ask again"
    if len(steps) == len(cost):
        return "these are all the runs there are"
    rest = np.delete(cost, places)
    if not places and most < rest.min():
        return f"a budget of {most:.3g} is less than the cheapest run costs, {rest.min():.3g}"
    if most - cost[places].sum() < rest.min():
        return "the budget is spent"
    return "no other run within the budget tells more than chance would show: fit with more draws, or stop"
