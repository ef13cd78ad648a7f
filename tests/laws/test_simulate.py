"""Simulated counts: reproducible, and distributed as the law says."""

import math

import numpy as np
import pytest
from scipy import optimize, stats
from t2fast import _core
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.laws.simulate import simulate_counts

TERMS = {"E": 0.2, "A": 60.0, "B": 90.0, "alpha": 0.3, "beta": 0.26}
LATENT = {"E": 0.0, "A": 120.0, "B": 300.0, "alpha": 0.27, "beta": 0.24}
THETA = {"theta0": 2.1, "theta1": 1.0, "theta2": 0.8, "theta3": 1.0, "theta4": -0.2}
LAWS = {
    "chinchilla": Law("chinchilla", TERMS),
    "loss": Law("loss", {**TERMS, "G": 1.5, "gamma": 0.5}),
    "accuracy": Law("accuracy", {**LATENT, **THETA}),
    "counts": Law("counts", {**LATENT, **THETA, "sigma": 0.0}),
}
GRID = ([1e7, 1e8, 2e9], [1e9, 3e10])


@pytest.mark.parametrize("name", LAWS)
def test_the_same_seed_gives_the_same_table(name):
    def rows(seed):
        return simulate_counts(LAWS[name], *GRID, problems=20, samples=32, seed=seed).frame

    assert rows(3).equals(rows(3))
    assert not rows(3).equals(rows(4))


def test_the_table_is_the_grid():
    counts = simulate_counts(LAWS["accuracy"], *GRID, problems=7, samples=5, task="maths")
    assert counts.checkpoints.select("n_params", "n_tokens").rows() == [
        (n, d) for n in GRID[0] for d in GRID[1]
    ]
    assert (counts.checkpoints["problems"] == 7).all()
    assert (counts.n == 5).all()
    assert set(counts.frame["task"]) == {"maths"}


@pytest.mark.parametrize("name", LAWS)
def test_mean_pass_at_k_is_the_laws(name):
    law, problems = LAWS[name], 4000
    counts = simulate_counts(law, *GRID, problems=problems, samples=64, seed=1)
    ks = [1] if name == "chinchilla" else [1, 2, 4, 8, 16, 32, 64]
    table = PassTable.of(counts, ks)
    n, d = table.n_params[:, None], table.n_tokens[:, None]
    expected = np.asarray(law.predict(n, d, table.ks))
    expected = np.exp(-expected) if law.metric != "pass@k" else expected
    spread = table.values.reshape(len(n), problems, -1).std(axis=1) / math.sqrt(problems)
    assert (np.abs(table.mean() - expected) < 4.5 * spread + 1e-12).all()


def test_counts_are_beta_binomial():
    law = LAWS["accuracy"]
    counts = simulate_counts(law, [1e8], [1e10], problems=50_000, samples=10, seed=2)
    latent = 120 * 1e8**-0.27 + 300 * 1e10**-0.24
    mu, nu = 0.8 / (1 + math.exp(latent - 2.1)), math.exp(1 - 0.2 * latent)
    expected = 50_000 * stats.betabinom(10, mu * nu, (1 - mu) * nu).pmf(np.arange(11))
    assert stats.chisquare(np.bincount(counts.c, minlength=11), expected).pvalue > 1e-3


def test_a_checkpoint_effect_is_shared_by_its_problems():
    law = Law("counts", {**LAWS["counts"].params, "sigma": 1.0})
    n = np.geomspace(1e8, 1.0001e8, 300)
    counts = simulate_counts(law, n, [1e10], problems=2000, samples=20, seed=5)
    mean = PassTable.of(counts, [1]).mean().ravel()
    latent = 2.1 - np.log(0.8 / mean - 1)  # θ1 = 1: the sigmoid, inverted
    centre = 120 * 1e8**-0.27 + 300 * 1e10**-0.24
    clear = mean < 0.75  # further up the inverse blows noise up
    assert clear.mean() > 0.9
    assert np.std(-np.log(0.8 / mean[clear] - 1)) == pytest.approx(1, abs=0.2)
    assert np.median(2 * 2.1 - latent) == pytest.approx(centre, abs=0.25)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("accuracy", {"problems": 0}, "problems = 0 must be at least 1"),
        ("accuracy", {"samples": 0}, "samples = 0 must be at least 1"),
        ("accuracy", {"n_params": []}, "at least one value"),
        ("accuracy", {"n_params": [0.0]}, "n_params"),
        ("accuracy", {"n_tokens": [-1.0]}, "n_tokens"),
        ("accuracy", {"n_tokens": [math.nan]}, "n_tokens"),
        ("counts", {"n_tokens": [math.inf]}, "n_tokens"),
        ("loss", {"n_params": [-1e8]}, "n_params"),
    ],
)
def test_impossible_grids_are_refused(name, change, message):
    arguments = {"n_params": [1e8], "n_tokens": [1e10], "problems": 3, "samples": 4} | change
    with pytest.raises(ValueError, match=message):
        simulate_counts(LAWS[name], **arguments)


def test_a_loss_law_without_samples_term_solves_problems_always_or_never():
    flat = Law("loss", {**TERMS, "G": 0.0, "gamma": 0.5})
    counts = simulate_counts(flat, [1e8], [1e10], problems=2000, samples=16)
    assert set(counts.c.tolist()) == {0, 16}
    expected = math.exp(-(0.2 + 60 * 1e8**-0.3 + 90 * 1e10**-0.26))
    assert (counts.c == 16).mean() == pytest.approx(expected, abs=4.5 * math.sqrt(expected / 2000))


def test_a_loss_law_that_no_success_probabilities_have_is_refused():
    # pass@2 = 12 pass@1: more than two samples can bring.
    steep = Law("loss", {**TERMS, "G": 5.0, "gamma": 1.0})
    with pytest.raises(ValueError, match=r"no distribution of success probabilities .* off at k = "):
        simulate_counts(steep, [1e8], [1e10], samples=64)
    direct = Law("direct", {"c0": 12.0, "c1": -0.27, "c2": -0.9, "c3": 0.012})
    with pytest.raises(ValueError, match="direct law says pass@k alone"):
        simulate_counts(direct, [1e8], [1e10])


@pytest.mark.parametrize(("g", "gamma", "samples"), [(1.5, 0.5, 256), (0.5, 0.2, 4096), (3.0, 0.7, 64)])
def test_a_loss_laws_mixture_is_the_nearest(g, gamma, samples):
    """By another solver no mixture over the same grid is nearer, in squares of relative errors."""
    ks = np.unique(np.round(samples ** (np.arange(60) / 59)))
    law = np.exp(-g * ks**-gamma)
    hazard = np.exp(np.linspace(math.log(1e-2 / samples), 3, 240))
    passes = np.column_stack([-np.expm1(-np.outer(ks, hazard)), np.ones(len(ks)), np.zeros(len(ks))])
    whole = np.vstack([passes / law[:, None], np.full(passes.shape[1], 1e3)])
    _, best = optimize.nnls(whole, np.r_[np.ones(len(ks)), 1e3], maxiter=10_000)
    p, weights, error, _ = _core.loss_mixture(g, gamma, samples)
    assert weights.sum() <= 1 + 1e-9
    with np.errstate(divide="ignore"):
        ours = -np.expm1(ks[:, None] * np.log1p(-p)) @ weights / law - 1
    assert error == pytest.approx(np.abs(ours).max(), rel=1e-6, abs=1e-12)
    # The solver stops at slopes of 1e-10, which over weights of at most 1 leave 1e-10 of half the sum.
    assert ours @ ours <= best**2 + 2e-10


def test_a_size_is_asked_for_once() -> None:
    with pytest.raises(ValueError, match=r"n_tokens = \[1000000000.0, 1000000000.0\] repeats a size"):
        simulate_counts(LAWS["accuracy"], [1e8], [1e9, 1e9])
