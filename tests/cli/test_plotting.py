"""Plots show the numbers of the plan."""

import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from t2fast.cli.plotting import plot_frontier, plot_profile
from t2fast.laws.law import Law
from t2fast.plans import frontier, plan

matplotlib.use("Agg")

LAW = Law("loss", {"E": 1.69, "A": 406.4, "B": 410.7, "G": 2, "alpha": 0.34, "beta": 0.28, "gamma": 0.5})


def test_profile_marks_the_plan_and_chinchilla():
    found = plan(LAW, 2.56e19, 2e9)
    ax = plot_profile(found)
    line, ours, theirs = ax.get_lines()
    assert line.get_ydata().min() == pytest.approx(found.predicted, rel=1e-3)
    assert tuple(ours.get_xydata()[0]) == (found.n_params, found.predicted)
    assert tuple(theirs.get_xydata()[0]) == (found.chinchilla.n_params, found.chinchilla.predicted)
    assert ax.get_xscale() == "log"
    assert ax.get_ylabel() == "-log pass@k (nats)"


def test_frontier_draws_both_and_the_bands():
    draws = LAW.vector * np.exp(0.02 * np.random.default_rng(0).normal(size=(20, 7)))
    frame = frontier(Law(LAW.name, LAW.params, draws), np.geomspace(1e18, 1e25, 15), 1.4e11)
    ax = Figure().subplots()
    assert plot_frontier(frame, ax) is ax
    ours, theirs = ax.get_lines()
    np.testing.assert_array_equal(ours.get_ydata(), frame["predicted"].to_numpy())
    np.testing.assert_array_equal(theirs.get_ydata(), frame["chinchilla_predicted"].to_numpy())
    assert len(ax.collections) == 2
    with pytest.raises(ValueError, match="no column 'metric'"):
        plot_frontier(frame.drop("metric"))


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 't2fast\[plot\]'"):
        plot_profile(plan(LAW, 2.56e19, 2e9))
