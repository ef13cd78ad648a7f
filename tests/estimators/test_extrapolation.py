"""pass@k beyond the samples drawn, and means where sampling ended at successes."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from scipy.special import betaln, expit, log_expit
from t2fast import _core
from t2fast.estimators import estimate
from t2fast.estimators.beta import beta_pass_at_k
from t2fast.estimators.extrapolation import Shape, fit_shapes, samples_follow_outcome
from t2fast.estimators.passk import pass_at_k


def beta_counts(problems: int, seed: int = 8, share: float = 1.0) -> np.ndarray:
    """Successes among 64 samples; a share of the problems has p ~ Beta(0.5, 20), the others 0."""
    rng = np.random.default_rng(seed)
    return rng.binomial(64, np.where(rng.random(problems) < share, rng.beta(0.5, 20, problems), 0))


NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def log_likelihoods(shape: str, x: np.ndarray, n: int, c: np.ndarray) -> float:
    """Of the unknowns (logit mean, ln a, logit share) or (m, ln s), by library functions and quadrature."""
    if shape == "logit-normal":
        s = np.exp(x[1])
        y = x[0] + 10 * s * NODES
        c, times = np.unique(c, return_counts=True)
        log = c[:, None] * log_expit(y) + (n - c)[:, None] * log_expit(-y) + stats.norm.logpdf(y, x[0], s)
        return float(times @ np.log(np.maximum(np.exp(log) @ WEIGHTS * 10 * s, 1e-300)))
    a = np.exp(x[1])
    log = betaln(c + a, n - c + a * np.exp(-x[0])) - betaln(a, a * np.exp(-x[0]))
    if shape == "ceiling":
        log = np.log(np.where(c > 0, 0, expit(-x[2])) + expit(x[2]) * np.exp(log))
    return float(np.sum(log))


PRIORS = {
    "beta": ([-3, np.log(0.4)], [4, 0.7]),
    "ceiling": ([-3, np.log(0.4), 1.5], [4, 0.7, 1.5]),
    "logit-normal": ([-3, np.log(1.8)], [4, 0.6]),
}


def log_posterior(shape: str, x: np.ndarray, n: int, c: np.ndarray) -> float:
    centre, width = PRIORS[shape]
    return log_likelihoods(shape, x, n, c) + float(np.sum(stats.norm.logpdf(x, centre, width)))


def unknowns(shape: Shape) -> np.ndarray:
    values = shape.params
    if shape.name == "logit-normal":
        return np.array([values["m"], np.log(values["s"])])
    x = [np.log(values["a"] / values["b"]), np.log(values["a"])]
    return np.array([*x, np.log(values["share"] / (1 - values["share"]))] if "share" in values else x)


def test_fits_maximise_likelihood_times_prior():
    n, c = 64, beta_counts(200, share=0.8)
    for shape in fit_shapes(np.full(200, n), c).shapes:
        x = unknowns(shape)
        best = optimize.minimize(
            lambda x, name=shape.name: -log_posterior(name, x, n, c),
            x + 0.1,
            method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-9},
        )
        assert shape.converged
        assert log_posterior(shape.name, x, n, c) == pytest.approx(-best.fun, abs=1e-6)
        assert shape.log_likelihood == pytest.approx(log_likelihoods(shape.name, x, n, c), abs=1e-7)
        np.testing.assert_allclose(x, best.x, atol=2e-3)


def test_shapes_are_weighed_by_their_evidence():
    n, c = 64, beta_counts(60, seed=3)
    weights = {shape.name: shape.probability for shape in fit_shapes(np.full(60, n), c).shapes}
    logs = {}
    for name in ("beta", "logit-normal"):
        centre, width = PRIORS[name]
        first = np.linspace(centre[0] - 5 * width[0], centre[0] + 5 * width[0], 121)
        second = np.linspace(centre[1] - 5 * width[1], centre[1] + 5 * width[1], 31)
        grid = np.array([[log_posterior(name, np.array([u, v]), n, c) for v in second] for u in first])
        top = grid.max()
        inner = integrate.simpson(np.exp(grid - top), x=second, axis=1)
        logs[name] = top + np.log(integrate.simpson(inner, x=first))
    expected = np.log(35 / 30) + 0.5 * (logs["beta"] - logs["logit-normal"])
    # Laplace's approximation is good to a tenth in the logarithm with 60 problems.
    assert np.log(weights["beta"] / weights["logit-normal"]) == pytest.approx(expected, abs=0.05)
    assert sum(weights.values()) == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(st.floats(-15, 10), st.floats(0.25, 6), st.floats(0, 8))
def test_logit_normal_pass_at_k(m: float, s: float, log_k: float):
    k = 10**log_k
    edge = -np.log(k)  # where pass@k rises from 0 to 1
    # A break beside another one, or beside 0, leaves pieces that the quadrature skips.
    breaks = {round(x, 6) for x in (edge - 5, edge, edge + 3, m)}
    inside = sorted(x for x in breaks if m - 12 * s < x < m + 12 * s)
    expected, _ = integrate.quad(
        lambda x: -np.expm1(k * log_expit(-x)) * stats.norm.pdf(x, m, s),
        m - 12 * s,
        m + 12 * s,
        points=inside,
        limit=500,
        epsrel=1e-11,
    )
    out = np.empty(1)
    _core.logit_normal_pass_at_k(np.array([m]), np.array([s]), np.array([k]), out)
    assert out[0] == pytest.approx(expected, rel=1e-9, abs=1e-300)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_counts_are_fitted(data: st.DataObject):
    problems = data.draw(st.integers(1, 12))
    n = np.array(data.draw(st.lists(st.integers(1, 10**6), min_size=problems, max_size=problems)))
    c = np.array([data.draw(st.one_of(st.just(0), st.just(int(m)), st.integers(0, int(m)))) for m in n])
    fitted = fit_shapes(n, c)
    curve = fitted.pass_at_k([1, 10, 1000, 1e7])
    assert np.all((curve >= 0) & (curve <= 1 + 1e-12) & (np.diff(curve, prepend=0) >= -1e-12))
    assert all(shape.converged for shape in fitted.shapes)
    assert sum(shape.probability for shape in fitted.shapes) == pytest.approx(1)


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng: rng.beta(0.4, 40, 120), lambda k: beta_pass_at_k(0.4, 40, k)),
        (
            lambda rng: expit(rng.normal(-6, 2, 120)),
            lambda k: Shape("logit-normal", {"m": -6, "s": 2}, 1, 0, True).pass_at_k(k),
        ),
    ],
)
def test_intervals_cover(draw, truth):
    ks, runs = np.array([1000, 10_000]), 60
    covered = np.zeros(ks.size)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        c = rng.binomial(100, draw(rng))
        curve = estimate(100, c, ks, missing="extrapolate", level=0.9, draws=60, seed=seed)
        covered += (curve.low < truth(ks)) & (truth(ks) < curve.high)
    # 90% meant; 78% is three standard errors of 60 runs below.
    assert np.all(covered / runs > 0.78), covered / runs


def test_extrapolation_is_flagged():
    c = beta_counts(2000)
    ks = np.array([8, 300, 6400])
    curve = estimate(64, c, ks, missing="extrapolate")
    np.testing.assert_array_equal(curve.extrapolated, [False, True, True])
    assert curve.notes[1] == "extrapolated: 2000 of 2000 problems have fewer than 300 samples"
    truth = beta_pass_at_k(0.5, 20, ks)
    np.testing.assert_allclose(curve.mean[:2], truth[:2], rtol=0.05)
    assert np.all((curve.low < truth) & (truth < curve.high))
    assert curve.law is not None
    np.testing.assert_allclose(curve.law.pass_at_k(ks[1:]), curve.mean[1:], rtol=1e-12)
    again = estimate(64, c, ks, missing="extrapolate")
    np.testing.assert_array_equal(curve.low, again.low)
    other = estimate(64, c, ks, missing="extrapolate", seed=1)
    assert other.low[1] != curve.low[1]


@pytest.mark.parametrize(
    ("n", "c"), [(32, [0] * 5 + [1] * 20 + [32] * 15), (8, [0] * 10 + [1] * 20 + [7] * 10)]
)
def test_means_do_not_fall_from_what_is_counted_to_what_is_fitted(n: int, c: list[int]):
    """Of counts that none of the shapes can follow, which are below pass@n beyond n."""
    k = [1, n - 1, n, n + 1, 2 * n, 8 * n]
    curve = estimate(n, c, k, missing="extrapolate", draws=40)
    assert curve.extrapolated.tolist() == [False] * 3 + [True] * 3
    assert curve.law is not None
    assert curve.law.pass_at_k(n + 1) < curve.mean[2]
    assert np.all(np.diff(curve.mean) >= 0)
    assert np.all(curve.mean[3:] >= np.mean(np.array(c) > 0))
    assert np.all((curve.low <= curve.mean) & (curve.mean <= curve.high))
    by_likelihood = estimate(n, c, k, missing="extrapolate", likelihood=True, draws=40)
    assert by_likelihood.mean == pytest.approx(curve.law.pass_at_k(k), rel=1e-12)


@pytest.mark.parametrize("solved", [0, 1, 9])
def test_too_few_solved_problems_are_refused(solved: int):
    c = np.zeros(50, int)
    c[:solved] = 1
    curve = estimate(20, c, [5, 50], missing="extrapolate")
    assert curve.law is None
    assert np.isnan(curve.mean[1])
    assert curve.notes[0] == ""
    assert curve.notes[1].endswith(f"; not extrapolated, since {solved} solved problems are too few")


def test_far_beyond_the_samples_there_are_bounds_alone():
    curve = estimate(64, beta_counts(100), [6400, 6401], missing="extrapolate", draws=20)
    assert curve.extrapolated.tolist() == [True, False]
    assert np.isnan(curve.mean[1])
    assert "k is over 100 times the samples drawn" in curve.notes[1]


def until_solved(rng: np.random.Generator, p: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples drawn and correct when each problem ends at its first success or at a limit."""
    first = rng.geometric(p)
    return np.minimum(first, limit), (first <= limit).astype(int)


def test_sampling_until_solved_is_noticed_and_mended():
    # Counted means of k <= n: what is left for k > 1 are the problems not solved by then.
    k, runs, errors = np.array([1, 16]), 20, []
    truth = beta_pass_at_k(0.4, 8, k)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        n, c = until_solved(rng, rng.beta(0.4, 8, 200), 256)
        with pytest.warns(RuntimeWarning, match="few samples are solved more often"):
            counted = estimate(n, c, k, missing="drop")
        assert "by likelihood" in counted.notes[0]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mended = estimate(n, c, k, likelihood=True, draws=20)
        assert mended.extrapolated.all()
        assert np.all(mended.low <= mended.mean)
        assert np.all(mended.mean <= mended.high)
        errors.append((counted.mean / truth - 1, mended.mean / truth - 1))
    counted_bias, mended_bias = np.mean(errors, axis=0)
    assert np.all(np.abs(counted_bias) > 0.25)
    assert np.all(np.abs(mended_bias) < 0.12), mended_bias


@pytest.mark.parametrize("shape", [(0.2, 10), (0.5, 0.5), (3.0, 50.0)])
def test_samples_chosen_beforehand_are_not_suspected(shape: tuple[float, float]):
    scores = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = rng.choice([16, 64, 1000], 100)
        scores.append(samples_follow_outcome(n, rng.binomial(n, rng.beta(*shape, 100))))
    assert max(scores) < 3.5
    assert abs(np.mean(scores)) < 0.6
    assert 0.5 < np.std(scores) < 1.3


def test_score_of_suspicion_against_library_functions():
    rng = np.random.default_rng(4)
    n = rng.choice([5, 40, 300, 9000], 80)
    c = rng.binomial(n, rng.beta(0.5, 3, 80))
    c[:3] = n[:3]
    shape = next(shape for shape in fit_shapes(n, c).shapes if shape.name == "beta")
    law = stats.betabinom(n, shape.params["a"], shape.params["b"])
    place = law.cdf(c) - 0.5 * law.pmf(c) - 0.5
    rank = stats.rankdata(n) - (len(n) + 1) / 2
    expected = -np.sum(rank * place) / np.sqrt(np.sum(rank**2) * np.mean(place**2))
    assert samples_follow_outcome(n, c) == pytest.approx(expected, rel=1e-6)
    assert samples_follow_outcome(np.full(80, 9000), c) == 0


def test_sequential_tables_are_not_suspected():
    rng = np.random.default_rng(1)
    n, c = until_solved(rng, rng.beta(0.4, 8, 100), 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = estimate(n, c, [1, 64], sequential=(1, 64))
    assert curve.notes == ("", "")
    # Within k samples solved or not: the counts say so themselves.
    assert curve.mean[1] == pytest.approx(c.mean())


def test_equal_numbers_agree_with_counting():
    rng = np.random.default_rng(2)
    c = rng.binomial(50, rng.beta(0.5, 5, 400))
    curve = estimate(50, c, [1, 10, 50], likelihood=True, draws=20)
    counted = np.mean(pass_at_k(50, c[:, None], [1, 10, 50]), axis=0)
    np.testing.assert_allclose(curve.mean, counted, rtol=0.05)
    assert curve.notes == ("by likelihood",) * 3


@pytest.mark.parametrize("share", [0, 1])
def test_where_nothing_or_all_was_solved_n_is_not_suspected(share):
    """Nothing tells whether n went with an outcome that was always the same."""
    n = np.array([4, 16, 64, 200] * 15)
    assert samples_follow_outcome(n, share * n) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert estimate(n, share * n, 1).notes == ("",)


def test_few_solved_problems_with_n_at_random_are_rarely_suspected():
    rng = np.random.default_rng(5)
    n = np.array([4, 16, 64, 200] * 15)
    scores = [samples_follow_outcome(n, rng.binomial(n, rng.beta(0.02, 20, 60))) for _ in range(300)]
    # Of 300 tables each at most 1%: more than ten of them come about once in a thousand times.
    assert np.sum(np.array(scores) >= 3) <= 10
