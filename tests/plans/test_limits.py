"""Plans that stay where the law has seen something, and say what that costs."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.laws import FitReport, Law, default_law, simulate_counts
from t2fast.plans import frontier, plan, plan_many
from t2fast.plans.frontiers import ending, knee

DOMAIN = {"n_params": (1e8, 1e10), "n_tokens": (1e9, 3e11), "k": (1.0, 128.0)}
LOSS = Law(
    "loss",
    {"E": 0.1, "A": 406.4, "B": 410.7, "G": 2.0, "alpha": 0.34, "beta": 0.28, "gamma": 0.5},
    domain=DOMAIN,
)


def logs(low, high):
    return st.floats(math.log10(low), math.log10(high)).map(lambda x: 10.0**x)


@given(logs(1e16, 1e28), logs(1e6, 1e16), st.sampled_from([1.0, 2.0, 7.5]))
@settings(max_examples=200, deadline=None)
def test_a_plan_is_near_the_data_or_says_what_factor_would_do(train, inference, factor):
    try:
        found = plan(LOSS, train, inference, extrapolate=factor)
    except ValueError as error:
        suggested = float(re.search(r"extrapolate=([\d.e+]+)", str(error)).group(1))
        assert suggested > factor
        found = plan(LOSS, train, inference, extrapolate=suggested)
        factor = suggested
    for choice in (found, found.chinchilla):
        for name in ("n_params", "n_tokens"):
            low, high = DOMAIN[name]
            assert low / factor * (1 - 1e-12) <= getattr(choice, name) <= high * factor * (1 + 1e-12)
        assert 1 <= choice.k <= 128 * factor
        assert choice.train_flops_used <= train
        assert choice.inference_flops_used <= inference


@pytest.mark.parametrize(
    ("budgets", "axis"), [((1e24, 1e12), "n_tokens"), ((1e22, 1e14), "k"), ((1e20, 1e9), "n_params")]
)
def test_what_lifting_a_limit_would_bring_is_what_it_brings(budgets, axis):
    found = plan(LOSS, *budgets)
    symbol = {"n_tokens": "D", "k": "k", "n_params": "N"}[axis]
    (said,) = (w for w in found.warnings if w.startswith(f"held to {symbol}"))
    further, here = map(float, re.search(r"bring -log pass@k (\S+) in place of (\S+),", said).groups())
    assert here == pytest.approx(found.predicted, rel=1e-3)
    low, high = DOMAIN[axis]
    # A law that had seen twice as far on this side alone.
    wider = (low / 2, high) if found_at_least(found, axis, low) else (low, 2 * high)
    lifted = plan(replace(LOSS, domain={**DOMAIN, axis: wider}), *budgets)
    assert further == pytest.approx(lifted.predicted, rel=1e-3)
    assert lifted.predicted < found.predicted


def found_at_least(found, axis, low):
    return getattr(found, axis) < 1.01 * low


def test_budgets_that_reach_no_data_are_refused_with_the_factor():
    with pytest.raises(ValueError, match=r"1e\+14 training FLOPs buy no model .* extrapolate="):
        plan(default_law(), 1e14, 1e6)
    with pytest.raises(ValueError, match="1e\\+06 inference FLOPs per token draw not one sample"):
        plan(default_law(), 1e20, 1e6)
    with pytest.raises(ValueError, match="D from 10T on lies beyond"):
        plan(default_law(), 1e25, 1e10, n_tokens=(1e13, None))
    with pytest.raises(ValueError, match="none of these sizes"):
        plan(default_law(), 1e22, 1e12, n_params=[1e12])
    with pytest.raises(ValueError, match="at least 1"):
        plan(default_law(), 1e20, 1e10, extrapolate=0.5)


def test_the_ratio_has_an_interval_of_replanned_draws():
    rng = np.random.default_rng(0)
    law = replace(LOSS, draws=LOSS.vector * np.exp(0.03 * rng.normal(size=(40, 7))))
    budgets = (2.56e20, 2e10)
    found = plan(law, *budgets)
    assert found.ratio == pytest.approx(math.exp(found.chinchilla.predicted - found.predicted))
    ratios = []
    for row in law.draws:
        one = plan(Law("loss", dict(zip(LOSS.params, row, strict=True)), domain=DOMAIN), *budgets)
        ratios.append(math.exp(one.chinchilla.predicted - one.predicted))
    assert found.ratio_interval == pytest.approx(
        tuple(np.quantile(ratios, [0.05, 0.95], method="weibull")), rel=1e-9
    )
    frame = frontier(law, [budgets[0]], budgets[1])
    columns = [frame[name][0] for name in ("ratio", "ratio_low", "ratio_high")]
    assert columns == pytest.approx([found.ratio, *found.ratio_interval], rel=1e-12)
    assert found.to_dict()["ratio_interval"] == list(found.ratio_interval)


def test_outside_the_data_there_is_no_ratio():
    assert plan(LOSS, 1e24, 1e12).ratio is None
    far = plan(LOSS, 1e26, 1e12, extrapolate=math.inf)
    assert far.ratio is None
    assert "outside the law's data" in far.no_ratio
    assert "no ratio to Chinchilla's" in str(far)
    assert frontier(LOSS, [1e26], 1e12, extrapolate=math.inf)["ratio"].to_list() == [None]


def test_an_unconverged_law_plans_nothing_and_the_laws_faults_are_repeated():
    report = FitReport("by hand", 1.0, "squares", 9, 9, True, "done", 1, notes=("on a bound: G = 2",))
    assert "the law: on a bound: G = 2" in plan(replace(LOSS, fit=report), 2.56e20, 2e10).warnings
    stuck = replace(LOSS, fit=replace(report, converged=False, reason="it stalled"))
    for make in (plan, frontier):
        with pytest.raises(ValueError, match="did not converge \\(it stalled\\)"):
            make(stuck, 2.56e20, 2e10)


def test_a_loss_law_says_what_pass_at_k_its_loss_is():
    found = plan(LOSS, 2.56e20, 2e10)
    assert found.metric == "-log pass@k"
    assert found.pass_at_k == pytest.approx(math.exp(-found.predicted))
    assert f"{found.pass_at_k:.4f}" in str(found)
    assert found.to_dict()["pass_at_k"] == found.pass_at_k


def test_a_frontier_ends_where_a_doubling_brings_less_than_a_hundredth():
    budgets = np.geomspace(1e19, 1e25, 25)
    frame = frontier(LOSS, budgets, 1e11)
    pass_at_k = np.exp(-frame["predicted"].to_numpy())
    rate = (pass_at_k[1:] / pass_at_k[:-1]) ** (1 / np.diff(np.log2(budgets))) - 1
    np.testing.assert_allclose(frame["per_doubling"].to_numpy()[1:], rate, rtol=1e-9, atol=1e-12)
    assert knee(frame) == 1 + int(np.argmax(rate < 0.01))


def test_a_frontier_says_which_limit_ends_it_and_what_its_least_budget_must_be():
    frame = frontier(LOSS, np.geomspace(1e21, 1e25, 9), 1e11)
    last = knee(frame)
    assert frame["bound"][last] == "the n_tokens maximum"
    assert ending(frame).endswith(": tokens stop at 600B, the n_tokens maximum")
    assert ending(frame.head(last)) is None
    falling = frame.with_columns(bound=None, per_doubling=-0.01)
    assert ending(falling).endswith("the law gets worse with more tokens there")
    with pytest.raises(ValueError, match=r"1e\+14 training FLOPs buy no model that this law can speak of"):
        frontier(LOSS, [1e21, 1e14], 1e11)
    with pytest.raises(ValueError, match=r"1e\+14 training FLOPs buy no model that this law can speak of"):
        plan_many(LOSS, [1e21, 1e14], 1e11)


def test_draws_that_end_on_another_bound_are_named_with_it():
    law = default_law()
    found = plan(law, 2.56e19, 2e9)
    assert found.bound is None
    each = [
        plan(replace(law, params=dict(zip(law.params, row, strict=True)), draws=None), 2.56e19, 2e9)
        for row in law.draws
    ]
    share = sum(one.bound == "the n_params minimum" for one in each) / len(each)
    assert {one.bound for one in each} == {None, "the n_params minimum"}
    assert (
        f"of the law's draws {share:.0%} end on the n_params minimum, which cuts the intervals there"
        in found.warnings
    )


@pytest.mark.parametrize("wrong", ["law.json", None, 3])
def test_what_is_no_law_is_refused_by_what_is_one(wrong: object) -> None:
    for call in (plan, plan_many, frontier):
        with pytest.raises(TypeError, match=r"a plan takes Law or ForecastLaw, not .*Law.load"):
            call(wrong, 1e20, 1e10)  # type: ignore[operator]
    with pytest.raises(TypeError, match="simulate_counts takes Law, not a"):
        simulate_counts(wrong, [1e8], [1e9])  # type: ignore[arg-type]
