"""Plans whose check errs, against SciPy's quadrature over grids of N and k, and against plans that do not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from grids import ACCURACY
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from t2fast import Verifier, _core
from t2fast.cli.main import main
from t2fast.fits import fit_forecast
from t2fast.laws import Law, default_law, simulate_counts
from t2fast.plans import plan, plan_checked
from terminals import shown

TRAIN, INFERENCE = 1e20, 2e10
NAMES = ("E", "A", "B", "alpha", "beta", "theta0", "theta1", "theta2", "theta3", "theta4")
LAW = Law(
    "accuracy", dict(zip(NAMES, [1.69, 406.4, 410.7, 0.34, 0.28, 3.0, 1.5, 0.9, 1.0, -0.5], strict=True))
)


def answers(law: Law, n: float, d: float, k: np.ndarray, t: float, f: float) -> np.ndarray:
    """Right and wrong, (2, K), by Gauss-Jacobi quadrature over the law's Beta distribution."""
    latent = (
        law.params["E"]
        + law.params["A"] / n ** law.params["alpha"]
        + law.params["B"] / d ** law.params["beta"]
    )
    theta = [law.params[f"theta{i}"] for i in range(5)]
    mean = theta[2] / (1 + np.exp(theta[1] * (latent - theta[0])))
    nu = np.exp(theta[3] + theta[4] * latent)
    x, w = special.roots_jacobi(80, (1 - mean) * nu - 1, mean * nu - 1)
    p, w = (1 + x) / 2, w / w.sum()
    accepted = p * t + (1 - p) * f
    share = -np.expm1(np.multiply.outer(k, np.log1p(-accepted))) / accepted
    return np.array([share @ (w * p * t), share @ (w * (1 - p) * f)])


@given(
    st.floats(0.3, 1),
    st.floats(-3.5, -1).map(lambda x: 10**x),
    st.sampled_from([0.3, 1.0, 4.0]),
    st.floats(19, 22),
    st.floats(8.5, 12),
)
@settings(max_examples=8)
def test_no_n_and_k_of_a_grid_are_better(
    t: float, f: float, harm: float, train: float, inference: float
) -> None:
    train, inference = 10**train, 10**inference
    found = plan_checked(LAW, Verifier(t, f), train, inference, harm=harm)
    n, d, k = found.chosen.n_params, found.chosen.n_tokens, found.chosen.k
    assert 6 * n * d <= train
    assert k >= 1
    assert 2 * n * k <= inference * (1 + 1e-12)
    here = answers(LAW, n, d, np.array([k]), t, f)[:, 0]
    assert [found.chosen.right, found.chosen.wrong] == pytest.approx(here, rel=1e-8, abs=1e-12)

    def worth(n: float) -> float:
        ks = np.geomspace(1, inference / (2 * n), 200)
        right, wrong = answers(LAW, n, train / (6 * n), ks, t, f)
        return float((right - harm * wrong).max())

    assert found.chosen.worth >= max(map(worth, np.geomspace(1e6, inference / 2, 60))) - 1e-9


def test_the_best_k_is_finite_where_sampling_is_free() -> None:
    verifier = Verifier(0.9, 0.02)
    found = plan_checked(LAW, verifier, TRAIN, harm=2)
    assert found.inference_flops is None
    assert found.chosen.k == pytest.approx(found.chosen.free_k, rel=1e-5)
    assert found.chosen.k < found.most_k / 100
    n, d = found.chosen.n_params, found.chosen.n_tokens

    def loss(x: np.ndarray) -> float:
        right, wrong = answers(LAW, np.exp(x[0]), TRAIN / 6 / np.exp(x[0]), np.exp(x[1:]), 0.9, 0.02)
        return float(2 * wrong[0] - right[0])

    best = optimize.minimize(
        loss,
        [np.log(n) + 0.5, np.log(found.chosen.k) + 0.5],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-15},
    )
    assert found.chosen.worth == pytest.approx(-best.fun, rel=1e-9)
    assert np.log([n, found.chosen.k]) == pytest.approx(best.x, abs=2e-3)
    assert "sampling more than k =" in str(found)
    assert "even for free" in str(found)
    ks = [row.k for row in found.by_k]
    assert ks == sorted(ks)
    assert found.chosen.k in ks
    for row in found.by_k:
        right, wrong = answers(LAW, n, d, np.array([row.k]), 0.9, 0.02)[:, 0]
        assert (row.right, row.wrong) == pytest.approx((right, wrong), rel=1e-7)
        assert row.worth == pytest.approx(right - 2 * wrong, rel=1e-7)
        assert row.perfect == pytest.approx(LAW.predict(n, d, row.k))
        assert row.worth <= found.chosen.worth


def test_where_the_budget_ends_first_the_plan_says_what_more_would_be() -> None:
    found = plan_checked(LAW, Verifier(0.9, 1e-3), TRAIN, 1e9)
    assert found.chosen.k == pytest.approx(1e9 / 2 / found.chosen.n_params)
    assert found.chosen.free_k > 2 * found.chosen.k
    assert "the budget ends at k =" in found.finding()
    again = plan_checked(LAW, Verifier(0.9, 1e-3), TRAIN, n_params=[found.chosen.n_params])
    assert again.chosen.k == pytest.approx(found.chosen.free_k, rel=1e-4)


def test_whole_k_is_the_best_whole_k() -> None:
    verifier = Verifier(0.8, 0.03)
    found = plan_checked(LAW, verifier, TRAIN, 1e10, integer_k=True)
    assert found.chosen.k == int(found.chosen.k)
    best = -np.inf
    for k in range(1, 40):
        result = optimize.minimize_scalar(
            lambda x, k=k: (
                -float(
                    np.subtract(*answers(LAW, np.exp(x), TRAIN / 6 / np.exp(x), np.array([k]), 0.8, 0.03))[0]
                )
            ),
            bounds=(np.log(1e6), np.log(1e10 / 2 / k)),
            method="bounded",
            options={"xatol": 1e-9},
        )
        best = max(best, -result.fun)  # a little inside its bounds
    assert found.chosen.worth == pytest.approx(best, rel=1e-7)
    assert found.chosen.worth >= best - 1e-9


@pytest.fixture(scope="module")
def forecast():
    n, d = [3e7, 1e8, 3e8, 1e9, 3e9], [1e9, 1e10, 1e11, 3e11]
    return fit_forecast(simulate_counts(ACCURACY, n, d, problems=30, samples=128, seed=2), draws=40)


def test_with_a_perfect_check_it_is_the_plan(forecast) -> None:
    for law in (LAW, forecast):
        plain = plan(law, TRAIN, INFERENCE)
        found = plan_checked(law, Verifier(1, 0), TRAIN, INFERENCE)
        assert found.chosen.right == pytest.approx(plain.predicted, rel=1e-9)
        assert found.chosen.n_params == pytest.approx(plain.n_params, rel=1e-3)
        assert found.chosen.k == pytest.approx(plain.k, rel=1e-3)
        assert found.chosen.wrong == 0
        assert found.perfect["pass_at_k"] == pytest.approx(plain.predicted, rel=1e-12)
        assert found.chinchilla.n_params == pytest.approx(plain.chinchilla.n_params, rel=1e-8)
        assert found.chinchilla.right == pytest.approx(plain.chinchilla.predicted, rel=1e-9)
    assert plan_checked(law, Verifier(1, 0), TRAIN, INFERENCE).to_dict() == found.to_dict()
    low, high = found.chosen.intervals["right_here"]
    # Of the forecast law the point's interval is that of the plan, N and k being the same but for rounding.
    assert (low, high) == pytest.approx(plain.intervals["predicted_here"], rel=1e-3)


def test_a_forecast_is_taken_for_the_beta_of_its_own_pass_at_k(forecast) -> None:
    t, f, k = 0.9, 0.05, 20.0
    found = plan_checked(forecast, Verifier(t, f), TRAIN, INFERENCE, harm=0.5)
    n, d, k = found.chosen.n_params, found.chosen.n_tokens, found.chosen.k
    seen = (1 - (1 - f) ** k) / f
    first, last = forecast.predict(n, d, [1.0, seen])

    def gap(log_nu: float) -> float:
        a, b = first * np.exp(log_nu), (1 - first) * np.exp(log_nu)
        return float(-np.expm1(special.betaln(a, b + seen) - special.betaln(a, b)) - last)

    nu = np.exp(optimize.brentq(gap, -9, 12, xtol=1e-12))
    x, w = special.roots_jacobi(200, (1 - first) * nu - 1, first * nu - 1)
    p, w = (1 + x) / 2, w / w.sum()
    accepted = p * t + (1 - p) * f
    share = (1 - (1 - accepted) ** k) / accepted
    assert found.chosen.right == pytest.approx(share @ (w * p * t), rel=1e-6)
    assert found.chosen.wrong == pytest.approx(share @ (w * (1 - p) * f), rel=1e-6)
    grid = np.geomspace(forecast.domain["n_params"][0] / 2, forecast.domain["n_params"][1] * 2, 30)
    for size in grid:
        if TRAIN / 6 / size > 6e11 or TRAIN / 6 / size < 5e8:
            continue
        ks = np.geomspace(1, min(INFERENCE / 2 / size, 256), 15)
        rates = np.array([[t, f]])
        d = np.full(15, TRAIN / 6 / size)
        values = forecast.state.outcomes("point", np.full(15, size), d, ks, rates)[0]
        assert (values[:, 0] - 0.5 * values[:, 1]).max() <= found.chosen.worth + 1e-9


def test_rates_that_were_labelled_widen_the_intervals(forecast) -> None:
    few = Verifier.estimated(18, 20, 2, 40)
    known = Verifier(few.true_positive, few.false_positive)
    for law in (forecast, LAW):
        one, other = (plan_checked(law, v, TRAIN, INFERENCE) for v in (few, known))
        assert one.chosen.worth == other.chosen.worth
        low, high = one.chosen.intervals["worth_here"]
        assert low < one.chosen.worth < high
        if law.draws is None:
            assert not other.chosen.intervals
        else:
            narrow = other.chosen.intervals["worth_here"]
            assert high - low > narrow[1] - narrow[0]
    assert "(20 right and 40 wrong ones labelled)" in str(one)


def test_what_a_check_is_of_no_use_for_is_said() -> None:
    found = plan_checked(LAW, Verifier(0.2, 0.6), TRAIN, INFERENCE)
    assert any("worse than none" in words for words in found.warnings)
    assert any("no answer at all is worth more" in words for words in found.warnings)
    for all_or_none in (0, 1):
        found = plan_checked(LAW, Verifier(all_or_none, all_or_none), TRAIN, INFERENCE)
        assert found.finding() == "more samples than k = 1 bring nothing"
    found = plan_checked(LAW, Verifier(0.9, 0.05), TRAIN, INFERENCE, harm=0)
    assert any("cost nothing" in words for words in found.warnings)
    assert found.chosen.k == pytest.approx(INFERENCE / 2 / found.chosen.n_params)


@pytest.mark.parametrize("name", ["loss", "chinchilla", "direct"])
def test_laws_that_do_not_say_how_problems_differ_are_refused(name: str) -> None:
    law = Law(name, dict.fromkeys(_core.law_parameters(name), 0.5))
    with pytest.raises(ValueError, match="does not say how problems differ"):
        plan_checked(law, Verifier(0.9, 0.1), TRAIN, INFERENCE)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match=r"harm is -1\.0"):
        plan_checked(LAW, Verifier(0.9, 0.1), TRAIN, INFERENCE, harm=-1)
    with pytest.raises(ValueError, match=r"inference_flops is 0\.0"):
        plan_checked(LAW, Verifier(0.9, 0.1), TRAIN, 0)
    with pytest.raises(TypeError, match="a check that errs takes Verifier"):
        plan_checked(LAW, (0.9, 0.1), TRAIN, INFERENCE)
    with pytest.raises(ValueError, match="draw not one sample"):
        plan_checked(default_law(), Verifier(0.9, 0.001), TRAIN, 10)


def test_the_command_says_what_python_does(capsys, monkeypatch) -> None:
    line = ["plan", "--train-flops", "2.56e19", "--true-positive", "0.9", "--false-positive", "0.0005"]
    assert main([*line, "--inference-flops", "1e11", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    found = plan_checked(default_law(), Verifier(0.9, 0.0005), 2.56e19, 1e11)
    assert data["k"] == found.chosen.k
    assert data["right"] == found.chosen.right
    assert data["perfect"]["pass_at_k"] == plan(default_law(), 2.56e19, 1e11).predicted
    text = shown(line, 80, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    assert "sampling free" in text
    for option in ("--frontier", "--profile"):
        assert main([*line, option]) == 1
        assert "whose check does not err" in capsys.readouterr().err
    assert main(["plan", "--train-flops", "1e20", "--harm", "2"]) == 1
    assert "say how the check errs" in capsys.readouterr().err
    assert main(["plan", "--train-flops", "1e20", "--inference-flops", "1e10", "--true-positive", "0.9"]) == 1
    assert "--false-positive is missing" in capsys.readouterr().err


def test_answers_by_k_are_drawn() -> None:
    pytest.importorskip("altair", reason="needs t2fast[report]")
    found = plan_checked(LAW, Verifier(0.9, 1e-2), TRAIN, INFERENCE, harm=2)
    figure = found.figure()
    frame, k = figure.frame, found.chosen.k
    assert frame["k"].is_sorted()
    assert frame["k"].min() == 1
    assert frame["k"].max() == pytest.approx(found.most_k)
    here = frame.row(frame["k"].to_list().index(k), named=True)
    assert (here["right"], here["wrong"]) == pytest.approx((found.chosen.right, found.chosen.wrong))
    assert here["worth"] == pytest.approx(frame["worth"].max())
    spec = json.dumps(figure.chart.to_dict(validate=False))
    for words in ("right answers", "wrong answers", "right less 2 x wrong", "perfect check"):
        assert words in spec
