"""Laws: their formulas by other means, and files that keep every bit or are refused."""

import json
import os
import string
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast import _core
from t2fast.laws import Validated, default_law
from t2fast.laws.law import NAMES, FitReport, Law

TERMS = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
THETA = {"theta0": 3.0, "theta1": 1.5, "theta2": 0.9, "theta3": 1.0, "theta4": -0.5}
LAWS = {
    "chinchilla": Law("chinchilla", TERMS),
    "loss": Law("loss", {**TERMS, "G": 2.0, "gamma": 0.5}),
    "accuracy": Law("accuracy", {**TERMS, **THETA}),
    "counts": Law("counts", {**TERMS, **THETA, "sigma": 0.3}),
    "direct": Law("direct", {"c0": 12.0, "c1": -0.27, "c2": -0.9, "c3": 0.012}),
}


def exact(law: Law, n: float, d: float, k: float) -> float:
    with mpmath.workdps(40):
        p = {name: mpmath.mpf(value) for name, value in law.params.items()}
        if law.name == "direct":
            log_c, log_k = mpmath.log(6 * mpmath.mpf(n) * mpmath.mpf(d)), mpmath.log(k)
            slope = p["c2"] + p["c3"] * log_c
            return float(mpmath.exp(-mpmath.exp(p["c0"] + p["c1"] * log_c + slope * log_k)))
        latent = p["E"] + p["A"] / mpmath.mpf(n) ** p["alpha"] + p["B"] / mpmath.mpf(d) ** p["beta"]
        if law.name == "chinchilla":
            return float(latent)
        if law.name == "loss":
            return float(latent + p["G"] / mpmath.mpf(k) ** p["gamma"])
        mu = p["theta2"] / (1 + mpmath.exp(p["theta1"] * (latent - p["theta0"])))
        nu = mpmath.exp(p["theta3"] + p["theta4"] * latent)
        a, b = mu * nu, (1 - mu) * nu
        return float(1 - mpmath.beta(a, b + k) / mpmath.beta(a, b))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NAMES), st.floats(5, 13), st.floats(6, 16), st.floats(-1, 6))
def test_values_follow_the_formulas(name, n, d, k):
    n, d, k = 10**n, 10**d, 10**k
    assert LAWS[name].predict(n, d, k) == pytest.approx(exact(LAWS[name], n, d, k), rel=1e-11)


def test_the_accuracy_laws_published_value():
    n = 37e6
    d, k = 2.56e19 / (6 * n), 2e9 / (2 * n)
    assert LAWS["chinchilla"].predict(n, d) == pytest.approx(3.10408185154, rel=1e-11)
    assert LAWS["accuracy"].predict(n, d, k) == pytest.approx(0.734216631821, rel=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_coordinates_broadcast(name):
    law, n, k = LAWS[name], np.array([[1e7], [1e8], [1e9]]), [1, 2.5, 64, 1000]
    table = law.predict(n, 2e10, k)
    assert table.shape == (3, 4)
    assert table[1, 2] == law.predict(1e8, 2e10, 64)
    assert isinstance(law.predict(1e8, 2e10), float)
    assert law.predict([], 2e10).shape == (0,)
    with pytest.raises(ValueError, match=r"shape mismatch|broadcast"):
        law.predict([1e7, 1e8], [1e9, 1e9, 1e9])


@pytest.mark.parametrize(
    ("n", "d", "k", "message"),
    [
        ([1e8, 0], 1e9, 1, r"n_params\[1\] = 0"),
        (1e8, -1e9, 1, r"n_tokens\[0\] = -1"),
        (1e8, 1e9, [1, np.nan], r"k\[1\] = nan"),
        (np.inf, 1e9, 1, r"n_params\[0\] = inf"),
    ],
)
def test_coordinates_must_be_positive_and_finite(n, d, k, message):
    with pytest.raises(ValueError, match=message):
        LAWS["loss"].predict(n, d, k)


def test_intervals_are_quantiles_of_the_draws():
    draws = LAWS["loss"].vector * np.random.default_rng(0).uniform(0.9, 1.1, (300, 7))
    law = Law("loss", LAWS["loss"].params, draws)
    low, high = law.interval([1e8, 1e9], 2e10, 4, level=0.8)
    values = [
        Law("loss", dict(zip(law.params, row, strict=True))).predict([1e8, 1e9], 2e10, 4) for row in draws
    ]
    # The i-th of 300 has i/301 of all others below it: the ends lie at places 30.1 and 270.9.
    sorted_values = np.sort(values, axis=0)
    ends = [
        0.9 * sorted_values[29] + 0.1 * sorted_values[30],
        0.1 * sorted_values[269] + 0.9 * sorted_values[270],
    ]
    np.testing.assert_allclose([low, high], ends, rtol=1e-13)
    with pytest.raises(ValueError, match=r"level = 1\.5"):
        law.interval(1e8, 2e10, level=1.5)
    with pytest.raises(ValueError, match="no bootstrap draws"):
        LAWS["loss"].interval(1e8, 2e10)


# --- what a law may be ---


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("power", {}, "law 'power' is unknown; there are chinchilla, loss, accuracy, counts, direct"),
        ("loss", {"G": None}, "missing G"),
        ("chinchilla", {"G": 1.0}, "not among them G"),
        ("chinchilla", {"A": -1.0}, "A = -1.0 .* not negative"),
        ("chinchilla", {"beta": np.nan}, "beta = NaN"),
        ("accuracy", {"theta2": 1.1}, "theta2 = 1.1 .* probability"),
        ("accuracy", {"theta0": np.inf}, "theta0 = inf"),
    ],
)
def test_impossible_parameters_are_refused(name, change, message):
    params = {**LAWS.get(name, LAWS["loss"]).params, **change}
    with pytest.raises(ValueError, match=message):
        Law(name, {key: value for key, value in params.items() if value is not None})


def test_parameters_are_put_in_the_laws_order():
    law = Law("loss", dict(reversed(LAWS["loss"].params.items())))
    assert list(law.params) == _core.law_parameters("loss")
    assert law.vector.tolist() == LAWS["loss"].vector.tolist()


def test_draws_have_a_column_a_parameter():
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \(draws, 5\)"):
        Law("chinchilla", TERMS, np.ones((2, 3)))


def test_a_latent_loss_is_a_fact_of_the_law_and_not_of_its_parameters():
    held = {**TERMS, **THETA, "E": 0.0, "theta1": 1.0}
    measured, latent = Law("accuracy", held), Law("accuracy", held, latent=True)
    assert not Law.from_dict(measured.to_dict()).latent
    assert Law.from_dict(latent.to_dict()).latent
    for law in (measured, latent):  # what the parameters are does not tell
        silent = {key: value for key, value in law.to_dict().items() if key != "latent"}
        with pytest.raises(ValueError, match=r'my.json does not say .* add "latent": false if'):
            Law.from_dict(silent, "my.json")
    chinchilla = {key: value for key, value in Law("chinchilla", TERMS).to_dict().items() if key != "latent"}
    assert not Law.from_dict(chinchilla).latent
    assert default_law().latent
    with pytest.raises(ValueError, match="E = 0 and theta1 = 1"):
        Law("accuracy", {**TERMS, **THETA}, latent=True)
    with pytest.raises(ValueError, match="accuracy or counts law"):
        Law("chinchilla", {**TERMS, "E": 0.0}, latent=True)


# --- files ---

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(0, 1, allow_subnormal=True) | st.floats(0, 1e300)
words = st.text(string.printable + "αβ→\u2028😀", max_size=30)
names = st.lists(st.sampled_from(["E", "A", "alpha"]), max_size=3).map(tuple)
reports = st.builds(
    FitReport,
    method=words,
    objective=finite,
    objective_name=words,
    points=st.integers(0, 2**60),
    checkpoints=st.integers(0, 100),
    converged=st.booleans(),
    reason=words,
    evaluations=st.integers(0, 10**6),
    unidentified=names,
    on_bound=names,
    median_relative_error=st.none() | finite,
    lack_of_fit=st.none() | finite,
    notes=st.lists(words, max_size=3).map(tuple),
    seed=st.none() | st.integers(0, 2**64),
)
validations = st.builds(
    Validated,
    by=words,
    splits=st.integers(0, 2**60),
    error=finite,
    nearest=finite,
    worse=finite,
    level=finite,
    coverage=st.none() | finite,
    width=st.none() | finite,
    forecastable=st.booleans(),
    verdict=words,
    seed=st.none() | st.integers(0, 2**64),
)


@st.composite
def laws(draw):
    name = draw(st.sampled_from(NAMES))
    params = {
        p: draw(st.floats(0, 1) if p == "theta2" else finite if p.startswith("theta") else positive)
        for p in _core.law_parameters(name)
    }
    count = draw(st.none() | st.integers(0, 4))
    draws = None
    if count is not None:
        rows = draw(st.lists(positive, min_size=count * len(params), max_size=count * len(params)))
        draws = np.array(rows).reshape(count, len(params))
    sizes = st.floats(0, exclude_min=True, allow_infinity=False)
    ranges = st.tuples(sizes, sizes).map(sorted).map(tuple)
    domain = draw(st.dictionaries(st.sampled_from(["n_params", "n_tokens", "k"]), ranges))
    report, validation = draw(st.none() | reports), draw(st.none() | validations)
    return Law(name, params, draws, domain, draw(words), report, validation=validation)


@settings(max_examples=150, deadline=None)
@given(laws())
def test_a_file_keeps_every_bit(tmp_path_factory, law):
    path = tmp_path_factory.mktemp("law") / "law.json"
    law.save(path)
    again = Law.load(path)
    assert again == law
    assert again.vector.tobytes() == law.vector.tobytes()
    assert (again.draws is None) == (law.draws is None)
    if law.draws is not None:
        assert again.draws.shape == law.draws.shape
        assert again.draws.tobytes() == law.draws.tobytes()
    assert os.listdir(path.parent) == ["law.json"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "law.json"
    LAWS["loss"].save(path)
    broken = Law("loss", LAWS["loss"].params, np.full((1, 7), np.nan))
    with pytest.raises(ValueError, match=r"nan|JSON"):
        broken.save(path)
    assert os.listdir(tmp_path) == ["law.json"]
    assert Law.load(path) == LAWS["loss"]


VALIDATED = Validated("compute", 20, 0.14, 0.24, 0.1, 0.9, 0.87, None, True, "off by 14%")


def test_cautions_repeat_the_notes_and_what_a_validation_found():
    report = FitReport("m", 1.0, "sum", 3, 2, False, "gave up", 7, notes=("the search did not converge",))
    law = Law("chinchilla", TERMS)
    found = "validated over 20 splits of its table by compute: off by 14%"
    assert law.cautions == ()
    assert replace(law, fit=report).cautions == report.notes
    assert replace(law, fit=report, validation=VALIDATED).cautions == (*report.notes, found)
    assert found in str(replace(law, validation=VALIDATED))


def changed(*keys, to):
    """A good file's data with the value under `keys` replaced, or removed where `to` is None."""
    report = FitReport("m", 1.0, "sum", 3, 2, True, "done", 7)
    law = Law(
        "chinchilla", TERMS, np.ones((2, 5)), {"k": (1.0, 8.0)}, "somewhere", report, validation=VALIDATED
    )
    data = json.loads(json.dumps(law.to_dict()))
    place = data
    for key in keys[:-1]:
        place = place[key]
    if to is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not hold JSON"),
        ("E = 1.7", "does not hold JSON"),
        ("\ud800", "does not hold JSON"),
        ("[" * 100_000, "does not hold JSON"),
        ('{"a":' * 100_000, "does not hold JSON"),
        ("[]", "not a law saved by t2fast"),
        ("{}", "not a law saved by t2fast"),
        ('"t2fast-law/1"', "not a law saved by t2fast"),
        (changed("format", to="t2fast-law/2"), "its 'format' is not 't2fast-law/1'"),
        (changed("law", to=None), "law.json is not a complete law: 'law' is missing"),
        (changed("law", to="power"), "law.json: law 'power' is unknown"),
        (changed("law", to=["loss"]), "law.json: law holds \\['loss'\\]"),
        (changed("params", to=None), "law.json is not a complete law: 'params' is missing"),
        (changed("params", to=[1, 2]), "law.json: params holds \\[1, 2\\], which is no dict"),
        (changed("params", "A", to=None), "missing A"),
        (changed("params", "G", to=1.0), "not among them G"),
        (changed("params", "A", to="406"), "A holds '406', which is not a finite number"),
        (changed("params", "A", to=True), "A holds True"),
        (changed("params", "A", to=[406.4]), "A holds \\[406.4\\]"),
        (changed("params", "A", to=float("nan")), "cannot hold NaN"),
        (changed("params", "A", to=float("-inf")), "cannot hold -Infinity"),
        (changed("params", "A", to=0.125).replace("0.125", "1e999"), "A holds inf"),
        (changed("params", "A", to=0.125).replace("0.125", "9" * 400), "A holds 9+...9+, which is not"),
        (changed("params", "A", to=0.125).replace("0.125", "9" * 5000), "law.json"),
        (changed("params", "A", to=-1.0), "A = -1.0"),
        (changed("draws", to=[[1.0] * 4] * 2), r"shape \(2, 4\), expected \(draws, 5\)"),
        (changed("draws", to=[[1.0] * 5, [1.0] * 4]), "draws"),
        (changed("draws", to=[[1.0] * 4 + ["x"]]), "draws holds 'x'"),
        (changed("draws", to=[1.0]), "law.json: draws holds 1.0, which is no list"),
        (changed("draws", to=5), "law.json: draws holds 5, which is no list"),
        (changed("domain", to=[1]), "law.json: domain holds \\[1\\], which is no dict"),
        (changed("domain", "k", to=[1.0]), "law.json: domain of k is \\[1.0\\], no pair of numbers"),
        (changed("domain", "k", to=[1.0, "a"]), "k holds 'a'"),
        (changed("domain", "k", to="ab"), "domain of k is 'ab', no pair of numbers"),
        (changed("domain", "k", to=[8.0, 1.0]), "law.json: domain of k runs from 8 to 1: .* least end first"),
        (changed("domain", "k", to=[-1.0, 8.0]), "law.json: domain of k runs from -1 to 8: .* positive"),
        (changed("domain", "p", to=[1.0, 8.0]), "law.json: domain has a range of 'p'"),
        (changed("source", to=7), "source"),
        (changed("fit", to=[1]), "law.json: fit holds \\[1\\], which is no dict"),
        (changed("fit", "points", to=None), "points"),
        (changed("fit", "points", to="many"), "points"),
        (changed("fit", "converged", to=1), "converged"),
        (changed("fit", "objective", to=[]), "objective"),
        (changed("fit", "notes", to="fine"), "notes"),
        (changed("fit", "notes", to=[1]), "notes"),
        (changed("fit", "seed", to="0"), "law.json: seed holds '0', which is no int"),
        (changed("validation", to=[1]), "law.json: validation holds \\[1\\], which is no dict"),
        (changed("validation", "splits", to=None), "splits"),
        (changed("validation", "error", to="small"), "error"),
        (changed("validation", "coverage", to="all"), "coverage"),
        (changed("validation", "verdict", to=["good"]), "verdict"),
        (changed("validation", "seed", to=0.5), "seed"),
    ],
)
def test_what_is_not_a_law_is_refused(tmp_path, text, message):
    path = tmp_path / "law.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=message) as error:
        Law.load(path)
    assert len(str(error.value)) < 2000


def test_a_file_larger_than_any_law_is_not_read(tmp_path):
    path = tmp_path / "law.json"
    with open(path, "wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(ValueError, match="larger than any law"):
        Law.load(path)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 600), st.integers(0, 40))
def test_damaged_files_raise_value_errors_only(tmp_path_factory, noise, at, length):
    data = changed("source", to="x").encode()
    path = tmp_path_factory.mktemp("law") / "law.json"
    path.write_bytes(data[:at] + noise + data[at + length :])
    try:
        law = Law.load(path)
    except ValueError:
        return
    assert np.isfinite(law.predict(1e8, 1e10))
