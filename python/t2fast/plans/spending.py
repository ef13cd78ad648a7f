"""Plans under one budget for training and all queries together, and the least cost of a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.costs.flops import Architecture
from t2fast.laws import AnyLaw
from t2fast.laws.data_wall import DataWall
from t2fast.laws.ends import interval
from t2fast.plans.judging import Judging
from t2fast.plans.planned import Interval
from t2fast.plans.request import check_law, check_level, positive
from t2fast.plans.search import drawn_values
from t2fast.plans.sought import Search
from t2fast.plans.workload import Limit, Prices, Workload, check_workload
from t2fast.text import amount, chance, plain, ratio, samples
from t2fast.text import columns as table_columns

Floats: TypeAlias = npt.NDArray[np.float64]
Range: TypeAlias = tuple[float, float]
Listed: TypeAlias = "Range | Sequence[float]"
Sizes: TypeAlias = "Range | Sequence[float] | Sequence[Architecture] | Sequence[float | Architecture]"

_D_RANGE = (1.0, 1e20)
_INTERVALS = ("n_params", "n_tokens", "k", "tokens_per_param", "predicted", "cost")


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
        right: right answers where the check errs; `predicted` is then what they are worth less the wrong
            ones, and `intervals` have "right_here" and "wrong_here".
        wrong: wrong answers, likewise.
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
    right: float | None = None
    wrong: float | None = None

    @property
    def cost(self) -> float:
        """Of everything."""
        return self.training + self.serving

    @property
    def model(self) -> float | Architecture:
        """N, or the architecture."""
        return self.n_params if self.architecture is None else self.architecture

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
    n_tokens: Listed = _D_RANGE,
    k: Listed = (1.0, 1e6),
    integer_k: bool = False,
    unique_tokens: float | None = None,
    limits: Sequence[Limit] = (),
    judging: Judging | None = None,
    level: float | None = 0.9,
) -> Spending:
    """The best N, D and k under one budget: what serving leaves trains, up to the most tokens, or up to where
    the law gets worse with more of them.

    Args:
        law: the law.
        budget: in the unit of the workload's prices.
        workload: queries and prices.
        n_params: a tuple (least, most), a list of sizes, or a list of architectures.
        n_tokens: a tuple (least, most) of D, or a list; equal ends fix it, here and for N and k.
        k: a tuple (least, most), or a list.
        integer_k: whether k has to be whole.
        unique_tokens: text that there is; of more, the rest is worth less (`DataWall`).
        limits: on what a query may cost, or how long it may take.
        judging: a check that errs, and what its wrong answers cost.
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
    least = models.least(min(n_tokens), min(k))
    if least > budget:
        raise ValueError(
            f"budget: {workload.money(budget)} is too little for the least model ({amount(models.range[0])} "
            f"parameters, {amount(min(n_tokens))} tokens, k = {min(k):g}), which costs "
            f"{workload.money(least)}, {least / budget:.3g} times that"
        )
    search = models.search(n_tokens, k, integer_k, unique_tokens, limits, "budget", budget, judging)
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
    k: Listed = (1.0, 1e6),
    unique_tokens: float | None = None,
    limits: Sequence[Limit] = (),
    judging: Judging | None = None,
    level: float | None = 0.9,
) -> Spending | None:
    """The best N and k under the same budget with D = tokens_per_param N, arguments as for `best_spending`;
    None if the budget buys no such model.
    """
    check_law(law)
    models = _Models.of(n_params, workload)
    search = models.search(
        _D_RANGE, k, False, unique_tokens, limits, "ratio", positive("budget", budget), judging
    )
    return _chosen(law, replace(search, tokens_per_param=tokens_per_param), models, level)


def cheapest_spending(
    law: AnyLaw,
    target: float,
    workload: Workload,
    *,
    n_params: Sizes = (1e6, 1e13),
    n_tokens: Listed = _D_RANGE,
    k: Listed = (1.0, 1e6),
    integer_k: bool = False,
    unique_tokens: float | None = None,
    limits: Sequence[Limit] = (),
    judging: Judging | None = None,
    level: float | None = 0.9,
) -> Spending:
    """The N, D and k of least cost at which the law reaches a target.

    For every N and k the tokens are the fewest that reach it, the law improving with D.

    Args:
        law: the law.
        target: pass@k, or a loss where the law predicts one.
        workload: queries and prices.
        n_params: a tuple (least, most), a list of sizes, or a list of architectures.
        n_tokens: a tuple (least, most) of D, or a list; equal ends fix it, here and for N and k.
        k: a tuple (least, most), or a list.
        integer_k: whether k has to be whole.
        unique_tokens: text that there is; of more, the rest is worth less (`DataWall`).
        limits: on what a query may cost, or how long it may take.
        judging: a check that errs, and what its wrong answers cost.
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
        n_tokens, k, integer_k, unique_tokens, limits, "target", positive("target", target), judging
    )
    chosen = _chosen(law, search, models, level)
    if chosen is None:
        n, d, k_, best = replace(search, goal="highest").run(law)[0, :4].tolist()
        kept = "".join(f", {limit.name}" for limit in limits)
        raise ValueError(
            f"target: the law reaches {_metric(law, search)} {target:g} nowhere with N up to "
            f"{amount(models.range[1])}, D up to {amount(max(n_tokens))} and k up to {max(k):g}{kept}; its "
            f"best there is {chance(best)}, {abs(best - target):.2g} short, at N = {amount(n)}, "
            f"D = {amount(d)} and k = {samples(k_)}"
        )
    return chosen


def profile_spending(
    law: AnyLaw,
    budget: float,
    workload: Workload,
    models: Sequence[float | Architecture],
    *,
    n_tokens: Listed,
    k: Listed,
    integer_k: bool,
    unique_tokens: float | None,
    limits: Sequence[Limit],
    judging: Judging | None = None,
) -> list[Spending]:
    """What every size or architecture would give under a budget, arguments as for `best_spending`; those that
    it does not buy, or whose queries are beyond a limit, are left out.
    """
    rows = []
    for model in models:
        one = _Models.of([model], workload)
        beyond = any(limit.used(model, min(k)) > 1 for limit in limits)
        if beyond or one.least(min(n_tokens), min(k)) > budget:
            continue
        search = one.search(n_tokens, k, integer_k, unique_tokens, limits, "budget", budget, judging)
        rows.append(_chosen(law, search, one, None))
    return [row for row in rows if row is not None]


@dataclass(frozen=True)
class _Models:
    """Which N may be chosen, at what prices: a range, or a list."""

    workload: Workload
    range: Range
    listed: list[float | Architecture]
    sizes: list[tuple[float, Prices]] | None
    architectures: dict[float, Architecture]

    @classmethod
    def of(cls, n_params: Sizes, workload: Workload) -> _Models:
        check_workload(workload)
        if isinstance(n_params, tuple):
            low, high = n_params
            return cls(workload, (float(low), float(high)), [], None, {})
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
        return cls(workload, (min(ns), max(ns)), models, sizes, architectures)

    def least(self, tokens: float, k: float) -> float:
        """What the least model costs on the fewest tokens with the fewest samples."""
        sizes = self.sizes or [(self.range[0], self.workload.prices(self.range[0]))]
        return min(train * tokens + prompt + sample * k for _, (train, prompt, sample) in sizes)

    def used(self, limit: Limit, k: float) -> float:
        """The share of a limit that the model which takes least of it takes."""
        return min(limit.used(model, k) for model in self.listed or [self.range[0]])

    def search(
        self,
        n_tokens: Listed,
        k: Listed,
        integer_k: bool,
        unique_tokens: float | None,
        limits: Sequence[Limit],
        goal: Literal["budget", "ratio", "target"],
        sought: float,
        judging: Judging | None,
    ) -> Search:
        wall = None if unique_tokens is None else (positive("unique_tokens", unique_tokens), DataWall().r_d)
        for limit in limits:
            fewest = min(k)
            used = self.used(limit, fewest)
            if used > 1:
                raise ValueError(
                    f"{limit.name}: the least model, {amount(self.range[0])} parameters, takes "
                    f"{used:.3g} times that with k = {fewest:g}"
                )
        # Architectures have keys and values of their own.
        own = [[limit.ceiling(model) for limit in limits] for model in self.listed]
        tokens, samples_ = (
            values if isinstance(values, tuple) else (min(values), max(values)) for values in (n_tokens, k)
        )
        listed = tuple(() if isinstance(values, tuple) else tuple(values) for values in (n_tokens, k))
        return Search(
            self.range,
            self.workload.arithmetic(1.0),
            self.workload.moved.terms(),
            self.sizes,
            tokens,
            samples_,
            integer_k,
            wall,
            [limit.ceiling() for limit in limits],
            goal,
            sought,
            own_limits=own if limits and self.architectures else None,
            judging=judging,
            listed=(listed[0], listed[1]),
        )


def _chosen(law: AnyLaw, search: Search, models: _Models, level: float | None) -> Spending | None:
    if level is not None:
        check_level(level)
    if law.name == "direct":
        raise ValueError(
            "the direct law knows training compute alone, not how it is split between parameters and tokens, "
            "so the smallest model would always be best: plan with another law"
        )
    row = search.run(law)[0]
    if np.isnan(row[0]):
        return None
    n, d, k, predicted, training, serving, gap, right, wrong = row[:9].tolist()
    chosen = Spending(n, d, k, predicted, _metric(law, search), training, serving, gap)
    if search.judging is not None:
        chosen = replace(chosen, right=right, wrong=wrong)
    nearest = min(models.architectures, key=lambda size: abs(size - n), default=None)
    if nearest is not None:
        chosen = replace(chosen, architecture=models.architectures[nearest])
    drawn = None if level is None else search.drawn(law)
    if level is None or drawn is None:
        return chosen
    found = drawn[~np.isnan(drawn[:, 0])]
    quantities: dict[str, Floats] = {}
    if len(found):
        n_, d_, k_, value, training_, serving_ = found.T[:6]
        columns = (n_, d_, k_, d_ / n_, value, training_ + serving_)
        quantities |= dict(zip(_INTERVALS, columns, strict=True))
    intervals = {name: interval(values, level) for name, values in quantities.items()}
    intervals |= {name: interval(values, level) for name, values in _here(law, search, chosen).items()}
    return replace(chosen, intervals=intervals, reached=len(found) / len(drawn), drawn=drawn[:, :7])


def _metric(law: AnyLaw, search: Search) -> str:
    return law.metric if search.judging is None else search.judging.metric


def _here(law: AnyLaw, search: Search, chosen: Spending) -> dict[str, Floats]:
    """What every draw says of this very plan, (draws,) each."""
    n, d, k = chosen.n_params, chosen.n_tokens, chosen.k
    worth = d if search.wall is None else float(DataWall().effective_tokens(d, search.wall[0]))
    if search.judging is None:
        return {"predicted_here": drawn_values(law, *(np.array([at]) for at in (n, worth, k)))[:, 0]}
    drawn = search.judging.drawn(law)
    assert drawn is not None
    right, wrong = (side[:, 0] for side in search.judging.at(law, *drawn, n, worth, k))
    here = {"right_here": right, "wrong_here": wrong}
    return {**here, "predicted_here": right - search.judging.harm * wrong}
