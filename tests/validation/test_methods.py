"""Baselines by other means, and what no method may do: look at what it is to forecast."""

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial import KDTree
from t2fast.fits import fit_counts
from t2fast.laws import Law, simulate_counts
from t2fast.tables import read_accuracies, read_counts, read_likelihoods, read_losses
from t2fast.validation.measured import Measured
from t2fast.validation.methods import METHODS, Places, Request, log_linear, nearest_checkpoint

LAW = Law(
    "accuracy",
    {"E": 0.0, "A": 120.0, "B": 300.0, "alpha": 0.27, "beta": 0.24}
    | {"theta0": -1.0, "theta1": 1.0, "theta2": 0.8, "theta3": 1.0, "theta4": -0.2},
)


@pytest.fixture(scope="module")
def seen() -> Measured:
    grid = (1e8 * 3.0 ** np.arange(4), 2e9 * 2.3 ** np.arange(4))
    return Measured.of(simulate_counts(LAW, *grid, problems=30, samples=128, seed=3))


@pytest.fixture(scope="module")
def places() -> Places:
    rng = np.random.default_rng(4)
    n, d = 10 ** rng.uniform(8, 11, 30), 10 ** rng.uniform(9, 13, 30)
    return Places(n, d, 2.0 ** np.arange(8))


def test_nearest_is_the_nearest_of_a_tree_over_logarithms(seen, places):
    tree = KDTree(np.log(np.column_stack([seen.n_params, seen.n_tokens])))
    _, at = tree.query(np.log(np.column_stack([places.n_params, places.n_tokens])))
    np.testing.assert_array_equal(nearest_checkpoint(seen, places, Request()).values, seen.values[at])


def test_log_linear_is_scipys_regression_at_each_k(seen, places):
    found = log_linear(seen, places, Request()).values
    for j in range(8):
        line = stats.linregress(np.log(seen.n_params * seen.n_tokens), np.log(seen.values[:, j]))
        expected = np.exp(line.intercept + line.slope * np.log(places.n_params * places.n_tokens))
        np.testing.assert_allclose(found[:, j], np.minimum(expected, 1), rtol=1e-10)
    assert found.max() == 1.0


def test_log_linear_leaves_zeros_out_and_says_when_nothing_is_left():
    table = {"n_params": [1e8] * 4, "n_tokens": [1e9, 1e10, 1e11, 1e12], "accuracy": [0, 0.1, 0.2, 0.4]}
    at = Places(np.array([1e8]), np.array([1e13]), np.ones(1))
    assert log_linear(Measured.of(read_accuracies(table)), at, Request()).values[0, 0] == pytest.approx(0.8)
    table["accuracy"] = [0, 0, 0, 0.4]
    with pytest.raises(ValueError, match="at k = 1 fewer than two amounts of compute have a value above 0"):
        log_linear(Measured.of(read_accuracies(table)), at, Request())


@pytest.mark.parametrize("name", ["forecast", "accuracy", "loss", "direct"])
def test_a_law_forecasts_in_the_unit_of_the_table_inside_its_interval(seen, places, name):
    found = METHODS[name].forecast(seen, places, Request(0.9, 40))
    assert found.values.shape == (30, 8)
    assert ((found.values >= 0) & (found.values <= 1)).all()
    assert (found.low <= found.high).all()
    inside = (seen.n_params.max() >= places.n_params) & (seen.n_tokens.max() >= places.n_tokens)
    assert ((found.low <= found.values) & (found.values <= found.high))[inside].mean() > 0.8
    truth = LAW.predict(places.n_params[:, None], places.n_tokens[:, None], places.ks[None, :])
    assert np.median(np.abs(found.values - truth)[inside] / truth[inside]) < 0.3
    assert METHODS[name].forecast(seen, places, Request()).low is None


def test_a_law_of_losses_is_asked_for_losses(places):
    n, d = (a.ravel() for a in np.meshgrid(1e7 * 3.0 ** np.arange(5), 1e9 * 3.0 ** np.arange(5)))
    table = read_losses({"n_params": n, "n_tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28})
    at = Places(places.n_params, places.n_tokens, np.ones(1))
    found = METHODS["chinchilla"].forecast(Measured.of(table), at, Request()).values[:, 0]
    np.testing.assert_allclose(found, 1.7 + 400 / at.n_params**0.34 + 410 / at.n_tokens**0.28, rtol=1e-4)


def test_a_law_that_cannot_be_fitted_refuses():
    few = simulate_counts(LAW, [1e8, 1e9], [1e10, 1e11], problems=20, samples=16)
    at = Places(np.array([1e9]), np.array([1e12]), 2.0 ** np.arange(5))
    for name in ("forecast", "accuracy", "counts"):
        with pytest.raises(ValueError, match="needs at least 5 checkpoints"):
            METHODS[name].forecast(Measured.of(few), at, Request())
    likelihoods = read_likelihoods({"n_params": [1e8], "n_tokens": [1e9], "problem": [1], "p": [0.5]})
    with pytest.raises(ValueError, match="the counts law needs counts"):
        METHODS["counts"].forecast(Measured.of(likelihoods), at, Request())


def test_measured_is_the_mean_over_problems_of_the_unbiased_estimate():
    counts = read_counts(
        {
            "model": ["a", "a", "b", "b"],
            "n_params": [1e8, 1e8, 1e9, 1e9],
            "n_tokens": [1e9] * 4,
            "problem": [1, 2, 1, 2],
            "n_samples": [4, 8, 4, 4],
            "n_correct": [1, 8, 0, 2],
        }
    )
    found = Measured.of(counts)
    # 1 - C(n-c, k)/C(n, k) by hand, over the two problems.
    expected = [[(1 / 4 + 1) / 2, (1 / 2 + 1) / 2, 1], [(0 + 1 / 2) / 2, (0 + 5 / 6) / 2, 1 / 2]]
    np.testing.assert_allclose(found.values, expected, rtol=1e-14)
    assert found.ks.tolist() == [1, 2, 4]
    assert found.models == ("a", "b")
    assert [found.ks[j] for j in found.judged()] == [1, 4]
    with pytest.raises(ValueError, match="ks are for counts and likelihoods"):
        Measured.of(read_losses({"n_params": [1.0], "n_tokens": [1.0], "loss": [1.0]}), [1])


def test_several_rows_of_a_checkpoint_are_one_measurement():
    frame = pl.DataFrame({"n_params": [1e8, 1e8, 1e9], "n_tokens": [1e9] * 3, "loss": [3.0, 3.2, 2.5]})
    found = Measured.of(read_losses(frame))
    np.testing.assert_allclose(found.values[:, 0], [3.1, 2.5])
    assert len(found.only(np.array([True, False])).table) == 2


@pytest.mark.parametrize("name", ["accuracy", "counts", "loss"])
def test_a_regularised_law_is_fitted_under_priors(seen, places, name):
    fitted = METHODS[name].fit(seen, Request(regularise=True))
    assert "regularised" in fitted.fit.method
    plain = METHODS[name].fit(seen, Request())
    assert "regularised" not in plain.fit.method


def test_the_counts_law_starts_from_the_accuracy_law_of_the_same_split(seen, places):
    alone = METHODS["counts"].forecast(seen, places, Request())
    how = Request()
    METHODS["accuracy"].forecast(seen, places, how)
    np.testing.assert_array_equal(METHODS["counts"].forecast(seen, places, how).values, alone.values)
    with pytest.raises(ValueError, match="start must be an accuracy law"):
        fit_counts(seen.table, start=METHODS["loss"].fit(seen, how))
