"""Validations: their figures recomputed from exact counts, their refusals, and their words."""

import json
import warnings
from math import comb

import numpy as np
import polars as pl
import pytest
from scipy.spatial import KDTree
from t2fast import Law, fit_accuracy, fit_forecast, read_accuracies, read_counts, read_losses, validate
from t2fast.laws import simulate_counts
from t2fast.text import percent
from t2fast.validation import verdict

PARAMS = {"E": 0.0, "A": 120.0, "B": 300.0, "alpha": 0.27, "beta": 0.24}
PARAMS |= {"theta0": -1.0, "theta1": 1.0, "theta2": 0.8, "theta3": 1.0, "theta4": -0.2}


@pytest.fixture(scope="module")
def counts():
    grid = (1e8 * 3.0 ** np.arange(5), 2e9 * 2.3 ** np.arange(5))  # no two are equally near
    return simulate_counts(Law("accuracy", PARAMS), *grid, problems=40, samples=128, seed=3)


@pytest.fixture(scope="module")
def found(counts):
    return validate(counts, splits=6, methods=["forecast", "accuracy", "log-linear"], draws=40)


def measured(counts, k):
    """(N, D) -> mean over problems of pass@k in exact integers."""
    values = {}
    for row in counts.frame.iter_rows(named=True):
        n, c = row["n_samples"], row["n_correct"]
        one = 1 - comb(n - c, k) / comb(n, k)
        values.setdefault((row["n_params"], row["n_tokens"]), []).append(one)
    return {key: sum(v) / len(v) for key, v in sorted(values.items())}


def test_figures_of_the_nearest_checkpoint_from_exact_counts(counts, found):
    truth = {k: measured(counts, k) for k in (1, 8, 64, 128)}
    keys = list(truth[1])
    logs, compute = np.log(keys), np.array([6 * n * d for n, d in keys])
    errors = []
    rows = found.splits.filter(pl.col("method") == "nearest")
    for row in rows.iter_rows(named=True):
        seen = compute < row["threshold"] * (1 - 1e-6)
        assert (row["seen"], row["held_out"]) == (seen.sum(), (~seen).sum())
        _, at = KDTree(logs[seen]).query(logs[~seen])
        near = np.flatnonzero(seen)[at]
        off = [
            abs(truth[k][keys[j]] - truth[k][keys[i]]) / truth[k][keys[i]]
            for k in truth
            for i, j in zip(np.flatnonzero(~seen), near, strict=True)
        ]
        errors.append(np.median(off))
        assert row["error"] == pytest.approx(errors[-1], rel=1e-10)
    summary = found.methods.row(by_predicate=pl.col("method") == "nearest", named=True)
    assert summary["mean"] == pytest.approx(np.mean(errors), rel=1e-10)
    assert summary["median"] == pytest.approx(np.median(errors), rel=1e-10)
    assert (summary["splits"], summary["refused"], summary["worse"]) == (6, 0, 0.0)


def test_coverage_width_and_share_of_worse_splits_from_the_points(found):
    near = dict(found.splits.filter(pl.col("method") == "nearest").select("split", "error").iter_rows())
    for name in ("forecast", "accuracy", "log-linear"):
        inside, width, errors, worse = [], [], [], []
        for split, nearest in near.items():
            rows = found.points.filter((pl.col("split") == split) & (pl.col("method") == name)).to_dicts()
            errors.append(np.median([abs(r["forecast"] / r["measured"] - 1) for r in rows]))
            worse.append(errors[-1] > nearest)
            if name == "forecast":
                inside.append(np.mean([r["inside"] for r in rows]))
                assert all(r["inside"] for r in rows if r["low"] <= r["measured"] <= r["high"])
                width.append(np.median([r["high"] / r["low"] for r in rows]))
        summary = found.methods.row(by_predicate=pl.col("method") == name, named=True)
        assert summary["mean"] == pytest.approx(np.mean(errors))
        assert summary["worse"] == pytest.approx(np.mean(worse))
        if name == "forecast":
            assert summary["coverage"] == pytest.approx(np.mean(inside))
            assert summary["width"] == pytest.approx(np.median(width))
        else:  # intervals of the first law alone, unless all are asked for
            assert summary["coverage"] is None
            assert summary["width"] is None


def test_a_forecast_does_not_depend_on_what_is_held_out(counts, found):
    split = found.splits.row(-1, named=True)
    at = 6 * pl.col("n_params") * pl.col("n_tokens")
    frame = counts.frame.with_columns(
        pl.when(at >= split["threshold"] * (1 - 1e-6))
        .then(pl.lit(1))
        .otherwise("n_correct")
        .alias("n_correct")
    )
    again = validate(read_counts(frame), splits=6, methods=["forecast", "log-linear"], draws=40)
    keep = (pl.col("split") == split["split"]) & pl.col("method").is_in(["forecast", "log-linear", "nearest"])
    one, other = (v.points.filter(keep).select("method", "forecast", "low", "high") for v in (found, again))
    assert one.equals(other)


def test_the_law_that_is_true_beats_the_nearest_checkpoint_and_says_so(counts, found):
    assert found.primary == "forecast"
    assert found.forecastable
    row = found.methods.row(0, named=True)
    assert found.verdict.startswith(
        f"forecasts of this table were off by {percent(row['mean'])} on average, nearest checkpoint "
        f"{percent(row['nearest'])}"
    )
    assert "90% intervals held" in found.verdict
    assert str(found).startswith("Forecasts of this table were off by")
    assert max(len(line) for line in str(found).splitlines()) <= 100


def test_figures_are_kept_with_a_law_and_read_back(counts, found, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        laws = [fit_forecast(counts, draws=0), fit_accuracy(counts, draws=0)]
    for law in laws:
        kept = found.keep(law)
        row = found.methods.row(by_predicate=pl.col("method") == law.name, named=True)
        assert (kept.validation.error, kept.validation.nearest) == (row["mean"], row["nearest"])
        assert (kept.validation.by, kept.validation.splits) == ("compute", 6)
        assert kept.cautions[-1].startswith("validated over 6 splits of its table by compute: ")
        kept.save(tmp_path / "law.json")
        assert Law.load(tmp_path / "law.json").validation == kept.validation
    with pytest.raises(ValueError, match=r"method 'counts' has no figures .* those of forecast, accuracy"):
        found.of("counts")


def test_everything_is_json(found):
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["verdict"] == found.verdict
    assert {row["method"] for row in data["methods"]} == {"forecast", "accuracy", "log-linear", "nearest"}
    places = {(row["n_params"], row["n_tokens"], row["k"]) for row in data["held_out"]}
    assert len(data["held_out"]) == 4 * len(places)
    assert all(row["splits"] <= 6 and row["error"] >= 0 for row in data["held_out"])


def test_a_refusal_is_a_row_that_says_so():
    n, d = (a.ravel() for a in np.meshgrid(1e8 * 3.0 ** np.arange(4), 1e9 * 3.0 ** np.arange(4)))
    rows = {"n_params": np.repeat(n, 2), "n_tokens": np.repeat(d, 2), "problem": [1, 2] * 16}
    solved = np.where(np.repeat(n * d, 2) > 1e18, 3, 0)
    table = read_counts({**rows, "n_samples": [16] * 32, "n_correct": solved})
    found = validate(table, splits=4, methods=["loss"], draws=0)
    row = found.methods.row(0, named=True)
    assert row["method"] == "loss"
    assert row["refused"] > 0
    assert "infinite" in row["refusal"]
    assert f"loss: {row['refused']} of {row['refused']} splits without a forecast" in str(found)
    assert found.verdict.startswith("no verdict: the loss law refused every split")
    assert not found.forecastable


def test_checkpoints_that_were_never_right_are_not_judged_and_named():
    n, d = (a.ravel() for a in np.meshgrid(1e8 * 3.0 ** np.arange(4), 1e9 * 3.0 ** np.arange(4)))
    accuracy = np.where((n == n.max()) & (d == d.max()), 0.0, 0.1 * np.log10(n * d / 1e16))
    found = validate(read_accuracies({"n_params": n, "n_tokens": d, "accuracy": accuracy}), splits=3, draws=0)
    assert found.notes == (
        "1 held-out points (checkpoint and k) were never right and are not judged: a relative error against "
        "0 says nothing",
    )
    unjudged = found.points.filter(pl.col("error").is_null())
    assert set(unjudged["measured"]) == {0.0}
    assert found.quantity == "accuracy"


def test_losses_are_forecast_by_chinchilla_too():
    n, d = (a.ravel() for a in np.meshgrid(1e7 * 3.0 ** np.arange(7), 1e9 * 3.0 ** np.arange(5)))
    table = read_losses({"n_params": n, "n_tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28})
    found = validate(table, by="size", splits=3, draws=0)
    error = dict(found.methods.select("method", "mean").iter_rows())
    assert list(error) == ["forecast", "chinchilla", "log-linear", "nearest"]
    assert error["chinchilla"] < 1e-3
    assert error["forecast"] < error["nearest"]
    assert found.quantity == "loss"


def test_the_plot_shows_every_split_of_every_method(found):
    (drawn,) = found.plot().to_dict()["datasets"].values()
    assert {row["method"] for row in drawn} == {"forecast", "accuracy", "log-linear", "nearest"}
    for name in {row["method"] for row in drawn}:
        rows = found.splits.filter(pl.col("method") == name)
        mine = [row for row in drawn if row["method"] == name]
        assert [row["threshold"] for row in mine] == rows["threshold"].to_list()
        np.testing.assert_allclose([row["percent"] for row in mine], 100 * rows["error"].to_numpy())


def test_impossible_requests_are_refused(counts):
    with pytest.raises(
        ValueError, match="method 'chinchilla' does not forecast pass@k; those that do are forecast"
    ):
        validate(counts, methods=["chinchilla"])
    with pytest.raises(ValueError, match="level = 1 must lie between 0 and 1"):
        validate(counts, level=1)
    with pytest.raises(ValueError, match="draws = 10 must be 0, or at least 40 for 90% intervals"):
        validate(counts, draws=10)


# --- words ---


def judged(errors: dict[str, list[float]], by="ratio"):
    """The verdict on the first method, from the errors of all at thresholds 10, 20, 30 ..."""
    near = errors["nearest"]
    rows = [
        {"split": str(i), "threshold": 10.0 * (i + 1), "method": name, "error": e, "nearest": near[i]}
        for name, values in errors.items()
        for i, e in enumerate(values)
    ]
    methods = [
        {
            "method": name,
            "refusal": None,
            "mean": float(np.mean(values)),
            "nearest": float(np.mean(near)),
            "worse": float(np.mean(np.array(values) > np.array(near))),
            "level": 0.9,
            "coverage": None,
            "width": None,
        }
        for name, values in errors.items()
    ]
    first = next(iter(errors))
    return verdict.words(pl.DataFrame(methods), pl.DataFrame(rows), by, first), verdict.forecastable(
        methods[0]
    )


def test_what_can_be_forecast():
    words, good = judged({"forecast": [0.14] * 6, "nearest": [0.24] * 6})
    assert words == "forecasts of this table were off by 14% on average, nearest checkpoint 24%"
    assert good


@pytest.mark.parametrize(
    ("count", "said"), [(1, "; one split alone: little to go by"), (2, "; 2 splits alone:")]
)
def test_few_splits_are_said_to_be_few(count, said):
    words, _ = judged({"forecast": [0.14] * count, "nearest": [0.24] * count})
    assert said in words
    assert "alone" not in judged({"forecast": [0.14] * 3, "nearest": [0.24] * 3})[0]


def test_what_can_be_forecast_up_to_somewhere():
    near = [0.24, 0.24, 0.24, 0.24, 0.2, 0.2, 0.2]
    words, good = judged({"forecast": [0.1, 0.1, 0.1, 0.1, 0.3, 0.3, 0.3], "nearest": near})
    assert words.endswith(
        "; beyond 50 tokens a parameter no method here beats the nearest checkpoint on average and in half "
        "of the splits"
    )
    assert good


def test_what_cannot_be_forecast():
    words, good = judged({"forecast": [0.3] * 6, "counts": [0.25] * 6, "nearest": [0.2] * 6})
    assert words == (
        "not forecastable: beyond 10 tokens a parameter no method here beats the nearest checkpoint on "
        "average and in half of the splits; forecasts of this table were off by 30% on average, nearest "
        "checkpoint 20%"
    )
    assert not good
    words, _ = judged({"forecast": [0.3] * 6, "nearest": [0.2] * 6}, by="compute")
    assert "beyond 10 training FLOPs no method" in words


def test_what_can_be_forecast_only_from_somewhere_on():
    errors = {"forecast": [0.9, 0.9, 0.9, 0.1, 0.1, 0.1], "nearest": [0.2] * 6}
    words, good = judged(errors)
    assert (
        "splits; only beyond 40 tokens a parameter does the forecast law, off by 10% there, nearest 20%"
        in words
    )
    assert not good


def test_another_method_that_did_better_is_named():
    words, good = judged({"forecast": [0.3] * 6, "counts": [0.1] * 6, "nearest": [0.2] * 6})
    assert words.startswith("not forecastable by the forecast law: ")
    assert words.endswith("the counts law did better, off by 10%")
    assert not good


def test_a_hopeless_forecast_is_none_even_if_better_than_nearest():
    words, good = judged({"forecast": [0.7] * 6, "nearest": [0.9] * 6})
    assert words.startswith("not forecastable: forecasts of this table were off by 70%")
    assert not good


def test_worse_in_most_splits_is_not_better():
    words, good = judged({"forecast": [0.3, 0.3, 0.3, 0.3, 0.0, 0.0], "nearest": [0.25] * 4 + [0.6] * 2})
    assert not good
    assert words.startswith("not forecastable")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.14, "14%"), (0.0995, "10%"), (0.018, "1.8%"), (0.0035, "0.35%"), (2.4, "240%"), (0, "0%")],
)
def test_percentages_have_two_digits_that_say_something(value, words):
    assert percent(value) == words
