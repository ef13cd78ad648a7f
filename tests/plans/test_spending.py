"""One budget for training and serving: a published example, brute force, constraints, and what is
impossible."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from t2fast.laws import Law
from t2fast.laws.data_wall import DataWall
from t2fast.plans.spending import Workload, best_spending, cheapest_spending

TERMS = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
LOSS = Law("loss", {**TERMS, "G": 2.0, "gamma": 0.5})
ACCURACY = Law("accuracy", {**TERMS, "theta0": 3, "theta1": 1.5, "theta2": 0.9, "theta3": 1, "theta4": -0.5})


def test_the_published_inference_aware_example() -> None:
    # Sardana et al. 2024: the quality of a 30B Chinchilla model, and 1e13 tokens to serve.
    a, b = 0.336, 0.283
    law = Law("chinchilla", {**TERMS, "alpha": a, "beta": b})
    n = 30e9
    d = (b * TERMS["B"] * n**a / (a * TERMS["A"])) ** (1 / b)
    found = cheapest_spending(law, float(law.predict(n, d)), Workload(1e13, 0, 1), k=(1, 1))
    assert found.n_params == pytest.approx(13.613e9, rel=1e-4)
    assert found.n_tokens / d == pytest.approx(2.8448, rel=1e-4)
    assert 1 - found.cost / (6 * n * d + 2 * n * 1e13) == pytest.approx(0.27985, rel=1e-4)
    assert found.gap == pytest.approx(0, abs=1e-9)


Box = tuple[tuple[float, float], tuple[float, float]]


def nested(law: Law, budget: float, work: Workload, box: Box) -> float:
    """The best value by SciPy: bounded in ln k for every ln N of a fine grid, then bounded in ln N."""
    sign = 1 if law.metric == "pass@k" else -1

    def at(x: float, z: float) -> float:
        n, k = math.exp(x), math.exp(z)
        d = (budget - work.serving(n, k)) / (6 * work.train_price * n)
        return -sign * float(law.predict(n, d, k)) if d >= 1 else 1e9

    def inner(x: float) -> float:
        most = (budget / (2 * work.queries * math.exp(x)) - work.prompt_tokens * work.prompt_price) / (
            work.output_tokens * work.sample_price
        )
        top = min(math.log(most), math.log(box[1][1])) if most > 1 else -1.0
        if top <= 0:
            return 1e9
        grid = np.linspace(0, top, 30)
        best = int(np.argmin([at(x, z) for z in grid]))
        ends = grid[max(best - 1, 0)], grid[min(best + 1, 29)]
        found = minimize_scalar(lambda z: at(x, z), bounds=ends, method="bounded", options={"xatol": 1e-9})
        return min(float(found.fun), at(x, 0.0))

    grid = np.linspace(*np.log(box[0]), 40)
    best = int(np.argmin([inner(x) for x in grid]))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, 39)]
    found = minimize_scalar(inner, bounds=ends, method="bounded", options={"xatol": 1e-9})
    return -sign * float(found.fun)


@given(
    st.sampled_from([LOSS, ACCURACY]),
    st.floats(19, 25).map(lambda x: 10**x),
    st.floats(3, 10).map(lambda x: 10**x),
    st.floats(0.2, 5),
)
@settings(max_examples=10, deadline=None)
def test_nothing_is_better_by_brute_force(law: Law, budget: float, queries: float, price: float) -> None:
    work = Workload(queries, 500, 400, sample_price=price)
    box = ((1e5, 1e13), (1.0, 1e6))
    found = best_spending(law, budget, work, n_params=box[0], k=box[1])
    assert found.cost == pytest.approx(budget, rel=1e-9)
    sign = 1 if law.metric == "pass@k" else -1
    brute = nested(law, budget, work, box)
    assert sign * (found.predicted - brute) >= -1e-9 * abs(brute)
    assert not abs(found.gap) > 1e-9


@pytest.mark.parametrize("law", [LOSS, ACCURACY])
def test_the_least_cost_and_the_best_value_are_each_others_inverse(law: Law) -> None:
    work = Workload(1e8, 500, 400, train_price=2.0)
    best = best_spending(law, 1e22, work)
    least = cheapest_spending(law, best.predicted, work)
    assert least.cost == pytest.approx(1e22, rel=1e-8)
    assert least.predicted == pytest.approx(best.predicted, rel=1e-9)


def test_what_is_held_fixed_stays_so() -> None:
    work = Workload(1e8, 500, 400)
    found = best_spending(LOSS, 1e22, work, n_params=(3e8, 3e8), k=(4, 4))
    assert found.n_params == pytest.approx(3e8)
    assert found.k == pytest.approx(4)
    free = best_spending(LOSS, 1e22, work)
    assert free.predicted < found.predicted
    # Held to a size, both share what serving leaves.
    assert found.gap == 0
    walled = best_spending(LOSS, 1e22, work, n_tokens=(1.0, 1e11))
    assert walled.n_tokens <= 1e11 * (1 + 1e-12)
    # Tokens beyond a wall of unique text are worth less: fewer are bought, and they bring less.
    wall = DataWall()
    short = best_spending(LOSS, 1e22, work, tokens_worth=lambda d: wall.effective_tokens(d, 2e10))
    assert free.predicted < short.predicted
    assert short.n_tokens < free.n_tokens


def test_more_queries_want_a_smaller_model() -> None:
    sizes = [best_spending(LOSS, 1e23, Workload(q, 500, 400)).n_params for q in (1e4, 1e8, 1e10)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_impossible_says_by_how_much() -> None:
    with pytest.raises(ValueError, match=r"budget: 1e\+06 is too little .* costs .* times that"):
        best_spending(LOSS, 1e6, Workload(1e3, 500, 400))
    with pytest.raises(ValueError, match=r"target: the law reaches -log pass@k 1.5 nowhere .*short"):
        cheapest_spending(LOSS, 1.5, Workload(1e3, 500, 400))
    with pytest.raises(ValueError, match="budget is nan"):
        best_spending(LOSS, math.nan, Workload(1e3, 500, 400))


def test_a_target_is_met_to_the_last_token() -> None:
    found = cheapest_spending(ACCURACY, 0.5, Workload(1e7, 500, 400), n_params=(1e9, 1e9), k=(8, 8))
    ends = math.log(1e6), math.log(1e18)
    needed = brentq(lambda x: float(ACCURACY.predict(1e9, math.exp(x), 8)) - 0.5, *ends)
    assert found.n_tokens == pytest.approx(math.exp(needed), rel=1e-8)
