"""pass@k and its relatives from counts: n samples drawn for a problem, c of them correct.

Every estimator here draws k of the n samples without replacement and asks how many are correct, so each is
unbiased for the same question about k fresh samples, and exists only for k <= n.

They broadcast their arguments as NumPy does and take anything `numpy.asarray` takes; scalars in give a float
out. Counts are whole numbers with n >= 1, 0 <= c <= n and k >= 1, else a `ValueError` lists the bad ones.
Where k > n the result is NaN, with a `RuntimeWarning` that says where. Means over problems:
`t2fast.estimators.curve`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from t2fast import _core
from t2fast.arguments import Floats, Integers, cells, check_counts, fill, plain, real, refuse, whole


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats | float:
    """Probability that at least one of k samples is correct: 1 - C(n-c, k) / C(n, k).

    Chen et al. 2021 (arXiv 2107.03374), equation 1. Relative error below 1e-13 for n up to 1e6.

    Args:
        n: samples drawn of each problem, whole and at least 1.
        c: samples correct, 0 <= c <= n.
        k: samples asked about, whole and at least 1; the three broadcast.

    Returns:
        The probability, of the broadcast shape, a float for scalars; NaN where k > n, with a
        ``RuntimeWarning``.

    Raises:
        ValueError: for counts out of range, naming the bad ones.

    >>> pass_at_k(200, [0, 3, 200], 10)
    array([0.        , 0.14364752, 1.        ])
    """
    return _tail(n, c, k, np.ones_like)


def likely_pass_at_k(log_likelihood: ArrayLike, k: ArrayLike) -> Floats | float:
    """Probability that at least one of k samples is correct where one is with probability p: 1 - (1-p)^k.

    Args:
        log_likelihood: ln p, at most 0.
        k: samples asked about, real and above 0; the two broadcast.

    Returns:
        The probability, of the broadcast shape, a float for scalars; without cancellation for p near 0 or 1.

    Raises:
        ValueError: for logarithms above 0 and k not above 0, naming the bad ones.
    """
    log_p, k = real("log_likelihood", log_likelihood), real("k", k)
    refuse("log_likelihood", log_p, ~(log_p <= 0), "must be at most 0")
    refuse("k", k, ~(k > 0), "must be above 0")
    return fill(_core.likely_pass_at_k, log_p, k)


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats | float:
    """Probability that all k samples are correct, pass^k: C(c, k) / C(n, k).

    Yao et al. 2024 (arXiv 2406.12045).

    Args:
        n: samples drawn of each problem, whole and at least 1.
        c: samples correct, 0 <= c <= n.
        k: samples asked about, whole and at least 1; the three broadcast.

    Returns:
        The probability, of the broadcast shape, a float for scalars; NaN where k > n, with a
        ``RuntimeWarning``.

    Raises:
        ValueError: for counts out of range, naming the bad ones.
    """
    return _tail(n, c, k, np.copy)


def majority_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats | float:
    """Probability that more than half of k samples are correct, maj@k.

    A tie (k even, k/2 correct) counts as a failure: the correct answer has no majority. Wrong answers are
    taken to agree with each other, so where they scatter a plurality vote does better than this.

    Args:
        n: samples drawn of each problem, whole and at least 1.
        c: samples correct, 0 <= c <= n.
        k: samples asked about, whole and at least 1; the three broadcast.

    Returns:
        The probability, of the broadcast shape, a float for scalars; NaN where k > n, with a
        ``RuntimeWarning``.

    Raises:
        ValueError: for counts out of range, naming the bad ones.
    """
    return _tail(n, c, k, lambda k: k // 2 + 1)


def g_pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike, tau: ArrayLike) -> Floats | float:
    """Probability that at least ceil(tau k) of k samples are correct, G-Pass@k with threshold tau in [0, 1].

    Liu et al. 2024 (arXiv 2412.13147). At tau = 0 it is pass@k (at least one), at tau = 1 pass^k.
    tau k is rounded down to a whole number it exceeds by less than 1e-9, so that tau = 0.1, k = 30 means 3.

    Args:
        n: samples drawn of each problem, whole and at least 1.
        c: samples correct, 0 <= c <= n.
        k: samples asked about, whole and at least 1; the three broadcast.
        tau: the share, in [0, 1]; broadcasts too.

    Returns:
        The probability, of the broadcast shape, a float for scalars; NaN where k > n, with a
        ``RuntimeWarning``.

    Raises:
        ValueError: for counts or a share out of range, naming the bad ones.
    """
    share = real("tau", tau)
    refuse("tau", share, ~((share >= 0) & (share <= 1)), "must lie between 0 and 1")
    k = whole("k", k)
    k, share = np.broadcast_arrays(k, share)
    needed = np.maximum(np.ceil(share * k - 1e-9), 1).astype(np.int64)
    return _tail(n, c, k, lambda _: needed)


def pass_at_k_variance(n: ArrayLike, p: ArrayLike, k: ArrayLike) -> Floats | float:
    """Exact variance of `pass_at_k(n, c, k)` when c ~ Binomial(n, p).

    With q = 1 - p: sum_j C(k,j) C(n-k,k-j) / C(n,k) q^(2k-j) - q^(2k), where j is the overlap of two
    k-subsets of the n samples, as for any U-statistic. p must be known; see `pass_at_k_stderr` for counts.

    Args:
        n: samples drawn, whole and at least 1.
        p: success probability of one sample, in [0, 1].
        k: samples asked about, whole and at least 1; the three broadcast.

    Returns:
        The variance, of the broadcast shape, a float for scalars; NaN where k > n, with a ``RuntimeWarning``.

    Raises:
        ValueError: for arguments out of range, naming the bad ones.
    """
    n, p, k = whole("n", n), real("p", p), whole("k", k)
    refuse("n", n, n < 1, "must be at least 1")
    refuse("k", k, k < 1, "must be at least 1")
    refuse("p", p, ~((p >= 0) & (p <= 1)), "must lie between 0 and 1")
    if k.max() > n.min():
        _warn_undefined(n, k, np.broadcast_shapes(n.shape, p.shape, k.shape), stacklevel=3)
    return fill(_core.pass_at_k_variance, n.astype(float), p, k.astype(float))


def pass_at_k_stderr(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats | float:
    """Standard error of `pass_at_k(n, c, k)` for one problem: the exact variance at p = (c + 1/2) / (n + 1).

    The half success keeps it above zero where all samples failed or all succeeded. It measures the noise of
    sampling one problem again, not the spread between problems, for which see `estimate`. Where
    2k > n, no estimate is without bias: with n = 32 and problems of p ~ Beta(0.4, 1.2) the root mean square
    of this one is 1.02 times the true error at k = 1, 1.15 at n/2 and 1.19 at n; of p = 1/n alone 0.85 at n.

    Args:
        n: samples drawn of each problem, whole and at least 1.
        c: samples correct, 0 <= c <= n.
        k: samples asked about, whole and at least 1; the three broadcast.

    Returns:
        The standard error, of the broadcast shape, a float for scalars; NaN where k > n, with a
        ``RuntimeWarning``.

    Raises:
        ValueError: for counts out of range, naming the bad ones.
    """
    n, c = whole("n", n), whole("c", c)
    check_counts(n, c)
    variance = pass_at_k_variance(n, (c + 0.5) / (n + 1), k)
    return plain(np.sqrt(variance))


def _tail(n: ArrayLike, c: ArrayLike, k: ArrayLike, needed: Callable[[Integers], Integers]) -> Floats | float:
    """P(at least needed(k) of k samples are correct); as rows x columns where (n, c) and k broadcast so."""
    n, c, k = whole("n", n), whole("c", c), whole("k", k)
    shape = np.broadcast_shapes(n.shape, c.shape, k.shape)
    counts_shape = np.broadcast_shapes(n.shape, c.shape)
    m = needed(k)
    leading = _split(counts_shape, k.shape, len(shape))
    result: Floats | None
    if leading is None:
        result = cells(_core.tail_cells, n, c, k, m)
    else:
        n_row, c_row = (np.broadcast_to(array, counts_shape).reshape(-1) for array in (n, c))
        table = np.empty((n_row.size, k.size))
        valid = _core.tail_grid(n_row, c_row, k.reshape(-1), m.reshape(-1), table)
        result = (table if leading else table.T).reshape(shape) if valid else None
    if result is None:
        check_counts(n, c)
        refuse("k", k, k < 1, "must be at least 1: nothing is drawn otherwise")
        raise AssertionError("the core refused counts that pass every check")
    if k.max() > n.min():
        _warn_undefined(n, k, shape, stacklevel=4)
    return plain(result)


def _split(counts: tuple[int, ...], k: tuple[int, ...], ndim: int) -> bool | None:
    """True if all axes of the counts come before those of k, False for the reverse, None if they mix."""
    of_counts = [ndim - len(counts) + axis for axis, size in enumerate(counts) if size > 1]
    of_k = [ndim - len(k) + axis for axis, size in enumerate(k) if size > 1]
    if not of_counts or not of_k or of_counts[-1] < of_k[0]:
        return True
    return False if of_k[-1] < of_counts[0] else None


def _warn_undefined(n: Integers, k: Integers, shape: tuple[int, ...], stacklevel: int) -> None:
    short = np.argwhere(np.broadcast_to(k, shape) > np.broadcast_to(n, shape))
    if len(short):
        at = tuple(short[0])
        first_n, first_k = np.broadcast_to(n, shape)[at], np.broadcast_to(k, shape)[at]
        warnings.warn(
            f"{len(short)} of {int(np.prod(shape))} values are NaN because k exceeds n, first at index "
            f"{tuple(map(int, at))} with n = {first_n}, k = {first_k}; no unbiased estimate exists there",
            RuntimeWarning,
            stacklevel=stacklevel + 1,
        )
