"""Repeated sampling under a check that errs: the first sample that it accepts is the answer.

A right sample is accepted with probability t (true positives), a wrong one with f (false positives). If none
of k samples is accepted there is no answer. Samples draw on one another through nothing but the problem.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.arguments import check_counts, real, refuse, whole

Floats: TypeAlias = npt.NDArray[np.float64]


def verified_at_k(
    p: npt.ArrayLike, k: npt.ArrayLike, true_positive: npt.ArrayLike, false_positive: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Chances of a right and of a wrong answer within k samples, for a success probability p.

    (1 - (1 - a)^k) p t / a and (1 - (1 - a)^k) (1 - p) f / a, where a = p t + (1 - p) f is the chance that a
    sample is accepted. Where nothing is ever accepted both are 0.

    Args:
        p: chance that a sample is right, in [0, 1].
        k: samples at most, at least 0; may be infinite.
        true_positive: t, chance that a right sample is accepted.
        false_positive: f, chance that a wrong one is; all broadcast.

    Returns:
        Both chances, right first, each of the broadcast shape.

    Raises:
        ValueError: for probabilities outside [0, 1] and for k below 0.
    """
    p, k = real("p", p), real("k", k)
    t, f = real("true_positive", true_positive), real("false_positive", false_positive)
    for name, value in (("p", p), ("true_positive", t), ("false_positive", f)):
        refuse(name, value, ~((value >= 0) & (value <= 1)), "must lie between 0 and 1")
    refuse("k", k, ~(k >= 0), "must not be negative")
    accepted = p * t + (1 - p) * f
    with np.errstate(divide="ignore", invalid="ignore"):
        answered = -np.expm1(k * np.log1p(-accepted))
        share = np.where(accepted > 0, answered / accepted, 0.0)
    share = np.where((accepted == 1) & (k == 0), 0.0, share)
    return np.asarray(share * p * t), np.asarray(share * (1 - p) * f)


def verified_from_counts(
    n: npt.ArrayLike, c: npt.ArrayLike, k: int, true_positive: float, false_positive: float
) -> tuple[Floats, Floats]:
    """Unbiased estimates of both chances of `verified_at_k`, at every number of samples up to k.

    The expectation of what happens when the samples are drawn one after the other, without replacement, from
    the n of which c are right: sum over j < k of P(j samples are all rejected, the next is right and
    accepted), and of wrong likewise. Exists for k <= n.

    Args:
        n: samples drawn, (problems,).
        c: samples correct.
        k: samples at most.
        true_positive: t.
        false_positive: f.

    Returns:
        Right and wrong, each of shape (k, problems): row j - 1 is for j samples.

    Raises:
        ValueError: for counts as in `pass_at_k`, for k beyond the least n, for rates outside [0, 1].
    """
    n, c = np.broadcast_arrays(np.atleast_1d(whole("n", n)), np.atleast_1d(whole("c", c)))
    check_counts(n, c)
    rates = real("rates", [true_positive, false_positive])
    refuse("rates", rates, ~((rates >= 0) & (rates <= 1)), "must lie between 0 and 1")
    refuse("k", np.atleast_1d(k), np.atleast_1d((k < 1) | (k > n.min())), f"must lie between 1 and {n.min()}")
    keep_right, keep_wrong = 1 - true_positive, 1 - false_positive
    right, wrong = np.zeros((k, n.size)), np.zeros((k, n.size))
    # weight[i]: all of the samples so far were rejected and i of them are right.
    weight = np.zeros((int(min(k, c.max())) + 1, n.size))
    weight[0] = 1.0
    among = np.arange(len(weight))[:, None]
    for j in range(k):
        next_right = np.clip((c - among) / (n - j), 0, 1)
        next_wrong = np.clip((n - c - (j - among)) / (n - j), 0, 1)
        right[j] = true_positive * (weight * next_right).sum(axis=0)
        wrong[j] = false_positive * (weight * next_wrong).sum(axis=0)
        moved = weight * next_right * keep_right
        weight = weight * next_wrong * keep_wrong
        weight[1:] += moved[:-1]
    return np.cumsum(right, axis=0), np.cumsum(wrong, axis=0)
