"""What was measured: how much of it, pass@k with intervals, and how hard the problems are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from t2fast import charts
from t2fast.charts.axes import METRICS
from t2fast.estimators import PassCurves, estimate
from t2fast.reports.page import Block, Grid, Prose, Section
from t2fast.tables import Accuracies, Counts, Likelihoods, Losses
from t2fast.tables.reading import CHECKPOINT, GROUP, SIZES
from t2fast.text import amount, chance, counted

LEVEL = 0.95
"""Of the intervals of what was measured, as `t2fast passk` has them."""

FEW_PROBLEMS = 30
"""Problems below which an interval over them says little."""
LEAST_END = 1e-6
"""Lower ends of intervals below it are shown as 0."""

_EDGES = (0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9)
_CLASSES = ("never", "to 1%", "1–3%", "3–10%", "10–25%", "25–50%", "50–75%", "75–90%", "above 90%", "always")


def measured(table: Counts | Likelihoods | Losses | Accuracies) -> Section:
    """The section about a table."""
    blocks: list[Block] = [Prose(_totals(table))]
    if isinstance(table, Counts | Likelihoods):
        curves = estimate(table, level=LEVEL)
        blocks.append(_counts(table, curves) if isinstance(table, Counts) else _values(_means(table)))
        blocks += [curves.figure(), charts.difficulties(classes(table))]
        return Section("What was measured", blocks)
    means = _means(table)
    blocks.append(_values(means))
    if table.has_sizes:
        value = means.columns[-1]
        title = METRICS["loss"] if isinstance(table, Losses) else value
        blocks.append(charts.values(means, value, title))
    return Section("What was measured", blocks)


def classes(table: Counts | Likelihoods) -> pl.DataFrame:
    """Problems of every checkpoint by the share of samples that are right, for `charts.difficulties`."""
    frames = []
    right = (
        pl.col("log_likelihood").exp()
        if isinstance(table, Likelihoods)
        else pl.col("n_correct") / pl.col("n_samples")
    )
    for name, part in table.by_checkpoint().items():
        share = part.frame.select(right.alias("share"))["share"].to_numpy()
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
            ).with_columns(
                pl.lit(part.frame[key][0]).alias(key) for key in CHECKPOINT if key in part.frame.columns
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
        least = min(len(part) for part in table.by_checkpoint().values())
        if least < FEW_PROBLEMS:
            yield f"a checkpoint has {counted(least, 'problem')}: intervals over so few say little"
        if not int(table.c.sum()):
            yield "nothing was solved"


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
    words = f"{head}, {total:,} samples, {right:,} of them right ({right / total:.2%}).{sequential}"
    if not table.errored:
        return words
    what = "; ".join(f"{how}: {samples:,}" for how, samples in table.errored.items())
    ended = counted(sum(table.errored.values()), "sample")
    return f"{words} In all that was read, {ended} ended in an error ({what})."


def _counts(counts: Counts, curves: PassCurves) -> Grid:
    sized = "n_params" in counts.frame.columns
    tokens = "n_tokens" in counts.frame.columns
    rows = []
    for name, table in counts.by_checkpoint().items():
        part, curve = table.frame, curves.curves[name]
        n, c = part["n_samples"], part["n_correct"]
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
                chance(curve.mean[0]),
                f"{chance(_end(curve.low[0]))} to {chance(curve.high[0])}",
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
    return Grid(headers, rows, caption="Checkpoints, smallest first" if sized or tokens else "Models")


def _means(table: Likelihoods | Losses | Accuracies) -> pl.DataFrame:
    """Every checkpoint with its mean; of several tasks or training sets each by itself."""
    told = [key for key in GROUP if key in table.frame.columns]
    told = [key for key in told if key in CHECKPOINT or table.frame[key].n_unique() > 1]
    parts = table.by_checkpoint().values()
    value = table.checkpoints.columns[-1]
    return pl.concat(
        part.frame.select(pl.col(told).first(), pl.lit(part.checkpoints[value].item()).alias(value))
        for part in parts
    )


def _values(means: pl.DataFrame) -> Grid:
    """Every checkpoint with its mean."""
    *keys, value = means.columns
    rows = []
    for *named, mean in means.iter_rows():
        shown = [amount(one) if key in SIZES else str(one) for key, one in zip(keys, named, strict=True)]
        rows.append([*shown, f"{mean:.4g}"])
    words = {"n_params": "N", "n_tokens": "D"}
    heads = [words.get(key, key.replace("_", " ")) for key in keys]
    left = sum(key not in SIZES for key in keys[:1])
    return Grid([*heads, f"mean {value.replace('_', ' ')}"], rows, left, "Checkpoints, smallest first")


def _end(low: float) -> float:
    """The lower end of an interval to be read: with one success among thousands it is 1e-104."""
    return low if low >= LEAST_END else 0.0
