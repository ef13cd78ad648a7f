"""pass@k over k: of arrays, or of every checkpoint of a table."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import overload

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from rich.console import RenderableType

from t2fast.arguments import Integers
from t2fast.charts import Drawn, Figure, pass_curves
from t2fast.estimators.curve import Manner, Missing, PassCurve, likely_curve, mean_curve, pass_rows
from t2fast.estimators.extrapolation import SUSPICIOUS
from t2fast.tables import Counts, Likelihoods
from t2fast.tables.reading import GROUP
from t2fast.text import plain


@dataclass(frozen=True, eq=False)
class PassCurves(Drawn):
    """Mean pass@k over the problems of every checkpoint of a table, smallest checkpoint first.

    `frame` has a row a checkpoint and k: `checkpoint`, its name in figures; those of model, n_params,
    n_tokens, train_set, stage and task that the table has; k; pass_at_k, NaN where some problem has too few
    samples; low and high, the ends of its interval; problems, those behind the mean, of of_problems; whether
    it is extrapolated; and a note where something was done about problems with fewer than k samples.
    """

    frame: pl.DataFrame
    curves: Mapping[str, PassCurve]
    """The curve of every checkpoint, by its name."""
    level: float
    """Confidence of the intervals, each k for itself."""
    source: str
    """The table."""

    def __len__(self) -> int:
        return self.frame.height

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """A row a checkpoint and k, and what was done where problems had too few samples."""
        keys = [name for name in GROUP if name in self.frame.columns]
        if "stage" in keys and self.frame["stage"].n_unique() == 1:
            keys.remove("stage")
        return pass_rows(self.frame, keys, self.level)

    def figure(self) -> Figure:
        """The curves with their intervals."""
        return pass_curves(self.frame, self.level)


@overload
def estimate(
    n: Counts | Likelihoods,
    *,
    k: ArrayLike | None = None,
    level: float = 0.95,
    missing: Missing = "bounds",
    likelihood: bool = False,
    draws: int = 200,
    seed: int = 0,
) -> PassCurves: ...


@overload
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
) -> PassCurve: ...


def estimate(
    n: Counts | Likelihoods | ArrayLike,
    c: ArrayLike | None = None,
    k: ArrayLike | None = None,
    *,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    missing: Missing = "bounds",
    likelihood: bool = False,
    draws: int = 200,
    seed: int = 0,
    sequential: tuple[ArrayLike, ArrayLike] | None = None,
) -> PassCurve | PassCurves:
    """Mean of `pass_at_k` over problems at each k, with an interval clustered by problem.

    Of a table there is a curve for every checkpoint, of several tasks, stages or training sets for each by
    itself, under the rule by which the table says that sampling stopped: `estimate(counts, k=[1, 8, 64])`.
    Arrays are the problems of one checkpoint: `estimate(n, c, k)`.

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
      `t2fast.estimators.extrapolation`. The mean is no less than what the samples show, as in `"bounds"`.
      That trusts their shape near p = 0, of which n samples say the less the larger k/n. With fewer than ten
      solved clusters, or beyond 100 times the samples of the median problem, there are bounds in its place.

    Where sampling ended at a success, counting is biased even where n >= k. If problems with few samples are
    solved more often than chance explains, a warning and `notes` say so, beside what the likelihood of the
    counts makes of the mean, for which it does not matter why sampling ended. With `likelihood` that is the
    mean at every k, as by `"extrapolate"`.

    `notes` say for each k what was done, and `problems` counts those that have k samples, or all where the
    law stands for them.

    Args:
        n: a table of counts or of likelihoods; or samples drawn, (problems,), or one number for all.
        c: samples correct, (problems,). None for a table.
        k: samples asked about, a number or (K,). Of a table, by default and for each checkpoint, the powers
            of two for which every problem has enough samples, and that number itself; up to 128 for
            likelihoods.
        level: confidence of the intervals, in (0, 1), each k for itself.
        cluster: labels of rows that belong together, such as prompts of one problem, (problems,); by default
            each row is a cluster. None for a table, whose rows are problems.
        missing: what becomes of problems with n < k, as above.
        likelihood: whether the mean is read off the likelihood of the counts at every k.
        draws: bootstrap samples behind the intervals of an extrapolation.
        seed: of these draws.
        sequential: (until, limit), each (problems,) or one number: sampling of a problem ended at its
            until-th success or at limit samples. Estimates are then those of `t2fast.estimators.sequential`,
            for k <= limit. None for a table, which has the rule with it.

    Returns:
        Mean, interval, number of problems and notes at each k: a `PassCurve` of arrays, a `PassCurves` of a
        table.

    Raises:
        ValueError: for counts as in `pass_at_k`, for arrays of more than one dimension, for a level outside
            (0, 1), and for what a table brings with it given beside one.
        TypeError: for arrays without `c` or `k`.
    """
    manner = Manner(level, missing, likelihood, draws, seed)
    if not isinstance(n, Counts | Likelihoods):
        if c is None or k is None:
            raise TypeError(
                "estimate takes Counts or Likelihoods, as read_counts gives them, and k; or arrays n, c and k"
                f", each an entry a problem or a k. This is a {type(n).__name__}" + " alone" * (c is None)
            )
        curve = mean_curve(n, c, k, manner, cluster=cluster, sequential=sequential)
        _warn_if_biased({"": curve})
        return curve
    beside = {"c": c, "cluster": cluster, "sequential": sequential}
    for name, value in beside.items():
        if value is not None:
            hint = ": give k by its name, k=[1, 8]" if name == "c" else ""
            raise ValueError(f"{name} is part of a table, and cannot be given beside one{hint}")
    if isinstance(n, Likelihoods) and (likelihood or missing != "bounds"):
        raise ValueError("a table of likelihoods has p itself: missing and likelihood are for counts")
    curves: dict[str, PassCurve] = {}
    frames = []
    for name, part in n.by_checkpoint().items():
        if isinstance(part, Counts):
            asked = _powers(part) if k is None else k
            curve = mean_curve(part.n, part.c, asked, manner, sequential=part.sequential)
        else:
            curve = likely_curve(part.log_likelihood, _UP_TO_128 if k is None else k, level)
        curves[name] = curve
        group = [pl.lit(part.frame[key][0]).alias(key) for key in GROUP if key in part.frame.columns]
        frames.append(curve.frame.select(pl.lit(name).alias("checkpoint"), *group, pl.all()))
    _warn_if_biased(curves)
    return PassCurves(pl.concat(frames), curves, level, n.source)


_UP_TO_128 = 2 ** np.arange(8)


def _powers(counts: Counts) -> Integers:
    """The powers of two for which every problem has enough samples, and that number itself."""
    top = int(counts.most_samples.min())
    return np.unique([*(1 << i for i in range(top.bit_length())), top])


def _warn_if_biased(curves: Mapping[str, PassCurve]) -> None:
    """Warn, once for all, of curves in which the number of samples goes with the outcome."""
    found = [name for name, curve in curves.items() if curve.score >= SUSPICIOUS]
    if not found:
        return
    worst = max(found, key=lambda name: curves[name].score)
    where = f" of {worst}" if worst else ""
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    warnings.warn(
        f"problems{where}{more} with few samples are solved more often than chance explains (standard score "
        f"{curves[worst].score:.1f}): if sampling ended at successes, counted means are biased and those by "
        "likelihood are not",
        RuntimeWarning,
        stacklevel=3,
    )
