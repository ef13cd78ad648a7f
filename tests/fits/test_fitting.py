"""What fits make of awkward tables, what they own up to, what they refuse, and how they stop."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from grids import ACCURACY, COUNTS, GRID, LOSS, grid_of, losses_of
from scipy import optimize, special
from t2fast.fits import FitWarning, fit_accuracy, fit_chinchilla, fit_counts, fit_direct, fit_loss
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.laws.simulate import simulate_counts
from t2fast.plans import frontier, plan, plan_many
from t2fast.tables import read_counts, read_likelihoods, read_losses
from t2fast.text import amount

# These tables earn more warnings than the one each test looks for.
pytestmark = pytest.mark.filterwarnings("ignore::t2fast.fits.FitWarning")


def test_likelihoods_fit_as_the_paper_does():
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    rng = np.random.default_rng(0)
    p = rng.beta(2, 3, (len(n), 20)) * np.asarray(ACCURACY.predict(n, d))[:, None]
    columns = {"n_params": np.repeat(n, 20), "n_tokens": np.repeat(d, 20), "p": p.ravel()}
    table = read_likelihoods(pl.DataFrame(columns | {"problem": [str(i) for i in range(20)] * len(n)}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        paper = fit_loss(table, aggregate="mean_log", ks=[1], draws=0)
        two = fit_accuracy(table, draws=0)
    observed = paper.fit.residuals.sort("n_params", "n_tokens")["observed"].to_numpy()
    order = np.lexsort((d, n))
    np.testing.assert_allclose(observed, -np.log(p).mean(axis=1)[order], rtol=1e-12)
    assert two.fit.method == "two stages"  # the losses are the mean negative log-likelihoods


@pytest.mark.filterwarnings("error")
def test_a_problem_never_solved_has_no_mean_log():
    counts = simulate_counts(LOSS, *GRID, problems=20, samples=16, seed=1)
    with pytest.raises(ValueError, match=r"some problem was never solved there .*log_mean"):
        fit_loss(counts, aggregate="mean_log", draws=0)


def test_a_checkpoint_never_right_has_no_log(pythia):
    with pytest.raises(ValueError, match=r"nothing was ever solved .*n_params = .*counts law"):
        fit_loss(pythia, draws=0)


def test_points_without_enough_samples_are_left_out_and_noted():
    counts = simulate_counts(LOSS, *GRID, problems=30, samples=64, seed=1)
    frame = counts.frame.with_row_index().with_columns(
        n_samples=pl.when(pl.col("index") < 90).then(8).otherwise(64).cast(pl.Int64)
    )
    unequal = read_counts(frame.with_columns(pl.min_horizontal("n_correct", "n_samples")).drop("index"))
    with pytest.warns(FitWarning, match=r"left out 3 points .* where no problem has k samples"):
        law = fit_loss(unequal, ks=[1, 2, 8, 32], draws=20)
    assert law.fit.points == 36 * 4 - 3
    assert not law.fit.residuals["observed"].is_nan().any()
    assert np.isfinite(law.draws).all()
    assert fit_loss(unequal, draws=0).domain["k"] == (1, 8)  # by default those ks that all have


def test_chinchilla_is_robust_unless_asked_otherwise(chinchilla_245, chinchilla_240):
    law = fit_chinchilla(chinchilla_245, draws=0)
    (note,) = [note for note in law.fit.notes if "beside a typical" in note]
    for i in np.argsort(chinchilla_245.loss)[-5:]:
        n, d = amount(chinchilla_245.n_params[i]), amount(chinchilla_245.n_tokens[i])
        assert f"N = {n} at D = {d}" in note

    def tokens_per_param(law, flops=5.76e23):
        # Hoffmann et al. 2022, equation 4.
        p = law.params
        ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
        return flops / 6 / (ratio * (flops / 6) ** p["beta"]) ** (2 / (p["alpha"] + p["beta"]))

    squares = fit_chinchilla(chinchilla_245, method="least_squares", draws=0)
    # Hoffmann et al. trained 70B parameters on 1.4T tokens with these FLOPs: 20.
    assert tokens_per_param(squares) < 2
    assert tokens_per_param(law) > 5
    for method, least in (("huber", 15), ("least_squares", 10)):
        clean = fit_chinchilla(chinchilla_240, method=method, draws=0)
        assert least < tokens_per_param(clean) < 25, (method, tokens_per_param(clean))


@pytest.mark.parametrize(("runs", "expected"), [("chinchilla_240", 17.9), ("chinchilla_245", 6.8)])
def test_hubers_optimum_is_scipys(request, runs, expected):
    """Tokens per parameter that are best at 5.76e23 FLOPs, without the five outliers and with them."""
    table = request.getfixturevalue(runs)
    log_n, log_d, log_y = np.log([table.n_params, table.n_tokens, table.loss])

    def objective(x):
        log_e, log_a, log_b, alpha, beta = x
        terms = [np.full_like(log_y, log_e), log_a - alpha * log_n, log_b - beta * log_d]
        return special.huber(1e-3, special.logsumexp(terms, axis=0) - log_y).sum() * 1e3

    def tokens_per_param(a, b, alpha, beta, flops=5.76e23):
        # Hoffmann et al. 2022, equation 4.
        return flops / 6 / (alpha * a / (beta * b) * (flops / 6) ** beta) ** (2 / (alpha + beta))

    starts = [(0.6, 6.0, 7.0, 0.35, 0.35), (0.6, 7.0, 6.0, 0.4, 0.3)]
    options = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-9, "fatol": 1e-12, "adaptive": True}
    ends = [optimize.minimize(objective, x, method="Nelder-Mead", options=options) for x in starts]
    # Once more from where it ended, since a simplex shrinks early.
    best = min(
        (optimize.minimize(objective, e.x, method="Nelder-Mead", options=options) for e in ends),
        key=lambda end: end.fun,
    )
    theirs = tokens_per_param(*np.exp(best.x[1:3]), *best.x[3:])
    ours = tokens_per_param(*(fit_chinchilla(table, draws=0).params[p] for p in ("A", "B", "alpha", "beta")))
    assert theirs == pytest.approx(expected, abs=0.05)
    assert ours == pytest.approx(theirs, rel=1e-3)


def test_all_checkpoints_of_a_wild_table_have_a_finite_likelihood(pythia):
    law = fit_counts(pythia, draws=0)
    assert law.fit.checkpoints == 81
    assert np.isfinite(law.fit.objective)
    assert np.isfinite(law.vector).all()
    json.dumps(law.to_dict(), allow_nan=False)
    assert law.fit.converged, law.fit.reason
    assert not any("did not converge" in note for note in law.fit.notes)


def test_nothing_is_planned_by_a_law_that_did_not_converge():
    law = fit_loss(grid_of(LOSS, *GRID, [1.0, 4.0, 16.0]), draws=0)
    stuck = replace(law, fit=replace(law.fit, converged=False, reason="iteration limit reached"))
    assert plan(law, 1e20, 1e10).predicted > 0
    for call in (plan, plan_many, frontier):
        with pytest.raises(ValueError, match=r"loss law did not converge \(iteration limit reached\)"):
            call(stuck, 1e20, 1e10)


def test_the_direct_law_is_linear_least_squares(grown_pythia):
    law = fit_direct(grown_pythia, draws=20)
    table = PassTable.of(grown_pythia)
    log_c = np.log(6 * table.n_params * table.n_tokens)[:, None] + 0 * table.ks
    log_k = np.log(table.ks) + 0 * log_c
    columns = [np.ones_like(log_c), log_c, log_k, log_c * log_k]
    design = np.stack([column.ravel() for column in columns], axis=1)
    expected = np.linalg.lstsq(design, np.log(-np.log(table.mean().ravel())), rcond=None)[0]
    np.testing.assert_allclose(law.vector, expected, rtol=1e-6)
    assert law.draws.shape == (20, 4)
    assert law.metric == "pass@k"
    with pytest.raises(ValueError, match="smallest model would always be best"):
        plan(law, 1e22, 1e10)


def test_the_direct_law_refuses_what_has_no_double_logarithm(pythia):
    with pytest.raises(ValueError, match=r"infinite at \d+ points where pass@k is 0 or 1 \(n_params = "):
        fit_direct(pythia, draws=0)


def test_regularised_laws_keep_exponents_sane(grown_pythia):
    # Unregularised, the accuracy law of these counts has alpha = 1.48 and theta2 = 1 on its bound.
    accuracy = fit_accuracy(grown_pythia, regularise=True, draws=0)
    counts = fit_counts(grown_pythia, regularise=True, draws=0)
    for law in (accuracy, counts):
        assert law.fit.converged
        assert law.fit.on_bound == ()
        assert "regularised" in law.fit.method
        for name in ("alpha", "beta"):
            assert 0.4 / 6 < law.params[name] < 0.4 * 6, law
    loss = fit_loss(grown_pythia, regularise=True, draws=0)
    free = fit_loss(grown_pythia, draws=0)
    assert loss.fit.objective >= free.fit.objective
    for name in ("alpha", "beta"):
        away = [abs(np.log(law.params[name] / 0.35)) for law in (loss, free)]
        assert away[0] <= away[1] + 1e-9


def test_a_single_k_identifies_no_gamma():
    with pytest.warns(FitWarning, match="not identified by these data: E, G, gamma"):
        law = fit_loss(grid_of(LOSS, *GRID, [4.0]), draws=0)
    assert law.fit.unidentified == ("E", "G", "gamma")
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    np.testing.assert_allclose(law.predict(n, d, 4), LOSS.predict(n, d, 4), rtol=1e-9)


def test_a_single_sample_identifies_no_spread_of_difficulty():
    counts = simulate_counts(COUNTS, *GRID, problems=50, samples=1, seed=0)
    with pytest.warns(FitWarning, match="not identified by these data: .*theta3, theta4"):
        law = fit_counts(counts, effect=False, draws=0)
    assert {"theta3", "theta4"} <= set(law.fit.unidentified)


def test_a_misfit_leaves_parameters_identified(grown_pythia):
    with pytest.warns(FitWarning, match="no law of this form fits"):
        law = fit_counts(grown_pythia, draws=0)
    assert law.fit.unidentified == ()


def test_a_single_amount_of_tokens_identifies_no_beta():
    truth = Law("chinchilla", {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28})
    n = GRID[0]
    with pytest.warns(FitWarning, match="not identified by these data: E, B, beta"):
        law = fit_chinchilla(losses_of(truth, n, [2e10]), method="least_squares", draws=0)
    np.testing.assert_allclose(law.predict(n, 2e10), truth.predict(n, 2e10), rtol=1e-9)
    assert law.params["alpha"] == pytest.approx(0.34, rel=1e-6)


def test_a_term_that_the_data_refuse_is_on_its_bound():
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    loss = 1.7 + 400 * n**-0.34 + 0.01 * np.log(d / 1e9)
    losses = read_losses(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss}))
    with pytest.warns(FitWarning, match="on a bound: B = 0") as caught:
        law = fit_chinchilla(losses, method="least_squares", draws=0)
    assert law.params["B"] == 0
    assert "B" in law.fit.on_bound
    assert "beta" in law.fit.unidentified
    assert {str(w.message).removeprefix("chinchilla law: ") for w in caught} == set(law.fit.notes)


def test_a_search_that_did_not_converge_says_so():
    n, d = (axis.ravel() for axis in np.meshgrid(*GRID))
    loss = 1e200 * (1 + n**-0.3)  # its square is infinite
    losses = read_losses(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss}))
    with pytest.warns(FitWarning, match="did not converge: objective not finite at the start"):
        law = fit_chinchilla(losses, method="least_squares", draws=0)
    assert not law.fit.converged
    assert law.fit.reason == "objective not finite at the start"


@pytest.mark.parametrize(("fit", "truth"), [(fit_accuracy, ACCURACY), (fit_counts, COUNTS), (fit_loss, LOSS)])
def test_lack_of_fit_is_one_where_the_law_is_true(fit, truth):
    counts = simulate_counts(truth, *GRID, problems=200, samples=64, seed=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        assert 0.75 < fit(counts, draws=0).fit.lack_of_fit < 1.3


@pytest.mark.parametrize("fit", [fit_loss, fit_accuracy, fit_counts])
def test_lack_of_fit_is_large_where_no_law_fits(grown_pythia, fit):
    with pytest.warns(FitWarning, match="times their sampling error: no law of this form fits closely"):
        law = fit(grown_pythia, draws=0)
    assert law.fit.lack_of_fit > 3
    assert law.domain["k"] == (1, 128)


def test_one_problem_a_checkpoint_tells_nothing_about_sampling_error():
    law = fit_loss(grid_of(LOSS, *GRID, [1.0, 4.0, 16.0]), draws=0)
    assert law.fit.lack_of_fit is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_chinchilla(TWO, method="newton"), "method = 'newton' must be"),
        (lambda: fit_chinchilla(TWO, weights="flops"), "weights = 'flops' must be"),
        (lambda: fit_chinchilla(TWO), "needs at least 5 points, and the table has 1"),
        (lambda: fit_loss(FEW, method="newton"), "method = 'newton' must be"),
        (lambda: fit_loss(FEW, aggregate="median"), "aggregate = 'median' must be"),
        (lambda: fit_loss(FEW), "needs at least 7 points"),
        (lambda: fit_loss(FEW, ks=[0.5]), "ks = .* whole numbers"),
        (lambda: fit_accuracy(FEW), "needs at least 5 checkpoints, and the table has 1"),
        (lambda: fit_accuracy(FEW, weights="isoflop"), "give losses or drop weights"),
        (lambda: fit_accuracy(FEW, TWO), "losses lack 1 checkpoints of the table: n_params = 1e"),
        (lambda: fit_direct(FEW, ks=[1]), "needs at least 5 points, and the table has 1"),
        (
            lambda: fit_chinchilla(TWO, regularise=True),
            "Huber's loss has none: give method='least_squares', too",
        ),
        (
            lambda: fit_loss(FEW, regularise=True, method="restarts"),
            "restarts have none: give method='projection', too",
        ),
        (lambda: fit_accuracy(FEW, TWO, regularise=True), "losses"),
        (lambda: fit_counts(FEW), "needs at least 5 checkpoints, and the table has 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


TWO = read_losses(pl.DataFrame({"n_params": [1e9], "n_tokens": [1e10], "loss": [2.5]}))
FEW = simulate_counts(ACCURACY, [1e8], [1e10], problems=5, samples=4)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a child process")
@pytest.mark.parametrize(
    "call",
    [
        "_core.fit_loss_restarts(n, d, k, y, np.ones(432), loss_starts(200_000, 0))",
        "_core.fit_huber(n, d, np.tile(y, (20_000, 1)), np.ones((20_000, 432)), 1e-3, hoffmann_starts())",
        "fit_counts(counts, draws=10_000)",
        "fit_accuracy(counts, draws=10_000)",
        "_core.fit_power_sum([np.tile(v, 1000) for v in (n, d, k)], np.tile(y, (1, 1000)), "
        "np.ones((1, 432 * 1000)), np.inf)",
    ],
)
def test_ctrl_c_ends_a_fit_of_minutes(call):
    script = f"""
import numpy as np
from t2fast import _core
from t2fast.fits import fit_accuracy, fit_counts
from t2fast.fits.chinchilla import hoffmann_starts
from t2fast.fits.loss import loss_starts
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.plans import frontier, plan, plan_many
from t2fast.laws.simulate import simulate_counts
law = Law("accuracy", {ACCURACY.params!r})
grid = 1e7 * 3.0 ** np.arange(9), 1e9 * 3.0 ** np.arange(6)
counts = simulate_counts(law, *grid, problems=100, samples=1000)
n, d, k = (v.ravel() for v in np.meshgrid(*grid, 2.0 ** np.arange(8)))
y = -np.log(law.predict(n, d, k))
print("ready", flush=True)
{call}
print("done", flush=True)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(sys.modules["t2fast"].__file__).parents[1])}
    command = [sys.executable, "-W", "ignore", "-c", script]
    with subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.7)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert out == ""
    assert "KeyboardInterrupt" in err
