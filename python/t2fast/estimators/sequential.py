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

import numpy as np
from numpy.typing import ArrayLike

from t2fast.arguments import Floats, check_counts, refuse, whole
from t2fast.estimators.passk import pass_at_k


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
