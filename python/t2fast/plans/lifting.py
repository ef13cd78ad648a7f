"""What binds a plan under one budget, and what lifting it would bring by the law."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from t2fast.laws import AnyLaw
from t2fast.laws.data_wall import DataWall
from t2fast.plans.limits import Limits, rounded_up
from t2fast.plans.request import positive
from t2fast.plans.spending import Spending
from t2fast.text import amount, samples

_SYMBOLS = {"n_params": "N", "n_tokens": "D", "k": "k"}
_TRILLION = 1e12


def binding(
    chosen: Spending,
    options: Mapping[str, Any],
    ends: Limits,
    again: Callable[..., Spending],
    shown: Callable[[Spending], str],
) -> Iterator[str]:
    """Every limit that a plan sits on, with what twice as much of it would bring.

    Args:
        chosen: the plan.
        options: what it was held to, as `best_spending` takes it.
        ends: which ends of the ranges are the law's own.
        again: the same plan with options changed, its intervals left out.
        shown: of a plan, what it is for, such as "pass@k 0.4".
    """
    for axis, symbol in _SYMBOLS.items():
        held = options[axis]
        if not isinstance(held, tuple):
            continue
        (low, high), value = held, getattr(chosen, axis)
        end = "most" if value >= high * (1 - 1e-6) else "least" if value <= low * (1 + 1e-6) else ""
        # One sample at least is no limit of the law's, and what is fixed was meant to be.
        if not end or low == high or (axis, end) == ("k", "least"):
            continue
        what = (
            ends.words(axis, end)
            if (axis, end) in ends.ends
            else f"{symbol} = {samples(value) if axis == 'k' else amount(value)}, the {end} allowed"
        )
        wider = (low, 2 * high) if end == "most" else (low / 2, high)
        yield f"held to {what}{_brings(chosen, shown, partial(again, **{axis: wider}), 'twice as far')}"
    limits = options["limits"]
    for limit in limits:
        if limit.used(chosen.model, chosen.k) > 1 - 1e-6:
            twice = [replace(other, most=2 * other.most) if other is limit else other for other in limits]
            yield f"held to {limit.name}{_brings(chosen, shown, partial(again, limits=twice), 'twice that')}"


def _brings(
    chosen: Spending, shown: Callable[[Spending], str], again: Callable[[], Spending], much: str
) -> str:
    further, here = shown(again()), shown(chosen)
    if further == here:
        return f"; {much} would bring nothing, by the law"
    return f"; {much} would bring {further} in place of {here}, by the law"


def wall(
    chosen: Spending, unique: float, again: Callable[..., Spending], shown: Callable[[Spending], str]
) -> str:
    """Whether text or money is short, and what another trillion tokens would bring."""
    epochs = chosen.n_tokens / unique
    if epochs <= 1:
        return f"{amount(unique)} tokens are enough text: {epochs:.0%} of it is read once"
    effective = float(DataWall().effective_tokens(chosen.n_tokens, unique))
    more = again(unique_tokens=unique + _TRILLION)
    return (
        f"text is short: read {epochs:.2g} times, {amount(chosen.n_tokens)} tokens are worth "
        f"{amount(effective)} unique ones (Muennighoff et al. 2023); another trillion would bring "
        f"{shown(more)} in place of {shown(chosen)}"
    )


def check_text(law: AnyLaw, unique: float, factor: float) -> float:
    """Unique tokens; `ValueError` where, however often they are read, the law is not believed for so few."""
    positive("unique_tokens", unique)
    if "n_tokens" not in law.domain:
        return unique
    least, wall = law.domain["n_tokens"][0], DataWall()
    most = unique * (1 + wall.r_d)
    if most < least / factor:
        raise ValueError(
            f"unique_tokens: however often {amount(unique)} tokens are read, they are worth less than "
            f"{amount(most)} (Muennighoff et al. 2023), {least / most:.3g}x below the least D that the law "
            f"was fitted on ({amount(least)}): allow it by extrapolate={rounded_up(least / most)}"
        )
    return unique


def left_unspent(chosen: Spending, budget: float, most_tokens: float) -> str | None:
    """Why money is left, if it is."""
    share = 1 - chosen.cost / budget
    if share <= 1e-6:
        return None
    if chosen.n_tokens < most_tokens * (1 - 1e-6) and chosen.right is None:
        return (
            f"the law gets worse with more than {amount(chosen.n_tokens)} tokens here: {share:.1%} of the "
            "budget is better left unspent"
        )
    return f"these limits leave {share:.1%} of the budget unspent"
