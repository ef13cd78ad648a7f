"""D and k from lists under the two budgets of training and inference, against brute force over N."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from grids import ACCURACY, GRID
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from t2fast import Verifier, fit_forecast
from t2fast.cli.main import main
from t2fast.estimators import beta_verified_at_k
from t2fast.laws import Law, simulate_counts
from t2fast.plans import frontier, plan, plan_checked, plan_many

Floats = NDArray[np.float64]
TERMS = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
THETA = {"theta0": 3.0, "theta1": 1.5, "theta2": 0.9, "theta3": 1.0, "theta4": -0.5}
LOSS = Law("loss", {**TERMS, "G": 2.0, "gamma": 0.5})
LINKED = Law("accuracy", {**TERMS, **THETA})
CHINCHILLA = Law("chinchilla", TERMS)


def rows(law: Law, train: float, inference: float, tokens: list[float], ks: list[float]) -> Floats:
    """The best value of every pair that budgets pay for, over a fine line of N; free where none is listed."""
    sign = 1 if law.higher_is_better else -1
    found = []
    for d in tokens or [math.nan]:
        for k in ks or [math.nan]:
            most = min(train / 6 / (d if tokens else 1), inference / 2 / (k if ks else 1))
            if most < 1:
                continue
            n = np.append(np.geomspace(1, most, 4001)[:-1], most * (1 - 1e-15))
            ds = np.full_like(n, d) if tokens else train / (6 * n)
            samples = np.full_like(n, k) if ks else np.maximum(inference / (2 * n), 1)
            found.append((sign * np.asarray(law.predict(n, ds, samples))).max())
    return np.array(found)


lists = st.lists(st.floats(18, 30).map(math.exp), max_size=3)
samples = st.lists(st.floats(0, 9).map(math.exp), max_size=3)


@given(st.sampled_from([LOSS, LINKED]), st.floats(40, 55), st.floats(18, 27), lists, samples)
@settings(max_examples=25, deadline=None)
def test_no_pair_and_n_of_a_line_is_better(
    law: Law, train: float, inference: float, tokens: list[float], ks: list[float]
) -> None:
    train, inference = math.exp(train), math.exp(inference)
    brute = rows(law, train, inference, tokens, ks)
    if not len(brute):
        with pytest.raises(ValueError, match="no model size fits budget 0"):
            plan(law, train, inference, n_tokens=tokens or None, k=ks or None)
        return
    found = plan(law, train, inference, n_tokens=tokens or None, k=ks or None)
    sign = 1 if law.higher_is_better else -1
    assert sign * found.predicted >= brute.max() - 1e-9 * abs(brute.max())
    assert found.predicted == pytest.approx(float(law.predict(found.n_params, found.n_tokens, found.k or 1)))
    assert not tokens or found.n_tokens in tokens
    assert not ks or found.k in ks
    for choice in (found, found.chinchilla):
        assert choice.k is not None
        assert not ks or choice.k in ks
        assert 6 * choice.n_params * choice.n_tokens <= train
        assert 2 * choice.n_params * choice.k <= inference


def test_chinchillas_tokens_follow_its_rule_and_its_k_is_the_most_it_pays_for() -> None:
    found = plan(LINKED, 1e20, 2e10, n_tokens=[1e9, 1e11], k=[1, 4, 16, 64], chinchilla=20)
    n = math.sqrt(1e20 / 120)
    assert found.chinchilla.n_params == pytest.approx(n, rel=1e-9)
    assert found.chinchilla.n_tokens == pytest.approx(20 * n, rel=1e-9)
    assert found.chinchilla.k == 4  # 2e10/2N is 10.95
    assert found.chinchilla.bound is None
    large = plan(LINKED, 1e20, 2e9, k=[4, 16], chinchilla=20)
    assert large.chinchilla.n_params == pytest.approx(2e9 / 8)
    assert (
        large.chinchilla.bound == "the least k, one sample unless listed (n_params = inference_flops/(2 k))"
    )


def test_one_k_and_one_d_are_held_and_n_is_what_both_pay_for() -> None:
    for k in (7, 7.5):
        found = plan(LINKED, 1e21, 1e10, n_tokens=[2e10], k=k)
        assert (found.k, found.n_tokens) == (k, 2e10)
        assert found.n_params == pytest.approx(1e10 / 2 / k, rel=1e-12)
        assert found.bound == "the n_tokens maximum"  # nine tenths of the training budget are left
    assert plan(CHINCHILLA, 1e21, n_tokens=[2e10, 3e10]).n_tokens in (2e10, 3e10)
    # The list ends where the budget would pay for more.
    assert plan(LINKED, 1e21, 1e10, n_tokens=[1e8, 1e9]).bound == "the n_tokens maximum"


def test_many_plans_frontiers_and_draws_choose_from_the_same_lists() -> None:
    names = list(LINKED.params)
    rng = np.random.default_rng(0)
    draws = np.array([LINKED.params[name] for name in names]) * np.exp(
        0.02 * rng.normal(size=(40, len(names)))
    )
    options = {"n_tokens": [3e9, 3e10, 3e11], "k": [2.0, 8.0, 32.0]}
    trains = np.array([1e20, 1e21, 1e22])
    many = plan_many(LINKED, trains, 2e10, draws=draws, **options)
    for i, train in enumerate(trains):
        for j in (0, 17):
            one = plan(
                Law("accuracy", dict(zip(names, draws[j].tolist(), strict=True))), train, 2e10, **options
            )
            here = many.n_params[i, j], many.n_tokens[i, j], many.k[i, j]
            assert here == (one.n_params, one.n_tokens, one.k)
    frame = frontier(LINKED, trains, 2e10, **options)
    point = plan_many(LINKED, trains, 2e10, **options)
    for name in ("n_params", "n_tokens", "k", "predicted"):
        assert frame[name].to_list() == getattr(point, name).tolist()
    profile = plan(LINKED, 1e21, 2e10, **options).profile(50)
    assert set(profile.n_tokens) <= {3e9, 3e10, 3e11}
    assert profile.predicted.max() <= plan(LINKED, 1e21, 2e10, **options).predicted + 1e-12


def test_a_check_that_errs_chooses_from_lists_too() -> None:
    verifier, train, inference = Verifier(0.9, 0.02), 1e21, 2e10
    tokens, ks = [1e10, 1e11], [1.0, 3.0, 9.0, 27.0]
    found = plan_checked(LINKED, verifier, train, inference, n_tokens=tokens, k=ks)
    best = -math.inf
    for d in tokens:
        for k in ks:
            n = np.geomspace(1e6, min(train / 6 / d, inference / 2 / k), 300)
            latent = 1.69 + 406.4 / n**0.34 + 410.7 / d**0.28
            mean = 0.9 / (1 + np.exp(1.5 * (latent - 3.0)))
            nu = np.exp(1.0 - 0.5 * latent)
            right, wrong = beta_verified_at_k(mean * nu, (1 - mean) * nu, k, 0.9, 0.02)
            best = max(best, float((right - wrong).max()))
    assert found.chosen.worth >= best - 1e-9
    assert found.chosen.worth == pytest.approx(best, rel=1e-3)
    assert found.chosen.k in ks
    assert found.chosen.n_tokens in tokens
    assert found.chinchilla.k in ks
    assert "of k = 1, 3, 9, 27" in found.finding()
    with pytest.raises(ValueError, match=r"no model size fits budget 0: .* the n_tokens minimum"):
        plan_checked(LINKED, verifier, 1e6, n_tokens=[1e15])


def test_a_forecast_law_chooses_by_what_it_believes() -> None:
    law = fit_forecast(simulate_counts(ACCURACY, *GRID, problems=40, samples=64, seed=1), draws=50)
    options = {"n_tokens": [1e10, 4e10], "k": [1, 8, 64]}
    found = plan(law, 1e20, 2e10, **options)
    for d in options["n_tokens"]:
        for k in options["k"]:
            one = plan(law, 1e20, 2e10, n_tokens=[d], k=k)
            assert one.predicted <= found.predicted + 1e-12
    assert found.n_tokens in (1e10, 4e10)
    low, high = found.intervals["k"]
    assert 1 <= low <= high <= 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--k", "0.5"], "k holds 0.5: a query gets at least one sample"),
        (["--k", "0"], "--k is 0.0: it has to be positive and finite"),
        (["--k", "4", "--max-k", "8"], "--k already says which samples are allowed: drop --max-k"),
        (["--k", "4.5", "--integer-k"], "k holds what is not whole"),
        (["--k", "4000"], "k = 4,000 lies beyond what the law was fitted on (1 to 128)"),
        (["--tokens", "1B,1e15"], "D = 1e+15 lies beyond what the law was fitted on"),
        (["--tokens", "1e11", "--max-tokens", "1e12"], "--tokens already says which D are allowed"),
        (["--tokens", "3e11"], "extrapolate"),
        (["--k", "128"], "2e+09 inference FLOPs per token draw no 128 samples from the smallest model"),
    ],
)
def test_lists_that_leave_nothing_say_why(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--train-flops", "2.56e19", "--inference-flops", "2e9", *options]) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_the_command_takes_lists(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--train-flops", "2.56e19", "--inference-flops", "2e9"]
    lists = ["--tokens", "10B,20B,40B", "--k", "2,4,8"]
    assert main([*asked, *lists, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["k"] in (2, 4, 8)
    assert found["n_tokens"] in (1e10, 2e10, 4e10)
    for more in (["--profile"], ["--true-positive", "0.9", "--false-positive", "0.001"], ["--integer-k"]):
        assert main([*asked, *lists, *more]) == 0
    assert main(["plan", "--train-flops", "1e20", "--inference-flops", "2e10", *lists, "--frontier"]) == 0
