"""What a choice is asked for, and in words why nothing meets it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from t2fast.choices.options import Floats, Options
from t2fast.estimators.verifier import Verifier, weighing


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        target: pass@k to reach at least cost, if any; otherwise the most pass@k is wanted, or without a
            budget the least cost a solved query.
        budget: USD a query at most; infinite if there is none.
        seconds: at most; infinite likewise.
        confidence: with which new problems have to meet the target.
        new: how many new problems.
        verifier: a check that errs, if one does.
        harm: what a wrong answer costs, in right ones.
    """

    target: float | None
    budget: float
    seconds: float
    confidence: float
    new: float
    verifier: Verifier | None
    harm: float

    @classmethod
    def of(
        cls,
        problems: int,
        target: float | None,
        per_query: float | None,
        latency: float | None,
        confidence: float,
        new_problems: float | None,
        verifier: Verifier | None,
        harm: float,
    ) -> Request:
        """The arguments of `t2fast.choose`, checked; `problems` were measured."""
        if not 0 < confidence < 1:
            raise ValueError(f"confidence is {confidence!r}: it has to lie between 0 and 1")
        for name, value in (("per_query", per_query), ("latency", latency)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value!r}: it has to be positive and finite")
        if target is not None and not 0 < target <= 1:
            raise ValueError(f"target is {target!r}: it has to lie between 0 and 1")
        new = problems if new_problems is None else new_problems
        if not (new == math.inf or (new >= 1 and new == int(new))):
            raise ValueError(f"new_problems is {new!r}: give a whole number of at least 1, or infinity")
        budget = math.inf if per_query is None else per_query
        seconds = math.inf if latency is None else latency
        return cls(target, budget, seconds, confidence, new, verifier, harm)

    @property
    def limited(self) -> bool:
        """Whether there is a budget or a latency, within which the most pass@k is wanted."""
        return math.isfinite(self.budget) or math.isfinite(self.seconds)

    @property
    def floor(self) -> float:
        """The target but for rounding: a mean that equals it may fall an ulp short. 0 without one."""
        return (self.target or 0.0) * (1 - 1e-12)

    @property
    def ceiling(self) -> float:
        """The budget but for rounding: a cost that equals it may come out an ulp above."""
        return self.budget * (1 + 1e-12)

    @property
    def metric(self) -> str:
        """What is wanted."""
        return "pass@k" if self.verifier is None else "right answers"

    def __str__(self) -> str:
        limits = []
        if self.target is not None:
            on = "the population" if math.isinf(self.new) else f"{self.new:.0f} new problems"
            limits.append(
                f"{self.metric} {self.target:g} on {on} with {self.confidence:.0%} confidence at least cost"
            )
        if math.isfinite(self.budget):
            limits.append(f"{self.budget:g} USD a query at most")
        if math.isfinite(self.seconds):
            limits.append(f"{self.seconds:g} s at most")
        says = ", ".join(limits) if limits else "the least cost of a solved query"
        if self.verifier is None:
            return says
        if self.target is None and self.harm:
            says += f", where {weighing(self.harm)}"
        return f"{says}, by {self.verifier}"


def one_by_one(errs: bool) -> str:
    """When sampling one by one ends."""
    return f"one by one until {'accepted' if errs else 'solved'}"


def cascade(errs: bool) -> str:
    """When a cascade goes on to its next model."""
    return f"cascade, each until {'accepted' if errs else 'solved'}"


def beyond_budget(options: Options, budget: float) -> str:
    """That a single sample costs too much."""
    i = int(options.usd_per_query.argmin())
    usd = options.usd_per_query[i]
    return (
        f"budget: one sample of the cheapest model, {options.stages[i][0][0]}, costs {usd:.3g} USD a query, "
        f"{usd / budget:.3g} times the {budget:g} given"
    )


def beyond_target(options: Options, affordable: Options, request: Request) -> str:
    """That no option within the budget solves enough of the problems measured."""
    target = request.target or 0.0
    most = int(affordable.pass_at_k.argmax())
    value = affordable.pass_at_k[most]
    says = (
        f"target: nothing measured reaches {request.metric} {target:g}{_limit(request)}. The most is "
        f"{value:.4f}, {target - value:.2g} short, by {_named(affordable, most)}"
    )
    if options.pass_at_k.max() < request.floor:
        return says
    i = int(np.where(options.pass_at_k >= request.floor, options.usd_per_query, np.inf).argmin())
    usd = options.usd_per_query[i]
    return (
        f"{says}. Without that budget {_named(options, i)} reaches it for {usd:.3g} USD, "
        f"{usd / request.budget:.3g} times the budget"
    )


def beyond_confidence(affordable: Options, met: Floats, request: Request) -> str:
    """That the problems measured reach the target, but leave open whether others would; `met` is the chance
    of each option that they do.
    """
    target, passes = request.target or 0.0, affordable.pass_at_k
    surest = int(np.lexsort((affordable.usd_per_query, -met))[0])
    reaching = int(np.where(passes >= request.floor, affordable.usd_per_query, np.inf).argmin())
    problems = affordable.passes.shape[1]
    return (
        f"confidence: {_named(affordable, reaching)} reaches {request.metric} {target:g}{_limit(request)} on "
        f"the {problems} problems measured ({passes[reaching]:.4f}), but nothing does on {request.new:g} new "
        f"ones with {request.confidence:.0%} confidence, jointly over the models. The surest, "
        f"{_named(affordable, surest)} ({passes[surest]:.4f}), does with {met[surest]:.1%}. Lower the "
        "confidence or the target, or measure more problems"
    )


def beyond_harm(options: Options, request: Request) -> str:
    """That whatever is done, wrong answers cost more than right ones bring."""
    worth = options.pass_at_k - request.harm * options.wrong_answers
    best = int(worth.argmax())
    right, wrong = options.pass_at_k[best], options.wrong_answers[best]
    most = right / wrong if wrong > 0 else math.inf
    odd = None if request.verifier is None else request.verifier.remark
    return (
        f"harm: nothing is worth its cost, where {weighing(request.harm)}. The nearest, "
        f"{_named(options, best)}, answers {right:.4f} rightly and {wrong:.4f} wrongly, which is worth "
        f"something at a harm below {most:.3g}{'' if odd is None else f'; {odd}'}"
    )


def _limit(request: Request) -> str:
    return f" within {request.budget:g} USD a query" if math.isfinite(request.budget) else ""


def _named(options: Options, i: int) -> str:
    model, k = options.stages[i][0]
    return f"{model} at k = {k}"
