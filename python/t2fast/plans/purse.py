"""A plan under one budget for training and all queries together, or of least cost for a target: N, D and k
where the law is believed, Chinchilla's beside them, and what to know before trusting it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np

from t2fast.costs.flops import Architecture
from t2fast.estimators.verifier import Verifier
from t2fast.laws import AnyLaw
from t2fast.laws.data_wall import DataWall
from t2fast.plans.cautions import beyond_data, judged
from t2fast.plans.compared import compared
from t2fast.plans.judging import Judging
from t2fast.plans.lifting import binding, check_text, left_unspent, wall
from t2fast.plans.limits import EXTRAPOLATE, Limits
from t2fast.plans.memory import room_of
from t2fast.plans.request import CHINCHILLA_RATIO, Range, check_law, constraints_of, positive
from t2fast.plans.sharing import Sharing
from t2fast.plans.spending import Spending, best_spending, cheapest_spending, chinchilla_spending
from t2fast.plans.spending_plan import Checked, SpendingPlan, value_words
from t2fast.plans.workload import Limit, Workload, check_workload
from t2fast.text import amount

Models: TypeAlias = "Range | Sequence[float] | Sequence[Architecture]"

_WIDEST = {"n_params": (1e3, 1e15), "n_tokens": (1e3, 1e20)}
_MOST_SAMPLES = 1e9


def plan_spending(
    law: AnyLaw,
    workload: Workload,
    *,
    budget: float | None = None,
    target: float | None = None,
    n_params: Models | None = None,
    n_tokens: Range | Sequence[float] | None = None,
    k: float | Sequence[float] | None = None,
    max_k: float | None = None,
    integer_k: bool = False,
    per_query: float | None = None,
    latency: float | None = None,
    max_chips: int | None = None,
    unique_tokens: float | None = None,
    extrapolate: float = EXTRAPOLATE,
    chinchilla: float = CHINCHILLA_RATIO,
    level: float = 0.9,
    verifier: Verifier | None = None,
    harm: float = 1.0,
) -> SpendingPlan:
    """The best N, D and k under one budget for training and all queries, or the cheapest for a target.

    Minimises or maximises the law subject to N (c D + Q (u + v k)) <= budget, the prices those of the
    workload (Sardana et al. 2024, arXiv 2401.00448, for k = 1); with a target, that cost subject to the law.

    Args:
        law: a fitted law.
        workload: queries and prices; `Workload.on` prices in dollars on a machine.
        budget: in the unit of the workload's prices: for training and all queries.
        target: pass@k to reach at least cost, or a loss where the law predicts one; in place of a
            budget.
        n_params: a tuple (least, most), None for an open end; a list of sizes; or a list of architectures,
            the FLOPs of which are counted layer by layer.
        n_tokens: a tuple (least, most), or a list of D to choose from.
        k: samples a query, fixed or from a list; None where it is free.
        max_k: most samples a query, where k is free.
        integer_k: whether k has to be whole.
        per_query: what a query may cost, in the unit of the prices.
        latency: seconds a query may take on the workload's machine.
        max_chips: how many chips may share a model to hold the latency. Of them the fewest are taken, doubled
            from the machine's own, on which the plan without that limit holds it, and the most if it holds on
            none. None: the machine's own.
        unique_tokens: text that there is; what is read again is worth less (`DataWall`).
        extrapolate: how far beyond the N, D and k that the law was fitted on the plan may go, as a factor.
        chinchilla: tokens per parameter of the comparison.
        level: coverage of the intervals over the law's draws.
        verifier: a check that errs, as in `plan_checked`, every sample of which is paid for whatever it says.
            Best is then what has the most right answers less `harm` times the wrong ones, and a target is a
            share of right answers.
        harm: what a wrong answer costs, in right ones; of a target it counts in `answers` alone.

    Returns:
        The plan, with Chinchilla's beside it; it prints itself.

    Raises:
        ValueError: for numbers out of range; for budgets, targets and limits that leave nothing (it says
            which one fails, and by how much); for a law whose fit did not converge.
        TypeError: for what is no law or no workload.
    """
    check_law(law)
    check_workload(workload)
    judging = None if verifier is None else Judging.of(law, verifier, harm)
    logged = law.metric == "-log pass@k"  # such a law is asked for pass@k all the same
    asked = _asked(law, workload, budget, target, judging)
    ratio = positive("chinchilla (tokens per parameter)", chinchilla)
    held, ends = _held(law, n_params, n_tokens, k, max_k, integer_k, extrapolate)
    held |= {
        "unique_tokens": None
        if unique_tokens is None
        else check_text(law, unique_tokens, float(extrapolate)),
        "judging": judging,
        "limits": _limits(workload, per_query, None),
    }
    believed = held.pop("believed")

    def found(on: Workload, **changes: Any) -> Spending:
        options = {**held, "level": level, **changes}
        if budget is not None:
            return best_spending(law, budget, on, **options)
        assert target is not None
        return cheapest_spending(law, -math.log(target) if logged else target, on, **options)

    sharing, workload = Sharing.asked(workload, partial(found, level=None), latency, max_chips)
    held["limits"] = _limits(workload, per_query, latency)
    chosen = found(workload)
    spent = chosen.cost if budget is None else budget
    other = chinchilla_spending(
        law,
        spent,
        workload,
        tokens_per_param=ratio,
        n_params=believed,
        **{name: held[name] for name in ("k", "unique_tokens", "limits", "judging")},
        level=level,
    )

    def same_cost(**changes: Any) -> Spending:
        return best_spending(law, spent, workload, **{**held, "level": None, **changes})

    beside = None
    if other is not None and judging is None:
        # Of a target, the ratio is at its least cost.
        ours = chosen if budget is not None else same_cost(level=level)
        beside = compared(
            law,
            ours,
            other,
            believed,
            limits=held["limits"],
            unique_tokens=held["unique_tokens"],
            level=level,
        )

    def again(**changes: Any) -> Spending:
        wider = found(workload, level=None, **changes)
        # No worse is what is allowed more, but for where the search stops.
        return chosen if budget is None and wider.cost > chosen.cost else wider

    def aim(plan: Spending) -> str:
        return value_words(plan) if target is None else f"a cost of {workload.money(plan.cost)}"

    answers = None if judging is None else _answers(law, judging, chosen, held, found(workload, judging=None))

    def cautions() -> Iterator[str]:
        if judging is not None:
            yield from judged(judging, chosen.right or 0.0, chosen.wrong or 0.0)
        if sharing is not None and not sharing.holds:
            yield str(sharing)
        yield from binding(chosen, held, ends, again, aim)
        n, d, k = chosen.n_params, chosen.n_tokens, chosen.k
        named = ends.held(n, d, k)
        if (unique := held["unique_tokens"]) is not None:
            yield wall(chosen, unique, same_cost, value_words)
            d = float(DataWall().effective_tokens(d, unique))
            named.discard("n_tokens")
        yield from beyond_data(law, n, d, k, named)
        if other is None:
            low, high = believed
            yield (
                f"this budget buys no model with {ratio:g} tokens a parameter and N from {amount(low)} to "
                f"{amount(high)}: nothing to compare with"
            )
        if budget is not None and (words := left_unspent(chosen, budget, max(held["n_tokens"]))):
            yield words
        if chosen.reached is not None and chosen.reached < 1:
            yield (
                f"{1 - chosen.reached:.0%} of the law's draws reach the target nowhere in these ranges; the "
                "intervals are of the others"
            )
        yield from (f"the law: {caution}" for caution in law.cautions)

    return SpendingPlan(
        chosen,
        other,
        ratio,
        asked,
        spent,
        workload,
        beside,
        level,
        tuple(cautions()),
        law,
        {**held, "believed": believed},
        answers,
        room_of(chosen, workload),
        sharing,
        target,
    )


def _asked(
    law: AnyLaw, workload: Workload, budget: float | None, target: float | None, judging: Judging | None
) -> str:
    """The budget or the target in words; `ValueError` for both or none, and for what is neither."""
    if (budget is None) == (target is None):
        raise ValueError("give a budget or a target, one of both")
    if budget is not None:
        return workload.money(positive("budget", budget))
    assert target is not None
    logged = law.metric == "-log pass@k"
    if logged and not 0 < target < 1:
        raise ValueError(f"target: pass@k {target!r} is not between 0 and 1")
    metric = "right answers" if judging is not None else "pass@k" if logged else law.metric
    return f"{metric} {target:g} at least cost"


def _answers(
    law: AnyLaw, judging: Judging, chosen: Spending, held: dict[str, Any], perfect: Spending
) -> Checked:
    """What the plan's N and D would bring by k under the check."""
    n, d = chosen.n_params, chosen.n_tokens
    if held["unique_tokens"] is not None:
        d = float(DataWall().effective_tokens(d, held["unique_tokens"]))
    most = max(*held["k"], chosen.k)
    free_k = judging.free_k(law, n, d, most)
    return Checked(judging, perfect, judging.by_k(law, n, d, (chosen.k, free_k), most), free_k, most)


def _limits(workload: Workload, per_query: float | None, latency: float | None) -> list[Limit]:
    limits = [] if per_query is None else [Limit.of_cost(workload, positive("per_query", per_query))]
    if latency is not None:
        if workload.machine is None:
            raise ValueError("latency needs a machine, which says how long a step takes")
        limits.append(Limit.of_latency(workload.machine, workload, positive("latency", latency)))
    return limits


def _held(
    law: AnyLaw,
    n_params: Models | None,
    n_tokens: Range | Sequence[float] | None,
    k: float | Sequence[float] | None,
    max_k: float | None,
    integer_k: bool,
    extrapolate: float,
) -> tuple[dict[str, Any], Limits]:
    """What a plan may choose, held to where the law is believed; `believed` is the range of N of that."""
    listed = isinstance(n_params, (list, np.ndarray))
    models: list[Any] = list(n_params) if listed and n_params is not None else []
    sizes = [float(m.n_params()) if isinstance(m, Architecture) else m for m in models]
    asked = sizes if models else cast("Range | None", n_params)
    constraints, ends = constraints_of(law, asked, n_tokens, max_k, integer_k, extrapolate, k)

    def finite(name: str, bounds: tuple[float, float]) -> tuple[float, float]:
        least, most = _WIDEST[name]
        return max(bounds[0], least if bounds[0] == 1 else 0.0), min(bounds[1], max(most, bounds[0]))

    believed = finite("n_params", constraints.n_params)
    allowed = constraints.sizes or ()
    return {
        "n_params": [m for m, n in zip(models, sizes, strict=True) if n in allowed] if models else believed,
        "n_tokens": list(constraints.tokens) or finite("n_tokens", constraints.n_tokens),
        "k": list(constraints.samples)
        or (1.0, min(constraints.most_samples, _MOST_SAMPLES) if law.has_k else 1.0),
        "integer_k": constraints.integer_k,
        "believed": believed,
    }, ends
