"""pass@k when success probabilities follow a Beta distribution over problems, p ~ Beta(a, b).

All functions broadcast as NumPy does; scalars in give a float out. a and b must be positive and finite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from t2fast import _core
from t2fast.arguments import Floats, fill, real, refuse, whole


def beta_pass_at_k(a: ArrayLike, b: ArrayLike, k: ArrayLike) -> Floats | float:
    """Expected pass@k for p ~ Beta(a, b): 1 - B(a, b+k) / B(a, b), for real k >= 0.

    Relative error below 1e-12 for a, b in [1e-4, 1e6] and k in [0, 1e9].

    Args:
        a: first parameter, positive.
        b: second parameter, positive.
        k: samples, real and at least 0; the three broadcast.

    Returns:
        pass@k, of the broadcast shape, a float for scalars.

    Raises:
        ValueError: for arguments out of range, naming the bad ones.

    >>> beta_pass_at_k(0.5, 0.5, [1, 10])
    array([0.5       , 0.82380295])
    """
    return fill(_core.beta_pass_at_k, *_parameters(a, b), _not_negative("k", k))


def scaled_beta_failure(a: ArrayLike, b: ArrayLike, scale: ArrayLike, k: ArrayLike) -> Floats | float:
    """Probability that k samples all fail when p = scale X, X ~ Beta(a, b): 2F1(-k, a; a+b; scale).

    scale in (0, 1] is the success probability of the easiest problems (Kazdan et al. 2025, arXiv 2510.05197);
    k >= 0 is real. Absolute error about 1e-15. Microseconds a value for a < 1, milliseconds for a > 1e4.

    Args:
        a: first parameter of X, positive.
        b: second parameter of X, positive.
        scale: the greatest success probability, in (0, 1].
        k: samples, real and at least 0; all broadcast.

    Returns:
        The probability, of the broadcast shape, a float for scalars.

    Raises:
        ValueError: for arguments out of range, naming the bad ones.
    """
    top = real("scale", scale)
    refuse("scale", top, ~((top > 0) & (top <= 1)), "must lie in (0, 1]")
    return fill(_core.scaled_beta_failure, *_parameters(a, b), top, _not_negative("k", k))


def expected_samples_until_first_success(a: ArrayLike, b: ArrayLike, max_k: ArrayLike) -> Floats | float:
    """Expected samples drawn when sampling stops at the first success or after max_k, for p ~ Beta(a, b).

    sum over j < max_k of the probability that j samples all fail, ((a+b+k-1) F_k - (a+b-1)) / (1-a) with
    F_k = 1 - pass@k and k = max_k, a whole number or infinity; infinite for max_k infinite and a <= 1.

    Args:
        a: first parameter, positive.
        b: second parameter, positive.
        max_k: the most samples, whole and at least 1 or infinite; the three broadcast.

    Returns:
        Expected samples, of the broadcast shape, a float for scalars.

    Raises:
        ValueError: for arguments out of range, naming the bad ones.
    """
    limit = real("max_k", max_k)
    finite = np.where(np.isposinf(limit), 1.0, limit)
    whole("max_k", finite)
    refuse("max_k", limit, limit < 1, "must be at least 1")
    return fill(_core.expected_samples, *_parameters(a, b), limit)


def _parameters(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = real("a", a), real("b", b)
    for name, values in (("a", first), ("b", second)):
        refuse(name, values, ~((values > 0) & np.isfinite(values)), "must be positive and finite")
    return first, second


def _not_negative(name: str, value: ArrayLike) -> Floats:
    values = real(name, value)
    refuse(name, values, ~((values >= 0) & np.isfinite(values)), "must be finite and not negative")
    return values
