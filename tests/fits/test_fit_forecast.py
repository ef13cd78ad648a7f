"""The forecast law against its prototype's forecasts, and what it makes of awkward tables."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from grids import ACCURACY, GRID
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.fits import FitWarning, fit_forecast
from t2fast.laws import simulate_counts
from t2fast.laws.forecast import PUBLISHED_WIDENING
from t2fast.tables import Counts, read_accuracies, read_counts, read_likelihoods, read_losses
from t2fast.text import amount


@pytest.fixture(scope="module")
def strong(pythia: Counts) -> Counts:
    """The 42 checkpoints of at least 160M parameters and 2e9 tokens."""
    return pythia.filter(min_tokens=2e9, min_params=1.6e8)


@pytest.fixture(scope="module")
def law(strong):
    return fit_forecast(strong, draws=100)


def _split(counts: Counts, keep: pl.Expr) -> Counts:
    return read_counts(counts.frame.filter(keep))


N, D = pl.col("n_params"), pl.col("n_tokens")
SPLITS = {f"ND < {c:g}": c * (1 - 1e-9) > (N * D) for c in (3e19, 1e20, 3e20)}
SPLITS |= {f"D/N < {r}": r * (1 - 1e-9) > (D / N) for r in (20, 50, 100)}


@pytest.mark.parametrize("split", SPLITS)
def test_forecasts_are_those_of_the_prototype(strong, split):
    path = Path(__file__).resolve().parents[3] / "shared" / "forecast" / "oracle.json"
    if not path.exists():
        pytest.skip(f"needs the prototype's forecasts in {path}")
    oracle = json.loads(path.read_text())
    rows = oracle["splits"][split]
    law = fit_forecast(_split(strong, SPLITS[split]), draws=0)
    n, d = (np.array([row[name] for row in rows])[:, None] for name in ("n_params", "n_tokens"))
    np.testing.assert_allclose(law.predict(n, d, oracle["k"]), [row["forecast"] for row in rows], rtol=0.01)


@pytest.mark.parametrize("split", ["ND < 3e+20", "D/N < 20"])
def test_new_checkpoints_fall_into_their_interval(strong, split):
    held = fit_forecast(_split(strong, ~SPLITS[split]), draws=0).measured
    measured = -np.expm1(-np.exp(held.z))
    widths = []
    for seed in range(3):  # the width of one law's 200 draws is off by some 5%
        law = fit_forecast(_split(strong, SPLITS[split]), draws=200, seed=seed)
        low, high = law.interval(held.n_params[:, None], held.n_tokens[:, None], held.ks)
        assert ((low <= measured) & (measured <= high)).mean() >= 0.85
        widths.append(np.median(high / low))
    assert np.mean(widths) < 4


def test_kinds_of_interval_widen(law):
    ends = {
        kind: law.interval(2e9, 5e11, [1, 100], kind=kind) for kind in ("parameters", "mean", "checkpoint")
    }
    width = {kind: high / low for kind, (low, high) in ends.items()}
    assert (width["checkpoint"] > width["mean"]).all()
    assert (width["parameters"] > 1).all()
    for low, high in ends.values():
        assert (low < law.predict(2e9, 5e11, [1, 100])).all()
        assert (law.predict(2e9, 5e11, [1, 100]) < high).all()


def test_too_few_draws_for_a_level(law):
    with pytest.raises(ValueError, match=r"100 draws .* level 0.99: fit with at least 400"):
        law.interval(1e9, 1e11, level=0.99)
    with pytest.raises(ValueError, match="no draws"):
        fit_forecast(_tiny(), draws=0).interval(1e9, 1e11)
    with pytest.raises(ValueError, match="kind = 'sample'"):
        law.interval(1e9, 1e11, kind="sample")


@settings(max_examples=60, deadline=None)
@given(
    st.floats(5, 13), st.floats(7, 15), st.lists(st.floats(0, 5), min_size=2, max_size=8), st.integers(0, 99)
)
def test_pass_at_k_never_falls_in_k(law, log_n, log_d, log_k, draw):
    k = 10.0 ** np.sort(log_k)
    values = law.predict(10.0**log_n, 10.0**log_d, k)
    drawn = law.draw_values(10.0**log_n, 10.0**log_d, k, kind="mean")[draw]
    for found in (values, drawn):
        assert (np.diff(found) >= -1e-12).all()
        assert ((found >= 0) & (found <= 1)).all()


def test_the_process_is_near_the_data_and_fades_away_from_it(law, strong):
    seen = law.measured
    near = law.correction(seen.n_params[:, None], seen.n_tokens[:, None], seen.ks)
    far = law.correction(1e15, 1e20, seen.ks)
    assert np.abs(near).max() > 0.1
    assert np.abs(far).max() < 1e-3
    # Between two k it lies between what it is there, and beyond the last it stays.
    at = law.correction(1e9, 3e11, [1.0, 1.5, 2.0, 128.0, 1000.0])
    assert min(at[0], at[2]) <= at[1] <= max(at[0], at[2])
    assert at[3] == at[4]


def test_likelihoods_and_many_samples_agree():
    rng = np.random.default_rng(3)
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    p = np.clip(rng.beta(0.6, 4, 25)[None] * np.asarray(ACCURACY.predict(n, d))[:, None], 1e-4, 1)
    keys = {
        "n_params": np.repeat(n, 25),
        "n_tokens": np.repeat(d, 25),
        "problem": [str(i) for i in range(25)] * len(n),
    }
    exact = read_likelihoods(pl.DataFrame({**keys, "p": p.ravel()}))
    many = 10**7
    correct = rng.binomial(many, p.ravel())
    counted = read_counts(pl.DataFrame({**keys, "n_samples": [many] * p.size, "n_correct": correct}))
    laws = [fit_forecast(table, draws=40) for table in (exact, counted)]
    there = (3e9, 5e11, [1.0, 20.0, 300.0])
    np.testing.assert_allclose(laws[0].predict(*there), laws[1].predict(*there), rtol=5e-3)
    # Which problems were asked is uncertain where there is no other sampling error.
    assert (laws[0].interval(*there, kind="mean")[1] > laws[0].predict(*there)).all()


def _tiny(samples=64, checkpoints=6):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(checkpoints):
        for problem in range(10):
            n = samples if np.isscalar(samples) else samples[i]
            rows.append(
                (1e8 * 2**i, 1e10 * 2 ** (i % 3), str(problem), n, int(rng.binomial(n, 0.02 * (i + 1))))
            )
    return read_counts(
        pl.DataFrame(rows, ["n_params", "n_tokens", "problem", "n_samples", "n_correct"], orient="row")
    )


def test_awkward_tables_have_a_law():
    few = fit_forecast(_tiny(), draws=40)
    assert 0 < few.predict(1e9, 1e11, 16) < 1
    unequal = fit_forecast(_tiny([64, 128, 64, 200, 16, 64]), draws=0)
    assert unequal.measured.ks.tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert np.isnan(unequal.measured.z[4, 5:]).all()  # 16 samples tell nothing of 32
    nothing = _tiny().frame.with_columns(
        n_correct=pl.when(N < 1.5e8).then(0).otherwise(pl.col("n_correct")).cast(pl.Int64)
    )
    with pytest.warns(FitWarning, match="nothing was solved at 1 checkpoint:"):
        law = fit_forecast(read_counts(nothing), draws=0)
    assert law.predict(1e8, 1e10, 1) < few.predict(1e8, 1e10, 1)
    alike = read_counts(_tiny().frame.with_columns(n_tokens=pl.lit(1e10)))
    with pytest.warns(FitWarning, match="D does not vary"):
        fit_forecast(alike, draws=0)


def test_what_is_refused():
    with pytest.raises(ValueError, match="at least 5 checkpoints, and the table has 4"):
        fit_forecast(_tiny(checkpoints=4))
    with pytest.raises(ValueError, match="no checkpoint has k = 128 samples"):
        fit_forecast(_tiny(), ks=[1, 128])
    losses = read_losses(
        {"n_params": [1e8] * 6, "n_tokens": [1e10 * i for i in range(1, 7)], "loss": [3.0] * 6}
    )
    with pytest.raises(ValueError, match="have no k"):
        fit_forecast(losses, ks=[1, 2])
    with pytest.raises(ValueError, match="knows k = 1 alone"):
        fit_forecast(losses, draws=0).predict(1e8, 1e10, 2)
    with pytest.raises(ValueError, match=r"n_params\[0\] = -1"):
        fit_forecast(_tiny(), draws=0).predict(-1, 1e10)


def test_losses_are_forecast_beyond_the_largest(chinchilla_240):
    flops = chinchilla_240.n_params * chinchilla_240.n_tokens
    frame = chinchilla_240.frame.with_columns(flops=pl.Series(flops))
    seen = read_losses(frame.filter(pl.col("flops") < 5e20))
    held = frame.filter(pl.col("flops") >= 5e20)
    law = fit_forecast(seen, draws=100)
    assert law.metric == "loss"
    forecast = law.predict(held["n_params"], held["n_tokens"])
    assert np.median(np.abs(forecast / held["loss"].to_numpy() - 1)) < 0.01
    low, high = law.interval(held["n_params"], held["n_tokens"])
    assert (low < forecast).all()
    assert (forecast < high).all()


def test_accuracies_of_a_task(shared_data):
    path = shared_data / "pythia_zero_shot.csv"
    with pytest.raises(ValueError, match=r"4 tasks, .* Choose one by where=\{'task': 'arc_easy'\}"):
        fit_forecast(read_accuracies(path))
    table = read_accuracies(path, task="arc_easy", chance=0.25)
    early = read_accuracies(table.frame.filter(D < 1e11))
    late = table.frame.filter(D >= 1e11)
    law = fit_forecast(early, draws=100)
    assert law.metric == "accuracy"
    assert law.chance == 0.25
    forecast = law.predict(late["n_params"], late["n_tokens"])
    assert np.median(np.abs(forecast - late["accuracy"].to_numpy())) < 0.02
    # A model too small to learn anything guesses.
    assert 0.2 < law.predict(1e4, 1e6) < 0.35


def test_the_same_seed_gives_the_same_bits_whatever_the_threads(tmp_path):
    path = tmp_path / "counts.csv"
    simulate_counts(ACCURACY, [1e8, 1e9, 1e10], [1e10, 1e11, 1e12], problems=8, samples=64, seed=1).write(
        path
    )
    script = (
        f"import t2fast; law = t2fast.fit_forecast(t2fast.read_counts(r'{path}'), draws=60, seed=5); "
        "print(law.interval(1e9, 3e11, [1, 7, 500]), law.predict(2e9, 1e11, 3))"
    )
    seen = set()
    for threads in ("1", "3"):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1


def test_widened_intervals_lie_as_much_further_out_as_their_distance_says(law):
    wide = replace(law, widening=1.6)
    bare = replace(law, widening=0.0)
    n, d = np.array([1e9, 3e10]), np.array([3e11, 2e12])
    ks = law.measured.ks
    middle = float(ks[len(ks) // 2])
    apart = np.hypot(
        np.log(n)[:, None] - np.log(law.measured.n_params), np.log(d)[:, None] - np.log(law.measured.n_tokens)
    )
    factor = 1.6 * (1 + 1.5 * apart.min(axis=1))

    def z(values):
        return np.log(-np.log1p(-np.asarray(values)))

    off = z(bare.draw_values(n, d, middle)) - z(bare.predict(n, d, middle))
    for k in (1.0, 5.0, middle):
        expected = z(bare.draw_values(n, d, k)) + (factor - 1) * off
        np.testing.assert_allclose(wide.draw_values(n, d, k), -np.expm1(-np.exp(expected)), rtol=1e-9)
    # What is not of a new checkpoint stays, and a factor below 1 changes nothing.
    for kind in ("parameters", "mean"):
        same = [one.draw_values(n, d, 8, kind=kind) for one in (wide, bare)]
        np.testing.assert_array_equal(*same)
    narrow = replace(law, widening=0.1)
    np.testing.assert_array_equal(narrow.draw_values(1e9, 1e11, 8), bare.draw_values(1e9, 1e11, 8))
    assert np.all(np.diff(wide.draw_values(3e10, 2e12, np.array([1.0, 4.0, 30.0, 1e3])), axis=1) >= 0)


def _runs(noise: float, bend: float) -> pl.DataFrame:
    """Losses of a grid, with a term that no law here has where `bend` is not 0."""
    rng = np.random.default_rng(3)
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e8, 1e10, 7), np.geomspace(1e9, 1e12, 9)))
    loss = 1.7 + 400 / n**0.34 + 410 / d**0.28
    loss *= np.exp(noise * rng.standard_normal(len(n)) + bend * (np.log(n * d) - 46) ** 2)
    return pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss})


def test_intervals_are_widened_where_forecasts_of_the_tables_own_rows_miss_them():
    honest = fit_forecast(read_losses(_runs(0.01, 0.0)), draws=40)
    bent = fit_forecast(read_losses(_runs(0.0001, 0.003)), draws=40)
    away = 1 + 1.5  # what a widening has grown to a unit of ln N or ln D from the checkpoints
    assert 0 < away * honest.widening < 1 < away * bent.widening
    few = fit_forecast(read_losses(_runs(0.01, 0.0).head(15)), draws=40)
    assert few.widening == PUBLISHED_WIDENING
    assert "published tables need" in str(few)
    assert fit_forecast(read_losses(_runs(0.01, 0.0)), draws=0).widening == 0
    assert "are widened" in str(bent)
    assert "published" not in str(bent)
    assert "are widened" not in str(replace(bent, widening=0.0))


def test_a_checkpoint_that_collapsed_is_named():
    counts = simulate_counts(ACCURACY, *GRID, problems=60, samples=128, seed=0)
    n, d = float(GRID[0][-2]), float(GRID[1][-2])
    there = (n == N) & (d == D)
    collapsed = pl.when(there).then(pl.col("n_correct") // 10).otherwise("n_correct").alias("n_correct")
    with pytest.warns(FitWarning, match="far worse than the law"):
        law = fit_forecast(read_counts(counts.frame.with_columns(collapsed)), draws=0)
    name = f"N = {amount(n)} at D = {amount(d)}"
    assert any("with fewer tokens" in note and name in note for note in law.fit.notes)
    assert any("far worse" in note and name in note for note in law.fit.notes)


def test_widened_intervals_hold_most_of_what_is_beyond_them(shared_data):
    runs = pl.read_csv(shared_data / "farseer_losses.csv").sort(N, D)
    seen, ahead = runs.head(200), runs.slice(200, 100)
    law = fit_forecast(read_losses(seen), draws=100)
    at = ahead["n_params"].to_numpy(), ahead["n_tokens"].to_numpy()

    def held(law):
        low, high = law.interval(*at)
        return np.mean((low <= ahead["loss"].to_numpy()) & (ahead["loss"].to_numpy() <= high))

    assert held(replace(law, widening=0.0)) < 0.75
    assert held(law) > 0.85


def test_luck_of_checkpoints_that_know_nothing_is_not_carried_to_their_neighbours():
    """Trained on next to nothing, every size solves a millionth, and the law says e^-80: what it is off by
    must not lift what lies between them and those that learnt something."""
    n, d = (
        axis.ravel() for axis in np.meshgrid([1e8, 4e8, 2e9, 8e9], [2e6, 6e7, 5e8, 2e9, 1e10, 5e10, 3e11])
    )
    p = np.maximum(1e-6, 0.3 / (1 + np.exp(1500 * n**-0.35 + 10_000 * d**-0.37)))
    samples = np.where(p < 1e-4, 10_000_000, 10_000)
    frame = pl.DataFrame(
        {
            "n_params": n,
            "n_tokens": d,
            "problem": "all",
            "n_samples": samples,
            "n_correct": np.rint(p * samples),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        law = fit_forecast(read_counts(frame), draws=0)
    between = np.asarray(law.predict(1e9, np.geomspace(2e6, 6e7, 20), 1.0))
    assert (between < 1e-4).all()
    assert (between > 1e-8).all()


@pytest.mark.parametrize("kind", ["parameters", "mean", "checkpoint"])
def test_no_draw_falls_in_k_where_nearly_all_is_solved(kind):
    easy = replace(ACCURACY, params={**ACCURACY.params, "theta0": 4.0})
    table = simulate_counts(easy, [1e8, 3e8, 1e9, 3e9], [1e9, 1e10, 1e11, 3e11], problems=60, seed=2)
    law = fit_forecast(table, draws=40)
    n, d, k = np.meshgrid([5e7, 5e8, 1e10], [5e8, 2e10, 1e12], np.geomspace(1, 512, 30), indexing="ij")
    assert (np.diff(law.draw_values(n, d, k, kind=kind), axis=-1) >= 0).all()
