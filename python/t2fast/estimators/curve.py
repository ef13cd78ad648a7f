"""pass@k averaged over problems: a curve over k with an interval, and a law for k beyond n."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t2fast import _core
from t2fast.arguments import Floats, Integers, check_counts, fill, refuse, whole
from t2fast.estimators import extrapolation
from t2fast.estimators.extrapolation import Extrapolation, samples_follow_outcome
from t2fast.estimators.passk import pass_at_k
from t2fast.estimators.sequential import pass_at_k_sequential


@dataclass(frozen=True)
class PassCurve:
    """Mean pass@k over problems; arrays run along k in the order given."""

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
    """For each k what was left out or extrapolated, and why; empty where every problem counts."""
    left_out: tuple[Integers, ...]
    """For each k the rows that are not behind the mean."""
    law: Extrapolation | None
    """The distributions of success probabilities behind what is extrapolated; None where nothing is."""


def estimate(
    n: ArrayLike,
    c: ArrayLike,
    k: ArrayLike,
    *,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    extrapolate: bool = False,
    likelihood: bool = False,
    draws: int = 200,
    seed: int = 0,
    sequential: tuple[ArrayLike, ArrayLike] | None = None,
) -> PassCurve:
    """Mean of `pass_at_k` over problems at each k, with an interval clustered by problem.

    n, c: (problems,) samples drawn and correct, or one n for all. k: scalar or (K,). cluster: (problems,)
    labels of rows that belong together, such as prompts of one problem; by default each row is a cluster.

    The interval treats clusters as drawn from a population, so it covers the spread between problems as well
    as the noise of sampling each. With G clusters of mean m it is Clopper and Pearson's for m of an effective
    number of trials m'(1 - m') / v, as survey statisticians do for proportions (Korn and Graubard 1998). v is
    the variance of the mean between clusters; m' and v include one more cluster, half 0 and half 1. That
    weighs 1/(G+1), keeps the interval from collapsing where few problems, no success or nothing but success
    is seen, and makes it conservative for small G.

    A problem with n < k has no unbiased pass@k: it is left out of that mean, as `notes` says and `problems`
    counts; the mean is NaN where none is left. With `extrapolate`, these k are instead read off distributions
    of success probabilities fitted to all counts, averaged, with a percentile interval over `draws` bootstrap
    samples of clusters, drawn by `seed`: see `t2fast.estimators.extrapolation`. That trusts their shape near
    p = 0, of which n samples say the less the larger k/n; from fewer than ten solved problems nothing is
    extrapolated.

    Where sampling ended at a success, counting is biased even where n >= k. If problems with few samples are
    solved more often than chance explains, `notes` say so beside what the likelihood of the counts makes of
    the mean, for which it does not matter why sampling ended. With `likelihood` that is the mean at every k.

    With `sequential` = (until, limit), each (problems,) or one number, sampling of a problem ended at its
    until-th success or at limit samples. Estimates are then those of
    `t2fast.estimators.sequential`, for k <= limit.

    Raises ValueError for counts as in `pass_at_k`, for arrays of more than one dimension, and for a level
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
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level}")
    if (extrapolate or likelihood) and draws < 20:
        raise ValueError(f"draws must be at least 20 for an interval; got {draws}")
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
    rows = [_interval(values[ok, j], ids[ok], level) for j, ok in enumerate(enough.T)]
    mean, low, high, clusters = (np.array(column) for column in zip(*rows, strict=True))
    notes = [_note(most, int(k), int(count)) for k, count in zip(ks, problems, strict=True)]
    beyond = problems < n.size
    left_out = [np.flatnonzero(~ok) for ok in enough.T]
    read_off = np.full(ks.size, likelihood) | (beyond & extrapolate)
    score = 0.0 if sequential is not None else samples_follow_outcome(n, c)
    suspicious = score > extrapolation.SUSPICIOUS
    solved = np.unique(ids[c > 0]).size
    law = None
    if solved < extrapolation.LEAST_SOLVED:
        few = f"{solved} solved problems are too few to extrapolate from"
        notes = [
            "; ".join(filter(None, (note, few))) if wanted else note
            for note, wanted in zip(notes, read_off, strict=True)
        ]
        read_off[:] = False
    elif read_off.any():
        law, mean[read_off], low[read_off], high[read_off] = extrapolation.extrapolate(
            n, c, ids, ks[read_off].astype(float), level=level, draws=draws, seed=seed
        )
        for j in np.flatnonzero(read_off):
            short = f"extrapolated: {n.size - problems[j]} of {n.size} problems have n < {ks[j]}"
            notes[j] = short if beyond[j] else "by likelihood"
            left_out[j] = left_out[j][:0]
        problems = np.where(read_off, n.size, problems)
        clusters = np.where(read_off, np.unique(ids).size, clusters)
    if suspicious and not read_off.all():
        notes = _warned(notes, ~read_off, score, n, c, ks)
    return PassCurve(
        k=ks,
        mean=mean,
        low=low,
        high=high,
        level=level,
        problems=problems,
        clusters=clusters.astype(np.int64),
        extrapolated=read_off,
        notes=tuple(notes),
        left_out=tuple(left_out),
        law=law,
    )


def _cluster_ids(cluster: ArrayLike | None, size: int) -> Integers:
    if cluster is None:
        return np.arange(size)
    labels = np.asarray(cluster)
    if labels.shape != (size,):
        raise ValueError(f"cluster must hold one label a problem, shape ({size},); got shape {labels.shape}")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _note(n: Integers, k: int, count: int) -> str:
    if count == n.size:
        return ""
    if count == 0:
        return f"NaN: every problem has n < {k}"
    return f"{n.size - count} of {n.size} problems have n < {k} and are left out"


def _warned(
    notes: list[str], counted: NDArray[np.bool_], score: float, n: Integers, c: Integers, ks: Integers
) -> list[str]:
    """The notes, with what is to be said of counted means where n goes with the outcome."""
    warnings.warn(
        f"problems with few samples are solved more often than chance explains (standard score {score:.1f}):"
        " if sampling ended at successes, counted means are biased and those by likelihood are not",
        RuntimeWarning,
        stacklevel=3,
    )
    said = extrapolation.fit_shapes(n, c).pass_at_k(ks)
    remark = "n goes with the outcome: biased if sampling ended at successes, by likelihood"
    return [
        "; ".join(filter(None, (note, f"{remark} {value:.3g}"))) if here else note
        for note, here, value in zip(notes, counted, said, strict=True)
    ]


def _interval(values: Floats, ids: Integers, level: float) -> tuple[float, float, float, int]:
    """Mean, limits and number of clusters; see `estimate`."""
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
