"""Outcomes among measured checkpoints: the best overtrained one against the Chinchilla-optimal, at equal
budgets.

What table 1 of Roberts et al. 2026 (arXiv 2604.01411) shows, from any table of counts; no law is involved.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal

import numpy as np
import polars as pl

from t2fast import compute
from t2fast.arguments import require_kind
from t2fast.estimators import estimate
from t2fast.tables.counts import Counts

RATIO = 20.0
"""Tokens per parameter of a Chinchilla-optimal checkpoint."""


def outcomes(
    counts: Counts,
    train_flops: float,
    inference_flops: float,
    *,
    chinchilla: float | Literal["pass@1"] = RATIO,
    within: float = 2.0,
    level: float = 0.95,
) -> pl.DataFrame:
    """The best overtrained checkpoint beside the Chinchilla-optimal one, a row a task.

    Checkpoints that cost between `train_flops`/within and `train_flops` (6 N D, with one percent of leeway)
    are compared at k = inference_flops/(2 N) samples, rounded down. Chinchilla-optimal is the one whose
    tokens per parameter are nearest to 20, on a logarithmic scale, or the best of a task at one sample;
    overtrained are those with more tokens per parameter than it has.

    Args:
        counts: with n_params and n_tokens.
        train_flops: budget of training.
        inference_flops: budget of a token served.
        chinchilla: tokens per parameter of a Chinchilla-optimal checkpoint, or "pass@1": what training alone
            would choose for the task, another model for every task as in the paper.
        within: how far below the budget a checkpoint may have stayed.
        level: of the intervals, for each value alone.

    Returns:
        Columns task (if there are several), and for "overtrained_" and "chinchilla_": n_params, n_tokens, k,
        pass_at_k, low, high; null where no checkpoint is left. `left_out` counts checkpoints whose k is below
        1 or above the fewest samples of a problem.

    Raises:
        ValueError: for budgets that are not positive; if no checkpoint's cost is near the budget, and if the
            inference budget pays for no k that was measured of any: it says how far off it is.
    """
    require_kind("outcomes", counts, (Counts,))
    for name, value in (("train_flops", train_flops), ("inference_flops", inference_flops)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value!r}: it has to be positive and finite")
    if chinchilla != "pass@1" and not (isinstance(chinchilla, Real) and 0 < chinchilla < math.inf):
        raise ValueError(f"chinchilla is {chinchilla!r}: give tokens per parameter, or 'pass@1'")
    if not within >= 1:
        raise ValueError(f"within is {within!r}: give a factor of at least 1")
    frame = counts.require_sizes().frame
    cost = compute.train_flops(pl.col("n_params"), pl.col("n_tokens"))
    near = frame.filter((cost <= 1.01 * train_flops) & (cost >= train_flops / within / 1.01))
    if not near.height:
        costs = compute.train_flops(counts.n_params, counts.n_tokens)
        nearest = costs[np.abs(np.log(costs / train_flops)).argmin()]
        raise ValueError(
            f"no checkpoint costs between {train_flops / within:.3g} and {train_flops:.3g} FLOPs; the "
            f"nearest costs {nearest:.3g}"
        )
    tasks = near["task"].unique().sort().to_list() if "task" in near.columns else [None]
    rows = [
        _row(near if t is None else near.filter(pl.col("task") == t), t, inference_flops, chinchilla, level)
        for t in tasks
    ]
    if all(row["chinchilla_k"] is None for row in rows):
        raise ValueError(_unpaid(near, inference_flops))
    return pl.DataFrame(rows, infer_schema_length=None)


def _unpaid(frame: pl.DataFrame, inference_flops: float) -> str:
    """Why no checkpoint has a k that was measured, and how far off the budget is."""
    groups = Counts(frame).by_checkpoint().values()
    samples = [(compute.sample_flops(float(g.n_params[0]), 1.0), int(g.n.min())) for g in groups]
    least = min(samples)[0]
    given = f"inference_flops is {inference_flops:.3g}"
    if inference_flops < least:
        return (
            f"{given}: not one sample of the smallest checkpoint of this training budget, which takes "
            f"{least:.3g}, {least / inference_flops:.3g} times that"
        )
    # Of those that it pays for at all; larger ones take more for a sample.
    most = max(one * drawn for one, drawn in samples if one <= inference_flops)
    return (
        f"{given}: more samples than were drawn of every problem at any checkpoint of this training budget "
        f"that it pays for; up to {most:.3g}, 1/{inference_flops / most:.3g} of that, there are enough of one"
    )


def _row(
    frame: pl.DataFrame, task: str | None, inference_flops: float, rule: float | str, level: float
) -> dict[str, object]:
    found, at_one, left_out = [], [], 0
    for group in Counts(frame).by_checkpoint().values():
        n, d = float(group.n_params[0]), float(group.n_tokens[0])
        k = math.floor(inference_flops / compute.sample_flops(n, 1.0) * (1 + 1e-12))
        if not 1 <= k <= group.n.min():
            left_out += 1
            continue
        first, last = estimate(group, k=[1, k], level=level).frame.iter_rows(named=True)
        found.append((n, d, k, last["pass_at_k"], last["low"], last["high"]))
        at_one.append(first["pass_at_k"])
    names = ("n_params", "n_tokens", "k", "pass_at_k", "low", "high")
    row: dict[str, object] = {} if task is None else {"task": task}
    if isinstance(rule, str):
        away = [-passed for passed in at_one]
    else:
        away = [abs(math.log(d / n / rule)) for n, d, *_ in found]
    chinchilla = found[int(np.argmin(away))] if found else None
    over = [c for c in found if chinchilla is not None and c[1] / c[0] > chinchilla[1] / chinchilla[0]]
    best = max(over, key=lambda c: c[3], default=None)
    for prefix, one in (("overtrained_", best), ("chinchilla_", chinchilla)):
        row |= {prefix + name: None if one is None else one[i] for i, name in enumerate(names)}
    return {**row, "left_out": left_out}
