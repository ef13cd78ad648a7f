"""Beta pass@k, its scaled form and the samples it costs, against mpmath and published numbers."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.estimators.beta import beta_pass_at_k, expected_samples_until_first_success, scaled_beta_failure

SHAPES = st.floats(-4, 6).map(lambda x: 10**x)


def log_failure(a: float, b: float, k: float) -> mp.mpf:
    a, b, k = mp.mpf(a), mp.mpf(b), mp.mpf(k)
    return mp.loggamma(b + k) + mp.loggamma(a + b) - mp.loggamma(b) - mp.loggamma(a + b + k)


@pytest.mark.parametrize(
    ("a", "b", "k", "value"),
    [
        (0.35, 3.5, 10, 0.39157329015442744151),
        (0.35, 3.5, 10000, 0.94028207304629476962),
        (0.35, 3.5, 27.027027027027027, 0.54487126837071978517),
        (0.1, 2, 10000, 0.58339293746113781797),
        (0.5, 0.5, 10, 1 - 46189 / 262144),
    ],
)
def test_published_values(a: float, b: float, k: float, value: float):
    assert beta_pass_at_k(a, b, k) == pytest.approx(value, rel=1e-14)


@settings(max_examples=500, deadline=None)
@given(SHAPES, SHAPES, st.one_of(st.floats(-9, 9).map(lambda x: 10**x), st.integers(0, 10**9).map(float)))
def test_pass_at_k_to_1e12(a: float, b: float, k: float):
    with mp.workdps(60):
        exact = -mp.expm1(log_failure(a, b, k))
        # At k = 0 mpmath's four log-gammas leave their own rounding error.
        assert abs(beta_pass_at_k(a, b, k) - exact) <= mp.mpf("1e-12") * exact + mp.mpf("1e-45")


def test_no_samples_no_success():
    assert beta_pass_at_k(0.3, 2, 0) == 0
    assert scaled_beta_failure(0.3, 2, 0.4, 0) == pytest.approx(1, abs=1e-15)


def test_scaled_failure_published():
    assert scaled_beta_failure(0.35, 3.5, 0.4, 50) == pytest.approx(0.502066691348, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-4, 3).map(lambda x: 10**x),
    st.floats(-4, 3).map(lambda x: 10**x),
    st.floats(0.001, 0.999),
    st.floats(0, 300),
)
def test_scaled_failure_is_a_hypergeometric_function(a: float, b: float, scale: float, k: float):
    with mp.workdps(50):
        exact = mp.hyp2f1(-mp.mpf(k), a, mp.mpf(a) + b, scale)
        assert abs(scaled_beta_failure(a, b, scale, k) - exact) < 3e-15 + 1e-12 * exact


@settings(max_examples=50, deadline=None)
@given(SHAPES, SHAPES, st.floats(0, 1e6))
def test_scale_one_is_the_plain_beta(a: float, b: float, k: float):
    assert scaled_beta_failure(a, b, 1, k) == pytest.approx(1 - beta_pass_at_k(a, b, k), abs=1e-14)


def test_expected_samples_published():
    assert expected_samples_until_first_success(0.35, 3.5, 10) == pytest.approx(7.64351264849, rel=1e-11)


@settings(max_examples=200, deadline=None)
@given(st.one_of(SHAPES, st.sampled_from([1.0, 1 + 1e-12, 1 - 1e-9])), SHAPES, st.integers(1, 400))
def test_expected_samples_is_the_sum_of_failures(a: float, b: float, max_k: int):
    with mp.workdps(40):
        total, failure = mp.mpf(0), mp.mpf(1)
        for j in range(max_k):
            total += failure
            failure *= (mp.mpf(b) + j) / (mp.mpf(a) + b + j)
        assert abs(expected_samples_until_first_success(a, b, max_k) - total) < 1e-13 * total


def test_expected_samples_without_end():
    assert expected_samples_until_first_success(3, 4, math.inf) == pytest.approx(6 / 2)
    assert expected_samples_until_first_success(1, 4, math.inf) == math.inf
    far = expected_samples_until_first_success(3, 4, 1e9)
    assert far == pytest.approx(expected_samples_until_first_success(3, 4, math.inf), rel=1e-12)


def test_broadcasting():
    a, b, k = np.array([[0.2], [2.0]]), 3.0, np.array([1, 10, 100])
    table = beta_pass_at_k(a, b, k)
    assert table.shape == (2, 3)
    assert table[1, 2] == beta_pass_at_k(2, 3, 100)
    assert type(beta_pass_at_k(1, 1, 1)) is float
    assert beta_pass_at_k(np.ones(200_000), 1, 3)[-1] == pytest.approx(0.75, rel=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: beta_pass_at_k([1, 0], 1, 1), r"a must be positive and finite; got a\[1\] = 0"),
        (lambda: beta_pass_at_k(1, math.inf, 1), "b must be positive and finite; got b = inf"),
        (lambda: beta_pass_at_k(1, 1, -1), "k must be finite and not negative; got k = -1"),
        (lambda: beta_pass_at_k(1, 1, math.nan), "k must be finite"),
        (lambda: scaled_beta_failure(1, 1, 1.5, 1), r"scale must lie in \(0, 1\]; got scale = 1.5"),
        (lambda: expected_samples_until_first_success(1, 1, 2.5), "max_k must be a whole number"),
        (lambda: expected_samples_until_first_success(1, 1, 0), "max_k must be at least 1"),
        (lambda: beta_pass_at_k("x", 1, 1), "a must be a number"),
    ],
)
def test_bad_parameters_are_named(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
