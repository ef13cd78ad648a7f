"""pass@k from sequential sampling, where a problem ends at its m-th success, or at a limit of samples.

There c/n is biased upwards: sampling ends on a success. Without bias is whatever counts, among all orders in
which the successes could have come, those that agree with the question (Girshick, Mosteller and Savage 1946).
The last sample of a problem that reached m is a success in all of them, so they are the orders of m - 1
successes among n - 1 samples; in a problem that did not, all orders of its c among n, as in ordinary
sampling.

Likelihoods need none of this: that of (n, c) is p^c (1 - p)^(n - c) however sampling ended, so the counts law
and extrapolation by the Beta-binomial are right as they are.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t2fast.arguments import Floats, check_counts, refuse, whole
from t2fast.estimators.passk import pass_at_k, pass_at_k_variance

Rule: TypeAlias = "tuple[ArrayLike, ArrayLike] | None"
"""(until, limit) of problems whose sampling was sequential; None where n was fixed beforehand."""


def pass_at_k_sequential(
    n: ArrayLike, c: ArrayLike, k: ArrayLike, until: ArrayLike, limit: ArrayLike
) -> Floats:
    """Unbiased pass@k where sampling ended at success number `until` or at `limit` samples.

    For c = until it is 1 - C(n-1-k, c-1) / C(n-1, c-1), and 1 where k >= n; at k = 1 that is (until-1)/(n-1).
    For c < until (then n = limit) it is `pass_at_k`. With until = 1 it is whether the first success came
    within k samples. Exists for k <= limit; NaN beyond.

    Args:
        n: samples drawn of each problem, whole and at least 1.
        c: samples correct, 0 <= c <= n.
        k: samples asked about, whole and at least 1.
        until: the success at which sampling of a problem ended.
        limit: the samples at which it ended in any case; all broadcast.

    Returns:
        pass@k, an array of the broadcast shape; NaN where k > limit.

    Raises:
        ValueError: as for `pass_at_k`; for c > until, n > limit, and for c < until with n < limit, which no
            such sampling leaves behind.
    """
    names = ("n", "c", "k", "until", "limit")
    arrays = [whole(name, value) for name, value in zip(names, (n, c, k, until, limit), strict=True)]
    n, c, k, until, limit = np.broadcast_arrays(*arrays)
    check_counts(n, c)
    refuse("k", k, k < 1, "must be at least 1")
    refuse("until", until, until < 1, "must be at least 1")
    refuse("c", c, c > until, "must not exceed the successes at which sampling ends")
    refuse("n", n, n > limit, "must not exceed the limit of samples")
    refuse(
        "n", n, (c < until) & (n < limit), "is below the limit although sampling did not reach its successes"
    )
    reached = c == until
    within = k < n  # a problem of n samples that ended on a success was solved within k >= n
    result = np.where(reached, 1.0, np.nan)
    last = reached & within
    result[last] = pass_at_k(n[last] - 1, c[last] - 1, k[last]) if last.any() else 0.0
    plain = ~reached & (k <= limit)
    result[plain] = pass_at_k(n[plain], c[plain], k[plain]) if plain.any() else 0.0
    result[k > limit] = np.nan
    return result


def problem_pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike, rule: Rule) -> Floats:
    """Unbiased pass@k of problems by the rule under which their sampling ended.

    Args:
        n: samples drawn, (problems,).
        c: samples correct, (problems,).
        k: samples asked about, (K,).
        rule: (until, limit), each (problems,) or one number; None where n was fixed.

    Returns:
        Shape (problems, K); NaN where a problem has no k samples.

    Raises:
        ValueError: as `pass_at_k_sequential`.
    """
    n, c, k = (np.asarray(values) for values in (n, c, k))
    if rule is not None:
        until, limit = (np.broadcast_to(side, n.shape)[:, None] for side in rule)
        return pass_at_k_sequential(n[:, None], c[:, None], k, until, limit)
    enough = n[:, None] >= k
    values = pass_at_k(np.where(enough, n[:, None], k), np.where(enough, c[:, None], 0), k)
    return np.where(enough, values, np.nan)


def mean_variance(n: ArrayLike, c: ArrayLike, k: ArrayLike, rule: Rule) -> Floats:
    """Variance of the mean of `problem_pass_at_k` over these problems, by the sampling of each alone.

    With n fixed it is the estimator's variance at p = c/n, whose root is too small by up to a quarter as k
    nears n (2% at k = 1, 15% at n/2, of n = 32 and p ~ Beta(0.4, 1.2)). With sequential sampling c/n is
    biased, and a problem that was solved at once would count as certain. There T = 1 - F_k has the variance
    E[F_k^2] - (1 - p)^(2k), where F_j is the unbiased estimate of (1 - p)^j: F_k^2 - F_2k is unbiased.
    Where 2k is beyond a limit L, no F_2k exists; (1 - p)^2k = ((1 - p)^L)^(2k/L) then has at least the mean
    (mean F_L)^(2k/L), by Jensen's inequality, and the variance is at most what follows.

    Args:
        n: samples drawn, (problems,).
        c: samples correct, (problems,).
        k: samples asked about, (K,).
        rule: as in `problem_pass_at_k`.

    Returns:
        Shape (K,); of sequential sampling below 0 by chance at times, since it is unbiased. Where a problem
        has no k samples it counts as if it had k (n fixed) or its limit.
    """
    n, c, k = (np.asarray(values, dtype=float) for values in (n, c, k))
    if rule is None:
        variance = pass_at_k_variance(np.maximum(n[:, None], k), (c / n)[:, None], k)
        return np.asarray(np.asarray(variance).sum(axis=0) / n.size**2)
    limit = np.broadcast_to(rule[1], n.shape)
    return np.array([_sequential_variance(n, c, int(one), (rule[0], limit)) for one in k])


def _sequential_variance(n: Floats, c: Floats, k: int, rule: tuple[ArrayLike, NDArray[np.int64]]) -> float:
    until, limit = rule

    def failing(most: int) -> Floats:
        """F_j of every problem, j at most its limit."""
        return np.asarray(1 - pass_at_k_sequential(n, c, np.minimum(most, limit), until, limit))

    twice, beyond = failing(2 * k), 2 * k > limit
    if beyond.any():
        ratio = float((2 * k / limit[beyond]).max())
        twice[beyond] = max(float(twice[beyond].mean()), 0.0) ** ratio
    return float((failing(k) ** 2 - twice).sum()) / n.size**2
