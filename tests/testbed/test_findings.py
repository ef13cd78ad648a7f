"""What a testbed's checkpoints show: the same as by hand from its tables."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from scipy import stats
from t2fast import testbed
from t2fast.cli.main import main
from t2fast.decode import load
from t2fast.tasks import load_task
from t2fast.testbed import questions
from t2fast.testbed.grid import grid
from t2fast.testbed.measured import likelihoods_of, losses_of
from t2fast.testbed.settings import claim, settings_in
from tiny_bed import TINY

pytest.importorskip("torch", reason="training needs torch")


@pytest.fixture(scope="module")
def settings() -> testbed.Settings:
    return testbed.parse_settings(TINY)


def likely(folder: Path) -> dict[str, list[float]]:
    p = defaultdict(list)
    for row in pl.read_csv(folder / "likelihoods.csv").iter_rows(named=True):
        p[row["model"]].append(math.exp(row["log_likelihood"]))
    return p


def test_the_best_size_of_each_budget(done: testbed.Testbed, settings: testbed.Settings) -> None:
    found = testbed.find(done.folder)
    assert (found.ready, found.wanted) == (len(grid(settings)),) * 2
    p, loss = likely(done.folder), dict(pl.read_csv(done.folder / "losses.csv")["model", "loss"].iter_rows())
    assert found.profiles.height
    for row in found.profiles.iter_rows(named=True):
        some = [one for one in grid(settings) if abs(math.log(one.flops / row["train_flops"])) < 0.3]
        sizes = defaultdict(list)
        for one in some:
            k = 1.2e5 / (2 * one.shape.n_params)
            passing = np.mean([1 - (1 - value) ** k for value in p[one.name]])
            sizes[one.shape.n_params].append((passing, loss[one.name]))
        means = {n: np.mean(values, axis=0) for n, values in sizes.items()}
        best, least = max(means, key=lambda n: means[n][0]), min(means, key=lambda n: means[n][1])
        assert (row["sizes"], row["n_params"], row["chinchilla_params"]) == (len(means), best, least)
        assert row["measured"] == pytest.approx(means[best][0])
        assert row["chinchilla_measured"] == pytest.approx(means[least][0])


def test_forecasts_are_of_those_held_out(done: testbed.Testbed, settings: testbed.Settings) -> None:
    """The humblest forecast by hand: the nearest checkpoint's pass@k; every law says something or why not."""
    some = grid(settings)
    seen, ahead = some[:-3], some[-3:]
    laws = questions.fitted(likelihoods_of(done.folder, seen))
    frame = questions.forecasts(laws, likelihoods_of(done.folder, ahead))
    p = likely(done.folder)
    errors = []
    for one in ahead:

        def distance(other, one=one):
            return math.log(other.shape.n_params / one.shape.n_params) ** 2 + (
                math.log(other.n_tokens / one.n_tokens) ** 2
            )

        near = min(seen, key=distance)
        for k in (1, 8, 64, 128):
            here, there = (np.mean([1 - (1 - v) ** k for v in p[c.name]]) for c in (one, near))
            errors.append(abs(there - here) / here)
    by_name = {row["method"]: row for row in frame.iter_rows(named=True)}
    assert by_name["nearest"]["error"] == pytest.approx(np.median(errors))
    assert {"forecast", "approach 1", "approach 2", "direct", "log-linear", "nearest"} == set(by_name)
    assert all(
        math.isfinite(row["error"]) if row["error"] is not None else row["refusal"]
        for row in by_name.values()
    )


def test_dearer_checkpoints_are_held_against_the_others(
    done: testbed.Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With C below the largest budget, those above it are forecast by laws that have not seen them."""
    monkeypatch.setattr(questions, "_LEAST", 6)
    assert testbed.find(done.folder).dearer.is_empty()
    folder = tmp_path / "bed"
    shutil.copytree(done.folder, folder)
    kept = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**kept, "train_flops": 4e8}))
    found = testbed.find(folder)
    ordinary = [one for one in grid(settings_in(folder)) if one.role == "ordinary"]
    below = [one for one in ordinary if one.flops < 4.2e8]
    above = [one for one in ordinary if one.flops > 4.2e8]
    assert below
    assert above
    laws = questions.fitted(likelihoods_of(folder, below))
    assert found.dearer.equals(questions.forecasts(laws, likelihoods_of(folder, above)))
    assert found.dearer["error"].drop_nulls().max() > 0
    assert "relative error of checkpoints above 4e+08 FLOPs" in str(found)
    assert len(found.to_dict()["dearer"]) == len(found.dearer)


def test_laws_say_why_they_say_nothing(done: testbed.Testbed, settings: testbed.Settings) -> None:
    """A task that every checkpoint solves has no law: the report says so, and the rest of it stands."""
    some = grid(settings)
    table = likelihoods_of(done.folder, some)
    solved = t2fast.read_likelihoods(
        pl.concat([table.frame, table.frame.with_columns(task=pl.lit("solved"), log_likelihood=pl.lit(0.0))])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        laws = questions.fitted(solved)
    assert "infinite" in str(laws["solved"].laws["direct"])
    frame = questions.forecasts(laws, solved)
    refused = frame.filter(task="solved", method="direct")
    assert refused["error"].to_list() == [None]
    assert refused["refusal"].to_list() == [laws["solved"].laws["direct"]]
    assert frame.filter(task="knowledge")["refusal"].null_count() == frame["method"].n_unique()
    silent = {task: replace(own, laws={**own.laws, "loss": "no law"}) for task, own in laws.items()}
    plans = questions.advice(settings, silent, losses_of(done.folder, some), [6.4e9])
    assert plans.filter(law="approach 1")["refusal"].to_list() == ["no law", "no law"]
    assert plans.filter(law="approach 1")["n_params"].null_count() == 2
    assert plans.filter(law="forecast", task="knowledge")["n_params"].null_count() == 0


def test_the_optimum_before_and_after_fine_tuning(done: testbed.Testbed, settings: testbed.Settings) -> None:
    found = testbed.find(done.folder)
    assert set(found.frontiers["train_flops"]) == {2e8, 4e8, 8e8, 6.4e9}
    assert found.plans.equals(found.frontiers.filter(train_flops=6.4e9))
    assert found.tuned.filter(stage="base").drop("stage").equals(found.plans)
    assert found.tuned["stage"].unique(maintain_order=True).to_list() == ["base", "FT", "SFT"]
    assert found.tuned["law"].unique().len() == 4
    p = defaultdict(list)
    for row in pl.read_csv(done.folder / "tuned.csv").filter(stage="SFT").iter_rows(named=True):
        p[row["model"]].append(math.exp(row["log_likelihood"]))
    row = found.tuned_profiles.filter(stage="SFT", train_flops=4e8).row(0, named=True)
    sizes = {
        one.shape.n_params: np.mean([1 - (1 - v) ** (1.2e5 / (2 * one.shape.n_params)) for v in p[one.name]])
        for one in grid(settings)
        if abs(math.log(one.flops / 4e8)) < 0.3
    }
    assert row["n_params"] == max(sizes, key=lambda n: sizes[n])
    assert row["measured"] == pytest.approx(max(sizes.values()))
    text = str(found)
    assert "before and after fine-tuning" in text
    assert "D/N by training FLOPs" in text


def test_likelihoods_are_what_samples_begin_with(done: testbed.Testbed, settings: testbed.Settings) -> None:
    """Over many samples of one model: how often two tokens come first, against their likelihood."""
    one = max(grid(settings), key=lambda one: one.flops)
    engine = load(done.folder / "checkpoints" / one.name / "model", dtype="float32")
    task = load_task("synthetic/knowledge", problems=40)
    prompts = {problem.id: problem.prompt for problem in task.problems}
    n = 8192
    likeliest = engine.sample(prompts, k=1, temperature=0, max_tokens=2, progress=False).table
    answers = dict(likeliest.select("problem", "tokens").iter_rows())
    scored = engine.score(prompts, {problem: [tokens] for problem, tokens in answers.items()})
    drawn = engine.sample(prompts, k=n, max_tokens=2, progress=False, seed=5).table
    squares, cells = 0.0, 0
    for problem, p in scored.select("problem", "probability").iter_rows():
        hits = sum(tokens == answers[problem] for tokens in drawn.filter(problem=problem)["tokens"].to_list())
        if n * min(p, 1 - p) >= 10:
            squares += (hits - n * p) ** 2 / (n * p * (1 - p))
            cells += 1
    assert cells >= 20
    assert 0.001 < stats.chi2.sf(squares, cells) < 0.999


def test_likelihoods_are_held_against_samples(done: testbed.Testbed, settings: testbed.Settings) -> None:
    """The report's figures once more from the tables, by hand."""
    (row,) = testbed.find(done.folder).agreement.iter_rows(named=True)
    names = {one.name for one in grid(settings)}
    begun = {
        (r["model"], r["problem"]): r for r in pl.read_csv(done.folder / "begun.csv").iter_rows(named=True)
    }
    counts = pl.read_csv(done.folder / "counts.csv")["n_correct"].sum()
    assert sum(r["n_correct"] for r in begun.values()) >= counts  # a sample that is right begins so
    by_model: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for r in pl.read_csv(done.folder / "likelihoods.csv").iter_rows(named=True):
        if r["model"] in names:
            p, own = math.exp(r["log_likelihood"]), begun[r["model"], r["problem"]]
            off = own["n_correct"] - own["n_samples"] * p
            by_model[r["model"]].append((off, own["n_samples"] * p * (1 - p)))
    squares = [sum(off for off, _ in some) ** 2 / sum(v for _, v in some) for some in by_model.values()]
    assert row["z"] == pytest.approx(math.sqrt(sum(squares) / len(squares)))
    assert 0 <= row["begun"] <= 1


def test_the_report_on_the_command_line(done: testbed.Testbed, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["testbed", "report", "-o", str(done.folder)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{len(grid(testbed.parse_settings(TINY)))} of ")
    assert "no forecast of overtrained checkpoints" in text
    assert "GFLOP/s of a thread" in text
    assert main(["testbed", "report", "-o", str(done.folder), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {row["law"] for row in data["plans"]} == {"forecast", "approach 1", "approach 2", "Chinchilla"}
    assert main(["testbed", "report"]) != 0
    assert "-o FOLDER is missing" in capsys.readouterr().err


def test_a_report_of_nothing_is_refused(settings: testbed.Settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no testbed: it has no settings\.json"):
        testbed.find(tmp_path)
    claim(tmp_path, settings)
    with pytest.raises(ValueError, match=r"none of .* checkpoints is ready"):
        testbed.find(tmp_path)


def test_a_testbed_is_packed_small_and_read_back(
    done: testbed.Testbed, settings: testbed.Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["testbed", "pack", "-o", str(done.folder), "--to", str(tmp_path / "data")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    kept = t2fast.data.testbed(tmp_path / "data")
    assert kept.counts.frame.equals(done.counts.frame)
    assert kept.losses.frame.equals(done.losses.frame)
    np.testing.assert_allclose(
        kept.likelihoods.log_likelihood, done.likelihoods.log_likelihood, rtol=2.5e-4, atol=0
    )
    size = sum(path.stat().st_size for path in (tmp_path / "data").iterdir())
    assert size < sum((done.folder / f"{name}.csv").stat().st_size for name in ("counts", "likelihoods")) / 2
    with pytest.raises(ValueError, match=r"has no counts.parquet: t2fast testbed pack writes it"):
        t2fast.data.testbed(tmp_path)
    (tmp_path / "bed").mkdir()
    claim(tmp_path / "bed", settings)
    with pytest.raises(ValueError, match=r"is not done \(\d+ checkpoints are missing\)"):
        testbed.pack(tmp_path / "bed", tmp_path / "more")
