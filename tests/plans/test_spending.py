"""One budget for training and serving: a published example, brute force, constraints, and what is
impossible."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from t2fast import default_law, fit_forecast, read_counts
from t2fast.cli.main import main
from t2fast.costs import Accelerator, Architecture, Machine
from t2fast.laws import Law
from t2fast.plans import plan_spending
from t2fast.plans.spending import best_spending, cheapest_spending
from t2fast.plans.workload import Limit, Workload
from t2fast.tables import Counts

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
    short = best_spending(LOSS, 1e22, work, unique_tokens=2e10)
    assert free.predicted < short.predicted
    assert short.n_tokens < free.n_tokens


def test_more_queries_want_a_smaller_model() -> None:
    sizes = [best_spending(LOSS, 1e23, Workload(q, 500, 400)).n_params for q in (1e4, 1e8, 1e10)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_impossible_says_by_how_much() -> None:
    with pytest.raises(ValueError, match=r"budget: 1e\+06 FLOPs is too little .* costs .* times that"):
        best_spending(LOSS, 1e6, Workload(1e3, 500, 400))
    with pytest.raises(ValueError, match=r"target: the law reaches -log pass@k 1.5 nowhere .*short"):
        cheapest_spending(LOSS, 1.5, Workload(1e3, 500, 400))
    with pytest.raises(ValueError, match="budget is nan"):
        best_spending(LOSS, math.nan, Workload(1e3, 500, 400))


def test_a_workload_without_numbers_is_refused() -> None:
    for work, message in (
        ((-1, 5, 5), "queries"),
        ((1, -5, 5), "prompt_tokens"),
        ((1, 5, 0), "output_tokens"),
    ):
        with pytest.raises(ValueError, match=f"{message} is "):
            Workload(*work)
    with pytest.raises(ValueError, match="prompt_price is nan"):
        Workload(1, 5, 5, prompt_price=math.nan)
    with pytest.raises(ValueError, match=r"k from 0.5: a query gets at least one sample"):
        best_spending(LOSS, 1e20, Workload(1e3, 5, 5), k=(0.5, 10))
    with pytest.raises(ValueError, match="a budget or a target, one of both"):
        plan_spending(LOSS, Workload(1e3, 5, 5), budget=1e20, target=0.5)
    with pytest.raises(TypeError, match="spending takes Workload, not a float: it says what"):
        plan_spending(LOSS, 1e20, budget=1e20)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="latency needs a machine"):
        plan_spending(LOSS, Workload(1e3, 5, 5), budget=1e20, latency=1)


def test_in_python_too_a_plan_stays_near_the_data() -> None:
    law, work = default_law(), Workload(1e4, 500, 500)
    found = plan_spending(law, work, budget=1e20)
    assert best_spending(law, 1e20, work).k > 5000  # where nothing holds it
    assert found.chosen.k == pytest.approx(256)
    assert any(words.startswith("held to k = 256, where this law stops") for words in found.warnings)
    sizes = np.array([2e8, 4e8, 1e12])
    listed = plan_spending(law, work, budget=1e20, n_params=sizes)
    assert listed.chosen.n_params == 4e8
    assert listed.profile()["n_params"].to_list() == [2e8, 4e8]  # 1e12 lies beyond
    one = plan_spending(law, work, budget=1e20, n_params=(3e8, 3e8))
    assert one.profile().height == 1
    assert one.profile()["predicted"][0] == pytest.approx(one.chosen.predicted)


def test_a_target_is_met_to_the_last_token() -> None:
    found = cheapest_spending(ACCURACY, 0.5, Workload(1e7, 500, 400), n_params=(1e9, 1e9), k=(8, 8))
    ends = math.log(1e6), math.log(1e18)
    needed = brentq(lambda x: float(ACCURACY.predict(1e9, math.exp(x), 8)) - 0.5, *ends)
    assert found.n_tokens == pytest.approx(math.exp(needed), rel=1e-8)


def test_a_listed_size_is_the_best_of_the_list() -> None:
    work = Workload(1e8, 500, 400)
    sizes = [1e8, 4e8, 1.5e9, 6e9]
    alone = [best_spending(ACCURACY, 1e22, work, n_params=(n, n)).predicted for n in sizes]
    found = best_spending(ACCURACY, 1e22, work, n_params=sizes)
    assert found.n_params == pytest.approx(sizes[int(np.argmax(alone))])
    assert found.predicted == pytest.approx(max(alone), rel=1e-12)


def test_an_architecture_pays_for_its_attention() -> None:
    models = [Architecture(n, 64 * n, 256 * n, 32_000, n, 64) for n in (8, 12, 16, 24)]
    work = Workload(1e6, 2000, 1000, sequence=4096)
    found = best_spending(LOSS, 1e20, work, n_params=models)
    chosen = found.architecture
    assert chosen in models
    assert found.n_params == pytest.approx(chosen.n_params(), rel=1e-12)
    # Operations counted one by one: two a weight and four a position, head and dimension.
    weights = chosen.block_params + chosen.vocab * chosen.width
    pairs = 4 * chosen.layers * chosen.heads * chosen.head_dim
    forward = [
        2 * weights * t + pairs * sum(range(s + 1, s + t + 1))
        for s, t in ((0, 4096), (0, 2000), (2000, 1000))
    ]
    assert found.training == pytest.approx(3 * forward[0] / 4096 * found.n_tokens)
    assert found.serving == pytest.approx(1e6 * (forward[1] + found.k * forward[2]))
    assert found.cost == pytest.approx(1e20)
    flat = best_spending(LOSS, 1e20, work, n_params=[float(m.n_params()) for m in models])
    assert found.predicted > flat.predicted  # a loss: attention is not free


@pytest.mark.parametrize("law", [LOSS, ACCURACY])
def test_a_whole_k_is_the_better_neighbour(law: Law) -> None:
    work = Workload(3e8, 500, 400)
    sign = 1 if law.metric == "pass@k" else -1
    found = best_spending(law, 1e22, work, integer_k=True)
    assert found.k == pytest.approx(round(found.k), rel=1e-12)
    others = [best_spending(law, 1e22, work, k=(k, k)).predicted for k in range(1, 400)]
    assert sign * found.predicted == pytest.approx(max(sign * value for value in others), rel=1e-12)
    assert found.cost <= 1e22 * (1 + 1e-12)


@pytest.mark.parametrize("law", [LOSS, ACCURACY])
@pytest.mark.parametrize("budget", [1e19, 7e19, 3e20])
def test_a_whole_k_of_a_list_is_the_best_of_every_size(law: Law, budget: float) -> None:
    # Where k is best at 10.4 for one size and at 36.03 for another, rounding down costs the first much more.
    work, most = Workload(8e7, 45, 95), 6.6e9
    sign = 1 if law.metric == "pass@k" else -1
    sizes = [3.34e7, 1.14e8, 1.9e8, 7.2e8]
    k, n = (axis.ravel() for axis in np.meshgrid(np.arange(1.0, 500.0), sizes))
    train, prompt, sample = work.prices(1.0)
    d = np.minimum((budget / n - prompt - sample * k) / train, most)
    left = d >= 1e8
    values = sign * np.asarray(law.predict(n[left], d[left], k[left]))
    found = best_spending(
        law, budget, work, n_params=sizes, n_tokens=(1e8, most), k=(1, 500), integer_k=True, level=None
    )
    assert sign * found.predicted == pytest.approx(float(values.max()), rel=1e-12)
    assert (found.n_params, found.k) == pytest.approx((n[left][values.argmax()], k[left][values.argmax()]))


def test_intervals_are_those_of_every_draw_planned_anew() -> None:
    rng = np.random.default_rng(0)
    draws = LOSS.vector * np.exp(0.1 * rng.normal(size=(40, LOSS.vector.size)))
    drawn = Law("loss", LOSS.params, draws=draws)
    work = Workload(1e8, 500, 400)
    names = ("E", "A", "B", "G", "alpha", "beta", "gamma")
    plans = [best_spending(Law("loss", dict(zip(names, row, strict=True))), 1e22, work) for row in draws]
    found = best_spending(drawn, 1e22, work, level=0.8)
    for name in ("n_params", "n_tokens", "k", "predicted"):
        expected = np.quantile([getattr(plan, name) for plan in plans], [0.1, 0.9], method="weibull")
        assert found.intervals[name] == pytest.approx(tuple(expected), rel=1e-12)
    here = drawn.interval(found.n_params, found.n_tokens, found.k, level=0.8)
    assert found.intervals["predicted_here"] == pytest.approx(tuple(float(np.asarray(end)) for end in here))
    assert found.reached == 1
    target = float(np.quantile(draws[:, 0], 0.8))
    cheapest = cheapest_spending(drawn, target, work)
    # A loss below E is reached by no model of a draw.
    assert cheapest.reached is not None
    assert cheapest.reached <= np.mean(draws[:, 0] < target)


def test_a_forecast_is_planned_as_well_as_by_a_dense_scan() -> None:
    rng = np.random.default_rng(1)
    n, d = (10 ** rng.uniform(lo, hi, 20) for lo, hi in ((7.5, 9.5), (9.5, 11.5)))
    rows = {"n_params": np.repeat(n, 40), "n_tokens": np.repeat(d, 40), "problem": np.tile(np.arange(40), 20)}
    p = ACCURACY.predict(n, d, 1.0)
    hard = rng.beta(1.0, 3.0, 40)
    chance = 1 - (1 - np.asarray(p)[:, None]) ** (hard / hard.mean())
    counts = {**rows, "n_samples": np.full(800, 64), "n_correct": rng.binomial(64, chance).ravel()}
    law = fit_forecast(read_counts(counts), draws=0)
    work, ranges = Workload(1e7, 300, 200), ((3e7, 3e9), (3e9, 3e11), (1.0, 64.0))
    found = best_spending(law, 1e21, work, n_params=ranges[0], n_tokens=ranges[1], k=ranges[2])
    x, z = np.meshgrid(np.geomspace(*ranges[0], 300), np.geomspace(*ranges[2], 300), indexing="ij")
    left = (1e21 - work.queries * 2 * x * (300 + 200 * z)) / (6 * x)
    ok = left >= ranges[1][0]
    values = law.predict(x[ok], np.minimum(left[ok], ranges[1][1]), z[ok])
    assert found.predicted >= float(np.max(values)) - 1e-6
    assert found.cost <= 1e21 * (1 + 1e-12)


def test_a_target_is_reached_where_more_tokens_would_lose_it_again(pythia: Counts) -> None:
    law = fit_forecast(pythia.filter(min_params=1.6e8, min_tokens=2e9), draws=0)
    work, ranges = (
        Workload(2054, 226, 4.8),
        {"n_params": (8e7, 2.4e10), "n_tokens": (1e9, 6e11), "k": (1, 256)},
    )
    here = law.predict(np.full(100, 3.6e8), np.geomspace(1e9, 6e11, 100), np.full(100, 256.0))
    assert here[-1] < 0.9 * here.max()
    best = best_spending(law, 1.389e20, work, **ranges)
    assert here[-1] < best.predicted
    assert cheapest_spending(law, best.predicted, work, **ranges).cost <= best.cost * (1 + 1e-6)


CHIP = Machine(Accelerator("chip", 1e15, 1e12, 1e11), usd_per_hour=2.0)


@given(
    st.sampled_from([LOSS, ACCURACY]),
    st.floats(21, 23).map(lambda x: 10**x),
    st.floats(-2.5, 0.5).map(lambda x: 10**x),
    st.floats(-2, 0.5).map(lambda x: 10**x),
    st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_limits_of_a_query_are_kept_and_used(
    law: Law, budget: float, cost: float, seconds: float, walled: bool
) -> None:
    work, ranges = Workload(1e7, 500, 400), ((1e7, 1e11), (1.0, 1e3))
    most_d = 3e11 if walled else 1e20
    limits = [Limit.of_cost(work, 1e14 * cost), Limit.of_latency(CHIP, work, seconds * 10)]
    found = best_spending(
        law, budget, work, n_params=ranges[0], n_tokens=(1.0, most_d), k=ranges[1], limits=limits
    )

    def latency(n: np.ndarray, k: np.ndarray) -> np.ndarray:
        arithmetic, bandwidth = 0.4 * 1e15, 0.6 * 1e12
        prompt = np.maximum(2 * n * 500 / arithmetic, 2 * n / bandwidth)
        # 12 layers width^2 weights, width 128 layers, two values of two bytes a layer and width.
        layers = (n / (12 * 128**2)) ** (1 / 3)
        moved = 2 * n + k * (500 + 400 / 2) * 4 * 128 * layers**2
        return prompt + 400 * np.maximum(2 * n * k / arithmetic, moved / bandwidth)

    n, k = np.meshgrid(np.geomspace(*ranges[0], 400), np.geomspace(*ranges[1], 400), indexing="ij")
    d = (budget - 1e7 * 2 * n * (500 + 400 * k)) / (6 * n)
    ok = (d >= 1) & (2 * n * (500 + 400 * k) <= 1e14 * cost) & (latency(n, k) <= seconds * 10)
    sign = 1 if law.metric == "pass@k" else -1
    scan = np.max(sign * np.asarray(law.predict(n[ok], np.minimum(d[ok], most_d), k[ok])))
    assert sign * found.predicted >= scan - 1e-9
    here = np.array(found.n_params), np.array(found.k)
    assert found.serving / 1e7 <= 1e14 * cost * (1 + 1e-9)
    assert latency(*here) <= seconds * 10 * (1 + 1e-9)
    assert found.cost <= budget * (1 + 1e-9)


def test_a_limit_that_nothing_keeps_is_refused() -> None:
    work = Workload(1e6, 500, 400)
    with pytest.raises(ValueError, match=r"cost a query at most 1 FLOPs: the least model, 1M .* times that"):
        best_spending(LOSS, 1e20, work, limits=[Limit.of_cost(work, 1.0)])
    with pytest.raises(ValueError, match="latency at most"):
        cheapest_spending(LOSS, 2.5, work, limits=[Limit.of_latency(CHIP, work, 1e-9)])


def test_how_far_beyond_its_data_a_plan_goes_is_said() -> None:
    law, work = default_law(), Workload(1e6, 500, 500)
    far = plan_spending(law, work, budget=1e26, n_tokens=[3e13], k=256, extrapolate=200)
    assert "D = 30T is 100x above the largest fitted (300B)" in far.warnings
    assert "k = 256 is 2x above the largest fitted (128)" in far.warnings
    near = plan_spending(law, work, budget=1e22).warnings
    # A limit of the law's own says it already.
    assert not any("largest fitted" in words for words in near)
    assert any(words.startswith("held to k = 256") for words in near)


def test_text_worth_less_than_the_law_has_seen_is_said(capsys) -> None:
    work, law = Workload(1e6, 500, 500), default_law()
    words = "below the smallest fitted (2B)"
    little = plan_spending(law, work, budget=1e20, n_tokens=(None, 1.2e9), unique_tokens=1e8).warnings
    assert any(words in one for one in little)
    enough = plan_spending(law, work, budget=1e20, unique_tokens=1e9).warnings
    assert not any(words in one for one in enough)
    assert main(["plan", "--usd", "0", "--gpu", "H100", "--usd-per-hour", "2", "--queries", "1e6"]) == 1
    assert capsys.readouterr().err == "t2fast plan: --usd is 0.0: it has to be positive and finite\n"


@pytest.mark.parametrize("unique", [0.5, 1e7])
def test_text_that_no_reading_makes_enough_is_refused(unique: float, capsys) -> None:
    work, law = Workload(1e6, 500, 500), default_law()
    with pytest.raises(ValueError, match=r"however often .* tokens are read, they are worth less than") as no:
        plan_spending(law, work, budget=1e20, unique_tokens=unique)
    factor = float(str(no.value).rsplit("=", 1)[1])
    # What it says to allow is just enough: 2B tokens are the fewest that the law was fitted on.
    assert 2e9 / factor <= unique * (1 + 15.387756) < 2.1e9 / factor * 1.1
    wider = plan_spending(law, work, budget=1e20, unique_tokens=unique, extrapolate=factor)
    assert wider.compared is None or wider.compared.ratio is None
    line = ["plan", "--total-flops", "1e20", "--queries", "1e6", "--unique-tokens", str(unique)]
    assert main(line) == 1
    assert capsys.readouterr().err.startswith("t2fast plan: --unique-tokens: however often")


@pytest.mark.parametrize("law", [LOSS, ACCURACY])
@pytest.mark.parametrize("sizes", [(1e8, 1e11), [3e8, 2e9, 1.5e10]])
def test_listed_tokens_and_samples_are_the_best_of_every_pair(law: Law, sizes: Any) -> None:
    work, budget = Workload(1e8, 500, 400), 1e22
    tokens, ks = [2e10, 1e11, 7e11], [1.0, 4.0, 16.0, 64.0]
    found = best_spending(law, budget, work, n_params=sizes, n_tokens=tokens, k=ks)
    sign = 1 if law.metric == "pass@k" else -1

    def brute(d: float, k: float) -> float:
        """The largest N that pays for D and k, or the best listed one: all laws gain with N."""
        per_param = 6 * d + 1e8 * (2 * 500 + 2 * 400 * k)
        allowed = [n for n in sizes if n * per_param <= budget] if isinstance(sizes, list) else []
        if isinstance(sizes, tuple) and sizes[0] * per_param <= budget:
            allowed = [min(sizes[1], budget / per_param)]
        return max((sign * float(law.predict(n, d, k)) for n in allowed), default=-math.inf)

    pairs = {(d, k): brute(d, k) for d in tokens for k in ks}
    d, k = max(pairs, key=lambda pair: pairs[pair])
    assert (found.n_tokens, found.k) == (pytest.approx(d), pytest.approx(k))
    assert sign * found.predicted == pytest.approx(pairs[d, k], rel=1e-9)
    # One alone is held; a target of that value costs no more.
    one = best_spending(law, budget, work, n_params=sizes, n_tokens=tokens, k=[ks[1]])
    assert one.k == ks[1]
    assert sign * one.predicted == pytest.approx(max(pairs[d, ks[1]] for d in tokens), rel=1e-9)
    least = cheapest_spending(law, found.predicted, work, n_params=sizes, n_tokens=tokens, k=ks)
    assert least.cost == pytest.approx(found.cost, rel=2e-8)
    assert (least.n_tokens in tokens, least.k in ks) == (True, True)


def test_every_draw_chooses_from_the_lists_anew() -> None:
    draws = np.array([list(ACCURACY.params.values())] * 3)
    draws[:, list(ACCURACY.params).index("beta")] = 0.2, 0.28, 0.35
    law = ACCURACY.with_draws(draws)
    work, tokens, ks = Workload(1e8, 500, 400), [2e10, 1e11, 7e11], [1.0, 16.0]
    found = best_spending(law, 1e22, work, n_tokens=tokens, k=ks)
    assert found.drawn is not None
    for row, values in zip(found.drawn, draws, strict=True):
        alone = Law("accuracy", dict(zip(ACCURACY.params, values.tolist(), strict=True)))
        mine = best_spending(alone, 1e22, work, n_tokens=tokens, k=ks)
        assert row[:4] == pytest.approx([mine.n_params, mine.n_tokens, mine.k, mine.predicted])


def test_lists_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--total-flops", "1e22", "--queries", "1e8", "--json"]
    assert main([*asked, "--k", "1,4,16,64", "--tokens", "50B,200B"]) == 0
    found = json.loads(capsys.readouterr().out)
    law = default_law()
    tried = []
    for d in (5e10, 2e11):
        for k in (1, 4, 16, 64):
            n = min(2.4e10, 1e22 / (6 * d + 1e8 * (1000 + 1000 * k)))
            tried.append((float(law.predict(n, d, k)), n, d, k))
    value, n, d, k = max(tried)
    assert (found["n_tokens"], found["k"]) == (d, k)
    assert (found["predicted"], found["n_params"]) == (pytest.approx(value), pytest.approx(n))
    assert found["chinchilla"]["k"] in (1, 4, 16, 64)
    assert main([*asked, "--k", "16"]) == 0
    assert json.loads(capsys.readouterr().out)["k"] == 16
    for line, message in (
        (["--k", "16,1000"], "k = 1,000 lies beyond what the law was fitted on (1 to 128): leave it out"),
        (["--tokens", "1M"], "D = 1M lies beyond"),
        (["--k", "0.5"], "k holds 0.5: a query gets at least one sample"),
        (["--k", "4", "--max-k", "8"], "--k already says which samples are allowed"),
        (["--tokens", "5B", "--max-tokens", "8B"], "--tokens already says which D are allowed"),
        (["--k", "2.5", "--integer-k"], "k holds what is not whole"),
        (["--k", "nan"], "has to be positive and finite"),
    ):
        assert main([*asked, *line]) == 1
        assert message in capsys.readouterr().err
