"""Estimators from counts, against exact rationals, enumeration and numbers computed elsewhere."""

import math
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.estimators.passk import (
    g_pass_at_k,
    majority_at_k,
    pass_at_k,
    pass_at_k_stderr,
    pass_at_k_variance,
    pass_hat_k,
)

MATRIX = [[0, 1, 1, 0, 1], [1, 1, 0, 1, 1]]
N = [len(row) for row in MATRIX]
C = [sum(row) for row in MATRIX]


def relative_error(value: float, exact: Fraction) -> float:
    return abs(float((Fraction(value) - exact) / exact)) if exact else abs(value)


def falling(n: int, c: int, k: int) -> Fraction:
    """C(n-c, k)/C(n, k) with as few factors as c and k allow."""
    few, many = min(c, k), max(c, k)
    if many > n - few:
        return Fraction(0)
    return Fraction(math.prod(range(n - many - few + 1, n - many + 1)), math.prod(range(n - few + 1, n + 1)))


def exact_pass(n: int, c: int, k: int) -> Fraction:
    return 1 - falling(n, c, k)


def exact_tail(n: int, c: int, k: int, m: int) -> Fraction:
    ways = sum(math.comb(c, j) * math.comb(n - c, k - j) for j in range(m, min(c, k) + 1))
    return Fraction(ways, math.comb(n, k))


def test_published_matrix():
    assert np.mean(pass_at_k(N, C, 2)) == pytest.approx(0.95, abs=1e-15)
    assert np.mean(pass_hat_k(N, C, 2)) == pytest.approx(0.45, abs=1e-15)
    assert np.mean(majority_at_k(N, C, 3)) == pytest.approx(0.85, abs=1e-15)


@pytest.mark.parametrize(
    "row", [*MATRIX, [0, 0, 0, 1, 0, 0, 0], [1] * 4, [0] * 4, [1, 0, 1, 0, 1, 1, 0, 1, 0]]
)
def test_every_estimator_counts_subsets(row: list[int]):
    n, c = len(row), sum(row)
    for k in range(1, n + 1):
        drawn = np.array([sum(subset) for subset in combinations(row, k)])
        assert pass_at_k(n, c, k) == pytest.approx(np.mean(drawn >= 1), abs=1e-15)
        assert pass_hat_k(n, c, k) == pytest.approx(np.mean(drawn == k), abs=1e-15)
        assert majority_at_k(n, c, k) == pytest.approx(np.mean(2 * drawn > k), abs=1e-15)
        for tau in (0, 0.1, 0.25, 0.5, 0.75, 1):
            enough = np.mean(drawn >= max(1, math.ceil(tau * k)))
            assert g_pass_at_k(n, c, k, tau) == pytest.approx(enough, abs=1e-15)


@st.composite
def counts(draw: st.DrawFn, largest: int) -> tuple[int, int, int]:
    n = int(2 ** draw(st.floats(0, math.log2(largest))))
    ends = st.one_of(st.integers(0, min(n, 5)), st.integers(max(0, n - 5), n), st.integers(0, n))
    return n, draw(ends), max(1, draw(ends))


@settings(max_examples=300, deadline=None)
@given(counts(100_000))
def test_pass_at_k_is_exact_to_1e13(triple: tuple[int, int, int]):
    assert relative_error(pass_at_k(*triple), exact_pass(*triple)) < 1e-13


@pytest.mark.parametrize("k", [1, 2, 12, 13, 1000, 5000, 499_999, 999_000, 999_987, 999_999, 1_000_000])
def test_pass_at_k_of_a_million_samples(k: int):
    n = 1_000_000
    for c in [0, 1, 2, 11, 12, 13, 14, 250, n - 1000, n - 13, n - 12, n - 1, n]:
        # By symmetry in c and k the exact value has min(c, k) or n - max(c, k) factors.
        few = min(c, k)
        if few <= 20_000 or max(c, k) > n - few:
            assert relative_error(pass_at_k(n, c, k), exact_pass(n, c, k)) < 1e-13, (c, k)


@settings(max_examples=200, deadline=None)
@given(counts(2000), st.floats(0, 1))
def test_tails_are_exact(triple: tuple[int, int, int], tau: float):
    n, c, k = triple
    needed = max(1, math.ceil(tau * k - 1e-9))
    for value, m in [
        (pass_hat_k(n, c, k), k),
        (majority_at_k(n, c, k), k // 2 + 1),
        (g_pass_at_k(n, c, k, tau), needed),
    ]:
        exact = exact_tail(n, c, k, m)
        if exact > Fraction(1, 10**280):
            assert relative_error(value, exact) < 2e-12, (m, value)
        else:
            assert value <= 1e-279


def test_threshold_is_the_decimal_that_was_written():
    assert g_pass_at_k(40, 20, 30, 0.1) == g_pass_at_k(40, 20, 30, 3 / 30)
    assert g_pass_at_k(40, 20, 30, 0.1) == pytest.approx(float(exact_tail(40, 20, 30, 3)), rel=1e-14)


@pytest.mark.parametrize("shared", [True, False])
def test_table_and_direct_evaluation_agree_with_rationals(shared: bool):
    rng = np.random.default_rng(3)
    n = np.full(3000, 700) if shared else rng.integers(600, 700, 3000)
    c = rng.binomial(n, rng.beta(0.3, 1, n.size))
    k = np.array([1, 3, 10, 64, 333, 600])
    table = pass_at_k(n[:, None], c[:, None], k)
    for i in range(0, n.size, 37):
        for j, k_j in enumerate(k):
            exact = exact_pass(int(n[i]), int(c[i]), int(k_j))
            assert relative_error(float(table[i, j]), exact) < 1e-13


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_broadcast_equals_cell_by_cell(data: st.DataObject):
    shapes = data.draw(
        st.sampled_from(
            [
                ((4, 1), (4, 1), (3,)),
                ((4,), (4,), (3, 1)),
                ((), (4,), ()),
                ((), (), (3,)),
                ((4, 3), (4, 1), (3,)),
                ((4, 3), (4, 3), (4, 3)),
                ((2, 1, 1), (4, 1), (3,)),
                ((3, 1, 4), (1, 1, 4), (2, 1)),
                ((4, 1), (3,), (2, 1, 1)),
            ]
        )
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = rng.integers(20, 40, shapes[0])
    c, k = rng.integers(0, 20, shapes[1]), rng.integers(1, 20, shapes[2])
    for function in (pass_at_k, pass_hat_k, majority_at_k):
        whole = function(n, c, k)
        one = [function(int(a), int(b), int(d)) for a, b, d in np.broadcast(n, c, k)]
        assert np.shape(whole) == np.broadcast(n, c, k).shape
        np.testing.assert_allclose(np.ravel(whole), one, rtol=1e-13)


def test_types_in_and_out():
    assert type(pass_at_k(10, 3, 2)) is float
    expected = pass_at_k([10, 20], [3, 4], 2)
    for kind in (np.int8, np.uint16, np.int32, np.uint64, np.float32, object):
        same = pass_at_k(np.array([10, 20], kind), np.array([3, 4]), np.array(2, kind))
        np.testing.assert_array_equal(same, expected)
    strided = np.arange(40).reshape(2, 20)[:, ::-7]
    np.testing.assert_array_equal(pass_at_k(50, strided, 2), pass_at_k(50, strided.copy(), 2))


def test_undefined_is_nan_and_says_where():
    with pytest.warns(RuntimeWarning, match=r"1 of 4 values are NaN .* index \(0, 1\) with n = 5, k = 8"):
        result = pass_at_k([[5], [9]], 1, [2, 8])
    np.testing.assert_array_equal(np.isnan(result), [[False, True], [False, False]])
    for function in (pass_hat_k, majority_at_k):
        with pytest.warns(RuntimeWarning, match="k exceeds n"):
            assert math.isnan(function(5, 5, 6))


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        ([5, 5], [3, 6], 1, r"c must not exceed n.*c\[1\] = 6 of n = 5"),
        (5, -1, 1, "c must not be negative; got c = -1"),
        ([[5, 0]], 0, 1, r"n must be at least 1.*n\[0, 1\] = 0"),
        (-3, 0, 1, "n must be at least 1"),
        (5, 1, [1, 0], r"k must be at least 1.*k\[1\] = 0"),
        (5, 1, -2, "k must be at least 1"),
        ([5, 5.5], 1, 1, r"n must be a whole number; got n\[1\] = 5.5"),
        (5, [1, math.nan], 1, r"c must be a whole number; got c\[1\] = nan"),
        (5, math.inf, 1, "c must be a whole number; got c = inf"),
        (5, 1, 2**60 * 1.0, "k must be at most"),
        ([], 1, 1, "n is empty"),
        (5, 1, [], "k is empty"),
        ([5, None], 1, 1, r"n must be a number; got n\[1\] = None"),
        ([5, "5"], 1, 1, r"n must be a number; got n\[1\] = '5'"),
        (5, 1, [[1], [2.5]], r"k\[1, 0\] = 2.5"),
    ],
)
@pytest.mark.parametrize("function", [pass_at_k, pass_hat_k, majority_at_k])
def test_bad_counts_are_named(function, n, c, k, message: str):
    with pytest.raises(ValueError, match=message):
        function(n, c, k)


def test_at_most_ten_bad_entries_are_listed():
    with pytest.raises(ValueError, match=r"c\[9\] = 7 of n = 5 and 15 more"):
        pass_at_k(5, [7] * 25, 1)


@pytest.mark.parametrize("tau", [-0.1, 1.1, math.nan])
def test_threshold_outside_the_unit_interval_is_refused(tau: float):
    with pytest.raises(ValueError, match="tau must lie between 0 and 1"):
        g_pass_at_k(5, 1, 1, tau)


def test_variance_published():
    assert pass_at_k_variance(20, 0.15, 5) == pytest.approx(0.0467509339736, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.fractions(0, 1, max_denominator=1000))
def test_variance_is_that_of_the_estimator(n: int, k: int, p: Fraction):
    k = min(n, k)
    weights = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    values = [exact_pass(n, c, k) for c in range(n + 1)]
    mean = sum(w * x for w, x in zip(weights, values, strict=True))
    exact = sum(w * (x - mean) ** 2 for w, x in zip(weights, values, strict=True))
    p_float = float(p)
    # The float p is not quite p; its rounding moves the variance by up to 2k units in the last place.
    assert pass_at_k_variance(n, p_float, k) == pytest.approx(float(exact), rel=1e-12, abs=1e-300)


def test_standard_error_never_vanishes():
    errors = pass_at_k_stderr(20, [0, 1, 10, 20], 1)
    assert np.all(errors > 0)
    assert errors[2] == pytest.approx(math.sqrt(0.25 / 20), rel=1e-12)


def test_standard_errors_near_n_are_as_far_off_as_they_say():
    n, ks = 32, np.array([1, 16, 32])
    c = np.arange(n + 1)
    told = np.asarray(pass_at_k_stderr(n, c[:, None], ks)) ** 2
    plugged = np.asarray(pass_at_k_variance(n, (c / n)[:, None], ks))
    # The true variance, E[q^(2k - j)] over overlaps j less E[q^2k], by moments of q = 1 - p ~ Beta(1.2, 0.4).
    counts = scipy.stats.betabinom(n, 0.4, 1.2).pmf(c)

    def moment(m):
        return math.exp(scipy.special.betaln(1.2 + m, 0.4) - scipy.special.betaln(1.2, 0.4))

    for i, k in enumerate(ks.tolist()):
        overlaps = [math.comb(k, j) * math.comb(n - k, k - j) / math.comb(n, k) for j in range(k + 1)]
        truth = sum(w * moment(2 * k - j) for j, w in enumerate(overlaps)) - moment(2 * k)
        assert math.sqrt(counts @ told[:, i] / truth) == pytest.approx([1.02, 1.15, 1.19][i], abs=0.005)
        # As `t2fast.estimators.sequential.mean_variance` says of p = c/n.
        assert math.sqrt(counts @ plugged[:, i] / truth) == pytest.approx([0.98, 0.85, 0.75][i], abs=0.005)
    rare = scipy.stats.binom(n, 1 / n).pmf(c)
    truth = pass_at_k_variance(n, 1 / n, n)
    assert math.sqrt(rare @ told[:, 2] / truth) == pytest.approx(0.85, abs=0.005)


def test_same_bits_for_any_number_of_threads():
    script = """
import hashlib, numpy as np
from t2fast.estimators import estimate
from t2fast.estimators.passk import majority_at_k, pass_at_k
rng = np.random.default_rng(0)
n = rng.integers(50, 4000, 20000); c = rng.binomial(n, rng.beta(.3, 1, n.size)); k = [1, 5, 50]
parts = [pass_at_k(n[:, None], c[:, None], k), pass_at_k(300, np.minimum(c, 300)[:, None], k),
         majority_at_k(n, c, 50), pass_at_k(n, c, n // 2)]
curve = estimate(n[:200], c[:200], [2000], missing='extrapolate', draws=40)
parts += [curve.mean, curve.low, curve.high]
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""
    package = str(Path(sys.modules["t2fast"].__file__).parents[1])

    def digest(threads: str) -> str:
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONPATH": package}
        command = [sys.executable, "-c", script]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert digest("1") == digest("2") != ""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a child process")
@pytest.mark.parametrize(
    "call",
    [
        "majority_at_k(10**6, np.arange(10**6), 500_000)",
        "scaled_beta_failure(np.full(10**6, 1e4), 2, 0.5, 1000)",
        "estimate(np.arange(100, 3000), np.arange(50, 2950), 10**4, missing='extrapolate', draws=10**6)",
    ],
)
def test_ctrl_c_ends_a_call_of_minutes(call: str):
    script = f"""
import numpy as np
from t2fast.estimators.beta import scaled_beta_failure
from t2fast.estimators import estimate
from t2fast.estimators.passk import majority_at_k
print("ready", flush=True)
{call}
print("done", flush=True)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(sys.modules["t2fast"].__file__).parents[1])}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert out == ""
    assert "KeyboardInterrupt" in err
