"""How a plan under one budget is shown: a table beside Chinchilla's, and its row of JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.text import Text

from t2fast.costs.flops import Architecture
from t2fast.laws import AnyLaw
from t2fast.plans.compared import Compared
from t2fast.plans.planned import ratio_words
from t2fast.plans.spending import Spending
from t2fast.text import Columns, amount, chance, columns, line, ratio, samples


def to_row(plan: Spending) -> dict[str, Any]:
    """A plan, JSON-ready."""
    names = ("n_params", "n_tokens", "k", "predicted", "metric", "training", "serving", "cost", "gap")
    row = {name: getattr(plan, name) for name in names}
    if not math.isfinite(plan.gap):
        row["gap"] = None
    intervals = {name: list(interval) for name, interval in plan.intervals.items()}
    architecture = None if plan.architecture is None else asdict(plan.architecture)
    return {
        **row,
        "tokens_per_param": plan.tokens_per_param,
        "intervals": intervals,
        "reached": plan.reached,
        "architecture": architecture,
    }


def comparison(
    chosen: Spending, chinchilla: Spending | None, rule: float, level: float, unit: str, metric: str
) -> Columns:
    """The plan beside Chinchilla's, what is spent on what, and intervals."""
    table = columns(
        "",
        "plan",
        f"{level:.0%} interval" if chosen.intervals else "",
        f"Chinchilla ({rule:g} tokens/parameter)",
        left=("",),
    )

    def cost(plan: Spending, value: float) -> str:
        return f"{money(value, unit)} ({value / plan.cost:.0%})"

    def span(name: str, text: Callable[[float], str]) -> str:
        ends = chosen.intervals.get(name)
        return "" if ends is None else f"{text(ends[0])} to {text(ends[1])}"

    passes: list[tuple[str, Callable[[Spending], str], str]] = []
    if metric == "-log pass@k":
        ends = chosen.intervals.get("predicted_here")
        spanned = "" if ends is None else f"{chance(math.exp(-ends[1]))} to {chance(math.exp(-ends[0]))}"
        passes.append(("that is pass@k", lambda s: chance(math.exp(-s.predicted)), spanned))
    rows: list[tuple[str, Callable[[Spending], str], str]] = [
        ("parameters N", lambda s: amount(s.n_params), span("n_params", amount)),
        ("training tokens D", lambda s: amount(s.n_tokens), span("n_tokens", amount)),
        ("samples per query k", lambda s: samples(s.k), span("k", samples)),
        ("tokens per parameter", lambda s: ratio(s.tokens_per_param), span("tokens_per_param", ratio)),
        (f"predicted {metric}", lambda s: chance(s.predicted), span("predicted_here", chance)),
        *passes,
        ("training", lambda s: cost(s, s.training), ""),
        ("queries", lambda s: cost(s, s.serving), ""),
    ]
    low, high = chosen.intervals.get("cost", (chosen.cost, chosen.cost))
    if high > low * (1 + 1e-6):
        # A target: its cost is what is not known. A budget is spent.
        priced = partial(money, unit=unit)
        rows.append(("everything", lambda s: priced(s.cost), span("cost", priced)))
    for label, text, interval in rows:
        table.add_row(label, text(chosen), interval, "-" if chinchilla is None else text(chinchilla))
    return table


def comments(chosen: Spending, beside: Compared | None, level: float) -> list[Text]:
    """The architecture, and how the plan compares with Chinchilla's."""
    lines = [] if chosen.architecture is None else [line(_described(chosen.architecture))]
    if beside is not None and beside.ratio is not None:
        lines.append(line(ratio_words(beside.ratio, beside.interval, level)))
    elif beside is not None and beside.withheld is not None:
        lines.append(line(f"no ratio to Chinchilla's: {beside.withheld}"))
    return lines


def origin(law: AnyLaw) -> list[Text]:
    """Which law it was."""
    return [line(f"law: {law.name}, {law.source}")] if law.source else []


def money(value: float, unit: str) -> str:
    """An amount of dollars or FLOPs."""
    if unit != "USD":
        return f"{value:.3g} {unit}"
    return f"{value:,.0f} USD" if 100 <= value < 1e12 else f"{value:.3g} USD"


def worth(plan: Spending) -> str:
    """What a plan is worth, in words: pass@k for a law of its logarithm too."""
    if plan.metric == "-log pass@k":
        return f"pass@k {chance(math.exp(-plan.predicted))}"
    return f"{plan.metric} {chance(plan.predicted)}"


def _described(model: Architecture) -> str:
    return (
        f"architecture: {model.layers} layers of width {model.width}, {model.heads} heads of "
        f"{model.head_dim}, feed-forward {model.hidden}, vocabulary {model.vocab:,}"
    )
