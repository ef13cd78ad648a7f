"""Forecasts of checkpoints unseen by a fit: on Pythia, and on a table made so that the answer is known."""

import numpy as np
import pytest
from t2fast.comparisons.forecasts import compare_forecasts, nearest_checkpoint
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.laws.simulate import simulate_counts

PARAMS = {"E": 0.0, "A": 120.0, "B": 300.0, "alpha": 0.27, "beta": 0.24}
PARAMS |= {"theta0": 2.1, "theta1": 1.0, "theta2": 0.8, "theta3": 1.0, "theta4": -0.2}


def test_pythia_is_forecast_best_by_the_accuracy_law(pythia):
    least = 6e20 * (1 + 1e-12)  # N D of 1e20, itself among the unseen
    counts = pythia.filter(min_params=1.6e8, min_tokens=2e9)
    seen = counts.filter(max_train_flops=6e20 * (1 - 1e-12))
    unseen = counts.filter(min_train_flops=least * (1 - 2e-12))
    assert unseen.checkpoints.height == 16
    assert seen.checkpoints.height + 16 == counts.checkpoints.height
    table = compare_forecasts(seen, unseen)
    error = dict(zip(table["method"], table["all"], strict=True))
    assert list(error) == ["loss", "accuracy", "counts", "nearest"]
    assert error["accuracy"] == min(error.values())
    assert error == pytest.approx({"loss": 0.44, "accuracy": 0.09, "counts": 0.24, "nearest": 0.12}, abs=0.01)


def test_a_true_law_forecasts_within_sampling_error():
    law = Law("accuracy", PARAMS)
    seen = simulate_counts(law, 1e7 * 3.0 ** np.arange(5), 1e9 * 3.0 ** np.arange(5), problems=300, seed=1)
    unseen = simulate_counts(law, [2e9, 6e9], [5e11, 2e12], problems=300, seed=2)
    table = compare_forecasts(seen, unseen, ks=(1, 16))
    rows = {row["method"]: row for row in table.iter_rows(named=True)}
    assert table.columns == ["method", "all", "k=1", "k=16"]
    assert rows["accuracy"]["all"] < 0.06
    assert rows["counts"]["all"] < 0.06
    assert rows["nearest"]["all"] > 2 * rows["accuracy"]["all"]


def test_the_nearest_checkpoint_is_nearest_in_logarithms():
    law = Law("accuracy", PARAMS)
    seen = PassTable.of(simulate_counts(law, [1e8, 1e9], [1e10, 1e11], problems=20, samples=8))
    unseen = PassTable.of(simulate_counts(law, [2e8, 5e8], [9e10], problems=20, samples=8))
    forecast = nearest_checkpoint(seen, unseen)
    np.testing.assert_array_equal(forecast, seen.mean()[[1, 3]])


def test_an_unseen_checkpoint_that_was_never_right_is_refused(pythia):
    seen, unseen = pythia.filter(min_tokens=2e9), pythia.filter(max_tokens=3e6)
    with pytest.raises(ValueError, match="never right"):
        compare_forecasts(seen, unseen)


def test_too_few_samples_are_not_taken_for_no_success():
    law = Law("accuracy", PARAMS)
    seen = simulate_counts(
        law, 1e7 * 3.0 ** np.arange(5), 1e9 * 3.0 ** np.arange(5), problems=20, samples=16, seed=1
    )
    unseen = simulate_counts(law, [2e9], [5e11], problems=20, samples=16, seed=2)
    enough = simulate_counts(
        law, 1e7 * 3.0 ** np.arange(5), 1e9 * 3.0 ** np.arange(5), problems=20, samples=64, seed=1
    )
    with pytest.raises(ValueError, match="1 of 1 unseen checkpoints have no problem with 64 samples"):
        compare_forecasts(enough, unseen, ks=(1, 64))
    with pytest.raises(ValueError, match="25 of 25 seen checkpoints have no problem with 64 samples"):
        compare_forecasts(seen, unseen, ks=(1, 64))


def test_k_that_no_samples_are_there_for_are_left_out_unless_asked_for():
    law = Law("accuracy", PARAMS)
    seen = simulate_counts(law, [1e7, 1e8, 1e9], [1e9, 1e10, 1e11], problems=60, samples=16, seed=1)
    unseen = simulate_counts(law, [2e9], [5e11], problems=60, samples=100, seed=2)
    assert compare_forecasts(seen, unseen).columns == ["method", "all", "k=1", "k=8"]
    with pytest.raises(ValueError, match="no problem with 64 samples: leave this k out"):
        compare_forecasts(seen, unseen, ks=(1, 64))
