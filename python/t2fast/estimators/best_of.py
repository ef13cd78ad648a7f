"""Best of k by score: the sample that a verifier scores highest is the answer."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.arguments import real, refuse, whole

Floats: TypeAlias = npt.NDArray[np.float64]


def best_of_k(scores: npt.ArrayLike, correct: npt.ArrayLike, k: npt.ArrayLike) -> Floats | float:
    """Unbiased chance that the best scored of k samples of one problem is right.

    The mean over all subsets of k of the n samples: a sample that r others score below is the best of C(r,
    k-1) of the C(n, k) subsets. Samples of equal score win by lot: a subset whose best are tied counts their
    share of right ones. NaN for k > n.

    Args:
        scores: of the samples of one problem, (n,).
        correct: 0 or 1, (n,).
        k: samples, a number or an array of them.

    Returns:
        The chance at each k, of the shape of `k`.

    Raises:
        ValueError: for arrays of different length, scores that are not finite, correct other than 0 and 1.
    """
    scores, correct, ks = real("scores", scores), real("correct", correct), whole("k", k)
    refuse("scores", scores, ~np.isfinite(scores), "must be finite")
    refuse("correct", correct, ~np.isin(correct, (0, 1)), "must be 0 or 1")
    refuse("k", ks, ks < 1, "must be at least 1")
    if scores.ndim != 1 or scores.shape != correct.shape or not scores.size:
        raise ValueError(
            f"scores and correct have shapes {scores.shape} and {correct.shape}: give one of each a sample"
        )
    n = len(scores)
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    right = np.bincount(group, correct) / sizes
    up_to = np.cumsum(sizes)
    # P(no sample above group g) - P(none in it either) is the chance that the best comes from g.
    values = []
    for one in np.atleast_1d(ks):
        if one > n:
            values.append(np.nan)
            continue
        below = np.concatenate([[0.0], _all_among(n, up_to, int(one))])
        values.append(float(np.diff(below) @ right))
    result = np.array(values).reshape(ks.shape)
    return result if result.ndim else float(result)


def _all_among(n: int, m: npt.NDArray[np.int64], k: int) -> Floats:
    """C(m, k)/C(n, k): the chance that k of n samples all lie among m."""
    j = np.arange(k)
    factors = np.maximum(m[:, None] - j, 0) / (n - j)
    return np.asarray(factors.prod(axis=1))
