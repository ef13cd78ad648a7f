"""A plan whose check errs: N, D and k with their right and wrong answers, beside what else could be had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from t2fast.charts import Drawn, Figure, Reported
from t2fast.estimators.verifier import Verifier, weighing
from t2fast.laws import AnyLaw
from t2fast.plans.faults import shortened
from t2fast.plans.judging import Answers, Judging, by_samples, drawn_answers
from t2fast.plans.planned import Interval, Rule
from t2fast.text import Columns, amount, chance, columns, line, nominal, note, plain, ratio, samples


@dataclass(frozen=True)
class CheckedChoice:
    """A model size with the k that is best for it.

    Attributes:
        n_params: parameters N.
        n_tokens: training tokens D.
        k: samples a problem.
        right: share of problems that are answered rightly.
        wrong: share that is answered wrongly; the rest has no answer.
        worth: `right` less the harm of `wrong`.
        free_k: the best k at this N and D if samples cost nothing.
        bound: the constraint that it sits on, in words; of Chinchilla's the one that moved it.
        intervals: over the draws of the law and of the check's rates: of `n_params`, `n_tokens`, `k`,
            `tokens_per_param`, `right`, `wrong`, `worth` and `free_k` chosen anew for each, and of
            `right_here`, `wrong_here` and `worth_here` for this very choice. Empty without draws.
    """

    n_params: float
    n_tokens: float
    k: float
    right: float
    wrong: float
    worth: float
    free_k: float
    bound: str | None
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def tokens_per_param(self) -> float:
        """D/N."""
        return self.n_tokens / self.n_params

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        names = ("n_params", "n_tokens", "k", "tokens_per_param", "right", "wrong", "worth", "free_k")
        return {
            **{name: getattr(self, name) for name in names},
            "bound": self.bound,
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
        }


@dataclass(frozen=True)
class CheckedPlan(Drawn, Reported):
    """The best N, D and k where the check errs.

    Attributes:
        chosen: what is best, with intervals.
        chinchilla: Chinchilla's N and D for the same budgets, with the k that is best there.
        rule: Chinchilla's: "law" or tokens per parameter.
        perfect: N, D, k and pass@k of the plan for a check without errors, under the same budgets.
        most_k: what the inference budget pays for at the chosen N, as far as limits allow.
        limit_k: the most k that limits allow, whatever the budget.
        by_k: right and wrong answers at the plan's N and D by k, the plan's k among them.
        verifier: the check.
        harm: what a wrong answer costs, in right ones.
        train_flops: the training budget, FLOPs.
        inference_flops: the inference budget, FLOPs per token served; None where sampling is free.
        level: coverage of the intervals.
        warnings: what to know before trusting it.
        law: the law it came from.
        listed_k: what k was chosen from, if there was a list.
    """

    chosen: CheckedChoice
    chinchilla: CheckedChoice
    rule: Rule
    perfect: Mapping[str, float]
    most_k: float
    limit_k: float
    by_k: tuple[Answers, ...]
    verifier: Verifier
    harm: float
    train_flops: float
    inference_flops: float | None
    level: float
    warnings: tuple[str, ...]
    law: AnyLaw = field(repr=False, compare=False)
    listed_k: tuple[float, ...] = ()

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """The plan beside Chinchilla's and a perfect check's, what is wrong with its law in short."""
        return self.shown()

    @property
    def judging(self) -> Judging:
        """The check and the harm of its errors."""
        return Judging(self.verifier, self.harm)

    @property
    def title(self) -> str:
        """What is planned, in words."""
        inference = ", sampling free"
        if self.inference_flops is not None:
            inference = f", {self.inference_flops:.3g} inference FLOPs per token"
        harm = f", where {weighing(self.harm)}" if self.harm else ""
        return f"Best model for {self.train_flops:.3g} training FLOPs{inference}, by {self.verifier}{harm}"

    def figure(self) -> Figure:
        """Right and wrong answers of the plan's N and D by k, with intervals where there are draws."""
        place = self.chosen.n_params, self.chosen.n_tokens, self.chosen.k
        return drawn_answers(self.judging, self.law, place, self.most_k, self.title, self.level)

    def shown(self, details: bool = False) -> RenderableType:
        """The plan as a person reads it.

        Args:
            details: whether what is wrong with the law is told in full.

        Returns:
            What `rich` prints.
        """
        warnings = self.warnings if details else shortened(self.warnings, self.law)
        source = [line(f"law: {self.law.name}, {self.law.source}")] if self.law.source else []
        return Group(
            line(self.title),
            self.table(),
            line(self.finding()),
            Text(),
            line("the same model by samples a problem:"),
            by_samples(self.by_k, self.judging, self.chosen.k),
            *map(note, warnings),
            *source,
        )

    def finding(self) -> str:
        """Whether more samples would help, in words."""
        chosen, last = self.chosen, self.by_k[-1]
        most = self.most_k * (1 - 1e-6)
        if self.listed_k:
            among = f"of k = {', '.join(map(samples, self.listed_k))} " if len(self.listed_k) > 1 else ""
            best = f"{among}k = {samples(chosen.k)} {'is best' if among else 'is held'}"
            return (
                f"{best}; were any k allowed and sampling free, the best k of this model would {self._free()}"
            )
        if chosen.k < most and chosen.worth <= last.worth + 1e-12:
            return f"more samples than k = {samples(chosen.k)} bring nothing"
        if chosen.k < most:
            paid = "the k maximum allows" if self.inference_flops is None else "the budget pays for"
            return (
                f"sampling more than k = {samples(chosen.k)} lowers {self.judging.metric}, even for free: "
                f"the {samples(last.k)} samples that {paid} bring {last.worth:.4f} in place of "
                f"{chosen.worth:.4f}"
            )
        if chosen.k >= self.limit_k * (1 - 1e-6):
            return f"more samples would still help at k = {samples(chosen.k)}, the most that limits allow"
        return (
            f"the budget ends at k = {samples(chosen.k)}; were sampling free, the best k of this model would "
            f"{self._free()}"
        )

    def _free(self) -> str:
        more = self.chosen.free_k >= self.limit_k * (1 - 1e-6)
        return f"be {samples(self.chosen.free_k)}{', the most that limits allow, or more' if more else ''}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: `n_params`, `n_tokens`, `k`, `right`, `wrong`, `worth`, `free_k`; `chinchilla` with the
        same inside, `perfect`, `by_k`, and further keys.
        """
        return {
            **self.chosen.to_dict(),
            "chinchilla": {**self.chinchilla.to_dict(), "rule": self.rule},
            "perfect": dict(self.perfect),
            "most_k": self.most_k,
            "by_k": [answers.to_dict() for answers in self.by_k],
            **self.judging.to_dict(),
            "train_flops": self.train_flops,
            "inference_flops": self.inference_flops,
            "level": self.level,
            "warnings": list(self.warnings),
        }

    def table(self) -> Columns:
        """The plan beside Chinchilla's and that for a perfect check."""
        chosen, chinchilla, perfect = self.chosen, self.chinchilla, self.perfect
        interval = chosen.intervals
        rule = "Chinchilla" if self.rule == "law" else f"Chinchilla ({self.rule:g} tokens/parameter)"
        spans = f"{nominal(self.level)} interval" if interval else ""
        table = columns("", "plan", spans, rule, "perfect check", left=("",))
        rows: tuple[tuple[str, str, Callable[[Any], str], float], ...] = (
            ("parameters N", "n_params", amount, perfect["n_params"]),
            ("training tokens D", "n_tokens", amount, perfect["n_tokens"]),
            ("samples per problem k", "k", samples, perfect["k"]),
            ("tokens per parameter", "tokens_per_param", ratio, perfect["n_tokens"] / perfect["n_params"]),
            ("right answers", "right", chance, perfect["pass_at_k"]),
            ("wrong answers", "wrong", chance, 0.0),
            (self.judging.metric, "worth", _signed, perfect["pass_at_k"]),
        )
        for label, name, show, ideal in rows if self.harm else rows[:-1]:
            span = interval.get(f"{name}_here", interval.get(name))
            shown = "" if span is None else f"{show(span[0])} to {show(span[1])}"
            values = show(getattr(chosen, name)), shown, show(getattr(chinchilla, name)), show(ideal)
            table.add_row(label, *values)
        return table


def _signed(value: float) -> str:
    return f"-{chance(-value)}" if value < 0 else chance(value)
