"""The data wall: published values, limits, recovery from its own law, and held-out error on published
runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.fits.data_wall import fit_data_wall
from t2fast.laws.data_wall import DataWall

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles.json"


def test_published_losses() -> None:
    if not ORACLES.exists():
        pytest.skip(f"needs the published values in {ORACLES}")
    published = json.loads(ORACLES.read_text(encoding="utf-8"))["data_constrained"]
    law = DataWall()
    constants = [math.log(law.A), math.log(law.B), math.log(law.E), law.alpha, law.beta, law.r_d, law.r_n]
    names = ("a", "b", "e", "alpha", "beta", "R_D", "R_N")
    assert constants == pytest.approx([published[name] for name in names], rel=1e-12)
    for row in published["loss"]:
        value = DataWall().loss(row["n_params"], row["n_tokens"], row["unique_tokens"])
        assert value == pytest.approx(row["value"], rel=1e-13)


@given(st.floats(6, 13), st.floats(6, 13), st.floats(6, 11))
@settings(max_examples=60, deadline=None)
def test_repetition_is_worth_less_and_less(log_d: float, log_u: float, log_n: float) -> None:
    law, d, u, n = DataWall(), 10**log_d, 10**log_u, 10**log_n
    worth = float(law.effective_tokens(d, u))
    assert worth <= d * (1 + 1e-12)
    assert worth <= min(u, d) * (1 + law.r_d) * (1 + 1e-12)
    assert law.effective_tokens(2 * d, u) >= worth
    assert float(law.effective_params(n, u)) <= n * (1 + 1e-12)
    if d <= u:
        assert worth == d
    elif d / u < 100:
        assert law.tokens_worth(worth, u) == pytest.approx(d, rel=1e-6)
    assert law.tokens_worth(u * (1 + law.r_d) * 1.01, u) == np.inf


def test_unique_text_makes_chinchillas_loss() -> None:
    law = DataWall()
    n, d = 1e9, 2e10
    assert law.loss(n, d, d) >= law.E + law.A / n**law.alpha + law.B / d**law.beta
    small = float(law.best_params(d)) / 2
    assert law.loss(small, d, d) == pytest.approx(law.E + law.A / small**law.alpha + law.B / d**law.beta)
    # U_N is where the compute-optimal ratio holds: alpha A/N^alpha = beta B/D^beta.
    n = float(law.best_params(d))
    assert law.alpha * law.A / n**law.alpha == pytest.approx(law.beta * law.B / d**law.beta, rel=1e-9)


def test_the_fit_finds_the_law_that_made_the_runs() -> None:
    truth = DataWall(E=1.9, A=500.0, B=1500.0, alpha=0.34, beta=0.36, r_d=12.0, r_n=6.0)
    rng = np.random.default_rng(0)
    u = 10 ** rng.uniform(8, 10.5, 120)
    d, n = u * 10 ** rng.uniform(0, 1.7, 120), 10 ** rng.uniform(7, 10, 120)
    found = fit_data_wall(n, d, u, truth.loss(n, d, u), restarts=3)
    assert found.converged
    assert not found.on_bound
    for name in ("E", "A", "B", "alpha", "beta", "r_d", "r_n"):
        assert getattr(found.law, name) == pytest.approx(getattr(truth, name), rel=2e-3)


def test_a_refit_forecasts_held_out_runs_better_than_the_published_constants(shared_data: Path) -> None:
    table = pl.read_csv(shared_data / "data_constrained_losses.csv")
    n, d, u, loss = (table[c].to_numpy() for c in ("n_params", "n_tokens", "unique_tokens", "loss"))
    order = np.random.default_rng(0).permutation(len(n))
    errors, published = [], []
    for fold in range(3):
        out = np.zeros(len(n), bool)
        out[order[fold::3]] = True
        law = fit_data_wall(n[~out], d[~out], u[~out], loss[~out], restarts=2).law
        for made, into in ((law, errors), (DataWall(), published)):
            into.extend(np.abs(made.loss(n[out], d[out], u[out]) / loss[out] - 1))
    assert np.median(errors) < 0.04
    assert np.median(published) > 0.07


def test_bad_runs_are_named() -> None:
    with pytest.raises(ValueError, match=r"loss\[1\] is -1"):
        fit_data_wall([1e8] * 9, [1e9] * 9, [1e9] * 9, [2, -1, *[3] * 7])
    with pytest.raises(ValueError, match="3 runs cannot determine 7"):
        fit_data_wall([1e8] * 3, [1e9] * 3, [1e9] * 3, [2] * 3)
    with pytest.raises(ValueError, match="r_d is 0"):
        DataWall(r_d=0)
    with pytest.raises(ValueError, match="unique_tokens"):
        DataWall().loss(1e8, 1e9, 0)
