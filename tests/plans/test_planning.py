"""Plans against published and independent values, brute force, and the constraints that they must keep."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import t2fast
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit, poch
from t2fast import _core
from t2fast.laws.law import Law
from t2fast.plans import frontier, plan, plan_many

TERMS = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
THETA = {"theta0": 3.0, "theta1": 1.5, "theta2": 0.9, "theta3": 1.0, "theta4": -0.5}
LOSS = Law("loss", {**TERMS, "G": 2.0, "gamma": 0.5})
ACCURACY = Law("accuracy", {**TERMS, **THETA})
CHINCHILLA = Law("chinchilla", TERMS)
BUDGET = (2.56e19, 2e9)


def value(law, n, d, k):
    """The law from its formula, by other means than the core."""
    p = law.params
    latent = p["E"] + p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"]
    if law.name == "chinchilla":
        return latent
    if law.name == "loss":
        return latent + p["G"] / k ** p["gamma"]
    mu = p["theta2"] * expit(-p["theta1"] * (latent - p["theta0"]))
    nu = np.exp(p["theta3"] + p["theta4"] * latent)
    a, b = np.maximum(mu * nu, 1e-300), (1 - mu) * nu
    # B(a, b+k)/B(a, b) as a ratio of rising factorials: a difference of log-betas loses 1e-8 at k = 1e6.
    # Where a and b vanish p is 0 or 1, and SciPy has no digits left.
    return np.where(nu < 1e-200, mu, 1 - poch(b, a) / poch(b + k, a))


def cloud(law, draws=200, spread=0.02, seed=0):
    """Parameter draws around a law."""
    point = np.array([[law.params[name] for name in _core.law_parameters(law.name)]])
    return point * np.exp(spread * np.random.default_rng(seed).normal(size=(draws, point.size)))


def with_draw(law, name, bad):
    """A cloud whose third draw holds a bad value."""
    draws = cloud(law, 5)
    draws[2, _core.law_parameters(law.name).index(name)] = bad
    return draws


def logs(low, high):
    return st.floats(math.log(low), math.log(high)).map(math.exp)


def with_terms(law, e, at_reference, alpha, beta):
    """Add the training terms, given by their size at 1e8 parameters and 1e10 tokens."""
    terms = {
        "E": e,
        "A": at_reference[0] * 1e8**alpha,
        "B": at_reference[1] * 1e10**beta,
        "alpha": alpha,
        "beta": beta,
    }
    return Law("loss" if "G" in law else "accuracy", {**terms, **law})


samples = st.fixed_dictionaries({"G": logs(0.1, 10), "gamma": st.floats(0.05, 1.5)})
links = st.fixed_dictionaries(
    {
        "theta0": st.floats(0.5, 5),
        "theta1": st.floats(0.2, 4),
        "theta2": st.floats(0.3, 0.99),
        "theta3": st.floats(-2, 3),
        "theta4": st.floats(-1, 0),
    }
)
terms = (st.floats(0, 3), st.tuples(logs(0.01, 3), logs(0.01, 3)), st.floats(0.05, 0.6), st.floats(0.05, 0.6))
loss_laws = st.builds(with_terms, samples, *terms)
laws = loss_laws | st.builds(with_terms, links, *terms)
train_budgets, inference_budgets = logs(1e17, 1e25), logs(1e8, 1e12)


def no_worse(law, ours, others, tolerance=1e-9):
    """Whether a value is at least as good as every other; SciPy's sides lose digits of a tiny pass@k."""
    sign = 1 if law.name == "accuracy" else -1
    return np.all(sign * (ours - others) >= -tolerance * np.abs(others) - 1e-9)


def test_loss_law_at_independent_values():
    found = plan(LOSS, *BUDGET)
    assert found.n_params == pytest.approx(51941296.776, rel=1e-10)
    assert found.n_tokens == pytest.approx(82144015099.7, rel=1e-10)
    assert found.k == pytest.approx(19.252503539, rel=1e-10)
    assert found.predicted == pytest.approx(3.47432289269, rel=1e-11)
    assert found.metric == "-log pass@k"
    large = plan(LOSS, 5.88e23, 1.4e11)
    assert large.n_params == pytest.approx(881328756.077, rel=1e-10)
    assert large.n_tokens == pytest.approx(111195736352000.0, rel=1e-10)
    assert large.k == pytest.approx(79.4255259656, rel=1e-10)
    assert large.predicted == pytest.approx(2.33183888687, rel=1e-11)


def test_without_a_samples_term_the_plan_is_chinchillas():
    law = Law("loss", {**LOSS.params, "G": 0.0})
    found = plan(law, *BUDGET)
    assert found.n_params == pytest.approx(3.48512e8, rel=1e-5)
    assert found.chinchilla.n_params == pytest.approx(found.n_params, rel=1e-12)
    assert plan(LOSS, *BUDGET).chinchilla.n_params == pytest.approx(found.n_params, rel=1e-12)
    assert plan(CHINCHILLA, BUDGET[0]).n_params == pytest.approx(found.n_params, rel=1e-12)


def test_accuracy_law_at_an_independent_value():
    found = plan(ACCURACY, *BUDGET, n_params=[37e6])
    assert found.n_params == 37e6
    assert found.predicted == pytest.approx(0.734216631821, rel=1e-11)
    assert found.metric == "pass@k"
    free = plan(ACCURACY, *BUDGET)
    assert free.predicted > found.predicted
    assert free.predicted == pytest.approx(value(ACCURACY, free.n_params, free.n_tokens, free.k), rel=1e-11)


@given(loss_laws, train_budgets, inference_budgets)
@settings(max_examples=60, deadline=None)
def test_loss_plan_solves_the_stationarity_equation(law, train, inference):
    found = plan(law, train, inference)
    assume(found.bound is None)
    with mpmath.workdps(40):
        p = {name: mpmath.mpf(x) for name, x in law.params.items()}
        c, q = mpmath.mpf(train), mpmath.mpf(inference)

        def balance(x):
            n = mpmath.exp(x)
            falling = p["alpha"] * p["A"] * n ** -p["alpha"]
            tokens = p["beta"] * p["B"] * (6 / c) ** p["beta"] * n ** p["beta"]
            drawn = p["gamma"] * p["G"] * (2 / q) ** p["gamma"] * n ** p["gamma"]
            return mpmath.log(tokens + drawn) - mpmath.log(falling)

        exact = mpmath.exp(mpmath.findroot(balance, mpmath.log(found.n_params)))
    assert found.n_params == pytest.approx(float(exact), rel=1e-11)


@given(
    laws,
    train_budgets,
    inference_budgets,
    st.none() | logs(1e8, 1e14),
    st.none() | logs(1e6, 1e10),
    st.none() | logs(1, 1e4),
)
@settings(max_examples=100, deadline=None)
def test_no_point_of_a_brute_force_scan_is_better(law, train, inference, most_tokens, most_params, max_k):
    ranges = {"n_tokens": (None, most_tokens), "n_params": (1e4, most_params), "max_k": max_k}
    found = plan(law, train, inference, **ranges)
    n = np.geomspace(1e4, min(inference / 2, train / 6, most_params or math.inf), 4001)
    d = np.minimum(train / (6 * n), most_tokens or math.inf)
    k = np.minimum(inference / (2 * n), max_k or math.inf)
    assert no_worse(law, found.predicted, value(law, n, d, k))
    own = value(law, found.n_params, found.n_tokens, found.k)
    assert found.predicted == pytest.approx(own, rel=1e-9, abs=1e-9)
    assert found.gain >= -1e-12


@given(laws, logs(1e17, 1e22), logs(1e6, 1e8), st.none() | logs(1e8, 1e12))
@settings(max_examples=40, deadline=None)
def test_whole_k_by_brute_force(law, train, inference, most_tokens):
    options = {"n_params": (1e5, None), "n_tokens": (None, most_tokens)}
    found = plan(law, train, inference, integer_k=True, **options)
    assert found.k == int(found.k)
    for k in range(1, min(int(found.k) * 2 + 20, int(inference / 2e5)) + 1):
        n = np.geomspace(1e5, min(inference / (2 * k), train / 6), 1001)
        d = np.minimum(train / (6 * n), most_tokens or math.inf)
        assert no_worse(law, found.predicted, value(law, n, d, k))
    assert no_worse(law, plan(law, train, inference, **options).predicted, found.predicted, 1e-12)


@given(
    laws,
    st.tuples(train_budgets, inference_budgets),
    st.tuples(logs(1, 1e7), logs(1e7, 1e11)),
    st.tuples(logs(1, 1e6), logs(1e6, 1e14)),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_constraints_hold_exactly(law, budget, sizes, tokens, whole):
    train, inference = budget
    found = plan(law, train, inference, n_params=sizes, n_tokens=tokens, integer_k=whole)
    for choice in (found, found.chinchilla):
        assert 6 * choice.n_params * choice.n_tokens <= train
        assert 2 * choice.n_params * choice.k <= inference
        assert choice.k >= 1
        assert sizes[0] <= choice.n_params <= sizes[1]
        assert tokens[0] <= choice.n_tokens <= tokens[1]


@given(
    laws, train_budgets, inference_budgets, st.lists(logs(1e6, 1e12), min_size=1, max_size=6), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_sizes_from_a_list(law, train, inference, sizes, whole):
    affordable = [n for n in sizes if n <= inference / 2]
    if not affordable:
        with pytest.raises(ValueError, match="k >= 1"):
            plan(law, train, inference, n_params=sizes)
        return
    found = plan(law, train, inference, n_params=np.array(sizes), integer_k=whole)
    assert found.n_params in affordable
    assert found.chinchilla.n_params in affordable
    n = np.array(affordable)
    k = inference / (2 * n)
    assert no_worse(law, found.predicted, value(law, n, train / (6 * n), np.floor(k) if whole else k))
    left_out = any("left out" in warning for warning in found.warnings)
    assert left_out == (len(affordable) < len(sizes))
    assert set(found.profile().n_params) == set(affordable)


def test_chinchilla_rules():
    assert plan(LOSS, *BUDGET).chinchilla.rule == "law"
    twenty = plan(LOSS, *BUDGET, chinchilla=20).chinchilla
    assert twenty.rule == 20.0
    assert twenty.tokens_per_param == pytest.approx(20, rel=1e-12)
    assert twenty.n_params == pytest.approx(math.sqrt(BUDGET[0] / 120), rel=1e-12)
    latent = Law("accuracy", {**ACCURACY.params, "E": 0.0, "theta0": 1.3, "theta1": 1.0}, latent=True)
    assert plan(latent, *BUDGET).chinchilla.rule == 20.0
    assert plan(latent, *BUDGET, chinchilla="law").chinchilla.rule == "law"
    assert plan(ACCURACY, *BUDGET).chinchilla.rule == "law"


def test_chinchilla_too_large_for_inference_is_clamped_and_says_so():
    held = plan(LOSS, 1e25, 2e9).chinchilla
    assert held.clamped
    assert held.bound is not None
    assert "one sample" in held.bound
    assert held.n_params == 1e9
    assert held.k == 1
    assert held.to_dict()["clamped"] is True
    words = f"Chinchilla's N was moved by {held.bound}"
    assert plan(LOSS, 1e25, 2e9).warnings[0] == words
    assert not plan(LOSS, *BUDGET).chinchilla.clamped
    sizes = plan(LOSS, 1e25, 2e9, n_params=[1e7, 5e8, 3e9]).chinchilla
    assert sizes.clamped
    assert sizes.n_params == 5e8


def test_chinchilla_law_needs_no_inference_budget():
    free = plan(CHINCHILLA, 5.76e23)
    assert free.k is None
    assert free.inference_flops_used is None
    assert free.ratio is None
    assert "k" not in free.intervals
    assert json.loads(json.dumps(free.to_dict()))["chinchilla"]["k"] is None
    held = plan(CHINCHILLA, 5.76e23, 2e9)
    assert (held.n_params, held.k) == (1e9, 1.0)
    said = "the law says nothing of samples"
    assert any(said in warning for warning in held.warnings)
    assert not any(said in warning for warning in free.warnings)
    assert np.isinf(plan_many(CHINCHILLA, [1e20, 1e21]).k).all()
    assert frontier(CHINCHILLA, [1e20, 1e21])["k"].null_count() == 2


def test_intervals_contain_the_point_of_a_tight_cloud():
    for law in (LOSS, ACCURACY):
        with_draws = Law(law.name, law.params, cloud(law, spread=1e-3))
        found = plan(with_draws, *BUDGET)
        for choice in (found, found.chinchilla):
            assert set(choice.intervals) == {
                "n_params",
                "n_tokens",
                "k",
                "tokens_per_param",
                "predicted",
                "predicted_here",
            }
            for name, (low, high) in choice.intervals.items():
                middle = getattr(choice, name.removesuffix("_here"))
                assert low < middle < high, name
                assert high / low < 1.1, name
        narrow = plan(with_draws, *BUDGET, level=0.5)
        assert narrow.intervals["k"][0] > found.intervals["k"][0]
        every = plan_many(with_draws, *BUDGET, draws=with_draws.draws)
        assert every.k.shape == (1, 200)
        low, high = np.quantile(every.k, [0.05, 0.95], method="weibull")
        assert found.intervals["k"] == pytest.approx((low, high), rel=1e-12)
    assert plan(LOSS, *BUDGET).intervals == {}


def test_result_as_json():
    found = plan(Law("loss", LOSS.params, cloud(LOSS)), *BUDGET)
    data = json.loads(json.dumps(found.to_dict()))
    expected = {"n_params", "n_tokens", "k", "tokens_per_param", "predicted"}
    assert {*expected, "chinchilla"} <= set(data)
    assert expected <= set(data["chinchilla"])
    assert data["tokens_per_param"] == data["n_tokens"] / data["n_params"]
    assert data["gain"] == data["chinchilla"]["predicted"] - data["predicted"]
    assert data["ratio"] == pytest.approx(math.exp(data["gain"]))


def test_warnings_say_how_far_outside():
    law = Law("loss", LOSS.params, domain={"n_params": (1.6e8, 1e9), "n_tokens": (2e9, 4e10), "k": (1, 128)})
    first, second = plan(law, *BUDGET, extrapolate=math.inf).warnings
    assert first == "N = 51.9M is 3.08x below the smallest fitted (160M)"
    assert second == "D = 82.1B is 2.05x above the largest fitted (40B)"
    assert plan(LOSS, *BUDGET).warnings == ()
    capped = plan(LOSS, *BUDGET, n_tokens=(None, 1e10))
    assert capped.n_tokens == 1e10
    assert any("unspent" in warning for warning in capped.warnings)
    backwards = Law("accuracy", {**ACCURACY.params, "theta4": 1.0, "theta1": 0.02})
    assert "the law gets worse with more tokens here" in plan(backwards, *BUDGET, n_params=[3e8]).warnings[-1]


def test_profile_peaks_at_the_plan():
    for law in (LOSS, ACCURACY):
        found = plan(law, *BUDGET)
        profile = found.profile(401)
        np.testing.assert_allclose(6 * profile.n_params * profile.n_tokens, BUDGET[0], rtol=1e-12)
        np.testing.assert_allclose(2 * profile.n_params * profile.k, BUDGET[1], rtol=1e-12)
        expected = value(law, profile.n_params, profile.n_tokens, profile.k)
        np.testing.assert_allclose(profile.predicted, expected, rtol=1e-9)
        assert profile.k.min() >= 1
        assert no_worse(law, found.predicted, profile.predicted, 1e-14)
        best = (np.argmin if law.name == "loss" else np.argmax)(profile.predicted)
        assert profile.n_params[best] == pytest.approx(found.n_params, rel=0.03)
    whole = plan(LOSS, *BUDGET, integer_k=True).profile(50)
    assert (whole.k == np.floor(whole.k)).all()


@pytest.mark.parametrize("law", [LOSS, ACCURACY], ids=lambda law: law.name)
def test_frontier_never_gets_worse(law):
    train = np.geomspace(1e16, 1e25, 181)
    frame = frontier(Law(law.name, law.params, cloud(law, 20)), train, 1.4e11)
    assert frame.height == 181
    numbers = frame.select(
        name for name in frame.columns if not name.endswith(("metric", "bound", "clamped"))
    )
    assert numbers["per_doubling"].is_null().to_list() == [True] + [False] * 180
    assert np.isfinite(numbers.drop("per_doubling").to_numpy()).all()
    steps = np.diff(frame["predicted"].to_numpy())
    assert ((steps >= 0) if law.name == "accuracy" else (steps <= 0)).all()
    gain = (frame["predicted"] - frame["chinchilla_predicted"]).to_numpy()
    assert ((gain >= 0) if law.name == "accuracy" else (gain <= 0)).all()
    # Chinchilla's, corrected for inference, does get worse, and ends too large to draw a second sample.
    theirs = np.diff(frame["chinchilla_predicted"].to_numpy())
    assert (theirs > 0).any()
    assert (theirs < 0).any()
    assert frame["chinchilla_clamped"][-1]
    assert (frame["n_params_low"] < frame["n_params_high"]).all()


def test_many_plans_are_the_plans_one_by_one():
    train, inference = np.geomspace(1e18, 1e24, 7), np.geomspace(1e9, 1e12, 7)
    for law in (LOSS, ACCURACY, CHINCHILLA):
        draws = cloud(law, 5)
        many = plan_many(law, train, inference, draws=draws, integer_k=True)
        assert many.n_params.shape == many.chinchilla.clamped.shape == (7, 5)
        for i, j in np.ndindex(7, 5):
            params = dict(zip(_core.law_parameters(law.name), draws[j], strict=True))
            single = plan(Law(law.name, params), train[i], inference[i], integer_k=True)
            assert many.n_params[i, j] == single.n_params
            assert many.predicted[i, j] == single.predicted
            assert many.chinchilla.k[i, j] == single.chinchilla.k
            assert many.tokens_per_param[i, j] == single.tokens_per_param
    assert plan_many(LOSS, train, 1e9).n_params.shape == (7,)


def test_thread_count_changes_no_bit():
    code = (
        "import sys, numpy as np; from t2fast import _core\n"
        "from t2fast.plans.planned import Constraints\n"
        "rng = np.random.default_rng(1)\n"
        "train, inference = 10 ** rng.uniform(18, 25, 40), 10 ** rng.uniform(9, 12, 40)\n"
        "points = {'loss': [1.69, 406.4, 410.7, 2, 0.34, 0.28, 0.5],"
        " 'accuracy': [1.69, 406.4, 410.7, 0.34, 0.28, 3, 1.5, 0.9, 1, -0.5]}\n"
        "for name, point in points.items():\n"
        "    rows = np.array(point) * np.exp(0.01 * rng.normal(size=(50, len(point))))\n"
        "    for whole in (False, True):\n"
        "        limits = Constraints((1, np.inf), None, (1, np.inf), np.inf, whole)\n"
        "        arrays = _core.plan_batch(name, rows, train, inference, limits, None)\n"
        "        sys.stdout.write(''.join(a.tobytes().hex() for a in arrays))\n"
    )
    path = str(Path(t2fast.__file__).parents[1])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONPATH": path},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 100_000


@pytest.mark.parametrize(
    ("law", "arguments", "options", "message"),
    [
        (LOSS, (0, 1e9), {}, r"train_flops is 0\.0"),
        (LOSS, (math.nan, 1e9), {}, "train_flops is nan"),
        (LOSS, (1e20, math.inf), {}, "inference_flops is inf"),
        (LOSS, (1e20, -1), {}, r"inference_flops is -1\.0"),
        (LOSS, (1e20, "1e9"), {}, "inference_flops is '1e9'"),
        (LOSS, (True, 1e9), {}, "train_flops is True"),
        (LOSS, (1e20,), {}, "inference_flops is missing"),
        (LOSS, BUDGET, {"n_params": []}, "empty list of sizes"),
        (LOSS, BUDGET, {"n_params": [1e8, -2]}, r"n_params\[1\] is -2\.0"),
        (LOSS, BUDGET, {"n_params": 1e8}, "a tuple .* or a list of sizes"),
        (LOSS, BUDGET, {"n_params": (1, 2, 3)}, "a tuple .* or a list of sizes"),
        (LOSS, BUDGET, {"n_params": (2e8, 1e8)}, "n_params runs from 2e.08 down to 1e.08"),
        (LOSS, BUDGET, {"n_params": (math.inf, None)}, "n_params minimum is inf"),
        (LOSS, BUDGET, {"n_tokens": (2e8, 1e8)}, "n_tokens runs from"),
        (LOSS, BUDGET, {"n_tokens": []}, "n_tokens is"),
        (LOSS, BUDGET, {"n_params": (3e9, None)}, r"3\.0000e9.*k >= 1 .*1\.0000e9, 3\.000x less"),
        (
            LOSS,
            BUDGET,
            {"n_params": (1e8, None), "n_tokens": (1e12, None)},
            "n_tokens minimum .*23.438x less",
        ),
        (LOSS, BUDGET, {"integer_k": 1}, "integer_k is 1"),
        (LOSS, BUDGET, {"chinchilla": "kaplan"}, "chinchilla is 'kaplan'"),
        (LOSS, BUDGET, {"chinchilla": 0}, "tokens per parameter"),
        (LOSS, BUDGET, {"level": 90}, "level is 90"),
        (Law("loss", LOSS.params, with_draw(LOSS, "alpha", -0.1)), BUDGET, {}, r"alpha is -0\.1 in draw 2"),
        (Law("loss", LOSS.params, with_draw(LOSS, "E", math.nan)), BUDGET, {}, "E is NaN in draw 2"),
        (Law("accuracy", ACCURACY.params, with_draw(ACCURACY, "theta2", 1.5)), BUDGET, {}, "between 0 and 1"),
    ],
)
def test_bad_arguments_are_named(law, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        plan(law, *arguments, **options)


def test_bad_arrays_are_named():
    with pytest.raises(ValueError, match=r"train_flops\[1\] is .*-1"):
        plan_many(LOSS, [1e20, -1], 1e9)
    with pytest.raises(ValueError, match="3 budgets and inference_flops 2"):
        plan_many(LOSS, [1e20] * 3, [1e9] * 2)
    with pytest.raises(ValueError, match=r"shape \(0,\)"):
        plan_many(LOSS, [], 1e9)
    with pytest.raises(ValueError, match="give numbers"):
        frontier(LOSS, ["1e20"], 1e9)
    with pytest.raises(ValueError, match=r"draws has shape \(4, 3\)"):
        plan_many(LOSS, 1e20, 1e9, draws=np.ones((4, 3)))
    with pytest.raises(ValueError, match="inference_flops is missing"):
        frontier(LOSS, [1e20])
    with pytest.raises(ValueError, match=r"budget 1: .* 2\.000x less"):
        plan_many(LOSS, [1e20, 1e20], [8e9, 2e9], n_params=(2e9, None))
