"""Tables of likelihoods in which problems are solved for sure, or never: 0 nats, and far below any float."""

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.fits import FitWarning, fit_forecast
from t2fast.laws.forecast import ForecastLaw
from t2fast.plans import plan
from t2fast.tables import read_likelihoods

NATS = {
    "solved": st.just(0.0),
    "solved but for rounding": st.floats(-1e-12, -1e-20),
    "nearly solved": st.floats(-1e-3, -1e-9),
    "sometimes": st.floats(-10, -1e-3),
    "hardly ever": st.floats(-700, -100),
    "never": st.floats(-5000, -800),
}
"""ln p of one problem."""

N, D = (axis.ravel() for axis in np.meshgrid([1e4, 1e5, 1e6], [1e6, 3e7, 1e9]))


def likelihoods(nats):
    """A table of a row of `nats` for each checkpoint, (checkpoints, problems)."""
    nats = np.asarray(nats)
    checkpoints, problems = nats.shape
    return read_likelihoods(
        pl.DataFrame(
            {
                "n_params": np.repeat(N[:checkpoints], problems),
                "n_tokens": np.repeat(D[:checkpoints], problems),
                "problem": [str(i) for i in range(problems)] * checkpoints,
                "log_likelihood": nats.ravel(),
            }
        )
    )


def law_of(nats, draws=20):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FitWarning)
        return fit_forecast(likelihoods(nats), draws=draws, progress=False)


@st.composite
def tables(draw):
    """Each checkpoint of one kind or of two, or every problem of its own."""
    problems = draw(st.integers(1, 6))
    kinds = draw(st.lists(st.sampled_from(sorted(NATS)), min_size=1, max_size=2, unique=True))
    rows = []
    for _ in N:
        own = draw(st.sampled_from([*([kind] for kind in kinds), kinds]))
        rows.append([draw(NATS[own[i % len(own)]]) for i in range(problems)])
    return rows


@settings(max_examples=40, deadline=None)
@given(tables())
def test_whatever_is_solved_there_is_a_law(nats):
    law = law_of(nats)
    n, d, k = np.array([1e4, 3e5, 1e8])[:, None], np.array([1e6, 1e8, 1e10])[:, None], np.array([1.0, 9, 500])
    values, (low, high) = law.predict(n, d, k), law.interval(n, d, k, level=0.8)
    assert np.isfinite([values, low, high]).all()
    assert ((low >= 0) & (low <= high) & (high <= 1) & (values >= 0) & (values <= 1)).all()
    again = ForecastLaw.from_dict(law.to_dict())
    np.testing.assert_array_equal(again.predict(n, d, k), values)


@pytest.mark.parametrize("nats", [0.0, -1e-18, -1e-7])
def test_what_is_solved_everywhere_is_forecast_to_be_solved(nats):
    with pytest.warns(FitWarning, match=r"above 0\.999 at every checkpoint and k: nothing tells them apart"):
        law = fit_forecast(likelihoods(np.full((9, 5), nats)), draws=60, progress=False)
    assert law.predict(1e5, 3e7) > 0.999
    low, high = law.interval(1e5, 3e7)
    assert 0 < low <= high == pytest.approx(1)
    assert plan(law, 6e12, 1e7).predicted > 0.99


def test_solved_checkpoints_leave_the_others_as_they_are():
    """Five that know little and four that know all: a law between them, and draws that stay near it."""
    nats = np.repeat([-4.0, -3.5, -3.0, -2.5, -2.0, 0.0, 0.0, 0.0, 0.0], 6).reshape(9, 6)
    nats = nats - np.linspace(0, 1, 6) * (nats < 0)
    law = law_of(nats, draws=60)
    mean = np.exp(nats).mean(axis=1)
    low, high = law.interval(N, D, 1.0)
    assert ((low <= mean + 1e-9) & (mean <= high + 1e-9)).mean() > 0.7
    # Draws of what is solved do not turn into tables in which nothing is.
    assert (np.abs(law.draws.z[:, law.measured.z.ravel() > 2]) < 20).all()


def test_what_is_never_solved_is_said():
    nats = np.repeat([-900.0, *np.linspace(-8, -1, 8)], 4).reshape(9, 4)
    with pytest.warns(FitWarning, match="0 but for rounding at 1 checkpoint: 1e-300 stands"):
        fit_forecast(likelihoods(nats), draws=0)
