"""Plans under one budget for training and all queries together, and the least cost of a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.costs.flops import Architecture
from t2fast.laws import AnyLaw
from t2fast.laws.data_wall import DataWall
from t2fast.laws.ends import ends
from t2fast.plans.planned import Interval
from t2fast.plans.request import check_law, check_level, positive
from t2fast.plans.search import drawn_values, tails
from t2fast.plans.workload import Limit, Prices, Workload, check_workload
from t2fast.text import amount, chance, plain, ratio, samples
from t2fast.text import columns as table_columns

Floats: TypeAlias = npt.NDArray[np.float64]
Range: TypeAlias = tuple[float, float]
Sizes: TypeAlias = "Range | Sequence[float] | Sequence[Architecture] | Sequence[float | Architecture]"

_D_RANGE = (1.0, 1e20)
_INTERVALS = ("n_params", "n_tokens", "k", "tokens_per_param", "predicted", "cost")


@dataclass(frozen=True)
class Search:
    """What the core is asked for.

    Attributes:
        n_params: least and most N.
        prices: of `Workload.prices`, a parameter.
        sizes: (N, prices) to choose from, in place of a range.
        n_tokens: least and most D.
        k: least and most k.
        whole_k: whether k has to be whole.
        wall: unique tokens and R_D*.
        limits: (prompt, sample, floor, most) of every `Limit`.
        goal: "budget", the best for it; "ratio", the same with D = tokens_per_param N; "target", the least
            cost of a value; "highest", the best whatever it costs.
        amount: the budget or the value.
        tokens_per_param: of the goal "ratio".
    """

    n_params: Range
    prices: Prices
    sizes: list[tuple[float, Prices]] | None
    n_tokens: Range
    k: Range
    whole_k: bool
    wall: tuple[float, float] | None
    limits: list[tuple[float, float, float, float]]
    goal: Literal["budget", "ratio", "target", "highest"]
    amount: float
    tokens_per_param: float = math.nan

    def __post_init__(self) -> None:
        for name in ("n_params", "n_tokens", "k"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} from {low:g} to {high:g}: give a positive range, least end first")
        if self.k[0] < 1:
            raise ValueError(f"k from {self.k[0]:g}: a query gets at least one sample")

    def run(self, law: AnyLaw, which: Literal["point", "draws"]) -> Floats:
        """(rows, 7): N, D, k, value, cost of training, cost of queries, gap; NaN where there is no choice."""
        return law.solver(which).spend(which, self)


@dataclass(frozen=True)
class Spending:
    """N, D and k, and where the money goes.

    Attributes:
        n_params: N.
        n_tokens: D.
        k: samples a query.
        predicted: the law's value.
        metric: what that is.
        training: cost of training.
        serving: cost of all queries.
        gap: how much better the best could still be by the curvature there, in the law's value, or in ln cost
            where a target was asked for; NaN at a corner of the ranges, where there is no curvature.
        intervals: of N, D, k, D/N, the value and the cost, percentiles over the law's draws, each planned
            anew; "predicted_here" is of the value of this very plan.
        reached: the share of draws in which there is a plan at all: below 1 where not every draw reaches a
            target. None without draws.
        architecture: which one was chosen, where there was a list.
        drawn: what `intervals` are of, a row a draw: N, D, k, value, cost of training, cost of queries, gap;
            NaN where a draw has no plan.
    """

    n_params: float
    n_tokens: float
    k: float
    predicted: float
    metric: str
    training: float
    serving: float
    gap: float
    intervals: dict[str, Interval] = field(default_factory=dict)
    reached: float | None = None
    architecture: Architecture | None = None
    drawn: Floats | None = field(default=None, repr=False, compare=False)

    @property
    def cost(self) -> float:
        """Of everything."""
        return self.training + self.serving

    @property
    def tokens_per_param(self) -> float:
        """D/N."""
        return self.n_tokens / self.n_params

    def __str__(self) -> str:
        table = table_columns("", "plan", left=("",))
        for label, value in (
            ("parameters N", amount(self.n_params)),
            ("training tokens D", amount(self.n_tokens)),
            ("samples per query k", samples(self.k)),
            ("tokens per parameter", ratio(self.tokens_per_param)),
            (f"predicted {self.metric}", chance(self.predicted)),
            ("training costs", f"{self.training:.4g} ({self.training / self.cost:.0%})"),
            ("queries cost", f"{self.serving:.4g}"),
        ):
            table.add_row(label, value)
        return plain(table)


def best_spending(
    law: AnyLaw,
    budget: float,
    workload: Workload,
    *,
    n_params: Sizes = (1e6, 1e13),
    n_tokens: Range = _D_RANGE,
    k: Range = (1.0, 1e6),
    integer_k: bool = False,
    unique_tokens: float | None = None,
    limits: Sequence[Limit] = (),
    level: float | None = 0.9,
) -> Spending:
    """The best N, D and k under one budget: what serving leaves trains, up to the most tokens, or up to where
    the law gets worse with more of them.

    Args:
        law: the law.
        budget: in the unit of the workload's prices.
        workload: queries and prices.
        n_params: a tuple (least, most), a list of sizes, or a list of architectures.
        n_tokens: least and most D; equal ends fix it, here and for N and k.
        k: least and most k.
        integer_k: whether k has to be whole.
        unique_tokens: text that there is; of more, the rest is worth less (`DataWall`).
        limits: on what a query may cost, or how long it may take.
        level: coverage of the intervals over the law's draws; None for none.

    Returns:
        The choice, what it costs and what the law predicts there.

    Raises:
        ValueError: if the budget cannot train the least model on the least tokens and serve it, saying what
            that costs; for a law whose fit did not converge.
    """
    check_law(law)
    positive("budget", budget)
    models = _Models.of(n_params, workload)
    least = models.least(n_tokens[0], k[0])
    if least > budget:
        raise ValueError(
            f"budget: {workload.money(budget)} is too little for the least model ({amount(models.range[0])} "
            f"parameters, {amount(n_tokens[0])} tokens, k = {k[0]:g}), which costs {workload.money(least)}, "
            f"{least / budget:.3g} times that"
        )
    search = models.search(n_tokens, k, integer_k, unique_tokens, limits, "budget", budget)
    chosen = _chosen(law, search, models, level)
    if chosen is None:
        raise ValueError(f"the {law.name} law has no finite value under this budget: check its parameters")
    return chosen


def chinchilla_spending(
    law: AnyLaw,
    budget: float,
    workload: Workload,
    *,
    tokens_per_param: float = 20.0,
    n_params: Range = (1e6, 1e13),
    k: Range = (1.0, 1e6),
    unique_tokens: float | None = None,
    limits: Sequence[Limit] = (),
    level: float | None = 0.9,
) -> Spending | None:
    """The best N and k under the same budget with D = tokens_per_param N, arguments as for `best_spending`;
    None if the budget buys no such model.
    """
    check_law(law)
    models = _Models.of(n_params, workload)
    search = models.search(_D_RANGE, k, False, unique_tokens, limits, "ratio", positive("budget", budget))
    return _chosen(law, replace(search, tokens_per_param=tokens_per_param), models, level)


def cheapest_spending(
    law: AnyLaw,
    target: float,
    workload: Workload,
    *,
    n_params: Sizes = (1e6, 1e13),
    n_tokens: Range = _D_RANGE,
    k: Range = (1.0, 1e6),
    integer_k: bool = False,
    unique_tokens: float | None = None,
    limits: Sequence[Limit] = (),
    level: float | None = 0.9,
) -> Spending:
    """The N, D and k of least cost at which the law reaches a target.

    For every N and k the tokens are the fewest that reach it, the law improving with D.

    Args:
        law: the law.
        target: pass@k, or a loss where the law predicts one.
        workload: queries and prices.
        n_params: a tuple (least, most), a list of sizes, or a list of architectures.
        n_tokens: least and most D; equal ends fix it, here and for N and k.
        k: least and most k.
        integer_k: whether k has to be whole.
        unique_tokens: text that there is; of more, the rest is worth less (`DataWall`).
        limits: on what a query may cost, or how long it may take.
        level: coverage of the intervals over the law's draws; None for none.

    Returns:
        The choice; its intervals are of the draws that reach the target, `reached` their share.

    Raises:
        ValueError: if the law reaches the target nowhere in these ranges, with the best value that it
            reaches; for a law whose fit did not converge.
    """
    check_law(law)
    if law.higher_is_better and not 0 < target < 1:
        raise ValueError(f"target: {law.metric} {target!r} is not between 0 and 1")
    models = _Models.of(n_params, workload)
    search = models.search(
        n_tokens, k, integer_k, unique_tokens, limits, "target", positive("target", target)
    )
    chosen = _chosen(law, search, models, level)
    if chosen is None:
        n, d, k_, best = replace(search, goal="highest").run(law, "point")[0, :4].tolist()
        kept = "".join(f", {limit.name}" for limit in limits)
        raise ValueError(
            f"target: the law reaches {law.metric} {target:g} nowhere with N up to "
            f"{amount(models.range[1])}, D up to {amount(n_tokens[1])} and k up to {k[1]:g}{kept}; its best "
            f"there is {chance(best)}, {abs(best - target):.2g} short, at N = {amount(n)}, D = {amount(d)} "
            f"and k = {samples(k_)}"
        )
    return chosen


def profile_spending(
    law: AnyLaw,
    budget: float,
    workload: Workload,
    models: Sequence[float | Architecture],
    *,
    n_tokens: Range,
    k: Range,
    integer_k: bool,
    unique_tokens: float | None,
    limits: Sequence[Limit],
) -> list[Spending]:
    """What every size or architecture would give under a budget, arguments as for `best_spending`; those that
    it does not buy, or whose queries are beyond a limit, are left out.
    """
    rows = []
    for model in models:
        one = _Models.of([model], workload)
        size = one.range[0]
        if one.least(n_tokens[0], k[0]) > budget or any(limit.used(size, k[0]) > 1 for limit in limits):
            continue
        search = one.search(n_tokens, k, integer_k, unique_tokens, limits, "budget", budget)
        rows.append(_chosen(law, search, one, None))
    return [row for row in rows if row is not None]


@dataclass(frozen=True)
class _Models:
    """Which N may be chosen, at what prices."""

    range: Range
    prices: Prices
    sizes: list[tuple[float, Prices]] | None
    architectures: dict[float, Architecture]

    @classmethod
    def of(cls, n_params: Sizes, workload: Workload) -> _Models:
        check_workload(workload)
        per_param = workload.prices(1.0)
        if isinstance(n_params, tuple):
            low, high = n_params
            return cls((float(low), float(high)), per_param, None, {})
        models: list[float | Architecture] = list(n_params)
        if not models:
            raise ValueError("n_params is an empty list: give at least one size or architecture")
        architectures = {float(m.n_params()): m for m in models if isinstance(m, Architecture)}
        sizes = [
            (
                float(m.n_params()) if isinstance(m, Architecture) else positive(f"n_params[{i}]", m),
                workload.prices(m),
            )
            for i, m in enumerate(models)
        ]
        ns = [n for n, _ in sizes]
        return cls((min(ns), max(ns)), per_param, sizes, architectures)

    def least(self, tokens: float, k: float) -> float:
        """What the least model costs on the fewest tokens with the fewest samples."""
        n = self.range[0]
        sizes = self.sizes or [(n, (self.prices[0] * n, self.prices[1] * n, self.prices[2] * n))]
        return min(train * tokens + prompt + sample * k for _, (train, prompt, sample) in sizes)

    def search(
        self,
        n_tokens: Range,
        k: Range,
        integer_k: bool,
        unique_tokens: float | None,
        limits: Sequence[Limit],
        goal: Literal["budget", "ratio", "target"],
        sought: float,
    ) -> Search:
        wall = None if unique_tokens is None else (positive("unique_tokens", unique_tokens), DataWall().r_d)
        for limit in limits:
            if limit.used(self.range[0], k[0]) > 1:
                raise ValueError(
                    f"{limit.name}: the least model, {amount(self.range[0])} parameters, takes "
                    f"{limit.used(self.range[0], k[0]):.3g} times that with k = {k[0]:g}"
                )
        ceilings = [(limit.prompt, limit.sample, limit.floor, limit.most) for limit in limits]
        return Search(
            self.range, self.prices, self.sizes, n_tokens, k, integer_k, wall, ceilings, goal, sought
        )


def _interval(values: Floats, level: float) -> Interval:
    low, high = np.quantile(values, tails(level))
    return float(low), float(high)


def _chosen(law: AnyLaw, search: Search, models: _Models, level: float | None) -> Spending | None:
    if level is not None:
        check_level(level)
    if law.name == "direct":
        raise ValueError(
            "the direct law knows training compute alone, not how it is split between parameters and tokens, "
            "so the smallest model would always be best: plan with another law"
        )
    row = search.run(law, "point")[0]
    if np.isnan(row[0]):
        return None
    n, d, k, predicted, training, serving, gap = row.tolist()
    chosen = Spending(n, d, k, predicted, law.metric, training, serving, gap)
    nearest = min(models.architectures, key=lambda size: abs(size - n), default=None)
    if nearest is not None:
        chosen = replace(chosen, architecture=models.architectures[nearest])
    if level is None or law.draws is None or len(law.draws) == 0:
        return chosen
    unique_tokens = None if search.wall is None else search.wall[0]
    drawn = search.run(law, "draws")
    found = drawn[~np.isnan(drawn[:, 0])]
    worth = d if unique_tokens is None else float(DataWall().effective_tokens(d, unique_tokens))
    here = drawn_values(law, *(np.array([at]) for at in (n, worth, k)))[:, 0]
    quantities: dict[str, Floats] = {}
    if len(found):
        n_, d_, k_, value, training_, serving_, _ = found.T
        columns = (n_, d_, k_, d_ / n_, value, training_ + serving_)
        quantities |= dict(zip(_INTERVALS, columns, strict=True))
    intervals = {name: _interval(values, level) for name, values in quantities.items()}
    low, high = ends(here, level)
    intervals["predicted_here"] = (float(low), float(high))
    return replace(chosen, intervals=intervals, reached=len(found) / len(drawn), drawn=drawn)
