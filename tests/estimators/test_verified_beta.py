"""Answers under a check that errs where success probabilities follow a Beta distribution, against mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import t2fast
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.estimators.verified import beta_verified_at_k, verified_at_k

shapes = st.floats(-2.5, 3).map(lambda x: 10.0**x)
rates = st.one_of(st.sampled_from([0.0, 1e-3, 0.05, 0.9, 1.0]), st.floats(0, 1))


def by_series(a: float, b: float, k: int, t: float, f: float) -> tuple[float, float]:
    """Both sums over j < k of (1-f)^j E(1-sX)^j, s = (t-f)/(1-f), each mean a hypergeometric polynomial."""
    with mpmath.workdps(40):
        a_, b_, t_, f_ = map(mpmath.mpf, (a, b, t, f))
        s = (t_ - f_) / (1 - f_)

        def total(shape: mpmath.mpf) -> mpmath.mpf:
            return sum((1 - f_) ** j * mpmath.hyp2f1(-j, shape, a_ + b_ + 1, s) for j in range(k))

        right = t_ * a_ / (a_ + b_) * total(a_ + 1)
        return float(right), float(f_ * b_ / (a_ + b_) * total(a_))


@given(shapes, shapes, st.integers(1, 12), rates, rates.filter(lambda f: f < 1))
@settings(max_examples=12)
def test_they_are_sums_of_hypergeometric_polynomials(a: float, b: float, k: int, t: float, f: float) -> None:
    found = beta_verified_at_k(a, b, k, t, f)
    for value, exact in zip(found, by_series(a, b, k, t, f), strict=True):
        assert abs(value - exact) < 3e-15 + 1e-12 * exact


@pytest.mark.parametrize(("a", "b", "k"), [(2.0, 3.0, 37.25), (1.3, 40.0, 4000.0), (300.0, 20.0, 1.5)])
def test_of_a_real_k_they_are_integrals(a: float, b: float, k: float) -> None:
    t, f = 0.9, 0.02
    with mpmath.workdps(25):

        def integrand(p: mpmath.mpf, right: bool) -> mpmath.mpf:
            x = p * t + (1 - p) * f
            share = p * t if right else (1 - p) * f
            return (1 - (1 - x) ** k) / x * share * p ** (a - 1) * (1 - p) ** (b - 1) / mpmath.beta(a, b)

        cuts = [0, 1e-3, 1e-2, 0.05, 0.1, 0.3, 0.6, 0.8, 0.9, 0.97, 1]
        exact = [float(mpmath.quad(lambda p, r=r: integrand(p, r), cuts)) for r in (True, False)]
    found = beta_verified_at_k(a, b, k, t, f)
    assert [float(x) for x in found] == pytest.approx(exact, rel=1e-11)


def test_limits_are_the_closed_forms() -> None:
    a, b, k = np.array([0.35, 2.0]), np.array([3.5, 0.2]), 50
    right, wrong = beta_verified_at_k(a, b, k, 0.4, 0.0)
    np.testing.assert_allclose(
        right, [1 - t2fast.scaled_beta_failure(*ab, 0.4, k) for ab in zip(a, b, strict=True)], rtol=1e-12
    )
    assert right[0] == pytest.approx(1 - 0.502066691348, rel=1e-11)  # published
    assert not wrong.any()
    np.testing.assert_allclose(
        beta_verified_at_k(a, b, k, 1, 0)[0], t2fast.beta_pass_at_k(a, b, k), rtol=1e-12
    )
    # Problems all alike, and one whose verdict says nothing.
    alike = beta_verified_at_k(3e7, 7e7, 9, 0.8, 0.1)
    assert [float(x) for x in alike] == pytest.approx(
        [float(x) for x in verified_at_k(0.3, 9, 0.8, 0.1)], rel=1e-6
    )
    right, wrong = beta_verified_at_k(1, 3, 4, 0.5, 0.5)
    assert (float(right), float(wrong)) == pytest.approx((0.25 * 0.9375, 0.75 * 0.9375), rel=1e-14)
    # Right and wrong change places with the rates.
    one, other = beta_verified_at_k(0.4, 2.5, 7, 0.1, 0.6), beta_verified_at_k(2.5, 0.4, 7, 0.6, 0.1)
    assert (one[0], one[1]) == (other[1], other[0])


def test_they_are_what_happens() -> None:
    rng = np.random.default_rng(0)
    a, b, k, t, f, many = 0.4, 2.0, 12, 0.85, 0.06, 200_000
    p = rng.beta(a, b, many)
    right = rng.random((many, k)) < p[:, None]
    accepted = rng.random((many, k)) < np.where(right, t, f)
    chosen = (accepted * rng.random((many, k))).argmax(axis=1)  # a random one of those accepted
    answered = accepted.any(axis=1)
    hit = right[np.arange(many), chosen]
    found = beta_verified_at_k(a, b, k, t, f)
    for value, seen in zip(found, (answered & hit, answered & ~hit), strict=True):
        assert abs(seen.mean() - value) < 4 * seen.std() / many**0.5


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="a must be positive"):
        beta_verified_at_k(0, 1, 1, 1, 0)
    with pytest.raises(ValueError, match="k must be finite"):
        beta_verified_at_k(1, 1, np.inf, 1, 0)
    with pytest.raises(ValueError, match="false_positive must lie between 0 and 1"):
        beta_verified_at_k(1, 1, 1, 1, -0.1)
    assert beta_verified_at_k(1, 1, [0.0, 1.0], 1, 0)[0].tolist() == pytest.approx([0, 0.5], rel=1e-12)


def test_hardly_any_or_hardly_no_right_sample_is_no_trouble() -> None:
    for a, b in ((1e-308, 1e-12), (1e-308, 1e5), (1e-17, 0.1), (1e-60, 3.0)):
        right, wrong = beta_verified_at_k(a, b, [1.0, 10.0, 1e9], 0.9, 0.001)
        assert (right <= 1.01e-3).all()
        assert wrong == pytest.approx([0.001, 1 - 0.999**10, 1], rel=1e-9)
        assert right[0] == pytest.approx(0.9 * a / (a + b), rel=1e-9)
        right, wrong = beta_verified_at_k(b, a, [1.0, 10.0, 1e9], 0.9, 0.001)
        assert right == pytest.approx([0.9, 1 - 0.1**10, 1], rel=1e-9)
        assert (wrong <= 1e-12).all()
