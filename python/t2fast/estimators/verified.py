"""Repeated sampling under a check that errs: the first sample that it accepts is the answer.

A right sample is accepted with probability t (true positives), a wrong one with f (false positives). If none
of k samples is accepted there is no answer. Samples draw on one another through nothing but the problem.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast import _core
from t2fast.arguments import check_counts, real, refuse, whole
from t2fast.estimators.passk import pass_at_k

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

_WHOLE = 1024
"""Samples of a problem up to which what k of them hold is laid out once for all problems."""


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


def beta_verified_at_k(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    k: npt.ArrayLike,
    true_positive: npt.ArrayLike,
    false_positive: npt.ArrayLike,
) -> tuple[Floats, Floats]:
    """Means of both chances of `verified_at_k` over problems of p ~ Beta(a, b).

    Of a whole k the right ones are t a/(a+b) times the sum over j < k of (1 - f)^j E(1 - sX)^j, where
    X ~ Beta(a + 1, b) and s = (t - f)/(1 - f), each mean a `scaled_beta_failure`. With f = 0 they are 1 less
    `scaled_beta_failure(a, b, t, k)`.

    Args:
        a: positive.
        b: positive.
        k: samples at most, real and at least 0.
        true_positive: t, chance that a right sample is accepted.
        false_positive: f, chance that a wrong one is; all broadcast.

    Returns:
        Shares of right and of wrong answers, right first, each of the broadcast shape.

    Raises:
        ValueError: for a, b or k out of range, and for rates outside [0, 1].
    """
    a, b, k = real("a", a), real("b", b), real("k", k)
    t, f = real("true_positive", true_positive), real("false_positive", false_positive)
    for name, value in (("a", a), ("b", b)):
        refuse(name, value, ~((value > 0) & np.isfinite(value)), "must be positive and finite")
    refuse("k", k, ~((k >= 0) & np.isfinite(k)), "must be finite and not negative")
    for name, value in (("true_positive", t), ("false_positive", f)):
        refuse(name, value, ~((value >= 0) & (value <= 1)), "must lie between 0 and 1")
    arrays = np.broadcast_arrays(a, b, k, t, f)
    shape = arrays[0].shape
    right, wrong = _core.verified_beta(*(np.ascontiguousarray(array).ravel() for array in arrays))
    return right.reshape(shape), wrong.reshape(shape)


def verified_from_counts(
    n: npt.ArrayLike, c: npt.ArrayLike, k: int, true_positive: float, false_positive: float
) -> tuple[Floats, Floats]:
    """Unbiased estimates of both chances of `verified_at_k`, at every number of samples up to k.

    The expectation of what happens when the samples are drawn one after the other, without replacement, from
    the n of which c are right: see `verified_sampling`. Exists for k <= n.

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
    right, wrong, _ = verified_sampling(n, c, np.arange(1, k + 1), true_positive, false_positive)
    return right, wrong


def verified_sampling(
    n: Integers, c: Integers, ks: Integers, true_positive: float, false_positive: float
) -> tuple[Floats, Floats, Floats]:
    """What comes of drawing until the check accepts a sample, or k were drawn: right, wrong and drawn.

    Of the n samples the check accepts S, of which A are right: A ~ Bin(c, t), and S - A ~ Bin(n - c, f).
    Any order of them is as likely. So one is accepted among k with 1 - F, F = C(n-S, k)/C(n, k); it is right
    with A/S of that; and ((n+1) - (n-k+1) F)/(S+1) samples are drawn. What is expected of A where S = s is
    c t P(S' = s - 1), with S' of c - 1 right samples.

    Args:
        n: samples drawn, (problems,).
        c: samples correct, 0 <= c <= n.
        ks: samples at most, whole, between 1 and the least n, (K,).
        true_positive: t in [0, 1].
        false_positive: f in [0, 1].

    Returns:
        The chances of a right and of a wrong answer, and the samples expected, each (K, problems).
    """
    pairs, where = np.unique(np.column_stack([n, c]), axis=0, return_inverse=True)
    out = np.empty((3, len(ks), len(pairs)))
    tables: dict[int, Floats] = {}
    for i, (total, right) in enumerate(pairs.tolist()):
        if total <= _WHOLE and total not in tables:
            tables[total] = np.asarray(pass_at_k(total, np.arange(total + 1), ks[:, None]))
        out[:, :, i] = _of_pair(total, right, ks, true_positive, false_positive, tables.get(total))
    chances = out[:, :, where.reshape(-1)]
    return chances[0], chances[1], chances[2]


def _of_pair(n: int, c: int, ks: Integers, t: float, f: float, table: Floats | None) -> Floats:
    """`verified_sampling` of one problem, (3, K); `table` has pass@k of all numbers accepted."""
    low, accepted = _sum_of_two(c, t, n - c, f)
    s = low + np.arange(len(accepted))
    among = np.asarray(pass_at_k(n, s, ks[:, None])) if table is None else table[:, s]
    drawn = ((n + 1) - (n - ks[:, None] + 1) * (1 - among)) / (s + 1)
    right = _share(c, t, n - c, f, low, len(s)) / np.maximum(s, 1)
    wrong = _share(n - c, f, c, t, low, len(s)) / np.maximum(s, 1)
    return np.stack([among @ right, among @ wrong, drawn @ accepted])


def _share(mine: int, rate: float, others: int, other_rate: float, low: int, length: int) -> Floats:
    """E[A; S = s] for s = low, low + 1, …: of `mine` samples accepted at `rate`, A are."""
    out = np.zeros(length)
    if mine == 0 or rate == 0:
        return out
    first, weights = _sum_of_two(mine - 1, rate, others, other_rate)
    # One more than is in S'.
    start = first + 1 - low
    kept = weights[max(0, -start) : length - start]
    out[max(0, start) : max(0, start) + len(kept)] = mine * rate * kept
    return out


def _sum_of_two(n: int, p: float, m: int, q: float) -> tuple[int, Floats]:
    """The distribution of Bin(n, p) + Bin(m, q): its first value of any weight, and weights from there."""
    (low, one), (lower, two) = _binomial(n, p), _binomial(m, q)
    return low + lower, np.convolve(one, two)


@lru_cache(maxsize=1024)
def _binomial(n: int, p: float) -> tuple[int, Floats]:
    """Bin(n, p), without the tails that twelve standard deviations and as many samples leave: below 1e-17."""
    if p in (0, 1):
        return (n if p else 0), np.ones(1)
    away = 12 * math.sqrt(n * p * (1 - p)) + 12
    low, high = max(0, math.floor(n * p - away)), min(n, math.ceil(n * p + away))
    mode = min(high, max(low, math.floor((n + 1) * p)))
    up, down = np.arange(mode, high), np.arange(mode, low, -1)
    above = np.cumprod((n - up) / (up + 1) * (p / (1 - p)))
    below = np.cumprod(down / (n - down + 1) * ((1 - p) / p))
    weights = np.concatenate([below[::-1], [1.0], above])
    return low, weights / weights.sum()
