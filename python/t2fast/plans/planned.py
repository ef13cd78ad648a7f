"""What a plan is: a choice of N, D and k, Chinchilla's beside it; and arrays of them over many budgets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Group, RenderableType

from t2fast import _core
from t2fast.charts import Drawn, Figure, Reported, profile
from t2fast.compute import largest_params, sample_flops, train_flops
from t2fast.laws import AnyLaw
from t2fast.laws.ends import ends
from t2fast.plans.faults import shortened
from t2fast.text import amount, chance, columns, line, nominal, note, plain, ratio, samples

Floats: TypeAlias = npt.NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]
Rule: TypeAlias = float | Literal["law"]

BOUNDS = (
    None,
    "the n_params minimum",
    "the n_params maximum",
    "the least k, one sample unless listed (n_params = inference_flops/(2 k))",
    "the n_tokens minimum",
    "the n_tokens maximum",
    "the k maximum",
)
"""What a choice can sit on, in words, by the code that `ChoiceArrays.bound` holds."""
MARKED = ("n_params", "n_tokens", "k", "predicted")
"""What a figure shows of a choice."""
_DRAWN = 200
"""Sizes of a profile that is drawn."""


@dataclass(frozen=True)
class Choice:
    """A model size and what the budgets then buy.

    Attributes:
        n_params: parameters N.
        n_tokens: training tokens D.
        k: samples per problem; None without an inference budget.
        predicted: the law's value there.
        intervals: percentile intervals over the law's bootstrap draws, empty if it has none: for `n_params`,
            `n_tokens`, `k`, `tokens_per_param` and `predicted` of the choice made anew for each draw, and
            `predicted_here` for this very choice.
        bound: the constraint that it sits on, in words; for Chinchilla's choice the one that moved it.
    """

    n_params: float
    n_tokens: float
    k: float | None
    predicted: float
    intervals: Mapping[str, Interval]
    bound: str | None

    @property
    def tokens_per_param(self) -> float:
        """D/N."""
        return self.n_tokens / self.n_params

    @property
    def train_flops_used(self) -> float:
        """6 N D."""
        return float(train_flops(self.n_params, self.n_tokens))

    @property
    def inference_flops_used(self) -> float | None:
        """2 N k, FLOPs per token served."""
        return None if self.k is None else float(sample_flops(self.n_params, self.k))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "n_params": self.n_params,
            "n_tokens": self.n_tokens,
            "k": self.k,
            "tokens_per_param": self.tokens_per_param,
            "predicted": self.predicted,
            "train_flops_used": self.train_flops_used,
            "inference_flops_used": self.inference_flops_used,
            "bound": self.bound,
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
        }


@dataclass(frozen=True)
class Chinchilla(Choice):
    """Chinchilla's choice under the same budgets and constraints.

    Attributes:
        rule: "law" (the law's own optimum of training) or tokens per parameter.
    """

    rule: Rule

    @property
    def clamped(self) -> bool:
        """Whether a constraint moved N, such as a model too large to draw even one sample; `bound` names
        it.
        """
        return self.bound is not None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**super().to_dict(), "rule": self.rule, "clamped": self.clamped}


@dataclass(frozen=True)
class Profile:
    """The law along the budget line: what every N would buy.

    Arrays of one length, N ascending; k is infinite without an inference budget.
    """

    n_params: Floats
    n_tokens: Floats
    k: Floats
    predicted: Floats


@dataclass(frozen=True)
class Constraints:
    """Ranges of N and D (open ends are 1 and infinity), sizes to choose from if any, the most samples a
    problem, whether k is whole, the least samples, and D and k to choose from where they are listed; of
    Chinchilla's D the range holds all the same.
    """

    n_params: tuple[float, float]
    sizes: tuple[float, ...] | None
    n_tokens: tuple[float, float]
    most_samples: float
    integer_k: bool
    least_samples: float = 1.0
    tokens: tuple[float, ...] = ()
    samples: tuple[float, ...] = ()

    @property
    def fewest_tokens(self) -> float:
        """The least D."""
        return min(self.tokens, default=self.n_tokens[0])

    @property
    def fewest_samples(self) -> float:
        """The least k."""
        return min(self.samples, default=self.least_samples)

    def pairs(self) -> list[Constraints]:
        """With every listed D and every listed k held, the least first; itself where nothing is listed."""
        held = replace(self, tokens=(), samples=())
        by_d = [replace(held, n_tokens=(d, d)) for d in self.tokens] or [held]
        return [
            one if k is None else replace(one, least_samples=k, most_samples=k, integer_k=False)
            for one in by_d
            for k in self.samples or (None,)
        ]


@dataclass(frozen=True)
class Plan(Choice, Drawn, Reported):
    """The best choice under a law and two budgets, beside Chinchilla's.

    Attributes:
        metric: what `predicted` is: "loss" or "-log pass@k" (lower is better), "pass@k" or "accuracy" (higher
            is better).
        train_flops: the training budget, FLOPs.
        inference_flops: the inference budget, FLOPs per token served, if any.
        chinchilla: Chinchilla's choice under the same budgets.
        gain: how much better the plan is predicted to be: Chinchilla's loss less ours, or our pass@k less
            Chinchilla's.
        ratio: our pass@k over Chinchilla's, each planned under the same budgets and limits; for the loss law
            exp(gain), the ratio of geometric means over problems. None where there is no pass@k, where
            Chinchilla's is 0, or where `no_ratio` says why it cannot be believed.
        ratio_interval: of the ratio over the law's draws, both choices planned anew for each.
        no_ratio: why the ratio is withheld.
        level: coverage of the intervals.
        warnings: what to know before trusting it, such as how far outside the law's data it lies.
        law: the law it came from.
        constraints: what it had to respect.
    """

    metric: Literal["loss", "-log pass@k", "pass@k", "accuracy"]
    train_flops: float
    inference_flops: float | None
    chinchilla: Chinchilla
    gain: float
    ratio: float | None
    ratio_interval: Interval | None
    no_ratio: str | None
    level: float
    warnings: tuple[str, ...]
    law: AnyLaw = field(repr=False, compare=False)
    constraints: Constraints = field(repr=False)

    @property
    def pass_at_k(self) -> float | None:
        """The predicted pass@k, exp(-value) for the loss law (a geometric mean over problems); None for a
        loss.
        """
        return self._pass_at_k(self)

    def _pass_at_k(self, choice: Choice) -> float | None:
        if self.metric == "-log pass@k":
            return math.exp(-choice.predicted)
        return choice.predicted if self.metric == "pass@k" else None

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """The plan beside Chinchilla's, what is wrong with its law in short."""
        return self.shown()

    def shown(self, details: bool = False) -> RenderableType:
        """The plan beside Chinchilla's, with intervals over the law's draws.

        Args:
            details: whether what is wrong with the law is told in full.

        Returns:
            What `rich` prints.
        """
        inference = (
            "" if self.inference_flops is None else f", {self.inference_flops:.3g} inference FLOPs per token"
        )
        rule = self.chinchilla.rule
        other = "Chinchilla" if rule == "law" else f"Chinchilla ({rule:g} tokens/parameter)"
        interval = self.intervals
        table = columns("", "plan", f"{nominal(self.level)} interval" if interval else "", other, left=("",))
        rows: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
            ("parameters N", "n_params", amount),
            ("training tokens D", "n_tokens", amount),
            ("samples per problem k", "k", samples),
            ("tokens per parameter", "tokens_per_param", ratio),
            (f"predicted {self.metric}", "predicted", chance),
        )
        for label, name, show in rows:
            span = interval.get("predicted_here" if name == "predicted" else name)
            shown = "" if span is None else f"{show(span[0])} to {show(span[1])}"
            table.add_row(label, show(getattr(self, name)), shown, show(getattr(self.chinchilla, name)))
        if self.metric == "-log pass@k":
            low, high = interval.get("predicted_here", (math.nan, math.nan))
            shown = f"{chance(math.exp(-high))} to {chance(math.exp(-low))}" if interval else ""
            ours, theirs = (chance(math.exp(-choice.predicted)) for choice in (self, self.chinchilla))
            table.add_row("that is pass@k", ours, shown, theirs)
        parts: list[RenderableType] = [
            line(f"Best model for {self.train_flops:.3g} training FLOPs{inference}"),
            table,
        ]
        if self.ratio is not None:
            parts.append(line(ratio_words(self.ratio, self.ratio_interval, self.level)))
        elif self.no_ratio is not None:
            parts.append(line(f"no ratio to Chinchilla's: {self.no_ratio}"))
        parts += map(note, self.warnings if details else shortened(self.warnings, self.law))
        if self.law.source:
            parts.append(line(f"law: {self.law.name}, {self.law.source}"))
        return Group(*parts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: `n_params`, `n_tokens`, `k`, `tokens_per_param`, `predicted`, `chinchilla` with the
        same inside, and further keys.
        """
        return {
            **super().to_dict(),
            "metric": self.metric,
            "train_flops": self.train_flops,
            "inference_flops": self.inference_flops,
            "chinchilla": self.chinchilla.to_dict(),
            "gain": self.gain,
            "pass_at_k": self.pass_at_k,
            "ratio": self.ratio,
            "ratio_interval": None if self.ratio_interval is None else list(self.ratio_interval),
            "no_ratio": self.no_ratio,
            "level": self.level,
            "warnings": list(self.warnings),
        }

    def figure(self) -> Figure:
        """What every model size would buy along the budget line, the plan and Chinchilla's choice marked;
        with intervals where the law has draws.
        """
        curve = self.profile(_DRAWN)
        title = f"Training {self.train_flops:.3g} FLOPs"
        if self.inference_flops is not None:
            title += f", inference {self.inference_flops:.3g} FLOPs per token"
        frame = pl.DataFrame({name: getattr(curve, name) for name in MARKED})
        marks = marked({"plan": self, "Chinchilla": self.chinchilla})
        if not self.intervals:
            return profile(frame, marks, self.metric, title)
        drawn = self.law.draw_values(
            curve.n_params, curve.n_tokens, curve.k if self.law.has_k else np.ones_like(curve.k)
        )
        low, high = ends(drawn, self.level)
        return profile(frame.with_columns(low=low, high=high), marks, self.metric, title, self.level)

    def profile(self, points: int = 200) -> Profile:
        """The isoFLOP profile behind the plan, evenly in ln N, from a thirtieth of the smaller to thirty
        times the larger of our N and Chinchilla's, as far as the constraints allow; or at every size that
        was allowed.
        """
        if isinstance(points, bool) or not isinstance(points, int) or points < 2:
            raise ValueError(f"points is {points!r}: give a whole number, 2 or more")
        limits = self.constraints
        inference = math.inf if self.inference_flops is None else self.inference_flops
        ceiling = largest_params(self.train_flops, inference, limits.fewest_tokens, limits.fewest_samples)
        if limits.sizes is not None:
            n = np.unique(limits.sizes)
            n = n[n <= ceiling]
        else:
            small, large = sorted([self.n_params, self.chinchilla.n_params])
            low, high = max(limits.n_params[0], small / 30), min(limits.n_params[1], large * 30, ceiling)
            n = np.geomspace(low, high, points).clip(low, high)
        best = np.full((3, len(n)), np.nan)
        for held in limits.pairs():
            fits = train_flops(n, held.n_tokens[0]) <= self.train_flops * (1 + 1e-12)
            fits &= sample_flops(n, held.least_samples) <= inference * (1 + 1e-12)
            at = np.flatnonzero(fits)
            line = _core.budget_line(self.train_flops, inference, np.ascontiguousarray(n[at]), held)
            d, k = line.T.copy()
            values = law_values(self.law, n[at], d, k)
            sign = 1 if self.law.higher_is_better else -1
            better = ~(sign * best[2, at] >= sign * values)
            best[:, at[better]] = np.stack([d, k, values])[:, better]
        return Profile(n, *best)


@dataclass(frozen=True)
class ChoiceArrays:
    """Many choices as arrays of one shape: (budgets,), or (budgets, draws) where draws were given.

    `bound` holds indices into `BOUNDS`; k is infinite without an inference budget.
    """

    n_params: Floats
    n_tokens: Floats
    k: Floats
    predicted: Floats
    bound: npt.NDArray[np.uint8]

    @property
    def tokens_per_param(self) -> Floats:
        """D/N."""
        return self.n_tokens / self.n_params


@dataclass(frozen=True)
class ChinchillaArrays(ChoiceArrays):
    """Chinchilla's choices; `rule` as in `Chinchilla`."""

    rule: Rule

    @property
    def clamped(self) -> npt.NDArray[np.bool_]:
        """Whether a constraint moved N."""
        return np.not_equal(self.bound, 0)


@dataclass(frozen=True)
class PlanArrays(ChoiceArrays):
    """The best choices, beside Chinchilla's."""

    chinchilla: ChinchillaArrays


def marked(choices: Mapping[str, Any]) -> pl.DataFrame:
    """Choices by their names as `charts.profile` marks them: with intervals of their values and their N."""
    rows = []
    for name, choice in choices.items():
        low, high = choice.intervals.get("predicted_here", (None, None))
        least, most = choice.intervals.get("n_params", (None, None))
        here = {"low": low, "high": high, "least": least, "most": most}
        rows.append({"choice": name, **{axis: getattr(choice, axis) for axis in MARKED}, **here})
    schema = {"choice": pl.String, **dict.fromkeys((*MARKED, "low", "high", "least", "most"), pl.Float64)}
    return pl.DataFrame(rows, schema)


def ratio_words(ratio: float, interval: Interval | None, level: float) -> str:
    """Our pass@k over Chinchilla's, in words."""
    spanned = (
        "" if interval is None else f" ({nominal(level)} interval {interval[0]:.2f} to {interval[1]:.2f})"
    )
    return f"predicted pass@k {ratio:.2f} times Chinchilla's{spanned}"


def law_values(law: AnyLaw, n: Floats, d: Floats, k: Floats) -> Floats:
    """The law's value at points (N, D, k); k is any where the law has none."""
    return np.asarray(law.predict(n, d, k if law.has_k else np.ones_like(k)))
