"""Sides on the same problems: bands that hold at every k, against SciPy, simulation and a peer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from t2fast import compare, estimate, pass_at_k, read_counts
from t2fast.cli.main import main
from t2fast.tables import Counts


def side(n: int, c: np.ndarray, names: list[str] | None = None) -> Counts:
    names = names or [f"p{i}" for i in range(c.size)]
    return read_counts({"problem": names, "n_samples": [n] * c.size, "n_correct": c})


def test_one_k_makes_a_paired_t_interval() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.binomial(20, 0.4, 40), rng.binomial(20, 0.5, 40)
    found = compare({"a": side(20, a), "b": side(20, b)}, [3], draws=200_000)
    rows = pass_at_k(20, b, 3) - pass_at_k(20, a, 3)
    assert found.difference[0, 1] == pytest.approx(rows.mean(), rel=1e-12)
    half = stats.t.ppf(0.975, 39) * rows.std(ddof=1) / np.sqrt(40)
    assert found.high[0, 1] - found.low[0, 1] == pytest.approx(2 * half, rel=0.01)
    # The probability to be best is that of a normal difference above 0, where each side leads once more.
    rows = np.r_[rows, np.abs(rows).max() * np.array([1, -1])]
    wins = stats.norm.cdf(rows.mean() / (rows.std(ddof=1) / np.sqrt(42)))
    assert found.best[0, 1] == pytest.approx(wins, abs=0.005)


def test_who_is_called_best_of_five_with_few_problems_is_so_as_often_as_is_said() -> None:
    rng = np.random.default_rng(3)
    said, right = [], []
    for seed in range(400):
        shift = rng.normal(0, 0.3, 5)
        difficulty = rng.normal(0, 1.5, 5)[:, None] + shift + rng.normal(0, 0.5, (5, 5))
        correct = rng.binomial(16, 1 / (1 + np.exp(-difficulty))).T
        found = compare({str(i): side(16, c) for i, c in enumerate(correct)}, [1], draws=200, seed=seed)
        said.append(found.best[0].max())
        right.append(found.best[0].argmax() == shift.argmax())
    # By the draws alone 0.64 is said of what is so in 0.47.
    assert np.mean(said) < np.mean(right) + 0.05


def test_the_band_is_that_of_the_multiplier_bootstrap() -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(0.4, 1.5, 300)
    a, b = rng.binomial(64, p), rng.binomial(64, p**1.1)
    found = compare({"a": side(64, a), "b": side(64, b)}, draws=50_000)
    rows = pass_at_k(64, b[:, None], found.k) - pass_at_k(64, a[:, None], found.k)
    stderr = rows.std(axis=0, ddof=1) / np.sqrt(300)
    draws = rng.standard_normal((20_000, 300)) @ (rows - rows.mean(axis=0)) / 300
    critical = np.quantile(np.abs(draws / stderr).max(axis=1), 0.95)
    np.testing.assert_allclose((found.high - found.difference)[:, 1], critical * stderr, rtol=0.02)


def test_the_band_covers_at_every_k_at_once() -> None:
    rng = np.random.default_rng(5)
    runs, n, ks = 200, 16, np.array([1, 2, 4, 8, 16])
    grid = (np.arange(20_000) + 0.5) / 20_000
    p = stats.beta.ppf(grid, 0.5, 1.5)
    truth = np.mean(
        -np.expm1(ks[:, None] * np.log1p(-(p**1.2))) + np.expm1(ks[:, None] * np.log1p(-p)), axis=1
    )
    covered = 0
    for seed in range(runs):
        drawn = rng.beta(0.5, 1.5, 80)
        sides = {"a": side(n, rng.binomial(n, drawn)), "b": side(n, rng.binomial(n, drawn**1.2))}
        found = compare(sides, ks.tolist(), draws=500, seed=seed)
        covered += bool(np.all((found.low[:, 1] <= truth) & (truth <= found.high[:, 1])))
    # 95% meant; 90% is three standard errors of 200 runs below.
    assert covered / runs > 0.9


def test_a_crossing_is_found_where_it_may_be() -> None:
    # b solves fewer problems but those it solves at once: ahead at k = 1, behind at k = 64.
    a = np.r_[np.full(180, 4), np.zeros(20, int)]
    b = np.r_[np.full(90, 64), np.zeros(110, int)]
    found = compare({"a": side(64, a), "b": side(64, b)})
    signs = found.settled()
    assert (signs[0], signs[-1]) == (1, -1)
    truth = int(found.k[np.argmax(found.difference[:, 1] < 0)])
    ks, never = found.first_loss()
    assert truth in ks
    assert not never
    assert "its first loss lies at k = " in str(found)


def test_problems_are_paired_by_name_and_others_left_out() -> None:
    a = side(10, np.array([1, 5, 9]), ["x", "y", "z"])
    b = side(10, np.array([5, 1, 2]), ["y", "x", "w"])
    found = compare({"a": a, "b": b}, [1])
    assert found.problems == 2
    assert found.difference[0, 1] == 0.0
    assert found.notes == (
        "1 of 3 problems of a are left out: others lack them",
        "1 of 3 problems of b are left out: others lack them",
        "b: fewer than 10 problems carry the difference at k = 1",
    )


def test_tasks_are_not_pooled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"model": model, "task": task, "problem": i, "n_samples": 4, "n_correct": (i + len(model)) % 5}
        for model in ("a", "bb")
        for task in ("easy", "hard")
        for i in range(12)
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "counts.csv")
    assert main(["compare", str(tmp_path / "counts.csv")]) == 1
    said = capsys.readouterr().err
    assert said.endswith(
        "a, bb have 2 tasks in common, which are not pooled: easy, hard. Choose one by --task\n"
    )
    assert main(["compare", str(tmp_path / "counts.csv"), "--task", "hard", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == 12


def test_sides_that_agree_on_every_problem_are_not_certain() -> None:
    c = np.array([0, 5, 10])
    found = compare({"a": side(10, c), "b": side(10, c)}, [1, 2])
    # Of three problems without a gain, gains of up to this mean are to be expected.
    most = stats.beta.ppf(1 - 0.05 / 4, 1, 3)
    np.testing.assert_allclose(found.low[:, 1], -most, rtol=1e-12)
    np.testing.assert_allclose(found.high[:, 1], most, rtol=1e-12)


def test_few_problems_settle_no_sign_that_exact_bounds_do_not() -> None:
    # Five differences of 0.2 or so: a t interval is as narrow as they are alike.
    a, b = np.array([1, 2, 3, 4, 5]), np.array([3, 4, 5, 6, 8])
    found = compare({"a": side(10, a), "b": side(10, b)}, [1])
    gain = float(np.sum(b - a) / 10)
    bounds = stats.beta.ppf(0.0125, gain, 6 - gain), stats.beta.ppf(0.9875, gain + 1, 5 - gain)
    none = stats.beta.ppf(0.9875, 1, 5)
    assert found.low[0, 1] == pytest.approx(bounds[0] - none, rel=1e-9)
    assert found.high[0, 1] == pytest.approx(bounds[1], rel=1e-9)
    assert found.settled()[0] == 0
    assert found.notes == ("b: fewer than 10 problems carry the difference at k = 1",)


@pytest.mark.parametrize(("problems", "least"), [(5, 0.9), (20, 0.9), (60, 0.9)])
def test_the_band_covers_where_problems_are_few(problems: int, least: float) -> None:
    # What a tenth of all samples more brings: the bootstrap's band alone held 0.37, 0.65 and 0.9.
    rng = np.random.default_rng(8)
    runs, n, ks = 150, 16, np.array([1, 4, 16])
    p = (np.arange(20_000)[:, None] + 0.5) / 20_000
    truth = np.mean((1 - p) ** ks - (1 - np.minimum(p + 0.1, 1)) ** ks, axis=0)
    covered = 0
    for seed in range(runs):
        drawn = rng.random(problems)
        more = np.minimum(drawn + 0.1, 1)
        sides = {"a": side(n, rng.binomial(n, drawn)), "b": side(n, rng.binomial(n, more))}
        found = compare(sides, ks.tolist(), draws=200, seed=seed)
        covered += bool(np.all((found.low[:, 1] <= truth) & (truth <= found.high[:, 1])))
    assert covered / runs > least


@pytest.mark.parametrize(
    ("sides", "options", "message"),
    [
        ({"a": [1, 2]}, {}, "1 side given, two are needed"),
        ({"a": [1, 2], "b": [1, 2]}, {"ks": [11]}, "k = 11 is beyond the 10 samples"),
        ({"a": [1, 2], "b": [1, 2]}, {"draws": 5}, "draws must be from 100 to 1,000,000 for a band; got"),
        ({"a": [1, 2], "b": [1, 2]}, {"level": 1.0}, "level must lie between 0 and 1"),
        ({"a": [1], "b": [1]}, {}, "have 1 problems in common: two are needed"),
    ],
)
def test_bad_input_is_named(sides: dict[str, list[int]], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare({name: side(10, np.array(c)) for name, c in sides.items()}, **options)


def test_the_command_takes_files_or_the_checkpoints_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(4)
    frames = [side(16, rng.binomial(16, 0.3 + 0.2 * i, 50)).frame for i in range(3)]
    for i, frame in enumerate(frames):
        frame.write_csv(tmp_path / f"m{i}.csv")
    labelled = [frame.with_columns(pl.lit(f"model-{i}").alias("model")) for i, frame in enumerate(frames)]
    pl.concat(labelled).write_csv(tmp_path / "all.csv")
    files = [str(tmp_path / f"m{i}.csv") for i in range(2)]
    assert main(["compare", *files, "-k", "1,16", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["names"] == ["m0.csv", "m1.csv"]
    assert main(["compare", str(tmp_path / "all.csv"), "-k", "1,16"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "model-2: above at k = 1" in shown
    assert main(["compare", str(tmp_path / "all.csv"), files[0]]) == 0


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"n_params": [5e7, 5.004e7], "n_tokens": [1e9, 1e9]}, ["N = 50000000.0", "N = 50040000.0"]),
        ({"n_params": [5e7, 1e8], "n_tokens": [1e9, 2e9]}, ["N = 50M", "N = 100M"]),
        ({"model": ["m", "m"], "n_params": [5e7, 1e8], "dataset": ["c4", "pile"]}, ["N = 50M", "N = 100M"]),
        ({"model": ["m", "m"], "dataset": ["c4", "pile"]}, ["c4", "pile"]),
    ],
)
def test_sides_go_by_what_tells_them_apart(
    columns: dict[str, list], names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"problem": str(i), "n_samples": 8, "n_correct": i + j, **{name: v[j] for name, v in columns.items()}}
        for j in range(2)
        for i in range(5)
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "counts.csv")
    assert main(["compare", str(tmp_path / "counts.csv"), "-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["names"] == names


def test_the_peer_has_the_same_differences_and_band() -> None:
    peer = pytest.importorskip("passk_inference", reason="passk-inference is not installed (t2fast[bench])")
    rng = np.random.default_rng(7)
    p = rng.beta(0.3, 1.0, 400)
    a, b, n = rng.binomial(64, p), rng.binomial(64, p**1.2), np.full(400, 64)
    theirs = peer.compare(a, n, b, n, bootstrap=20_000)
    ours = compare({"a": side(64, a), "b": side(64, b)}, draws=20_000)
    np.testing.assert_allclose(ours.difference[:, 1], theirs["mean"], atol=1e-13)
    np.testing.assert_allclose(ours.low[:, 1], theirs["lower"], atol=0.02 * np.max(theirs["se"]) * 2.6)
    np.testing.assert_allclose(ours.high[:, 1], theirs["upper"], atol=0.02 * np.max(theirs["se"]) * 2.6)


@pytest.mark.parametrize(("name", "value"), [("draws", 99), ("draws", 10**11), ("seed", -1), ("seed", 2**64)])
def test_draws_and_seeds_that_are_none_are_refused(name: str, value: int) -> None:
    """Not by the allocator, which ends the process, nor by an error of conversion."""
    one = read_counts({"problem": range(20), "n_samples": [4] * 20, "n_correct": [i % 5 for i in range(20)]})
    with pytest.raises(ValueError, match=rf"{name} must be from .* got {value}"):
        compare({"a": one, "b": one}, **{name: value})
    few = 9 if value == 99 else value
    with pytest.raises(ValueError, match=rf"{name} must be from .* got {few}"):
        estimate(one, k=9, missing="extrapolate", **{name: few})
