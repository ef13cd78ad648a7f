"""pass@k averaged over the problems of one checkpoint: a curve over k with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from rich.console import Group, RenderableType

from t2fast import _core
from t2fast.arguments import Floats, Integers, check_counts, check_draws, fill, refuse, whole
from t2fast.charts import Drawn, Figure, pass_curves
from t2fast.estimators.extrapolation import (
    FARTHEST,
    LEAST_SOLVED,
    SUSPICIOUS,
    Extrapolation,
    extrapolate,
    fit_shapes,
    samples_follow_outcome,
)
from t2fast.estimators.passk import likely_pass_at_k
from t2fast.estimators.sequential import problem_pass_at_k
from t2fast.tables.reading import SIZES
from t2fast.text import amount, columns, nominal, note, plain

#: What is done where a problem has fewer than k samples.
Missing = Literal["bounds", "drop", "extrapolate"]


@dataclass(frozen=True)
class PassCurve(Drawn):
    """Mean pass@k over problems, NaN where some have too few samples; arrays run along k as it was given."""

    k: Integers
    mean: Floats
    low: Floats
    high: Floats
    level: float
    """Confidence that [low, high] is meant to have, for each k alone."""
    problems: Integers
    """Problems behind each mean."""
    of_problems: int
    """Problems in all."""
    clusters: Integers
    """Clusters behind each mean."""
    extrapolated: NDArray[np.bool_]
    """Where mean and interval come from `law`, because some problem has fewer than k samples or by choice."""
    notes: tuple[str, ...]
    """For each k what was done about problems with fewer samples; empty where every problem has k."""
    left_out: tuple[Integers, ...]
    """For each k the rows that have fewer samples and that no law stands for."""
    law: Extrapolation | None
    """The distributions of success probabilities behind what is extrapolated; None where nothing is."""
    score: float = 0.0
    """Standard score of problems with few samples being solved more often than others, where no stopping rule
    says why they have few; from 3 on counted means are suspected of bias."""

    @property
    def frame(self) -> pl.DataFrame:
        """A row a k: k, pass_at_k, low, high, problems, of_problems, extrapolated and note."""
        return pl.DataFrame(
            {
                "k": self.k,
                "pass_at_k": self.mean,
                "low": self.low,
                "high": self.high,
                "problems": self.problems,
                "of_problems": np.full(self.k.size, self.of_problems),
                "extrapolated": self.extrapolated,
                "note": self.notes,
            }
        )

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """A row a k, and what was done where problems had too few samples."""
        return pass_rows(self.frame, (), self.level)

    def figure(self) -> Figure:
        """The curve with its intervals."""
        return pass_curves(self.frame.select(pl.lit("the mean").alias("checkpoint"), pl.all()), self.level)


def pass_rows(frame: pl.DataFrame, keys: Sequence[str], level: float) -> RenderableType:
    """Rows of `PassCurve.frame`, those of `keys` before them, as a person reads them."""
    table = columns(
        *keys,
        "k",
        "pass@k",
        f"{nominal(level)} interval",
        "problems",
        left=tuple(key for key in keys if frame[key].dtype == pl.String),
    )
    for row in frame.iter_rows(named=True):
        named = [amount(row[key]) if key in SIZES else str(row[key]) for key in keys]
        shown = f"{row['pass_at_k']:.4f}".replace("nan", "NaN")
        known = row["low"] == row["low"]
        behind = f"{row['problems']}"
        if row["of_problems"] != row["problems"]:
            behind += f" of {row['of_problems']}"
        interval = f"{row['low']:.4f} to {row['high']:.4f}" if known else ""
        table.add_row(*named, f"{row['k']}", shown, interval, behind)
    notes = dict.fromkeys(words for words in frame["note"] if words)
    return Group(table, *(note(words) for words in notes))


@dataclass(frozen=True)
class Manner:
    """How a mean is estimated: arguments of `t2fast.estimate`."""

    level: float
    missing: Missing
    likelihood: bool
    draws: int
    seed: int

    def __post_init__(self) -> None:
        _check_level(self.level)
        if self.missing not in ("bounds", "drop", "extrapolate"):
            raise ValueError(f"missing is {self.missing!r}, not 'bounds', 'drop' or 'extrapolate'")
        if self.likelihood or self.missing == "extrapolate":
            check_draws(self.draws, self.seed, 20, "for an interval")


def mean_curve(
    n: ArrayLike,
    c: ArrayLike,
    k: ArrayLike,
    manner: Manner,
    *,
    cluster: ArrayLike | None = None,
    sequential: tuple[ArrayLike, ArrayLike] | None = None,
) -> PassCurve:
    """The curve of the problems of one checkpoint: see `t2fast.estimate` for what is estimated and how."""
    level, missing = manner.level, manner.missing
    ks = np.atleast_1d(whole("k", k))
    n, c = whole("n", n), whole("c", c)
    for name, array in (("n", n), ("c", c), ("k", ks)):
        if array.ndim > 1:
            raise ValueError(
                f"{name} must be one-dimensional, one entry a problem or a k; got shape {array.shape}"
            )
    check_counts(n, c)
    refuse("k", ks, ks < 1, "must be at least 1")
    n, c = np.broadcast_arrays(np.atleast_1d(n), np.atleast_1d(c))
    ids = _cluster_ids(cluster, n.size)

    most = n
    if sequential is not None:
        most = np.broadcast_to(whole("sequential", sequential[1]), n.shape)
    values = problem_pass_at_k(n, c, ks, sequential)
    enough = most[:, None] >= ks
    problems = enough.sum(axis=0)
    complete = problems == n.size
    notes = [_note(most, int(k), int(count), missing) for k, count in zip(ks, problems, strict=True)]
    left_out = [np.flatnonzero(~ok) for ok in enough.T]
    law = None
    score = samples_follow_outcome(n, c) if sequential is None else 0.0
    extrapolated = np.zeros(ks.size, dtype=np.bool_)
    if missing == "drop":
        rows = [clustered_interval(values[ok, j], ids[ok], level) for j, ok in enumerate(enough.T)]
    else:
        # n samples show pass@n, which is 1 where any is correct; k > n can only be more.
        floor = np.where(enough, values, (c > 0)[:, None])
        rows = [
            (
                clustered_interval(floor[:, j], ids, level)
                if complete[j]
                else _bounds(floor[:, j], enough[:, j], ids, level)
            )
            for j in range(ks.size)
        ]
    mean, low, high, clusters = (np.array(column) for column in zip(*rows, strict=True))
    read_off = np.full(ks.size, manner.likelihood) | (~complete & (missing == "extrapolate"))
    if read_off.any():
        solved = np.unique(ids[c > 0]).size
        near = ks <= FARTHEST * np.median(most)
        extrapolated = read_off & near & (solved >= LEAST_SOLVED)
        for j in np.flatnonzero(read_off & ~extrapolated):
            few = f"{solved} solved problems are too few" if near[j] else ""
            why = few or f"k is over {FARTHEST:g} times the samples drawn"
            notes[j] = "; ".join(filter(None, (notes[j], f"not extrapolated, since {why}")))
        if extrapolated.any():
            law, mean[extrapolated], low[extrapolated], high[extrapolated] = extrapolate(
                n, c, ids, ks[extrapolated].astype(float), level=level, draws=manner.draws, seed=manner.seed
            )
            if not manner.likelihood and score < SUSPICIOUS:
                # pass@k does not fall with k, and a smooth law may lie below what the samples show.
                shown = np.where(extrapolated, floor.mean(axis=0), -np.inf)
                mean, high = np.maximum(mean, shown), np.maximum(high, shown)
            for j in np.flatnonzero(extrapolated):
                short = f"{n.size - problems[j]} of {n.size} problems have fewer than {ks[j]:,} samples"
                notes[j] = "by likelihood" if complete[j] else f"extrapolated: {short}"
                left_out[j] = left_out[j][:0]
            problems = np.where(extrapolated, n.size, problems)
    if extrapolated.all():
        score = 0.0  # of counting, which nothing here comes from
    elif score >= SUSPICIOUS:
        _say_biased(notes, ~extrapolated, fit_shapes(n, c).pass_at_k(ks))
    _monotone(ks, low, high, complete | (missing != "drop"))
    return PassCurve(
        k=ks,
        mean=mean,
        low=low,
        high=high,
        level=level,
        problems=problems,
        of_problems=n.size,
        clusters=clusters.astype(np.int64),
        extrapolated=extrapolated,
        notes=tuple(notes),
        left_out=tuple(left_out),
        law=law,
        score=score,
    )


def likely_curve(log_likelihood: Floats, k: ArrayLike, level: float) -> PassCurve:
    """The curve of problems whose probabilities p are known by their logarithms: means of 1 - (1-p)^k."""
    ks = np.atleast_1d(whole("k", k))
    refuse("k", ks, ks < 1, "must be at least 1")
    _check_level(level)
    values = np.asarray(likely_pass_at_k(log_likelihood[:, None], ks))
    count, every = len(values), np.arange(len(values))
    mean, low, high, clusters = np.array([clustered_interval(column, every, level) for column in values.T]).T
    return PassCurve(
        k=ks,
        mean=mean,
        low=low,
        high=high,
        level=level,
        problems=np.full(ks.size, count),
        of_problems=count,
        clusters=clusters.astype(np.int64),
        extrapolated=np.zeros(ks.size, dtype=np.bool_),
        notes=("",) * ks.size,
        left_out=(every[:0],) * ks.size,
        law=None,
    )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level}")


def _cluster_ids(cluster: ArrayLike | None, size: int) -> Integers:
    if cluster is None:
        return np.arange(size)
    labels = np.asarray(cluster)
    if labels.shape != (size,):
        raise ValueError(f"cluster must hold one label a problem, shape ({size},); got shape {labels.shape}")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _note(n: Integers, k: int, count: int, missing: Missing) -> str:
    if count == n.size:
        return ""
    have = f"{count} of {n.size} problems have {k:,} samples"
    if missing == "drop":
        return f"{have}: the mean is over these alone" if count else f"NaN: no problem has {k:,} samples"
    return f"{have}: NaN, and bounds on the mean over all"


def _say_biased(notes: list[str], counted: NDArray[np.bool_], by_likelihood: Floats) -> None:
    """Add to the notes of counted means what the likelihood makes of them."""
    remark = "n goes with the outcome: biased if sampling ended at successes, by likelihood"
    for j in np.flatnonzero(counted):
        notes[j] = "; ".join(filter(None, (notes[j], f"{remark} {by_likelihood[j]:.3g}")))


def _bounds(
    floor: Floats, enough: NDArray[np.bool_], ids: Integers, level: float
) -> tuple[float, float, float, int]:
    """NaN, the lower limit with all unknown values at their floor, the upper with them at 1, and clusters."""
    _, low, _, clusters = clustered_interval(floor, ids, level)
    _, _, high, _ = clustered_interval(np.where(enough, floor, 1.0), ids, level)
    return np.nan, low, high, clusters


def _monotone(k: Integers, low: Floats, high: Floats, same: NDArray[np.bool_]) -> None:
    """Let limits not fall with k, by widening alone, over those k whose means are of the same problems."""
    order = np.flatnonzero(same)[np.argsort(k[same], kind="stable")]
    high[order] = np.maximum.accumulate(high[order])
    low[order] = np.minimum.accumulate(low[order][::-1])[::-1]


def clustered_interval(values: Floats, ids: Integers, level: float) -> tuple[float, float, float, int]:
    """Mean of `values`, its lower and upper limit, and the number of clusters; see `estimate`."""
    if not values.size:
        return np.nan, np.nan, np.nan, 0
    _, ids = np.unique(ids, return_inverse=True)
    weights = np.bincount(ids)
    count = weights.size
    mean = float(values.mean())
    centre = (count * mean + 0.5) / (count + 1)
    deviations = (np.bincount(ids, values) - weights * centre) * (count / values.size)
    variance = (deviations @ deviations + 0.5 * (centre**2 + (1 - centre) ** 2)) / count**2
    trials = float(centre * (1 - centre) / variance)
    tail = (1 - level) / 2
    correct, wrong = mean * trials, (1 - mean) * trials
    low = _quantile(tail, correct, wrong + 1) if correct > 0 else 0.0
    high = _quantile(1 - tail, correct + 1, wrong) if wrong > 0 else 1.0
    return mean, low, high, count


def _quantile(probability: float, a: float, b: float) -> float:
    return float(fill(_core.beta_quantile, *(np.asarray(x, float) for x in (probability, a, b))))
