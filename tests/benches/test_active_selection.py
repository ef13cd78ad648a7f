"""The peer of designs: its slopes, and what it expects of a run where that has a closed form."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the peer searches by SciPy (the test extra)")
sys.path.insert(0, str(Path(__file__).parents[2] / "benches"))
import _active_selection as active

RNG = np.random.default_rng(0)
N = np.geomspace(0.1, 6, 30)
LOG_D = np.log(RNG.permutation(np.geomspace(1e9, 5e11, 30)))
COST = N * np.exp(LOG_D)


def runs(theta: np.ndarray) -> active.Runs:
    return active.Runs(N, LOG_D, active.law(theta, N, LOG_D)[0] + 1e-3 * RNG.standard_normal(30), COST)


@pytest.mark.parametrize("theta", active.starts(np.random.default_rng(1), 6))
def test_slopes_are_those_of_finite_differences(theta: np.ndarray) -> None:
    slopes = active.law(theta, N, LOG_D)[1]
    for p in range(active.PARAMETERS):
        step = np.zeros(active.PARAMETERS)
        step[p] = 1e-6
        rise = active.law(theta + step, N, LOG_D)[0] - active.law(theta - step, N, LOG_D)[0]
        np.testing.assert_allclose(slopes[:, p], rise / 2e-6, rtol=1e-5, atol=1e-7)


def mixture(thetas: np.ndarray, weights: list[float]) -> active.Basins:
    scale = np.diag(np.full(active.PARAMETERS, 1e-4))
    return active.Basins(thetas, np.array([scale] * len(thetas)), np.array(weights), 1e-4)


def test_one_basin_gains_what_a_linear_model_does() -> None:
    theta = active.starts(np.random.default_rng(1), 1)
    known = runs(theta[0])
    some, target = known.part(list(range(20))), known.part(list(range(20, 30)))
    found = active.gains(mixture(theta, [1.0]), some, target)
    by = active.law(theta[0], target.n, target.log_d)[1]
    prior = np.linalg.inv(mixture(theta, [1.0]).covariances[0])
    for i, slope in enumerate(active.law(theta[0], some.n, some.log_d)[1]):
        after = np.linalg.inv(prior + np.outer(slope, slope) / 1e-4)
        fall = np.mean(np.einsum("tp,pq,tq->t", by, np.linalg.inv(prior) - after, by))
        assert found[i] == pytest.approx(fall, rel=1e-6)


def test_basins_that_a_run_tells_apart_are_worth_it() -> None:
    """Of drawn outcomes, each updated by Bayes' rule, the variance between basins is as expected."""
    thetas = np.repeat(active.starts(np.random.default_rng(1), 1), 2, axis=0)
    thetas[1, 2] += 0.02
    some = runs(thetas[0]).part([3])
    target = runs(thetas[0]).part([20, 29])
    both = mixture(thetas, [0.3, 0.7])
    alone = [active.gains(mixture(thetas[[k]], [1.0]), some, target)[0] for k in (0, 1)]
    found = active.gains(both, some, target)[0] - np.dot([0.3, 0.7], alone)
    rng = np.random.default_rng(3)
    means, slopes, far, by = [], [], [], []
    for theta in thetas:
        value, slope = active.law(theta, some.n, some.log_d)
        means.append(value[0]), slopes.append(slope[0])
        value, slope = active.law(theta, target.n, target.log_d)
        far.append(value), by.append(slope)
    spread = [np.sqrt(1e-4 + 1e-4 * slope @ slope) for slope in slopes]
    gain = [1e-4 * b @ slope / s**2 for b, slope, s in zip(by, slopes, spread, strict=True)]
    which = (rng.random(100_000) < 0.7).astype(int)
    y = np.array(means)[which] + np.array(spread)[which] * rng.standard_normal(len(which))
    like = np.array(
        [w * np.exp(-0.5 * ((y - m) / s) ** 2) / s for w, m, s in zip([0.3, 0.7], means, spread, strict=True)]
    )
    weight = like / like.sum(axis=0)
    moved = np.array([f[:, None] + g[:, None] * (y - m) for f, g, m in zip(far, gain, means, strict=True)])
    middle = (weight[:, None] * moved).sum(axis=0)
    after = (weight[:, None] * (moved - middle) ** 2).sum(axis=0).mean()
    before = 0.21 * np.mean((far[0] - far[1]) ** 2)
    assert before - after > 0.05 * before
    assert found == pytest.approx(before - after, rel=0.03)
