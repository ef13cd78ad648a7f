"""The whole way on a testbed of a dozen tiny models: corpus, grid, laws, plans, the plans trained."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from t2fast import testbed
from t2fast.cli.main import main
from t2fast.testbed import loop
from t2fast.testbed.grid import grid
from t2fast.testbed.loop import Kept
from t2fast.testbed.measured import likelihoods_of, losses_of
from t2fast.training import Corpus
from tiny_bed import TINY

pytest.importorskip("torch", reason="training needs torch")


@pytest.fixture(scope="module")
def settings() -> testbed.Settings:
    return testbed.parse_settings(TINY)


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_grid_has_every_size_within_the_ratios_at_every_budget(settings: testbed.Settings) -> None:
    expected = set()
    for shape in settings.shapes:
        n = shape.n_params
        for budget in (2e8, 4e8, 8e8):
            ratio = budget / (6 * n * n)
            if 0.5 <= ratio <= 20:
                expected |= {(n, budget, seed) for seed in range(2 if budget == 2e8 else 1)}
    found = set()
    for one in grid(settings):
        assert one.role == "ordinary"  # here the overtrained ones are ordinary, too
        budget = min((2e8, 4e8, 8e8), key=lambda b: abs(math.log(one.flops / b)))
        assert one.flops == pytest.approx(budget, rel=0.05)
        assert one.recipe.steps(64) >= 15
        found.add((one.shape.n_params, budget, one.recipe.seed))
    assert found == expected
    wide = replace(settings, overtrained_tokens_per_param=(20, 1e9))
    assert {one.role for one in grid(wide)} == {"ordinary"} | (
        {"overtrained"} if len(grid(wide)) > len(found) else set()
    )


def test_tables_hold_every_checkpoint(done: testbed.Testbed, settings: testbed.Settings) -> None:
    losses = table(done.folder / "losses.csv")
    names = {row["model"] for row in losses}
    assert len(losses) == len(names) == len(list((done.folder / "checkpoints").iterdir()))
    assert {one.name for one in grid(settings)} < names
    looped = {one.name for one in loop.chosen(settings, [one.promise for one in done.kept])}
    for row in table(done.folder / "counts.csv"):
        k = math.floor(1.2e5 / (2 * float(row["n_params"])))
        assert int(row["n_samples"]) == (max(8, k) if row["model"] in looped else 8)
    for name in ("counts", "likelihoods"):
        rows = table(done.folder / f"{name}.csv")
        assert len(rows) == 12 * len(names)
        assert {row["model"] for row in rows} == names
    for row in losses:
        config = json.loads(
            (done.folder / "checkpoints" / row["model"] / "model" / "config.json").read_text()
        )
        assert float(row["n_tokens"]) == config["n_tokens"]
        assert 0 < float(row["loss"]) < math.log(320) + 0.5


def test_promises_are_held_against_what_was_measured(done: testbed.Testbed) -> None:
    """pass@k at the planned k, once more from the table, by hand."""
    p = defaultdict(list)
    for row in table(done.folder / "likelihoods.csv"):
        p[float(row["n_params"]), float(row["n_tokens"])].append(math.exp(float(row["log_likelihood"])))
    assert [one.promise.choice for one in done.kept] == ["plan", "Chinchilla"]
    for one in done.kept:
        said = one.promise
        assert 6 * said.n_params * said.n_tokens == pytest.approx(6.4e9)
        assert said.k == math.floor(1.2e5 / (2 * said.n_params))
        assert said.low < said.predicted < said.high
        (n_params, n_tokens), values = max(
            p.items(), key=lambda item: (item[0][0] == said.n_params) * item[0][1]
        )
        assert (n_params, n_tokens) == (said.n_params, pytest.approx(said.n_tokens, rel=0.05))
        expected = sum(1 - (1 - value) ** said.k for value in values) / len(values)
        assert one.measured == pytest.approx(expected, rel=1e-9)
        assert one.inside == (said.low <= expected <= said.high)
        by_counts = [
            1 - math.comb(n - c, said.k) / math.comb(n, said.k)
            for row in table(done.folder / "counts.csv")
            if (float(row["n_params"]), float(row["n_tokens"])) == (n_params, n_tokens)
            for n, c in [(int(row["n_samples"]), int(row["n_correct"]))]
        ]
        assert one.by_counts == (pytest.approx(sum(by_counts) / len(by_counts)),)


def test_laws_see_nothing_above_an_eighth_of_the_budget(done, settings) -> None:
    ordinary = grid(settings)
    alone = loop.laws_of(settings, likelihoods_of(done.folder, ordinary))
    for task, law in loop.laws_of(settings, done.likelihoods).items():
        assert (
            law.predict(5e3, 1e5, 8)
            == alone[task].predict(5e3, 1e5, 8)
            == done.laws[task].predict(5e3, 1e5, 8)
        )
    most = Corpus.open(done.folder / "corpus.npy").n_unique
    again = loop.promises(settings, alone, losses_of(done.folder, ordinary), most)
    assert again == [one.promise for one in done.kept]


def test_the_report_says_what_was_promised_and_measured(
    done: testbed.Testbed, settings: testbed.Settings
) -> None:
    text = (done.folder / "report.txt").read_text()
    assert text == f"{done}\n"
    assert f"by laws of {len(grid(settings))} checkpoints" in text
    for one in done.kept:
        assert ("outside the interval" in text) or one.inside
    data = json.loads((done.folder / "report.json").read_text())
    assert [one["measured"] for one in data["loop"]] == [list(one.by_likelihood) for one in done.kept]
    assert set(data["work"]) == {row["model"] for row in table(done.folder / "losses.csv")}


def test_seeds_that_miss_are_counted_and_ratios_of_nothing_are_none(done: testbed.Testbed) -> None:
    """Two seeds of three may miss while their mean does not: that is no interval that held."""
    ours, theirs = done.kept[0].promise, done.kept[1].promise
    ours, theirs = (replace(one, low=0.4, high=0.6, predicted=0.5) for one in (ours, theirs))
    kept = (Kept(ours, (0.2, 0.5, 0.8), (0.4,) * 3), Kept(theirs, (0.5,) * 3, (0.5,) * 3))
    words = " ".join(str(replace(done, kept=kept)).split())
    assert f"{ours.task}, {ours.choice}: 2 of 3 seeds outside the interval of 0.4000 to 0.6000" in words
    assert "0.2000 to 0.8000 measured" in words
    assert f"{theirs.task}, {theirs.choice}: " not in words
    assert f"{ours.task} 1 1 0.8" in words  # predicted, measured, by counts
    # 0.2, 0.5 and 0.8 over 0.5, a seed each
    assert f"{ours.task} 0.2000 to 0.8000 1 of 3 0.5000 3 of 3 0.4 to 1.6" in words
    nothing = (kept[0], Kept(theirs, (0.0,) * 3, (0.0,) * 3))
    assert f"{ours.task} 1 - -" in " ".join(str(replace(done, kept=nothing)).split())


def test_a_testbed_that_is_killed_ends_with_the_same_tables(done, tmp_path: Path, capsys) -> None:
    """Two workers, killed when the first checkpoint is ready: none is left at work, and it goes on."""
    file, folder = tmp_path / "tiny.toml", tmp_path / "bed"
    file.write_text(TINY)
    arguments = ["testbed", str(file), "-o", str(folder), "--workers", "2"]
    code = "from t2fast.cli.main import main; raise SystemExit(main())"
    run = subprocess.Popen([sys.executable, "-c", code, *arguments])
    while not list(folder.glob("checkpoints/*/work.json")):
        assert run.poll() is None
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    ready = {path: path.stat().st_mtime_ns for path in folder.glob("checkpoints/*/work.json")}
    assert len(ready) < len(done.work)
    deadline = time.monotonic() + 30
    while _at_work(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _at_work(folder)
    assert main(arguments) == 0
    assert capsys.readouterr().out == (folder / "report.txt").read_text()
    assert all(path.stat().st_mtime_ns == at for path, at in ready.items())
    for name in ("counts", "likelihoods", "losses"):
        assert (folder / f"{name}.csv").read_bytes() == (done.folder / f"{name}.csv").read_bytes()


def _at_work(folder: Path) -> list[str]:
    """Workers of this folder that are alive, where the system tells."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(b"t2fast.testbed.worker" in word for word in words) and str(folder).encode() in words:
            found.append(path.parent.name)
    return found


def test_what_goes_wrong_in_a_worker_is_said(settings: testbed.Settings, tmp_path: Path) -> None:
    folder = tmp_path / "bed"
    broken = replace(settings, lr=1e30)
    with pytest.raises(
        ValueError, match=r"seed\d: the loss is nan .* a learning rate of 1e\+30 is too much here"
    ):
        testbed.run_testbed(broken, folder, workers=2)


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("problems = 12", "", "has no problems"),
        ("problems = 12", "problem = 12", "unknown key 'problem' .did you mean 'problems'"),
        ("problems = 12", "problems = 0", "problems must be above 0, not 0"),
        ("problems = 12", 'problems = "12"', "problems is '12': a whole number is wanted"),
        ("[0.5, 20]", "[0.5]", "a list of 2 is wanted"),
        ("[0.5, 20]", "[1e6, 2e6]", "no size has 1e.06 to 2e.06 tokens a parameter at 2e.08 FLOPs"),
        ("[[8, 1, 1],", "[[9, 1, 1],", "width 9 does not divide into 1 heads"),
        ("[2e8]", "[3e8]", "repeated_budgets has 3e.08, which is not among"),
        ("inference_flops = 1.2e5", "inference_flops = 10", "are not one sample of the size of"),
        ("lr = 1e-2", "lr = ", "is no TOML"),
        ("lr = 1e-2", "lr: 1e-2", "settings are TOML, as `t2fast testbed small --print` shows"),
        (
            "[24, 1, 2]]",
            "[24, 1, 2], [24, 1, 3]]",
            r"sizes \[24, 1, 2\] and \[24, 1, 3\] are both 14.7k parameters",
        ),
        ("4e8, 8e8]", "4e8, 8e8, 8.001e8]", "two checkpoints would be called .* budgets further apart"),
        (
            "= 6.4e9",
            "= 1e9",
            "0 of the grid's 11 checkpoints have at most an eighth of train_flops, 1.25e.08",
        ),
        ("300_000", "6_000", "the corpus has 5,940 tokens to train on, too few for any size at 6.4e.09"),
        ("= 6.4e9", "= 6.4e12\ncorpus_tokens = 1e12", "train_flops 6.4e.12 is too far from the budgets"),
    ],
)
def test_settings_are_refused_in_words(was: str, now: str, words: str, tmp_path: Path) -> None:
    """Before anything is trained: what cannot end in a plan, too."""
    assert was in TINY
    key = now.partition("\n")[2].partition(" =")[0]
    text = "\n".join(row for row in TINY.splitlines() if not key or not row.startswith(key))
    with pytest.raises(ValueError, match=words):
        testbed.run_testbed(testbed.parse_settings(text.replace(was, now)), tmp_path / "bed")
    assert not (tmp_path / "bed").exists()


def test_prompts_that_do_not_fit_are_said_before_a_model_is_trained(
    settings: testbed.Settings, tmp_path: Path
) -> None:
    long = replace(settings, tasks=("synthetic/knowledge", "synthetic/arithmetic"))
    for _ in range(2):  # again, when the folder is there
        with pytest.raises(ValueError, match=r"task arithmetic takes \d+ tokens, .* set context = \d+"):
            testbed.run_testbed(long, tmp_path / "bed", workers=1)
    assert not (tmp_path / "bed" / "checkpoints").exists()


def test_another_testbed_in_the_folder_is_refused(done, settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="problems was 12 and is 11"):
        testbed.run_testbed(replace(settings, problems=11), done.folder)
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        testbed.run_testbed(settings, tmp_path)


@pytest.mark.parametrize("preset", testbed.PRESETS)
def test_presets_are_what_they_say(preset: str) -> None:
    settings = testbed.read_settings(preset)
    checkpoints = grid(settings)
    assert len({one.name for one in checkpoints}) == len(checkpoints)
    most = max(one.n_tokens for one in checkpoints)
    assert most < 0.99 * settings.corpus_tokens  # nothing in the grid is read twice
    if preset == "small":
        assert len(checkpoints) == 12
        assert max(one.flops for one in checkpoints) == pytest.approx(settings.train_flops / 8, rel=0.05)


def test_what_a_grid_takes_is_estimated(settings: testbed.Settings) -> None:
    found = testbed.estimate_seconds(settings)
    assert found["checkpoints"] == len(grid(settings))
    assert found["flops"] == sum(one.flops for one in grid(settings))
    assert found["seconds"] > 0
