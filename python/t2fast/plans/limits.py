"""What keeps a plan near the law's data, and what lifting it would bring.

A law is believed up to a stated factor beyond the N, D and k that it was fitted on. `held_to_data` narrows
what a plan may choose to that; `Limits` says, of a choice, which of its ends bind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from t2fast.compute import sample_flops, train_flops
from t2fast.laws import AnyLaw
from t2fast.plans.planned import Constraints, Floats
from t2fast.text import amount, samples

EXTRAPOLATE = 2.0
"""How far beyond the law's data, as a factor of N, D and k, a plan goes unless asked otherwise."""

_SYMBOLS = {"n_params": "N", "n_tokens": "D", "k": "k"}


@dataclass(frozen=True)
class Limits:
    """Ends of the ranges of N, D and k that come from the law's data, each with what the law has seen."""

    ends: dict[tuple[str, str], tuple[float, float]]
    """(axis, "least" or "most") -> (the limit, the end of the data)."""
    factor: float

    def binding(self, choice: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """The ends that this choice sits on."""
        for (axis, end), (limit, _) in self.ends.items():
            value = choice[axis]
            if value is None:
                continue
            if value >= limit * (1 - 1e-9) if end == "most" else value <= limit * (1 + 1e-9):
                yield axis, end

    def held(self, n: float, d: float, k: float) -> set[str]:
        """The axes on which this place sits on an end."""
        return {axis for axis, _ in self.binding({"n_params": n, "n_tokens": d, "k": k})}

    def lifted(self, axis: str, end: str, constraints: Constraints) -> Constraints:
        """The constraints with this end moved outward by a further factor of two."""
        limit = self.ends[axis, end][0] * (2.0 if end == "most" else 0.5)
        if axis == "k":
            return replace(constraints, most_samples=limit)
        low, high = getattr(constraints, axis)
        moved = (low, limit) if end == "most" else (max(limit, 1.0), high)
        if axis == "n_tokens":
            return replace(constraints, n_tokens=moved)
        return replace(constraints, n_params=moved)

    def words(self, axis: str, end: str) -> str:
        """This end in words."""
        limit, seen = self.ends[axis, end]
        side = "most" if end == "most" else "least"
        beyond = "" if self.factor == 1 else f", {self.factor:g}x beyond the {side} it was fitted on"
        shown, data = (f"{limit:.3g}", f"{seen:.3g}") if axis == "k" else (amount(limit), amount(seen))
        return f"{_SYMBOLS[axis]} = {shown}, where this law stops being believed{beyond} ({data})"


def held_to_data(law: AnyLaw, constraints: Constraints, factor: float) -> tuple[Constraints, Limits]:
    """The constraints narrowed to a factor beyond the law's data, and which ends are the data's.

    Raises:
        ValueError: where what was asked for lies beyond that altogether; it says how far.
    """
    ends: dict[tuple[str, str], tuple[float, float]] = {}
    ranges = {"n_params": constraints.n_params, "n_tokens": constraints.n_tokens}
    for axis, asked in ranges.items():
        if axis not in law.domain:
            continue
        least, most = law.domain[axis]
        low, high = max(asked[0], least / factor), min(asked[1], most * factor)
        if low > high:
            beyond = asked[0] / most if asked[0] > most else least / asked[1]
            raise ValueError(
                f"{_SYMBOLS[axis]} {_between(asked)} lies beyond what the law was fitted on "
                f"({amount(least)} to {amount(most)}): allow it by extrapolate={rounded_up(beyond)}"
            )
        if low > asked[0]:
            ends[axis, "least"] = (low, least)
        if high < asked[1]:
            ends[axis, "most"] = (high, most)
        ranges[axis] = (low, high)
    most_samples = constraints.most_samples
    if law.has_k and "k" in law.domain:
        most = max(law.domain["k"][1] * factor, 1.0)
        if most < most_samples:
            most_samples = most
            ends["k", "most"] = (most, law.domain["k"][1])
    if constraints.tokens:
        _check_listed("D", constraints.tokens, law.domain.get("n_tokens"), factor, amount)
        ends = {end: limit for end, limit in ends.items() if end[0] != "n_tokens"}
    if constraints.samples:
        seen = (1.0, law.domain["k"][1]) if "k" in law.domain else None
        _check_listed("k", constraints.samples, seen, factor, samples)
        ends = {end: limit for end, limit in ends.items() if end[0] != "k"}
    sizes = constraints.sizes
    if sizes is not None and "n_params" in law.domain:
        least, most = law.domain["n_params"]
        sizes = tuple(n for n in sizes if least / factor <= n <= most * factor)
        if not sizes:
            beyond = min(max(n / most, least / n) for n in constraints.sizes or ())
            raise ValueError(
                f"none of these sizes is within {factor:g}x of the N that the law was fitted on "
                f"({amount(least)} to {amount(most)}): allow them by extrapolate={rounded_up(beyond)}"
            )
    held = replace(
        constraints,
        n_params=ranges["n_params"],
        n_tokens=ranges["n_tokens"],
        sizes=sizes,
        most_samples=most_samples,
    )
    return held, Limits(ends, factor)


def _check_listed(
    symbol: str,
    values: Sequence[float],
    seen: tuple[float, float] | None,
    factor: float,
    shown: Callable[[float], str],
) -> None:
    """`ValueError` where a list holds what the law is not believed for, saying how far beyond."""
    if seen is None:
        return
    low, high = seen
    for value in values:
        beyond = max(value / high, low / value)
        if beyond > factor * (1 + 1e-12):
            raise ValueError(
                f"{symbol} = {shown(value)} lies beyond what the law was fitted on ({shown(low)} to "
                f"{shown(high)}): leave it out, or allow it by extrapolate={rounded_up(beyond)}"
            )


def check_reach(law: AnyLaw, budgets: Floats, held: Constraints, limits: Limits) -> None:
    """`ValueError` where budgets, (2, budgets), buy nothing as large as what the law may be believed for."""
    least_n = min(held.sizes) if held.sizes else held.n_params[0]
    least_d, least_k = held.fewest_tokens, held.fewest_samples
    by_data = {axis for axis, end in limits.ends if end == "least"}
    if not by_data:
        return
    training, sampling = train_flops(least_n, least_d), sample_flops(least_n, least_k)
    short_of = training / budgets[0] > 1
    if "n_params" in by_data:
        short_of |= sampling / budgets[1] > 1
    if not short_of.any():
        return
    train, inference = budgets[:, short_of.argmax()].tolist()
    # Each end that is the data's moves by the same further factor.
    further = [(training / train) ** (1 / len(by_data))]
    further += [sampling / inference] if "n_params" in by_data else []
    allowed = rounded_up(limits.factor * max(further))
    if training > train:
        short = (
            f"{train:.3g} training FLOPs buy no model that this law can speak of: the least that it is "
            f"believed for, {amount(least_n)} parameters on {amount(least_d)} tokens, costs {training:.2g}, "
            f"{training / train:.3g}x as much"
        )
    else:
        many, cost = ("not one sample", "2N") if least_k == 1 else (f"no {samples(least_k)} samples", "2Nk")
        short = (
            f"{inference:.3g} inference FLOPs per token draw {many} from the smallest model that "
            f"this law is believed for, {amount(least_n)} parameters ({cost} = {sampling:.2g})"
        )
    raise ValueError(f"{short}. Raise the budget, or allow it by extrapolate={allowed}")


def distance(law: AnyLaw, choice: dict[str, Any]) -> float:
    """The largest factor by which N, D or k of a choice lies outside the law's data; at least 1."""
    factors = [1.0]
    for axis, (low, high) in law.domain.items():
        value = choice.get(axis)
        if value is not None and (axis != "k" or law.has_k):
            factors += [value / high, low / value] if axis != "k" else [value / high]
    return max(factors)


def _between(ends: tuple[float, float]) -> str:
    """A range, its open ends left out."""
    low, high = ends
    if high == math.inf:
        return f"from {amount(low)} on"
    return f"up to {amount(high)}" if low == 1 else f"from {amount(low)} to {amount(high)}"


def rounded_up(factor: float) -> str:
    """A factor with two digits, rounded up, so that it suffices as typed."""
    digits = 1 - math.floor(math.log10(factor))
    scale = 10.0**digits
    return f"{math.ceil(factor * scale * (1 - 1e-12)) / scale:g}"
