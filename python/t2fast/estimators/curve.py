"""pass@k averaged over problems: a curve over k with an interval, and a law for k beyond n."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from t2fast import _core
from t2fast.arguments import Floats, Integers, check_counts, fill, refuse, whole
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
from t2fast.estimators.passk import pass_at_k
from t2fast.estimators.sequential import pass_at_k_sequential

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

    def figure(self) -> Figure:
        """The curve with its intervals."""
        columns = {"k": self.k, "pass_at_k": self.mean, "low": self.low, "high": self.high}
        frame = pl.DataFrame({**columns, "problems": self.problems})
        return pass_curves(frame.insert_column(0, pl.lit("the mean").alias("checkpoint")), self.level)


def estimate(
    n: ArrayLike,
    c: ArrayLike,
    k: ArrayLike,
    *,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    missing: Missing = "bounds",
    likelihood: bool = False,
    draws: int = 200,
    seed: int = 0,
    sequential: tuple[ArrayLike, ArrayLike] | None = None,
) -> PassCurve:
    """Mean of `pass_at_k` over problems at each k, with an interval clustered by problem.

    The interval treats clusters as drawn from a population, so it covers the spread between problems as well
    as the noise of sampling each. With G clusters of mean m it is Clopper and Pearson's for m of an effective
    number of trials m'(1 - m') / v, as survey statisticians do for proportions (Korn and Graubard 1998). v is
    the variance of the mean between clusters; m' and v include one more cluster, half 0 and half 1. That
    weighs 1/(G+1), keeps the interval from collapsing where few problems, no success or nothing but success
    is seen, and makes it conservative for small G.

    Where k grows, pass@k does not fall: the limits are those that k within the ones asked for have in common,
    high at least that of any smaller k, low at most that of any larger one.

    A problem with n < k has no unbiased pass@k, and the mean over the others is another quantity: easy
    problems may be all that were sampled so often. So, by `missing`,

    - `"bounds"`: the mean is NaN. It lies between the mean with such problems at their pass@n, which n
      samples do show and k can only raise, and the one with them at 1: low is the lower limit of the one and
      high the upper limit of the other.
    - `"drop"`: the mean over the problems with n >= k alone.
    - `"extrapolate"`: read off distributions of success probabilities fitted to all counts, averaged, with a
      percentile interval over `draws` bootstrap samples of clusters, drawn by `seed`: see
      `t2fast.estimators.extrapolation`. That trusts their shape near p = 0, of which n samples say the less
      the larger k/n. With fewer than ten solved clusters, or beyond 100 times the samples of the median
      problem, there are bounds in its place.

    Where sampling ended at a success, counting is biased even where n >= k. If problems with few samples are
    solved more often than chance explains, a warning and `notes` say so, beside what the likelihood of the
    counts makes of the mean, for which it does not matter why sampling ended. With `likelihood` that is the
    mean at every k, as by `"extrapolate"`.

    `notes` say for each k what was done, and `problems` counts those that have k samples, or all where the
    law stands for them.

    Args:
        n: samples drawn, (problems,), or one number for all.
        c: samples correct, (problems,).
        k: samples asked about, a number or (K,).
        level: confidence of the intervals, in (0, 1), each k for itself.
        cluster: labels of rows that belong together, such as prompts of one problem, (problems,); by default
            each row is a cluster.
        missing: what becomes of problems with n < k, as above.
        likelihood: whether the mean is read off the likelihood of the counts at every k.
        draws: bootstrap samples behind the intervals of an extrapolation.
        seed: of these draws.
        sequential: (until, limit), each (problems,) or one number: sampling of a problem ended at its
            until-th success or at limit samples. Estimates are then those of `t2fast.estimators.sequential`,
            for k <= limit.

    Returns:
        Mean, interval, number of problems and notes at each k.

    Raises:
        ValueError: for counts as in `pass_at_k`, for arrays of more than one dimension, and for a level
            outside (0, 1).
    """
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
    _check_choices(level, missing, likelihood, draws)
    ids = _cluster_ids(cluster, n.size)

    most = n
    if sequential is not None:
        until, most = (np.broadcast_to(whole("sequential", side), n.shape) for side in sequential)
        values = pass_at_k_sequential(n[:, None], c[:, None], ks, until[:, None], most[:, None])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # k > n goes to the notes
            values = np.asarray(pass_at_k(n[:, None], c[:, None], ks))
    enough = most[:, None] >= ks
    problems = enough.sum(axis=0)
    complete = problems == n.size
    notes = [_note(most, int(k), int(count), missing) for k, count in zip(ks, problems, strict=True)]
    left_out = [np.flatnonzero(~ok) for ok in enough.T]
    law = None
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
    read_off = np.full(ks.size, likelihood) | (~complete & (missing == "extrapolate"))
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
                n, c, ids, ks[extrapolated].astype(float), level=level, draws=draws, seed=seed
            )
            for j in np.flatnonzero(extrapolated):
                short = f"{n.size - problems[j]} of {n.size} problems have fewer than {ks[j]:,} samples"
                notes[j] = "by likelihood" if complete[j] else f"extrapolated: {short}"
                left_out[j] = left_out[j][:0]
            problems = np.where(extrapolated, n.size, problems)
    if sequential is None:
        _say_if_biased(notes, ~extrapolated, n, c, ks)
    _monotone(ks, low, high, complete | (missing != "drop"))
    return PassCurve(
        k=ks,
        mean=mean,
        low=low,
        high=high,
        level=level,
        problems=problems,
        clusters=clusters.astype(np.int64),
        extrapolated=extrapolated,
        notes=tuple(notes),
        left_out=tuple(left_out),
        law=law,
    )


def _check_choices(level: float, missing: Missing, likelihood: bool, draws: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level}")
    if missing not in ("bounds", "drop", "extrapolate"):
        raise ValueError(f"missing is {missing!r}, not 'bounds', 'drop' or 'extrapolate'")
    if (likelihood or missing == "extrapolate") and draws < 20:
        raise ValueError(f"draws must be at least 20 for an interval; got {draws}")


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


def _say_if_biased(
    notes: list[str], counted: NDArray[np.bool_], n: Integers, c: Integers, ks: Integers
) -> None:
    """Add to the notes of counted means, and warn, if the number of samples goes with the outcome."""
    score = samples_follow_outcome(n, c) if counted.any() else 0.0
    if score < SUSPICIOUS:
        return
    warnings.warn(
        f"problems with few samples are solved more often than chance explains (standard score {score:.1f}):"
        " if sampling ended at successes, counted means are biased and those by likelihood are not",
        RuntimeWarning,
        stacklevel=3,
    )
    remark = "n goes with the outcome: biased if sampling ended at successes, by likelihood"
    for j, value in enumerate(fit_shapes(n, c).pass_at_k(ks)):
        if counted[j]:
            notes[j] = "; ".join(filter(None, (notes[j], f"{remark} {value:.3g}")))


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
