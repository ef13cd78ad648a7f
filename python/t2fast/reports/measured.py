"""What was measured: how much of it, pass@k with intervals, and how hard the problems are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from t2fast import charts
from t2fast.arguments import Integers
from t2fast.charts.axes import METRICS
from t2fast.charts.curves import label
from t2fast.estimators import estimate
from t2fast.estimators.curve import clustered_interval
from t2fast.reports.page import Block, Grid, Prose, Section
from t2fast.tables import Accuracies, Counts, Likelihoods, Losses
from t2fast.text import amount, counted

LEVEL = 0.95
"""Of the intervals of what was measured, as `t2fast passk` has them."""

FEW_PROBLEMS = 30
"""Problems below which an interval over them says little."""

_KEYS = ("model", "n_params", "n_tokens", "train_set", "stage", "task")

_EDGES = (0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9)
_CLASSES = ("never", "to 1%", "1–3%", "3–10%", "10–25%", "25–50%", "50–75%", "75–90%", "above 90%", "always")


def measured(table: Counts | Likelihoods | Losses | Accuracies) -> Section:
    """The section about a table."""
    blocks: list[Block] = [Prose(_totals(table))]
    if isinstance(table, Counts):
        curves = pass_frame(table)
        blocks.append(_counts(table, curves))
    else:
        blocks.append(_values(table))
    if isinstance(table, Counts | Likelihoods):
        curves = curves if isinstance(table, Counts) else _likely_frame(table)
        blocks += [charts.pass_curves(curves, LEVEL), charts.difficulties(classes(table))]
    elif table.has_sizes:
        value = table.checkpoints.columns[-1]
        title = METRICS["loss"] if isinstance(table, Losses) else value
        blocks.append(charts.values(table.checkpoints, value, title))
    return Section("What was measured", blocks)


def pass_frame(
    counts: Counts, ks: Sequence[int] | None = None, level: float = LEVEL, **how: Any
) -> pl.DataFrame:
    """pass@k of every checkpoint, as `charts.pass_curves` draws it.

    By default k runs over the powers of two for which every problem of the checkpoint has enough samples,
    and that number itself. `how` goes to `estimate`.
    """
    rows = []
    for name, part in _checkpoints(counts):
        n, c = part["n_samples"].to_numpy(), part["n_correct"].to_numpy()
        sequential = Counts(part).sequential
        asked = ks or _powers(n if sequential is None else sequential[1])
        curve = estimate(n, c, asked, level=level, sequential=sequential, **how)
        size = _sizes(part)
        for i, k in enumerate(curve.k):
            rows.append(
                {
                    "checkpoint": name,
                    **size,
                    "k": int(k),
                    "pass_at_k": float(curve.mean[i]),
                    "low": float(curve.low[i]),
                    "high": float(curve.high[i]),
                    "problems": int(curve.problems[i]),
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def _likely_frame(table: Likelihoods) -> pl.DataFrame:
    """The same of likelihoods: 1 - (1-p)^k of every problem, and its mean."""
    ks = 2 ** np.arange(8)
    rows = []
    for name, part in _checkpoints(table):
        with np.errstate(divide="ignore"):
            passed = -np.expm1(ks * np.log1p(-np.exp(part["log_likelihood"].to_numpy()))[:, None])
        size = _sizes(part)
        for k, values in zip(ks.tolist(), passed.T, strict=True):
            mean, low, high, _ = clustered_interval(values, np.arange(len(values)), LEVEL)
            ends: dict[str, Any] = {"pass_at_k": mean, "low": low, "high": high, "problems": len(values)}
            rows.append({"checkpoint": name, **size, "k": k, **ends})
    return pl.DataFrame(rows, infer_schema_length=None)


def classes(table: Counts | Likelihoods) -> pl.DataFrame:
    """Problems of every checkpoint by the share of samples that are right, for `charts.difficulties`."""
    frames = []
    right = (
        pl.col("log_likelihood").exp()
        if isinstance(table, Likelihoods)
        else pl.col("n_correct") / pl.col("n_samples")
    )
    for name, part in _checkpoints(table):
        share = part.select(right.alias("share"))["share"].to_numpy()
        found = 1 + np.searchsorted(_EDGES, share, side="left")
        found[share == 0], found[share == 1] = 0, len(_CLASSES) - 1
        problems = np.bincount(found, minlength=len(_CLASSES))
        frames.append(
            pl.DataFrame(
                {
                    "checkpoint": [name] * len(_CLASSES),
                    "solved": _CLASSES,
                    "problems": problems,
                    "share": problems / problems.sum(),
                }
            )
        )
    return pl.concat(frames)


def warnings(table: Counts | Likelihoods | Losses | Accuracies) -> Iterator[str]:
    """What to know of a table before anything that is made of it."""
    yield from table.notes
    for part in table.left_out:
        rows = f"{counted(part.rows, 'row')}: " if part.rows else ""
        yield f"left out, {rows}{part.reason}"
    if isinstance(table, Counts):
        least = min(part.height for _, part in _checkpoints(table))
        if least < FEW_PROBLEMS:
            yield f"a checkpoint has {counted(least, 'problem')}: intervals over so few say little"
        if not int(table.c.sum()):
            yield "nothing was solved"


def _checkpoints(table: Counts | Likelihoods) -> Iterator[tuple[str, pl.DataFrame]]:
    """Every checkpoint, smallest first, with a name of its own; of several tasks, stages or training sets,
    each by itself.
    """
    frame = table.frame
    keys = [key for key in _KEYS if key in frame.columns]
    several = [key for key in ("train_set", "stage", "task") if key in keys and frame[key].n_unique() > 1]
    parts = frame.partition_by(keys, maintain_order=True) if keys else [frame]
    order = [key for key in ("n_params", "n_tokens") if key in keys]
    if order:
        parts.sort(key=lambda part: [part[key][0] for key in order])
    named = []
    for part in parts:
        first = part.row(0, named=True)
        base = label(first.get("model"), first.get("n_params"), first.get("n_tokens"))
        named.append((", ".join([base, *(str(first[key]) for key in several)]), first, part))
    names = [name for name, _, _ in named]
    for name, first, part in named:
        # A model measured after several numbers of tokens.
        once = names.count(name) == 1 or first.get("n_tokens") is None
        yield name if once else f"{name}, D = {amount(first['n_tokens'])}", part


def _sizes(part: pl.DataFrame) -> dict[str, float]:
    """N and D of a checkpoint, as far as they are known."""
    return {key: part[key][0] for key in ("n_params", "n_tokens") if key in part.columns}


def _powers(most: Integers) -> list[int]:
    top = int(most.min())
    return sorted({1 << i for i in range(top.bit_length())} | {top})


def _totals(table: Counts | Likelihoods | Losses | Accuracies) -> str:
    source = f"Read from {table.source}: "
    checkpoints = counted(table.checkpoints.height, "checkpoint")
    if isinstance(table, Losses | Accuracies):
        kind = "loss" if isinstance(table, Losses) else "accuracy"
        return f"{source}{counted(len(table), 'measurement')} of {kind}, {checkpoints}."
    keys = [key for key in ("task", "problem") if key in table.frame.columns]
    problems = table.frame.select(keys).n_unique()
    head = f"{source}{checkpoints}, {counted(problems, 'problem')}"
    if isinstance(table, Likelihoods):
        return f"{head}, {len(table):,} likelihoods."
    total, right = int(table.n.sum()), int(table.c.sum())
    sequential = (
        ""
        if table.sequential is None
        else " Sampling ended at successes, which the estimates take into account."
    )
    return f"{head}, {total:,} samples, {right:,} of them right ({right / total:.2%}).{sequential}"


def _counts(counts: Counts, curves: pl.DataFrame) -> Grid:
    sized = "n_params" in counts.frame.columns
    tokens = "n_tokens" in counts.frame.columns
    firsts = {row["checkpoint"]: row for row in curves.filter(pl.col("k") == 1).iter_rows(named=True)}
    rows = []
    for name, part in _checkpoints(counts):
        n, c = part["n_samples"], part["n_correct"]
        one = firsts[name]
        least, most = (int(end) for end in part.select(least=n.min(), most=n.max()).row(0))
        rows.append(
            [
                name,
                *([amount(part["n_params"][0])] if sized else []),
                *([amount(part["n_tokens"][0])] if tokens else []),
                f"{part.height:,}",
                f"{least:,}" if least == most else f"{least:,} to {most:,}",
                f"{int(n.sum()):,}",
                f"{(c > 0).sum() / part.height:.1%}",
                f"{one['pass_at_k']:.4f}",
                f"{one['low']:.4f} to {one['high']:.4f}",
            ]
        )
    headers = [
        "checkpoint",
        *(["N"] if sized else []),
        *(["D"] if tokens else []),
        "problems",
        "samples a problem",
        "samples",
        "solved at all",
        "pass@1",
        f"{LEVEL:.0%} interval",
    ]
    return Grid(headers, rows, caption="Checkpoints, smallest first")


def _values(table: Likelihoods | Losses | Accuracies) -> Grid:
    """Every checkpoint with its mean."""
    value = table.checkpoints.columns[-1]
    keys = [name for name in ("model", "n_params", "n_tokens") if name in table.checkpoints.columns]
    rows = []
    for row in table.checkpoints.iter_rows(named=True):
        named = [str(row[key]) if key == "model" else amount(row[key]) for key in keys]
        rows.append([*named, f"{row[value]:.4g}"])
    words = {"model": "model", "n_params": "N", "n_tokens": "D"}
    mean = f"mean {value.replace('_', ' ')}"
    return Grid(
        [*(words[key] for key in keys), mean], rows, int("model" in keys), "Checkpoints, smallest first"
    )
