"""What a choice among models is: an option with its chances, the frontier that it lies on, and the other
ways.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from t2fast.charts import Drawn, Figure, Reported, market
from t2fast.choices.request import cascade, one_by_one
from t2fast.choices.verifier import VerifiedCurve
from t2fast.costs.memory import Room
from t2fast.text import columns, counted, line, nominal, note, plain, samples

_ROWS = 12
_SERVED = (
    "Served on hardware, in GB, the chips of a model sharing its bytes and arithmetic evenly; a token's "
    "keys and values as if no heads shared them, where nothing says how many they are:"
)


@dataclass(frozen=True)
class Option:
    """One way to answer a query.

    Attributes:
        stages: the models in the order they are asked, with the most samples of each; one, but in a cascade.
        pass_at_k: the chance that a query is answered rightly, over the problems measured: pass@k, and less
            where the check errs.
        low: lower limit for the population of problems, at once for all models and k that were compared.
        high: upper limit, likewise.
        usd_per_query: (expected) US dollars.
        seconds: at worst; None where no speed is known.
        probability_best: the chance that nothing at its cost or below solves more; of the choice itself, the
            chance that it is the best under what was asked.
        wrong: the chance that a query is answered wrongly, because the check errs.
    """

    stages: tuple[tuple[str, int], ...]
    pass_at_k: float
    low: float
    high: float
    usd_per_query: float
    seconds: float | None
    probability_best: float
    wrong: float = 0.0

    @property
    def model(self) -> str:
        """Its model; those of a cascade joined by " then "."""
        return " then ".join(model for model, _ in self.stages)

    @property
    def k(self) -> int:
        """The most samples a query."""
        return sum(k for _, k in self.stages)

    @property
    def usd_per_solved(self) -> float:
        """US dollars a solved query, the samples of those that stay unsolved paid for; infinite if none
        is.
        """
        return self.usd_per_query / self.pass_at_k if self.pass_at_k > 0 else math.inf

    def worth(self, harm: float) -> float:
        """Right answers less what the wrong ones cost."""
        return self.pass_at_k - harm * self.wrong

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        solved = self.usd_per_solved
        return {
            "model": self.model,
            "k": self.k,
            "pass_at_k": self.pass_at_k,
            "low": self.low,
            "high": self.high,
            "wrong": self.wrong,
            "usd_per_query": self.usd_per_query,
            "usd_per_solved": solved if math.isfinite(solved) else None,
            "seconds": self.seconds,
            "probability_best": self.probability_best,
            "stages": [{"model": model, "k": k} for model, k in self.stages],
        }


@dataclass(frozen=True)
class Pick:
    """The best option of one kind, and how sure that is.

    Attributes:
        option: the option.
        probability_model: the chance that its model (its pair of models) is the best, whatever the k.
        probability_met: the chance that new problems meet the target, if there is one.
    """

    option: Option
    probability_model: float
    probability_met: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **self.option.to_dict(),
            "probability_model_best": self.probability_model,
            "probability_met": self.probability_met,
        }


@dataclass(frozen=True)
class Choice(Drawn, Reported):
    """The best model and number of samples among those that exist.

    Attributes:
        together: k samples drawn at once, all of them paid for: the choice.
        measured: the cheapest of that kind whose target is reached on the problems measured, whatever the
            confidence; None without a target.
        until_solved: the best where samples are drawn one by one until one is right, or is accepted by a
            check that errs; None if none meets the request.
        cascade: the best of a cheap model first and a dearer one on what it leaves unsolved, likewise.
        frontier: options of samples drawn together that nothing cheaper equals, by cost.
        every: all options of samples drawn together, model by model.
        problems: shared problems behind it all.
        request: what was asked for, in words.
        level: of the intervals.
        draws: of the problems, behind intervals and chances.
        seed: of the draws.
        notes: what was left out, and what to know.
        verified: the chosen model's right and wrong answers by k, and the k worth drawing, where the check
            errs.
        rooms: of every model that is served on hardware, the chips that hold it.
    """

    together: Pick
    measured: Pick | None
    until_solved: Pick | None
    cascade: Pick | None
    frontier: tuple[Option, ...]
    every: tuple[Option, ...]
    problems: int
    request: str
    level: float
    draws: int
    seed: int
    notes: tuple[str, ...]
    verified: VerifiedCurve | None = None
    rooms: Mapping[str, Room] = field(default_factory=dict)

    @property
    def errs(self) -> bool:
        """Whether the check errs."""
        return self.verified is not None

    @property
    def worth(self) -> float:
        """Right answers less what the wrong ones cost; negative where no answer at all is worth more."""
        return self.together.option.worth(0.0 if self.verified is None else self.verified.harm)

    @property
    def heading(self) -> str:
        """What was asked for, and whether anything is worth buying."""
        if self.worth < 0:
            return f"Nothing is worth buying; the least bad for {self.request}"
        return f"Best buy for {self.request}"

    def __str__(self) -> str:
        return plain(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the choice's own `model`, `k`, `pass_at_k`, `usd_per_query`, `probability_best` and
        further keys; `measured`, `until_solved` and `cascade` with the same; `frontier` and `every`, lists of
        the same; `served`, of models on hardware the chips that hold them; where the check errs `verifier`,
        with its rates and the chosen model by k.
        """
        others = {
            name: None if pick is None else pick.to_dict()
            for name, pick in (
                ("measured", self.measured),
                ("until_solved", self.until_solved),
                ("cascade", self.cascade),
            )
        }
        return {
            **self.together.to_dict(),
            **others,
            "frontier": [option.to_dict() for option in self.frontier],
            "every": [option.to_dict() for option in self.every],
            "served": {model: room.to_dict() for model, room in self.rooms.items()},
            "worth": self.worth,
            "problems": self.problems,
            "request": self.request,
            "level": self.level,
            "draws": self.draws,
            "seed": self.seed,
            "notes": list(self.notes),
            **({} if self.verified is None else {"verifier": self.verified.to_dict()}),
        }

    def picks(self) -> tuple[tuple[str, Pick | None], ...]:
        """The best of every way to sample, and what that is called."""
        return (
            ("k samples at once", self.together),
            (one_by_one(self.errs), self.until_solved),
            (cascade(self.errs), self.cascade),
        )

    def figure(self) -> Figure:
        """The frontier of models that exist: what they solve for what they cost."""
        names = ("model", "k", "usd_per_query", "pass_at_k", "low", "high")
        kinds = (pl.String, pl.Int64, pl.Float64, pl.Float64, pl.Float64, pl.Float64)
        schema = dict(zip(names, kinds, strict=True))
        frontier = [[getattr(option, name) for name in names] for option in self.frontier]
        picks = [
            [label, *(getattr(pick.option, name) for name in names)]
            for label, pick in self.picks()
            if pick is not None
        ]
        return market(
            pl.DataFrame(frontier, schema, orient="row"),
            pl.DataFrame(picks, {"pick": pl.String, **schema}, orient="row"),
            self.heading,
            self.level,
        )

    def __rich__(self) -> RenderableType:
        """The choice, the other ways to sample, and the frontier."""
        solved = ("right", "wrong") if self.errs else ("pass@k",)
        table = columns("", "model", "k", *solved, "USD/query", "USD/solved", left=("", "model"))
        remarks = []
        for label, pick in self.picks():
            if pick is None:
                beaten = "none meets the request and beats one model alone"
                both = label == cascade(self.errs)
                remarks.append(f"{label}: {beaten if both else 'nothing meets the request'}")
                continue
            option = pick.option
            for i, (model, k) in enumerate(option.stages):
                first = i == 0
                table.add_row(
                    label if first else "",
                    model if first else f"then {model}",
                    f"{k}",
                    *([f"{share:.4f}" if first else "" for share in _shares(option, self.errs)]),
                    _usd(option.usd_per_query) if first else "",
                    _usd(option.usd_per_solved) if first else "",
                )
        best, cheapest = self.together, self.measured
        of = "nothing cheaper reaches the target" if cheapest else "it is the best"
        chances = [
            f"chance that {of}: {best.option.probability_best:.0%}; that its model is the best, whatever "
            f"the k: {best.probability_model:.0%}"
        ]
        if cheapest is not None:
            chances += [
                f"chance that new problems meet the target: {best.probability_met:.0%}",
                f"cheapest on these problems, whatever the confidence: {cheapest.option.model}, "
                f"k = {cheapest.option.k}, {_usd(cheapest.option.usd_per_query)} USD a query; new problems "
                f"meet the target with {cheapest.probability_met:.0%}",
            ]
        parts: list[RenderableType] = [
            line(f"{self.heading}, on {counted(self.problems, 'problem')}"),
            table,
            *(line(words) for words in chances),
            Text(),
            line("What nothing cheaper equals, k samples at once:"),
            self._frontier_table(),
        ]
        if self.rooms:
            parts += [Text(), line(_SERVED), self._served_table()]
        if self.verified is not None:
            says = f"{best.option.model} by samples a query:"
            parts += [Text(), line(says), self.verified]
        return Group(*parts, *(note(words) for words in (*remarks, *self.notes)))

    def _frontier_table(self) -> RenderableType:
        interval = f"{nominal(self.level)} interval"
        solved = ("right", interval, "wrong") if self.errs else ("pass@k", interval)
        table = columns("model", "k", *solved, "USD/query", "USD/solved", "best", left=("model",))
        for option in shortened(self.frontier):
            table.add_row(
                option.model,
                samples(option.k),
                f"{option.pass_at_k:.4f}",
                f"{option.low:.3f} to {option.high:.3f}",
                *([f"{option.wrong:.4f}"] if self.errs else []),
                _usd(option.usd_per_query),
                _usd(option.usd_per_solved),
                f"{option.probability_best:.0%}",
            )
        return table

    def _served_table(self) -> RenderableType:
        """Of models that are shown and served, the chips that hold them."""
        chosen = [pick.option for _, pick in self.picks() if pick is not None]
        named = {model for option in (*chosen, *self.frontier) for model, _ in option.stages}
        table = columns(
            "model", "chips", "memory", "weights", "caches", "MB/token", "most at once", left=("model",)
        )
        for model, room in self.rooms.items():
            if model in named:
                sizes = (room.memory, room.weights, room.caches)
                gigabytes = (f"{size / 1e9:,.3g}" for size in sizes)
                token = f"{room.model.cache_bytes / 1e6:.3g}"
                table.add_row(model, f"{room.chips}", *gigabytes, token, samples(room.largest_batch))
        return table


def _shares(option: Option, errs: bool) -> tuple[float, ...]:
    return (option.pass_at_k, option.wrong) if errs else (option.pass_at_k,)


def shortened(options: tuple[Option, ...], rows: int = _ROWS) -> tuple[Option, ...]:
    """About so many of the options, evenly by ln USD, the ends among them."""
    if len(options) <= rows:
        return options
    logs = [math.log(max(option.usd_per_query, 1e-300)) for option in options]
    wanted = [logs[0] + (logs[-1] - logs[0]) * i / (rows - 1) for i in range(rows)]
    nearest = {min(range(len(logs)), key=lambda i: abs(logs[i] - at)) for at in wanted}
    return tuple(options[i] for i in sorted(nearest))


def _usd(value: float) -> str:
    """US dollars with three digits."""
    if not math.isfinite(value):
        return "-"
    return (
        f"{value:,.0f}"
        if 1000 <= value < 1e9
        else f"{value:.3g}"
        if value >= 1e-4 or value == 0
        else f"{value:.2e}"
    )
