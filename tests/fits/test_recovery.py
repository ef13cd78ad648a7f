"""Laws come back from what they say: to 1e-6 without noise, within sampling error from simulated counts."""

import warnings

import numpy as np
import polars as pl
import pytest
from grids import COUNTS, GRID, grid_of, losses_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from t2fast.fits import FitWarning, fit_accuracy, fit_chinchilla, fit_counts, fit_loss
from t2fast.laws.law import Law
from t2fast.laws.simulate import simulate_counts
from t2fast.tables import read_counts


def assert_recovered(found: Law, truth: Law) -> None:
    assert found.fit.converged
    for name, value in truth.params.items():
        assert found.params[name] == pytest.approx(value, rel=1e-6, abs=1e-9), (name, truth.params)


@st.composite
def axes(draw):
    """Sizes and tokens: four to seven of each, between a factor of 2 and 5 apart."""

    def axis(low, high):
        steps = draw(st.lists(st.floats(2, 5), min_size=3, max_size=6))
        return 10 ** draw(st.floats(low, high)) * np.cumprod([1.0, *steps])

    return axis(6, 8), axis(8, 10)


@st.composite
def terms(draw, n, d):
    """E, A, B, alpha and beta, both terms between 0.2 and 2 in the middle of the grid."""
    alpha, beta = draw(st.floats(0.15, 0.8)), draw(st.floats(0.15, 0.8))
    a, b = (draw(st.floats(0.2, 2)) * np.exp(e * np.log(x).mean()) for x, e in ((n, alpha), (d, beta)))
    return {"E": draw(st.floats(0.3, 3)), "A": a, "B": b, "alpha": alpha, "beta": beta}


@settings(max_examples=25, deadline=None)
@given(st.data(), axes(), st.sampled_from(["least_squares", "huber"]))
def test_chinchilla_is_recovered(data, axes, method):
    truth = Law("chinchilla", data.draw(terms(*axes)))
    assert_recovered(fit_chinchilla(losses_of(truth, *axes), method=method, draws=0), truth)


@settings(max_examples=20, deadline=None)
@given(st.data(), axes(), st.floats(0.3, 3), st.floats(0.15, 1))
def test_the_loss_law_is_recovered(data, axes, g, gamma):
    truth = Law("loss", data.draw(terms(*axes)) | {"G": g, "gamma": gamma})
    assert_recovered(fit_loss(grid_of(truth, *axes, 4.0 ** np.arange(6)), draws=0), truth)


@settings(max_examples=12, deadline=None)
@given(st.data(), axes(), st.tuples(*[st.floats(*pair) for pair in ((-1, 1), (0.7, 2), (0.4, 0.95))]))
def test_the_accuracy_law_is_recovered_in_two_stages(data, axes, shape):
    losses = losses_of(chinchilla := Law("chinchilla", data.draw(terms(*axes))), *axes)
    assume(chinchilla.params["E"] < 0.94 * losses.loss.min())  # the paper's ceiling on E
    width = losses.loss.std()
    theta = {"theta0": losses.loss.mean() + shape[0] * width, "theta1": shape[1] / width, "theta2": shape[2]}
    theta |= {"theta3": data.draw(st.floats(0, 2)), "theta4": data.draw(st.floats(-0.5, 0.5))}
    truth = Law("accuracy", chinchilla.params | theta)
    table = grid_of(truth, *axes, 4.0 ** np.arange(5))
    weights = data.draw(st.sampled_from([None, "isoflop"]))
    assert_recovered(fit_accuracy(table, losses, weights=weights, draws=0), truth)


@settings(max_examples=12, deadline=None)
@given(st.data(), axes(), st.floats(-1, 1), st.floats(0.5, 0.95), st.floats(1, 2))
def test_the_accuracy_law_is_recovered_in_one_stage(data, axes, middle, ceiling, width):
    params = data.draw(terms(*axes)) | {"E": 0.0}
    latent = losses_of(Law("chinchilla", params), *axes).loss
    stretch = width / latent.std()
    params |= {name: params[name] * stretch for name in "AB"}
    theta = {"theta0": latent.mean() * stretch + middle, "theta1": 1.0, "theta2": ceiling}
    theta |= {"theta3": data.draw(st.floats(0, 2)), "theta4": data.draw(st.floats(-0.3, 0.3))}
    truth = Law("accuracy", params | theta)
    assert_recovered(fit_accuracy(grid_of(truth, *axes, 4.0 ** np.arange(5)), draws=0), truth)


def test_the_counts_law_is_recovered_from_many_counts():
    counts = simulate_counts(COUNTS, *GRID, problems=400, samples=100, seed=3)
    law = fit_counts(counts, effect=False, draws=100)
    assert law.fit.notes == ()
    spread = law.draws.std(axis=0)
    for name, found, error in zip(law.params, law.vector, spread, strict=True):
        assert found == pytest.approx(COUNTS.params[name], abs=max(3.5 * error, 1e-12)), name
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    np.testing.assert_allclose(law.predict(n, d, 10), COUNTS.predict(n, d, 10), rtol=0.1)


def test_the_checkpoint_effect_is_recovered():
    truth = Law("counts", COUNTS.params | {"sigma": 0.4})
    tables = [simulate_counts(truth, *GRID, problems=30, samples=64, seed=seed) for seed in range(5)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        laws = [fit_counts(counts, draws=0) for counts in tables]
        without = [fit_counts(counts, effect=False, draws=0) for counts in tables]
    # A deviation estimated from 36 checkpoints, seven curves being fitted to them: 25% each, 10% their mean.
    assert np.mean([law.params["sigma"] for law in laws]) == pytest.approx(0.4, rel=0.3)
    for one, other in zip(laws, without, strict=True):
        assert other.params["sigma"] == 0
        assert other.fit.objective > one.fit.objective + 3  # of log-likelihood, for one parameter


def until_success(law: Law, seed: int):
    """Counts of four samples at a time until one is right, or 4,096 are wrong."""
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    rng = np.random.default_rng(seed)
    problems = 300
    p = law.params
    latent = p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]
    mu, nu = p["theta2"] / (1 + np.exp(latent - p["theta0"])), np.exp(p["theta3"] + p["theta4"] * latent)
    chance = rng.beta((mu * nu)[:, None], ((1 - mu) * nu)[:, None], (len(n), problems))
    samples, correct = np.zeros(chance.shape, int), np.zeros(chance.shape, int)
    for _ in range(1024):
        going = correct == 0
        samples[going] += 4
        correct[going] += rng.binomial(4, chance[going])
    size = chance.size
    columns = {"n_params": np.repeat(n, problems), "n_tokens": np.repeat(d, problems)}
    columns |= {"problem": np.arange(size) % problems, "n_samples": samples.ravel()}
    return read_counts(pl.DataFrame(columns | {"n_correct": correct.ravel()}))


def test_stopping_at_a_success_misleads_all_but_the_counts_law():
    hard = Law("counts", COUNTS.params | {"theta0": 0.2, "theta3": 2.0})
    counts = until_success(hard, seed=0)
    assert len(np.unique(counts.n)) > 100
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    truth = hard.predict(n, d, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        naive = fit_accuracy(counts, draws=0)
        likelihood = fit_counts(counts, effect=False, draws=0)
    assert np.median(naive.predict(n, d, 1) / truth) > 1.2
    np.testing.assert_allclose(np.median(likelihood.predict(n, d, 1) / truth), 1, atol=0.03)
    np.testing.assert_allclose(likelihood.predict(n, d, 1), truth, rtol=0.1)
