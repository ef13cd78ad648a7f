"""A plan under one budget: N, D and k with what they cost, Chinchilla's beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from t2fast.charts import Drawn, Figure, Reported, profile
from t2fast.costs.flops import Architecture
from t2fast.costs.memory import Room
from t2fast.estimators.verifier import weighing
from t2fast.laws import AnyLaw
from t2fast.laws.data_wall import DataWall
from t2fast.laws.ends import ends
from t2fast.plans.compared import Compared
from t2fast.plans.faults import shortened
from t2fast.plans.judging import Answers, Judging, by_samples, drawn_answers
from t2fast.plans.memory import housed
from t2fast.plans.planned import MARKED, marked, ratio_words
from t2fast.plans.sharing import Sharing
from t2fast.plans.spending import Spending, profile_spending
from t2fast.plans.workload import Workload
from t2fast.text import Columns, amount, chance, columns, line, nominal, note, plain, ratio, samples


@dataclass(frozen=True)
class Checked:
    """What a check that errs makes of a plan.

    Attributes:
        judging: the check, and what its wrong answers cost.
        perfect: the plan for a check without errors, asked the same.
        by_k: right and wrong answers at the plan's N and D by k, the plan's k and the free one among them.
        free_k: the best k at this N and D if samples cost nothing.
        most_k: the most k that limits allow.
    """

    judging: Judging
    perfect: Spending
    by_k: tuple[Answers, ...]
    free_k: float
    most_k: float

    @property
    def shown_k(self) -> float:
        """The largest k that is shown."""
        return self.by_k[-1].k

    def finding(self, k: float) -> str:
        """Whether more samples than k would help, in words."""
        if k >= self.most_k * (1 - 1e-6):
            return f"more samples would still help at k = {samples(k)}, the most that limits allow"
        if k >= self.free_k * (1 - 1e-3):
            return f"sampling more than k = {samples(k)} lowers {self.judging.metric}, even for free"
        last = self.free_k >= self.most_k * (1 - 1e-6)
        free = f"{samples(self.free_k)}{', the most that limits allow, or more' if last else ''}"
        return f"were sampling free, the best k of this model would be {free}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **self.judging.to_dict(),
            "perfect": _row(self.perfect),
            "by_k": [answers.to_dict() for answers in self.by_k],
            "free_k": self.free_k,
        }


@dataclass(frozen=True)
class SpendingPlan(Drawn, Reported):
    """The best N, D and k for what they cost, beside Chinchilla's.

    Attributes:
        chosen: N, D and k, their costs, and intervals over the law's draws.
        chinchilla: Chinchilla's for the same money; None where it buys no such model.
        rule: Chinchilla's tokens per parameter.
        asked: the budget or the target, in words.
        budget: what both may cost: as asked for, or the least cost of the target.
        workload: queries and prices.
        compared: our pass@k over Chinchilla's; None without Chinchilla's.
        level: coverage of the intervals.
        warnings: what to know before trusting it.
        law: the law it came from.
        held: what it had to respect, as `best_spending` takes it, and the range of N that is `believed`.
        answers: right and wrong answers, where the check errs.
        room: the model in the memory of the machine it is served on; None without one.
        sharing: how many chips hold the latency, where that was asked.
        target: what it reaches at least cost; None of a budget.
    """

    chosen: Spending
    chinchilla: Spending | None
    rule: float
    asked: str
    budget: float
    workload: Workload
    compared: Compared | None
    level: float
    warnings: tuple[str, ...]
    law: AnyLaw = field(repr=False, compare=False)
    held: Mapping[str, Any] = field(repr=False)
    answers: Checked | None = None
    room: Room | None = None
    sharing: Sharing | None = None
    target: float | None = None

    @property
    def title(self) -> str:
        """What is planned, in words."""
        work = self.workload
        on = "" if work.machine is None else f" on {work.machine.chip.name}"
        by = ""
        if self.answers is not None:
            judging = self.answers.judging
            harm = f", where {weighing(judging.harm)}" if judging.harm else ""
            by = f", by {judging.verifier}{harm}"
        return (
            f"Best model for {self.asked}, {work.queries:.3g} queries of {work.prompt_tokens:g} + "
            f"k x {work.output_tokens:g} tokens{on}{by}"
        )

    @property
    def read_tokens(self) -> float:
        """What the plan's tokens are worth where text ends, and D where it does not."""
        return float(self._read(self.chosen.n_tokens))

    def _read(self, tokens: npt.ArrayLike) -> Any:
        unique = self.held["unique_tokens"]
        return tokens if unique is None else DataWall().effective_tokens(tokens, unique)

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """The plan beside Chinchilla's, what is wrong with its law in short."""
        return self.shown()

    def shown(self, details: bool = False) -> RenderableType:
        """The plan as a person reads it.

        Args:
            details: whether what is wrong with the law is told in full.

        Returns:
            What `rich` prints.
        """
        lines: list[RenderableType] = [
            note(words[2:]) if words.startswith("! ") else line(words) for words in self.findings()
        ]
        if self.answers is not None:
            table = by_samples(self.answers.by_k, self.answers.judging, self.chosen.k)
            lines += [Text(), line("the same model by samples a query:"), table]
        warnings = self.warnings if details else shortened(self.warnings, self.law)
        source = [line(f"law: {self.law.name}, {self.law.source}")] if self.law.source else []
        return Group(line(self.title), self.table(), *lines, *map(note, warnings), *source)

    def findings(self) -> list[str]:
        """What there is to say of it, a sentence a line: where it is served, how it stands beside
        Chinchilla's. What must not be overlooked begins with "! ".
        """
        beside, says = self.compared, []
        if self.chosen.architecture is not None:
            says.append(_described(self.chosen.architecture))
        if self.room is not None:
            says += housed(self.room, self.chosen, self.held["limits"])
        if self.sharing is not None and self.sharing.holds:
            says.append(str(self.sharing))
        if beside is not None and beside.ratio is not None:
            says.append(ratio_words(beside.ratio, beside.interval, self.level))
        elif beside is not None and beside.withheld is not None:
            says.append(f"no ratio to Chinchilla's: {beside.withheld}")
        if self.answers is not None:
            says.append(self.answers.finding(self.chosen.k))
        return says

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: `n_params`, `n_tokens`, `k`, `predicted`, `training`, `serving`, `cost`, `chinchilla`
        with the same inside, and further keys.
        """
        beside = self.compared
        return {
            **_row(self.chosen),
            "unit": self.workload.unit,
            "memory": None if self.room is None else self._served(self.room),
            "chinchilla": None if self.chinchilla is None else _row(self.chinchilla),
            "ratio": None if beside is None else beside.ratio,
            "ratio_interval": None if beside is None or beside.interval is None else list(beside.interval),
            "no_ratio": None if beside is None else beside.withheld,
            **({} if self.answers is None else self.answers.to_dict()),
            "warnings": list(self.warnings),
            "law": {"law": self.law.name, "source": self.law.source, "domain": self.law.domain},
        }

    def _served(self, room: Room) -> dict[str, Any]:
        return {**room.to_dict(), "seconds_per_query": room.seconds(self.chosen.k)}

    def profile(self, points: int = 60) -> pl.DataFrame:
        """What every size would give for the same money: `n_params`, `n_tokens`, `k` and `predicted`, a row a
        size evenly in ln N over where the law is believed, or a row a size that was listed. Sizes that the
        money does not buy are left out.
        """
        models = self.held["n_params"]
        if isinstance(models, tuple):
            low, high = models
            models = np.geomspace(low, high, points).clip(low, high).tolist() if low < high else [low]
        names = ("n_tokens", "k", "integer_k", "unique_tokens", "limits", "judging")
        options = {name: self.held[name] for name in names}
        bought = profile_spending(self.law, self.budget, self.workload, models, **options)
        return pl.DataFrame(
            [[getattr(row, name) for name in MARKED] for row in bought],
            dict.fromkeys(MARKED, pl.Float64),
            orient="row",
        ).sort("n_params")

    def figure(self) -> Figure:
        """What every model size would give for the same money, the plan and Chinchilla's choice marked; where
        the check errs, right and wrong answers of the plan's N and D by k. With intervals where the law has
        draws.
        """
        if self.answers is not None:
            checked, chosen = self.answers, self.chosen
            place = chosen.n_params, self.read_tokens, chosen.k
            return drawn_answers(checked.judging, self.law, place, checked.shown_k, self.title, self.level)
        found = {"plan": self.chosen, "Chinchilla": self.chinchilla}
        marks = marked({name: choice for name, choice in found.items() if choice is not None})
        curve = self.profile()
        if not self.chosen.intervals:
            return profile(curve, marks, self.chosen.metric, self.title)
        n, d, k = (curve[name].to_numpy() for name in MARKED[:3])
        drawn = self.law.draw_values(n, self._read(d), k if self.law.has_k else np.ones_like(k))
        low, high = ends(drawn, self.level)
        curve = curve.with_columns(low=low, high=high)
        return profile(curve, marks, self.chosen.metric, self.title, self.level)

    def table(self) -> Columns:
        """The plan beside Chinchilla's and, where the check errs, beside that for a perfect one."""
        chosen, money, checked = self.chosen, self.workload.money, self.answers
        interval = f"{nominal(self.level)} interval" if chosen.intervals else ""
        rule = f"Chinchilla ({self.rule:g} tokens/parameter)"
        beside = [self.chinchilla] if checked is None else [self.chinchilla, checked.perfect]
        ideal = () if checked is None else ("perfect check",)
        table = columns("", "plan", interval, rule, *ideal, left=("",))

        def cost(plan: Spending, value: float) -> str:
            return f"{money(value)} ({value / plan.cost:.0%})"

        def span(name: str, text: Callable[[float], str]) -> str:
            pair = chosen.intervals.get(name)
            return "" if pair is None else f"{text(pair[0])} to {text(pair[1])}"

        rows: list[tuple[str, Callable[[Spending], str], str]] = [
            ("parameters N", lambda s: amount(s.n_params), span("n_params", amount)),
            ("training tokens D", lambda s: amount(s.n_tokens), span("n_tokens", amount)),
            ("samples per query k", lambda s: samples(s.k), span("k", samples)),
            ("tokens per parameter", lambda s: ratio(s.tokens_per_param), span("tokens_per_param", ratio)),
        ]
        if checked is None:
            rows.append(
                (f"predicted {chosen.metric}", lambda s: chance(s.predicted), span("predicted_here", chance))
            )
        else:
            # Of a perfect check pass@k is all that is right, and nothing is wrong.
            rows += [
                ("right answers", lambda s: chance(_or(s.right, s.predicted)), span("right_here", chance)),
                ("wrong answers", lambda s: chance(_or(s.wrong, 0.0)), span("wrong_here", chance)),
            ]
            if chosen.metric != "right answers":
                rows.append((chosen.metric, lambda s: chance(s.predicted), span("predicted_here", chance)))
        if chosen.metric == "-log pass@k":
            pair = chosen.intervals.get("predicted_here")
            spanned = "" if pair is None else f"{chance(math.exp(-pair[1]))} to {chance(math.exp(-pair[0]))}"
            rows.append(("that is pass@k", lambda s: chance(math.exp(-s.predicted)), spanned))
        rows += [
            ("training", lambda s: cost(s, s.training), ""),
            ("queries", lambda s: cost(s, s.serving), ""),
        ]
        low, high = chosen.intervals.get("cost", (chosen.cost, chosen.cost))
        if high > low * (1 + 1e-6):
            # A target: its cost is what is not known. A budget is spent.
            rows.append(("everything", lambda s: money(s.cost), span("cost", partial(money))))
        for label, text, spanned in rows:
            others = ["-" if plan is None else text(plan) for plan in beside]
            table.add_row(label, text(chosen), spanned, *others)
        return table


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def value_words(plan: Spending) -> str:
    """What a plan is worth, in words: pass@k for a law of its logarithm too."""
    if plan.metric == "-log pass@k":
        return f"pass@k {chance(math.exp(-plan.predicted))}"
    return f"{plan.metric} {chance(plan.predicted)}"


def _row(plan: Spending) -> dict[str, Any]:
    names = ("n_params", "n_tokens", "k", "predicted", "metric", "training", "serving", "cost", "gap")
    row = {name: getattr(plan, name) for name in names}
    if not math.isfinite(plan.gap):
        row["gap"] = None
    return {
        **row,
        **({} if plan.right is None else {"right": plan.right, "wrong": plan.wrong}),
        "tokens_per_param": plan.tokens_per_param,
        "intervals": {name: list(interval) for name, interval in plan.intervals.items()},
        "reached": plan.reached,
        "architecture": None if plan.architecture is None else asdict(plan.architecture),
    }


def _described(model: Architecture) -> str:
    counted = "the embedding, which is the head" if model.tied else "the embedding and the head"
    return (
        f"architecture: {model.layers} layers of width {model.width}, {model.heads} heads of "
        f"{model.head_dim}, feed-forward {model.hidden}, vocabulary {model.vocab:,}; N counts {counted}"
    )
