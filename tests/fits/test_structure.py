"""What residuals say against a fit: their size beside noise, and the patterns that are named."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from grids import ACCURACY, COUNTS, GRID, LOSS, grid_of
from t2fast.fits import (
    FitWarning,
    fit_accuracy,
    fit_chinchilla,
    fit_counts,
    fit_direct,
    fit_forecast,
    fit_loss,
)
from t2fast.fits.bootstrap import Target
from t2fast.fits.passtable import PassTable
from t2fast.fits.structure import lack_of_fit, structure
from t2fast.laws import default_law
from t2fast.laws.law import Law
from t2fast.laws.simulate import simulate_counts
from t2fast.tables import read_accuracies, read_counts, read_losses
from t2fast.validation import validate

pytestmark = pytest.mark.filterwarnings("ignore::t2fast.fits.FitWarning")

CHINCHILLA = Law("chinchilla", {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28})


@pytest.mark.parametrize(("fit", "truth"), [(fit_accuracy, ACCURACY), (fit_counts, COUNTS), (fit_loss, LOSS)])
def test_lack_of_fit_is_one_on_average_where_the_law_is_true(fit, truth):
    found = []
    for seed in range(25):
        counts = simulate_counts(truth, *(a[::2] for a in GRID), problems=150, samples=64, seed=seed)
        found.append(fit(counts, draws=0).fit.lack_of_fit)
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    # Beyond 3.5 standard errors of Student's t with 24 degrees of freedom: twice in a thousand.
    assert abs(np.mean(found) - 1) < 3.5 * error, (np.mean(found), error)
    # One checkpoint and k counts as one thing: were it more, the mean would be far from 1 and surely so.
    assert error < 0.1


@pytest.mark.parametrize("law", [ACCURACY, COUNTS])
def test_lack_of_fit_is_one_where_few_problems_are_solved(law):
    """Shares of 200 problems of which few are solved, held against the true share."""
    rng = np.random.default_rng(0)
    share = np.repeat(np.geomspace(0.01, 0.1, 25), 100)[:, None]
    y = rng.binomial(200, share) / 200
    errors = rng.binomial(200, y[None], (100, *y.shape)) / 200
    errors -= errors.mean(axis=0)
    place = np.ones(len(y))
    target = Target(place, place, np.ones(1), y, errors.std(axis=0), errors)
    found = lack_of_fit(law.name, np.array(list(law.params.values())), [], target, (y - share).ravel())
    # One standard error of the mean of 2,500 squares of variance 2 is 0.028, and half that of its root.
    assert found == pytest.approx(1, abs=0.045)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("fit", [fit_accuracy, fit_counts])
def test_a_checkpoint_that_solves_nothing_divides_by_nothing(fit):
    counts = simulate_counts(ACCURACY, *(a[::2] for a in GRID), problems=50, samples=64, seed=0)
    first = pl.col("n_params") * pl.col("n_tokens") == (pl.col("n_params") * pl.col("n_tokens")).min()
    unsolved = pl.when(first).then(0).otherwise("n_correct").alias("n_correct")
    assert fit(read_counts(counts.frame.with_columns(unsolved)), draws=0).fit.converged


def test_outliers_by_chance_are_rare():
    found = 0
    for seed in range(60):
        law = fit_chinchilla(losses(lambda n, d, y: y, seed), draws=0)
        found += any(" far " in note for note in law.fit.notes)
    # 2% meant: more than 5 of 60 with a chance of two in a thousand.
    assert found <= 5


def test_a_noisy_checkpoint_is_no_outlier_and_a_precise_one_is():
    """Relative residuals of 1%, and one of 10% which sampling explains or not."""
    rng = np.random.default_rng(3)
    checkpoints = 30
    off = 0.01 * rng.standard_normal((checkpoints, 1))
    off[4] = 0.1
    law = np.full((checkpoints, 1), 0.2)
    n, d = np.geomspace(1e8, 1e10, checkpoints), np.geomspace(1e9, 1e12, checkpoints)
    params = np.array([0.2, 1e-9, 1e-9, 0.3, 0.3])
    for noise, named in ((1e-3, True), (0.05, False)):
        errors = 1e-3 * law[None] * rng.standard_normal((100, checkpoints, 1))
        errors[:, 4] *= noise / 1e-3
        target = Target(n, d, np.ones(1), law * (1 + off), errors.std(axis=0), errors)
        notes = structure("chinchilla", params, [0], target, (law * off).ravel())
        assert any(" far " in note for note in notes) is named


def losses(change, seed=0):
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    error = np.exp(0.002 * np.random.default_rng(seed).standard_normal(len(n)))
    loss = np.asarray(CHINCHILLA.predict(n, d)) * error
    return read_losses(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": change(n, d, loss)}))


def test_a_run_that_collapsed_is_named_and_does_not_decide_the_law():
    collapsed = losses(lambda n, d, y: np.where((n == n.max()) & (d == d.max()), 1.5 * y, y))
    with pytest.warns(FitWarning, match=r"1 checkpoint is far worse .*N = 10\.2B at D = 1\.02T"):
        law = fit_chinchilla(collapsed, draws=0)
    assert law.params["alpha"] == pytest.approx(0.34, abs=0.02)


def test_noise_alone_earns_no_note():
    assert fit_chinchilla(losses(lambda n, d, y: y), draws=0).fit.notes == ()
    counts = simulate_counts(ACCURACY, *GRID, problems=150, samples=64, seed=1)
    assert not [note for note in fit_accuracy(counts, draws=0).fit.notes if "bound" not in note]


def test_runs_that_get_worse_with_tokens_are_named(pythia):
    law = fit_accuracy(pythia.filter(min_params=1e8, min_tokens=2e9), draws=0)
    (note,) = [note for note in law.fit.notes if note.startswith("worse than with fewer tokens")]
    assert "N = 160M at D = 300B" in note


def test_a_trend_in_k_is_said():
    # Rising with ln k squared, which no power of k does: the law crosses it and leaves both ends.
    table = grid_of(LOSS, *GRID, 2.0 ** np.arange(8))
    assert not any("trend in k" in note for note in fit_loss(table, draws=0).fit.notes)
    bent = np.exp(-2.0 + 0.2 * np.log2(table.ks)) + 0 * table.values
    rows = table.n_params, table.n_tokens, table.ks, bent, table.checkpoint, table.problem
    noisy = bent * np.exp(0.01 * np.random.default_rng(0).standard_normal(bent.shape))
    table = PassTable(*rows[:3], noisy, *rows[4:])
    target = Target(table.n_params, table.n_tokens, table.ks, -np.log(noisy))
    flat = np.broadcast_to(-np.log(bent).mean(axis=1, keepdims=True), bent.shape)
    params = np.array([flat[0, 0], 0.0, 0.0, 0.0, 0.3, 0.3, 0.5])
    notes = structure("loss", params, [0], target, (target.y - flat).ravel())
    (note,) = [note for note in notes if "trend in k" in note]
    assert "at k = 1 and" in note


def test_a_checkpoint_that_decides_alone_is_named():
    n = np.r_[np.full(12, 1e8), 1e10]
    d = np.r_[np.geomspace(1e9, 1e12, 12), 1e11]
    y = np.asarray(CHINCHILLA.predict(n, d)) * np.exp(0.002 * np.random.default_rng(1).standard_normal(13))
    law = fit_chinchilla(read_losses(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": y})), draws=0)
    (note,) = [note for note in law.fit.notes if "rests on one checkpoint alone" in note]
    assert "N = 10B at D = 100B" in note


def test_sampling_until_solved_is_said_by_every_law_of_pass_at_k():
    rng = np.random.default_rng(0)
    base = simulate_counts(COUNTS, *(a[::2] for a in GRID), problems=100, samples=64, seed=0)
    p = rng.beta(0.5, 3, base.frame.height)
    n = np.minimum(rng.geometric(p), 64)
    ended = pl.Series("n_samples", n), pl.Series("n_correct", (n < 64).astype(int))
    counts = read_counts(base.frame.with_columns(*ended))
    for fit in (fit_forecast, fit_accuracy, fit_counts, fit_loss, fit_direct):
        law = fit(counts, ks=[1], draws=0)
        assert any(note.startswith("n goes with the outcome at") for note in law.fit.notes), fit
    assert any("n goes with the outcome" in note for note in validate(counts, splits=1, draws=0).notes)
    # Told the rule, the means are right, and nothing is left to be said.
    told = read_counts(counts.frame.with_columns(until_successes=1, max_samples=64))
    assert not any("outcome" in note for note in fit_forecast(told, draws=0).fit.notes)


@pytest.mark.parametrize("fit", [fit_forecast, fit_accuracy, fit_counts])
def test_a_table_of_which_nothing_was_solved_is_refused(fit):
    base = simulate_counts(COUNTS, *(a[::2] for a in GRID), problems=20, samples=8, seed=0)
    none = read_counts(base.frame.with_columns(n_correct=0))
    with pytest.raises(ValueError, match=r"nothing was solved at any of \d+ checkpoints .*k = 1, 2, 4, 8"):
        fit(none, draws=0)
    with pytest.raises(ValueError, match="nothing was solved"):
        validate(none)


@pytest.mark.parametrize(
    ("n", "d", "words"),
    [
        (np.geomspace(1e7, 1e10, 12), 20 * np.geomspace(1e7, 1e10, 12), "D/N is 20 throughout"),
        (np.geomspace(1e7, 1e10, 12), 1e6 * np.geomspace(1e7, 1e10, 12) ** 0.5, "D goes as N^0.5 throughout"),
        (np.geomspace(1e7, 1e10, 12), 1e20 / np.geomspace(1e7, 1e10, 12), "D goes as N^-1 throughout"),
        (np.full(12, 1e8), np.geomspace(1e9, 1e12, 12), "N does not vary"),
        (np.geomspace(1e7, 1e10, 12), np.full(12, 1e10), "D does not vary"),
    ],
)
def test_checkpoints_on_one_line_do_not_say_how_to_split_a_budget(n, d, words):
    loss = CHINCHILLA.predict(n, d) * np.exp(0.003 * np.random.default_rng(0).standard_normal(12))
    table = read_losses(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss}))
    for fit in (fit_chinchilla, fit_forecast):
        law = fit(table, draws=0)
        assert any(note.startswith(words) for note in law.fit.notes), (fit, law.fit.notes)
    # One checkpoint off the line is enough to be no line.
    d = d.copy()
    d[5] *= 4
    n = n * np.where(np.arange(12) == 6, 3.0, 1.0)
    table = read_losses(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss}))
    assert not any("belief" in note for note in fit_chinchilla(table, draws=0).fit.notes)


def test_accuracies_no_better_than_chance_are_said():
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    rng = np.random.default_rng(0)
    luck = pl.DataFrame({"n_params": n, "n_tokens": d, "accuracy": 0.25 + 0.01 * rng.standard_normal(16)})
    below = int((luck["accuracy"] <= 0.25).sum())
    assert below >= 8
    notes = fit_forecast(read_accuracies(luck, chance=0.25), draws=0).fit.notes
    assert (
        f"no better than chance (0.25) at {below} of 16 checkpoints: what sets these apart is luck" in notes
    )
    better = luck.with_columns(accuracy=pl.lit(0.3) + 0.1 * pl.Series(np.log10(n) - 7))
    assert not any(
        "chance" in note for note in fit_forecast(read_accuracies(better, chance=0.25), draws=0).fit.notes
    )


def test_lack_of_fit_is_about_one_where_nearly_nothing_is_solved():
    """Where nothing was solved a law may say 1e-180: that it is off by less than it could tell is no news."""
    weak = replace(default_law(), params={**default_law().params, "theta0": -9.3})
    sizes, tokens = [1.6e8, 4e8, 1e9, 2.8e9, 6.9e9, 1.2e10], [2e9, 1e10, 5e10, 3e11]
    found = []
    for seed in range(6):
        counts = simulate_counts(weak, sizes, tokens, problems=128, samples=128, seed=seed)
        law = fit_accuracy(counts, draws=0)
        assert (law.fit.residuals["observed"] == 0).mean() > 0.6
        found.append(law.fit.lack_of_fit)
    assert 0.7 < np.mean(found) < 1.3


def test_a_direct_law_says_where_it_falls_with_k():
    """log(-log pass@k) bilinear in log C and log k, its slope in log k positive at the least C alone."""
    n, d = (a.ravel() for a in np.meshgrid([1e8, 1e9], [1e10, 1e11], indexing="ij"))
    ks, rows = np.array([1.0, 4.0, 16.0]), np.arange(4)
    compute = np.log(6 * n * d)
    slope = 0.1 - 0.4 * (compute - compute.min()) / np.ptp(compute)
    values = np.exp(-np.exp(-1 + slope[:, None] * np.log(ks)))
    law = fit_direct(PassTable(n, d, ks, values, rows, np.zeros_like(rows)), draws=0)
    assert law.predict(1e8, 1e10, 16.0) < law.predict(1e8, 1e10, 1.0)
    assert law.predict(1e9, 1e11, 16.0) > law.predict(1e9, 1e11, 1.0)
    words = "pass@k falls with k at 1 checkpoint of 4 (6ND = 6e+18 to 6e+18), which no pass@k does"
    assert words in law.fit.notes
    rising = PassTable(n, d, ks, np.sort(values, axis=1), rows, np.zeros_like(rows))
    assert not any("falls with k" in note for note in fit_direct(rising, draws=0).fit.notes)
