"""Intervals held against what was measured: a law's own, and the sampling error of the measurement."""

import numpy as np
import polars as pl
import pytest
from t2fast import read_counts
from t2fast.validation.measured import Measured
from t2fast.validation.methods import Forecast
from t2fast.validation.sampling import inside

LEVEL = 0.9
PROBLEMS = 30


def measured_once(p, samples, rng):
    """One checkpoint that solves every one of its problems with chance p."""
    correct = rng.binomial(samples, p, PROBLEMS)
    frame = pl.DataFrame(
        {
            "n_params": [1e8] * PROBLEMS,
            "n_tokens": [1e9] * PROBLEMS,
            "problem": [str(i) for i in range(PROBLEMS)],
            "n_samples": [samples] * PROBLEMS,
            "n_correct": correct,
        }
    )
    return Measured.of(read_counts(frame), [1])


@pytest.mark.parametrize(("middle", "scatter"), [(0.2, 0.1), (0.5, 0.1), (0.9, 0.05)])
def test_intervals_hold_checkpoints_as_often_as_they_say_whatever_the_samples(middle, scatter):
    """Hazards are log-normal about the forecast; what is drawn of them lies between its ends less often."""
    rng = np.random.default_rng(0)
    hazard = -np.log1p(-middle)
    ends = [-np.expm1(-hazard * np.exp(sign * 1.6448536269514722 * scatter)) for sign in (-1, 1)]
    forecast = Forecast(*(np.full((1, 1), y) for y in (middle, *ends)))
    held, between, runs = 0, 0, 800
    for _ in range(runs):
        truth = -np.expm1(-hazard * np.exp(scatter * rng.standard_normal()))
        measured = measured_once(truth, 8, rng)
        held += inside(forecast, measured, LEVEL)[0, 0]
        between += ends[0] <= measured.values[0, 0] <= ends[1]
    assert held / runs == pytest.approx(LEVEL, abs=0.035)
    assert between / runs < 0.86


def test_all_solved_is_half_a_failure():
    measured = measured_once(1.0, 8, np.random.default_rng(0))
    assert measured.values[0, 0] == 1
    near, far = ([np.full((1, 1), y) for y in ys] for ys in ((0.99, 0.98, 0.9995), (0.3, 0.2, 0.4)))
    assert inside(Forecast(*near), measured, LEVEL)
    assert not inside(Forecast(*far), measured, LEVEL)


def test_a_forecast_without_an_interval_holds_nothing():
    assert (
        inside(Forecast(np.full((1, 1), 0.5)), measured_once(0.5, 8, np.random.default_rng(0)), LEVEL) is None
    )
