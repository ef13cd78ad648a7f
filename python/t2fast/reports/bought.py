"""What a choice among models that exist came to."""

from __future__ import annotations

import math

from t2fast.choices import Choice
from t2fast.choices.choice import Option
from t2fast.reports.page import Block, Grid, Prose, Section

_HEADERS = ["", "model", "k", "solved", "interval"]
_COSTS = ["USD a query", "USD a solved query", "chance that it is best"]


def bought(choice: Choice) -> Section:
    """The section about a choice."""
    picks = [(name, pick.option) for name, pick in choice.picks() if pick is not None]
    blocks: list[Block] = [
        Prose(f"{choice.heading}, on {choice.problems} problems."),
        Grid(
            [*_HEADERS, *(["answered wrongly"] if choice.errs else []), *_COSTS],
            [_row(name, option, choice.errs) for name, option in picks],
            2,
            "The choice, and other ways to sample",
        ),
        Prose(f"Intervals and chances are from {choice.draws:,} draws of the problems, seed {choice.seed}."),
        choice.figure(),
    ]
    return Section("What to buy", blocks)


def _row(name: str, option: Option, errs: bool) -> list[str]:
    return [
        name,
        option.model,
        " then ".join(str(k) for _, k in option.stages),
        f"{option.pass_at_k:.4f}",
        f"{option.low:.3f} to {option.high:.3f}",
        *([f"{option.wrong:.4f}"] if errs else []),
        _usd(option.usd_per_query),
        _usd(option.usd_per_solved),
        f"{option.probability_best:.0%}",
    ]


def _usd(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"
