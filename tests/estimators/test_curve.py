"""Curves over problems: intervals that cover, and counts of what was left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from t2fast import _core
from t2fast.estimators import estimate
from t2fast.estimators.beta import beta_pass_at_k
from t2fast.estimators.passk import pass_at_k


def test_mean_over_problems():
    n, c, k = [10, 20, 30], [1, 5, 0], [1, 4, 10]
    curve = estimate(n, c, k)
    table = pass_at_k(np.array(n)[:, None], np.array(c)[:, None], k)
    np.testing.assert_allclose(curve.mean, table.mean(axis=0), rtol=1e-15)
    np.testing.assert_array_equal(curve.problems, [3, 3, 3])
    assert curve.notes == ("", "", "")
    assert curve.law is None
    assert np.all((curve.low < curve.mean) & (curve.mean < curve.high))


def test_problems_with_too_few_samples_are_reported():
    curve = estimate([10, 5, 10], [1, 5, 0], [5, 8, 20], missing="drop")
    np.testing.assert_array_equal(curve.problems, [3, 2, 0])
    assert curve.mean[1] == np.mean(pass_at_k(10, [1, 0], 8))
    assert np.isnan([curve.mean[2], curve.low[2], curve.high[2]]).all()
    assert curve.notes == (
        "",
        "2 of 3 problems have 8 samples: the mean is over these alone",
        "NaN: no problem has 20 samples",
    )
    assert [list(rows) for rows in curve.left_out] == [[], [1], [0, 1, 2]]
    assert not curve.extrapolated.any()


@pytest.mark.parametrize("problems", [1, 2, 10, 1000])
def test_no_success_still_leaves_room(problems: int):
    none = estimate(np.full(problems, 50), np.zeros(problems, int), 10)
    assert none.mean == none.low == 0
    # The exact limit for one yes-or-no trial a problem.
    assert none.high >= 1 - 0.025 ** (1 / problems) - 1e-12
    every = estimate(np.full(problems, 50), np.full(problems, 50), 10)
    assert every.mean == every.high == 1
    np.testing.assert_allclose(every.low, 1 - none.high, rtol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_interval_holds_the_mean_and_never_collapses(data: st.DataObject):
    problems = data.draw(st.integers(1, 30))
    n = np.array(data.draw(st.lists(st.integers(5, 100), min_size=problems, max_size=problems)))
    c = np.array([data.draw(st.integers(0, int(size))) for size in n])
    curve = estimate(n, c, [1, 2, 5], cluster=data.draw(st.sampled_from([None, np.arange(problems) // 3])))
    assert np.all((curve.low >= 0) & (curve.low <= curve.mean + 1e-12))
    assert np.all((curve.high <= 1) & (curve.high >= curve.mean - 1e-12))
    assert np.all(curve.high - curve.low > 0.5 / (problems + 1))


@pytest.mark.parametrize("shape", [(0.35, 3.5), (0.05, 5.0), (2.0, 2.0), (20.0, 20.0)])
@pytest.mark.parametrize("problems", [3, 10, 60])
def test_coverage(shape: tuple[float, float], problems: int):
    rng = np.random.default_rng(11)
    runs, n, ks = 300, 20, [1, 10]
    covered = np.zeros(len(ks))
    truth = beta_pass_at_k(*shape, ks)
    for _ in range(runs):
        curve = estimate(n, rng.binomial(n, rng.beta(*shape, problems)), ks)
        covered += (curve.low <= truth) & (truth <= curve.high)
    # 95% meant; 92% is 2.4 standard errors of 300 runs below.
    assert np.all(covered / runs > 0.92)


def test_repeated_rows_of_one_problem_add_no_confidence():
    rng = np.random.default_rng(2)
    n, p = 20, rng.beta(0.5, 1, 30)
    c = rng.binomial(n, p)
    alone = estimate(n, c, 5)
    copied = estimate(n, np.repeat(c, 4), 5, cluster=np.repeat(np.arange(30), 4))
    naive = estimate(n, np.repeat(c, 4), 5)
    np.testing.assert_allclose([copied.low, copied.high], [alone.low, alone.high], rtol=1e-9)
    assert naive.high - naive.low < 0.6 * (alone.high - alone.low)
    assert copied.clusters == 30
    assert copied.problems == 120


def test_wide_spread_makes_a_t_interval():
    rng = np.random.default_rng(4)
    n, problems = 100, 5000
    c = rng.binomial(n, rng.beta(1, 2, problems))
    curve = estimate(n, c, 3, level=0.9)
    values = pass_at_k(n, c, 3)
    half = stats.t.ppf(0.95, problems - 1) * values.std(ddof=1) / np.sqrt(problems)
    np.testing.assert_allclose(curve.high - curve.low, 2 * half, rtol=0.02)


def test_quantiles_against_scipy():
    rng = np.random.default_rng(5)
    a, b = 10 ** rng.uniform(-2, 5, (2, 300))
    p = rng.uniform(0.001, 0.999, 300)
    out = np.empty(300)
    _core.beta_quantile(p, a, b, out)
    expected = stats.beta.ppf(p, a, b)
    clear = expected > 1e-280
    np.testing.assert_allclose(out[clear], expected[clear], rtol=1e-8)
    assert np.all(out[~clear] < 1e-270)


def test_bounds_hold_for_every_completion_of_the_samples():
    # 4 of 60 problems have 400 samples, and it is the solved ones: as where sampling went on at a success.
    rng = np.random.default_rng(3)
    p = rng.beta(0.3, 2.0, 60)
    n = np.where(np.argsort(np.argsort(-p)) < 4, 400, 50)
    c = rng.binomial(n, p)
    dropped = estimate(n, c, 200, missing="drop")
    curve = estimate(n, c, [50, 200])
    truth = np.mean(-np.expm1(200 * np.log1p(-p)))
    assert dropped.mean[0] > truth + 0.15  # another quantity
    assert np.isnan(curve.mean[1])
    assert curve.low[1] < truth < curve.high[1]
    assert curve.high[1] > 0.9  # problems without a success may all be solved
    assert curve.problems.tolist() == [60, 4]
    assert curve.notes[1] == "4 of 60 problems have 200 samples: NaN, and bounds on the mean over all"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_limits_do_not_fall_with_k(data: st.DataObject):
    problems = data.draw(st.integers(1, 20))
    n = np.array(data.draw(st.lists(st.integers(1, 60), min_size=problems, max_size=problems)))
    c = np.array([data.draw(st.integers(0, int(size))) for size in n])
    ks = data.draw(st.permutations([1, 2, 3, 5, 10, 20, 40, 80]))
    curve = estimate(n, c, ks)
    order = np.argsort(ks)
    assert np.all(np.diff(curve.high[order]) >= 0)
    assert np.all(np.diff(curve.low[order]) >= 0)
    known = ~np.isnan(curve.mean)
    assert np.all(curve.low[known] <= curve.mean[known] + 1e-12)
    assert np.all(curve.mean[known] <= curve.high[known] + 1e-12)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([5], [6], 1), {}, r"c must not exceed n.*c\[0\] = 6 of n = 5"),
        (([[5]], [[1]], 1), {}, "n must be one-dimensional"),
        (([5], [1], [0]), {}, "k must be at least 1"),
        (([], [], 1), {}, "n is empty"),
        (([5], [1], 1), {"level": 1.0}, "level must lie between 0 and 1; got 1.0"),
        (([5, 5], [1, 1], 1), {"cluster": [1]}, r"cluster must hold one label a problem, shape \(2,\)"),
        (([5], [1], 9), {"missing": "extrapolate", "draws": 5}, "draws must be from 20"),
    ],
)
def test_bad_input_is_named(arguments, options, message: str):
    with pytest.raises(ValueError, match=message):
        estimate(*arguments, **options)
