"""Plans with forecast laws, against grids of the law's own predictions."""

from dataclasses import astuple, replace

import numpy as np
import polars as pl
import pytest
from grids import ACCURACY
from t2fast.fits import fit_forecast
from t2fast.laws import simulate_counts
from t2fast.laws.measurements import ForecastDraws
from t2fast.plans import Workload, frontier, plan, plan_many, plan_spending
from t2fast.tables import read_counts, read_losses


@pytest.fixture(scope="module")
def law():
    n, d = [3e7, 1e8, 3e8, 1e9, 3e9], [1e9, 1e10, 1e11, 3e11]
    return fit_forecast(simulate_counts(ACCURACY, n, d, problems=30, samples=128, seed=2), draws=60)


TRAIN, INFERENCE = 1e20, 2e10


def _line(n):
    return n, TRAIN / (6 * n), INFERENCE / (2 * n)


def test_no_size_on_a_grid_is_better(law):
    found = plan(law, TRAIN, INFERENCE, extrapolate=1e9)
    grid = law.predict(*_line(np.geomspace(1e5, INFERENCE / 2, 5000)))
    assert found.predicted >= grid.max() - 1e-9
    assert found.predicted == pytest.approx(law.predict(found.n_params, found.n_tokens, found.k), rel=1e-12)
    assert 6 * found.n_params * found.n_tokens <= TRAIN
    assert 2 * found.n_params * found.k <= INFERENCE
    assert found.chinchilla.rule == 20
    assert found.metric == "pass@k"
    low, high = found.intervals["predicted_here"]
    assert low < found.predicted < high
    assert "law: forecast" in str(found)


def test_whole_k_and_listed_sizes(law):
    real, whole = (
        plan(law, TRAIN, INFERENCE, extrapolate=1e9),
        plan(law, TRAIN, INFERENCE, integer_k=True, extrapolate=1e9),
    )
    assert whole.k == int(whole.k)
    assert whole.predicted <= real.predicted + 1e-12
    k = np.arange(1.0, 400)
    best = law.predict(INFERENCE / (2 * k), TRAIN / 6 / (INFERENCE / (2 * k)), k).max()
    assert whole.predicted >= best - 1e-9
    sizes = [5e7, 2e8, 8e8]
    chosen = plan(law, TRAIN, INFERENCE, n_params=sizes, extrapolate=1e9)
    assert chosen.n_params == sizes[int(np.argmax(law.predict(*_line(np.array(sizes)))))]


def test_a_frontier_and_many_plans_are_single_plans(law):
    budgets = [1e19, 1e20]
    many = plan_many(law, budgets, INFERENCE)
    frame = frontier(law, budgets, INFERENCE)
    for i, budget in enumerate(budgets):
        assert many.n_params[i] == plan(law, budget, INFERENCE).n_params == frame["n_params"][i]
    cloud = plan_many(law, budgets, INFERENCE, draws=law.draws)
    assert cloud.n_params.shape == (2, 60)
    with pytest.raises(ValueError, match=r"give draws=law.draws"):
        plan_many(law, budgets, INFERENCE, draws=np.zeros((2, 24)))


def _with_draws(law, order):
    return replace(law, draws=ForecastDraws(*(rows[order] for rows in astuple(law.draws))))


def test_each_draw_is_planned_as_by_itself(law):
    """Places that the first draw was looked at are kept for the others, which must not show."""
    found = plan_many(law, [1e19, TRAIN], INFERENCE, draws=law.draws)
    names = ("n_params", "n_tokens", "k", "predicted")
    for draw in (0, 1, 37, 59):
        one = _with_draws(law, [draw])
        alone = plan_many(one, [1e19, TRAIN], INFERENCE, draws=one.draws)
        for name in names:
            np.testing.assert_array_equal(getattr(alone, name)[:, 0], getattr(found, name)[:, draw])


@pytest.mark.parametrize("goal", [{"budget": 1e20}, {"target": 0.2}])
def test_each_draw_is_spent_for_as_by_itself(law, goal):
    order = np.roll(np.arange(60), 7)
    work = Workload(1e8, 150, 150)
    here, there = (plan_spending(one, work, **goal).chosen.drawn for one in (law, _with_draws(law, order)))
    np.testing.assert_array_equal(here[order], there)


def test_too_few_draws_for_the_level(law):
    with pytest.raises(ValueError, match="60 draws say nothing"):
        plan(law, TRAIN, INFERENCE, level=0.99)


def test_losses_are_planned_without_samples():
    n, d = (axis.ravel() for axis in np.meshgrid([1e8, 3e8, 1e9, 3e9], [1e9, 1e10, 1e11]))
    loss = 1.7 + 400 / n**0.34 + 410 / d**0.28
    law = fit_forecast(read_losses({"n_params": n, "n_tokens": d, "loss": loss}), draws=0)
    found = plan(law, 6e19)
    grid = np.geomspace(1e7, 1e11, 4000)
    assert found.predicted <= np.min(law.predict(grid, 1e19 / grid)) + 1e-9
    assert found.k is None
    assert found.chinchilla.n_params == pytest.approx(found.n_params, rel=1e-3)


def test_a_plan_far_from_every_checkpoint_says_which_is_nearest():
    """Small models trained long and large ones trained briefly: within both ranges nothing was both."""
    long = simulate_counts(ACCURACY, [3e7, 6e7], [1e9, 1e10, 1e11, 1e12], problems=30, samples=128, seed=2)
    brief = simulate_counts(ACCURACY, [1e9, 3e9, 1e10], [1e9, 1e10], problems=30, samples=128, seed=3)
    law = fit_forecast(read_counts(pl.concat([long.frame, brief.frame])), draws=0)
    corner = plan(law, 6 * 1e10 * 1e12, 2e12, n_params=[1e10])
    away = np.abs(
        np.log([[n, d] for n in (3e7, 6e7) for d in (1e11, 1e12)]) - np.log([1e10, corner.n_tokens])
    )
    assert corner.n_tokens > 4e11
    nearest = "no checkpoint is near: the nearest, N = 10B at D = 10B, is 1x away in N and 100x in D"
    assert np.linalg.norm(away, axis=1).min() > np.log(100)
    spent = plan_spending(law, Workload(1e6, 500, 500), budget=1e24, n_params=(1e10, 1e10), n_tokens=[1e12])
    for warnings in (corner.warnings, spent.warnings):
        assert nearest in warnings
    beside = plan(law, 6 * 6e7 * 1e11, 2e10, n_params=[6e7])
    assert not any("no checkpoint" in words for words in beside.warnings)
