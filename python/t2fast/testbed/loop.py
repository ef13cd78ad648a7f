"""The loop: laws of small budgets plan a large one, the plan is trained, and held against its forecast."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from t2fast.compute import sample_flops, train_flops
from t2fast.estimators import likely_pass_at_k, pass_at_k
from t2fast.fits import FitWarning, fit_chinchilla, fit_forecast
from t2fast.fits.forecast import LEAST_CHECKPOINTS
from t2fast.laws import ForecastLaw
from t2fast.plans import plan
from t2fast.tables import Counts, Likelihoods, Losses
from t2fast.testbed.grid import Checkpoint, checkpoint, up_to
from t2fast.testbed.settings import Settings
from t2fast.training.corpus import trained_on

REACH = 64.0
"""How far beyond the laws' checkpoints a plan may go, as a factor: to go there is the point of the loop."""
_LEVEL = 0.9


@dataclass(frozen=True)
class Promise:
    """What a law says of a choice on a task, before anything of that size is trained.

    Attributes:
        task: the task.
        choice: plan or Chinchilla.
        n_params: N.
        n_tokens: D.
        k: samples a problem, whole.
        predicted: pass@k.
        low: lower end of a new checkpoint's interval.
        high: its upper end.
    """

    task: str
    choice: str
    n_params: float
    n_tokens: float
    k: int
    predicted: float
    low: float
    high: float


@dataclass(frozen=True)
class Kept:
    """A promise, and what was measured.

    Attributes:
        promise: what was said.
        by_likelihood: mean over problems of 1 - (1 - p)^k, a seed each.
        by_counts: unbiased pass@k from samples, a seed each.
    """

    promise: Promise
    by_likelihood: tuple[float, ...]
    by_counts: tuple[float, ...]

    @property
    def measured(self) -> float:
        """The mean over seeds, by likelihood."""
        return float(np.mean(self.by_likelihood))

    @property
    def inside(self) -> int:
        """Seeds whose pass@k is in the interval."""
        return sum(self.promise.low <= value <= self.promise.high for value in self.by_likelihood)


def check(settings: Settings, ordinary: Sequence[Checkpoint]) -> None:
    """Refuse, before anything is trained, what the loop could not be closed with."""
    seen = [one for one in ordinary if one.flops <= up_to(settings)]
    if len(seen) < LEAST_CHECKPOINTS:
        raise ValueError(
            f"{len(seen)} of the grid's {len(ordinary)} checkpoints have at most an eighth of train_flops, "
            f"{settings.train_flops / 8:g}, and laws are fitted to these: {LEAST_CHECKPOINTS} are needed. "
            "Give more sizes or budgets up to there, or raise train_flops"
        )
    sizes = _sizes(settings, trained_on(int(settings.corpus_tokens)))
    smallest, longest = min(one.shape.n_params for one in seen), max(one.n_tokens for one in seen)
    if not any(n >= smallest / REACH and settings.train_flops / (6 * n) <= longest * REACH for n in sizes):
        raise ValueError(
            f"train_flops {settings.train_flops:g} is too far from the budgets: at any size it is more than "
            f"{REACH:g} times the {longest:,} tokens of the longest run. Lower it, or raise the budgets"
        )


def _sizes(settings: Settings, most_tokens: float) -> list[float]:
    """The sizes that the corpus is long enough for at C, ascending; `ValueError` if none is."""
    sizes = sorted(
        float(shape.n_params)
        for shape in settings.shapes
        if settings.train_flops <= train_flops(shape.n_params, most_tokens)
    )
    if not sizes:
        raise ValueError(
            f"the corpus has {most_tokens:,.0f} tokens to train on, too few for any size at "
            f"{settings.train_flops:g} FLOPs: raise corpus_tokens"
        )
    return sizes


def laws_of(settings: Settings, likelihoods: Likelihoods) -> dict[str, ForecastLaw]:
    """For every task the forecast law of the checkpoints up to C/8."""
    small = likelihoods.filter(max_train_flops=up_to(settings))
    most = settings.inference_flops / sample_flops(min(shape.n_params for shape in settings.shapes), 1)
    ks = [2.0**i for i in range(int(np.log2(max(most, 1.0))) + 1)]
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # what a law has to say of itself is in the report
        for task in small.frame["task"].unique(maintain_order=True):
            found[task] = fit_forecast(small.filter(task=task), ks=ks, progress=False)
    return found


def promises(
    settings: Settings, laws: Mapping[str, ForecastLaw], losses: Losses, most_tokens: float
) -> list[Promise]:
    """Each law's plan for C, among the sizes there are, and its forecast of Chinchilla's choice.

    Chinchilla's choice is the size whose loss is least by the law of the held-out losses.
    """
    sizes = _sizes(settings, most_tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        loss_law = fit_chinchilla(losses.filter(max_train_flops=up_to(settings)), draws=0, progress=False)
    theirs = plan(loss_law, settings.train_flops, n_params=sizes, extrapolate=REACH).n_params
    found = []
    for task, law in laws.items():
        ours = plan(
            law, settings.train_flops, settings.inference_flops, n_params=sizes, extrapolate=REACH
        ).n_params
        for choice, n_params in (("plan", ours), ("Chinchilla", theirs)):
            n_tokens = settings.train_flops / train_flops(n_params, 1)
            k = int(settings.inference_flops / sample_flops(n_params, 1))
            low, high = law.interval(n_params, n_tokens, k, _LEVEL)
            predicted = float(law.predict(n_params, n_tokens, k))
            found.append(Promise(task, choice, n_params, n_tokens, k, predicted, float(low), float(high)))
    return found


def chosen(settings: Settings, said: Sequence[Promise]) -> list[Checkpoint]:
    """What is to be trained so that the promises can be held against something: each size once a seed.

    Of each problem at least k samples are drawn there, so that counts tell pass@k, too.
    """
    shapes = {shape.n_params: shape for shape in settings.shapes}
    sizes = {(promise.n_params, promise.n_tokens): promise.k for promise in said}
    return [
        checkpoint(settings, "loop", shapes[int(n_params)], n_tokens, seed, k)
        for (n_params, n_tokens), k in sizes.items()
        for seed in range(settings.loop_seeds)
    ]


def kept(said: Sequence[Promise], likelihoods: Likelihoods, counts: Counts) -> list[Kept]:
    """The promises beside what the loop's checkpoints did."""
    return [
        Kept(
            promise,
            tuple(_by_likelihood(likelihoods, promise)),
            tuple(_by_counts(counts, promise)),
        )
        for promise in said
    ]


def _by_likelihood(table: Likelihoods, promise: Promise) -> list[float]:
    rows = table.filter(task=promise.task, min_params=promise.n_params, max_params=promise.n_params).frame
    return [
        float(np.mean(likely_pass_at_k(group["log_likelihood"], promise.k)))
        for _, group in rows.group_by("model", maintain_order=True)
    ]


def _by_counts(table: Counts, promise: Promise) -> list[float]:
    rows = table.filter(task=promise.task, min_params=promise.n_params, max_params=promise.n_params).frame
    return [
        float(np.mean(pass_at_k(group["n_samples"], group["n_correct"], promise.k)))
        for _, group in rows.group_by("model", maintain_order=True)
    ]
