"""Curves over problems: intervals that cover, counts of what was left out, and extrapolation on request."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.special import betaln
from t2fast import _core
from t2fast.estimators.beta import beta_pass_at_k
from t2fast.estimators.curve import estimate
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


def simulated(problems: int, seed: int = 8) -> np.ndarray:
    """Successes among 64 samples; 7 problems in 10 have p ~ Beta(0.5, 2), the others 0."""
    rng = np.random.default_rng(seed)
    return rng.binomial(64, np.where(rng.random(problems) < 0.7, rng.beta(0.5, 2.0, problems), 0))


def test_fit_is_the_maximum_of_the_likelihood():
    n, c = 64, simulated(500)
    law = estimate(n, c, 600, missing="extrapolate", draws=20).law

    def loss(x: np.ndarray) -> float:
        a, b, share = np.exp(x[0]), np.exp(x[1]), 1 / (1 + np.exp(-x[2]))
        log = betaln(c + a, n - c + b) - betaln(a, b)
        return -np.sum(np.log(np.where(c > 0, 0, 1 - share) + share * np.exp(log)))

    best = optimize.minimize(loss, [-1, 1, 1], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    assert law.converged
    assert law.log_likelihood == pytest.approx(-best.fun, abs=1e-6)
    np.testing.assert_allclose([law.a, law.b], np.exp(best.x[:2]), rtol=1e-3)


def test_extrapolation_covers():
    ks, runs = np.array([200, 640]), 60
    truth = 0.7 * beta_pass_at_k(0.5, 2.0, ks)
    covered = np.zeros(ks.size)
    for seed in range(runs):
        curve = estimate(64, simulated(300, seed), ks, missing="extrapolate", draws=100, seed=seed)
        covered += (curve.low < truth) & (truth < curve.high)
    # A percentile interval of a fitted law: 95% meant, 88% is three standard errors below.
    assert np.all(covered / runs > 0.88), covered


@pytest.mark.parametrize("factor", [4, 10])
def test_extrapolation_covers_where_its_law_is_wrong(factor: int):
    # Difficulty is logit-normal and no problem is impossible: the fitted law takes a share of them for that.
    runs, n, k = 40, 64, 64 * factor
    logits = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000, -4, 2.5)
    truth = np.mean(-np.expm1(-k * np.log1p(np.exp(logits))))
    covered = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        c = rng.binomial(n, 1 / (1 + np.exp(-rng.normal(-4, 2.5, 300))))
        curve = estimate(n, c, k, missing="extrapolate", draws=40, seed=seed)
        covered += curve.low[0] <= truth <= curve.high[0]
    # 95% meant; 85% is three standard errors of 40 runs below.
    assert covered / runs > 0.85


def test_far_beyond_the_samples_there_are_bounds_alone():
    curve = estimate(64, simulated(100), [640, 641], missing="extrapolate", draws=20)
    assert curve.extrapolated.tolist() == [True, False]
    assert np.isnan(curve.mean[1])
    assert "k is over 10 times the samples drawn" in curve.notes[1]


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


def test_extrapolation_is_flagged():
    n, c = 64, simulated(2000)
    ks = np.array([8, 200, 640])
    curve = estimate(n, c, ks, missing="extrapolate")
    truth = 0.7 * beta_pass_at_k(0.5, 2.0, ks)
    np.testing.assert_array_equal(curve.extrapolated, [False, True, True])
    assert curve.notes[1].startswith("extrapolated: 2000 of 2000 problems have fewer than 200 samples")
    np.testing.assert_allclose(curve.mean, truth, rtol=0.05)
    again = estimate(n, c, ks, missing="extrapolate")
    np.testing.assert_array_equal(curve.low, again.low)
    other = estimate(n, c, ks, missing="extrapolate", seed=1)
    assert other.low[1] != curve.low[1]


def test_nothing_to_extrapolate_from():
    curve = estimate([10, 20], [0, 0], [5, 50], missing="extrapolate")
    assert curve.law is None
    assert np.isnan(curve.mean[1])
    assert "not extrapolated, since no sample is correct" in curve.notes[1]


def test_a_law_on_its_bound_warns():
    with pytest.warns(RuntimeWarning, match="on a bound"):
        estimate(10, [10, 10, 10], 20, missing="extrapolate")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([5], [6], 1), {}, r"c must not exceed n.*c\[0\] = 6 of n = 5"),
        (([[5]], [[1]], 1), {}, "n must be one-dimensional"),
        (([5], [1], [0]), {}, "k must be at least 1"),
        (([], [], 1), {}, "n is empty"),
        (([5], [1], 1), {"level": 1.0}, "level must lie between 0 and 1; got 1.0"),
        (([5, 5], [1, 1], 1), {"cluster": [1]}, r"cluster must hold one label a problem, shape \(2,\)"),
        (([5], [1], 9), {"missing": "extrapolate", "draws": 5}, "draws must be at least 20"),
    ],
)
def test_bad_input_is_named(arguments, options, message: str):
    with pytest.raises(ValueError, match=message):
        estimate(*arguments, **options)
