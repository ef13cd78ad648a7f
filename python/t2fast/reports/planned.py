"""What a law advises: profiles along budgets, frontiers over them, and a plan beside Chinchilla's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from t2fast import charts
from t2fast.compute import sample_flops, train_flops
from t2fast.laws import AnyLaw
from t2fast.plans import Plan, frontier, plan, plan_many
from t2fast.reports.page import Block, Grid, Prose, Section
from t2fast.text import amount, chance, nominal, ratio, samples

BUDGETS = 7
"""Training budgets of a frontier."""

CURVES = 6
"""Training budgets of the profiles."""


@dataclass(frozen=True)
class Budgets:
    """Training budgets, smallest first, and the inference budget that goes with each; words say whence."""

    train_flops: tuple[float, ...]
    inference_flops: float | None
    words: str


def budgets_of(law: AnyLaw, asked: Plan | None) -> Budgets | None:
    """Budgets that the law's data reach: of a plan if there is one, or else in the middle of the data.

    None for a law that does not say what it was fitted on.
    """
    if not {"n_params", "n_tokens"} <= law.domain.keys():
        return None
    (small, large), (short, long) = law.domain["n_params"], law.domain["n_tokens"]
    if asked is not None:
        inference, words = asked.inference_flops, ""
    elif law.has_k:
        least, most = law.domain.get("k", (1.0, 1.0))
        inference = sample_flops(math.sqrt(small * large), math.sqrt(least * most))
        words = (
            f"No plan was asked for: {inference:.3g} inference FLOPs per token, which pay for the middle of "
            "the law's N and k."
        )
    else:
        inference, words = None, ""
    span = np.geomspace(2 * train_flops(small, short), train_flops(large, long), BUDGETS)
    every = sorted({*span.tolist(), *([] if asked is None else [asked.train_flops])})
    return Budgets(tuple(b for b in every if _possible(law, b, inference)), inference, words)


def planned(law: AnyLaw, budgets: Budgets | None, plans: Sequence[Plan], level: float) -> Iterator[Section]:
    """The sections about what the law advises."""
    if budgets is not None and len(budgets.train_flops) > 1:
        yield _advice(law, budgets, level)
    yield from map(_plan, plans)


def _possible(law: AnyLaw, train: float, inference: float | None) -> bool:
    """Whether the law's limits leave anything to choose under these budgets."""
    try:
        plan_many(law, train, inference)
    except ValueError:
        return False
    return True


def _advice(law: AnyLaw, budgets: Budgets, level: float) -> Section:
    blocks: list[Block] = [Prose(budgets.words)] if budgets.words else []
    frame = frontier(law, list(budgets.train_flops), budgets.inference_flops, level=level)
    inference = budgets.inference_flops
    of = "" if inference is None else f", at {inference:.3g} inference FLOPs per token"
    curves = pl.concat([_profile(law, budget, inference) for budget in _some(budgets.train_flops)])
    blocks += [
        charts.profiles(curves, law.metric, f"IsoFLOP profiles{of}"),
        charts.frontier(frame, law.domain),
    ]
    return Section("What to train", blocks)


def _profile(law: AnyLaw, train: float, inference: float | None) -> pl.DataFrame:
    """The sizes that spend the budget, and the best one. Where the tokens that the law reaches are too few
    for a size, all greater budgets buy the same of it, and their curves would be one line.
    """
    chosen = plan(replace(law, draws=None), train, inference)  # draws take seconds and are not drawn here
    rows = {
        name: np.append(getattr(chosen.profile(60), name), getattr(chosen, name) or math.inf)
        for name in ("n_params", "n_tokens", "k", "predicted")
    }
    best = [False] * (len(rows["k"]) - 1) + [True]
    frame = pl.DataFrame({"train_flops": train, **rows, "best": best})
    used = train_flops(pl.col("n_params"), pl.col("n_tokens"))
    return frame.filter((used >= train * (1 - 1e-6)) | pl.col("best"))


def _some(budgets: tuple[float, ...]) -> list[float]:
    places = np.unique(np.linspace(0, len(budgets) - 1, CURVES).round().astype(int))
    return [budgets[place] for place in places]


def _plan(found: Plan) -> Section:
    other, interval = found.chinchilla, found.intervals
    rows = []
    for label, name, show in (
        ("parameters N", "n_params", amount),
        ("training tokens D", "n_tokens", amount),
        ("samples per problem k", "k", samples),
        ("tokens per parameter", "tokens_per_param", ratio),
        (f"predicted {found.metric}", "predicted", chance),
        ("training FLOPs used", "train_flops_used", lambda value: f"{value:.3g}"),
        (
            "inference FLOPs per token used",
            "inference_flops_used",
            lambda v: "-" if v is None else f"{v:.3g}",
        ),
    ):
        span = interval.get("predicted_here" if name == "predicted" else name)
        shown = "" if span is None else f"{show(span[0])} to {show(span[1])}"
        rows.append([label, show(getattr(found, name)), shown, show(getattr(other, name))])
    rule = "" if other.rule == "law" else f" ({other.rule:g} tokens a parameter)"
    budget = (
        "" if found.inference_flops is None else f", {found.inference_flops:.3g} inference FLOPs per token"
    )
    caption = f"Best model for {found.train_flops:.3g} training FLOPs{budget}"
    blocks: list[Block] = [
        Grid(["", "plan", f"{nominal(found.level)} interval", f"Chinchilla{rule}"], rows, caption=caption)
    ]
    if found.ratio is not None:
        words = f"Predicted pass@k is {found.ratio:.2f} times Chinchilla's"
        if found.ratio_interval is not None:
            low, high = found.ratio_interval
            words += f" ({nominal(found.level)} interval {low:.2f} to {high:.2f})"
        blocks.append(Prose(f"{words}."))
    elif found.no_ratio is not None:
        blocks.append(Prose(f"No ratio to Chinchilla's: {found.no_ratio}."))
    return Section("The plan beside Chinchilla's", [*blocks, found.figure()])
