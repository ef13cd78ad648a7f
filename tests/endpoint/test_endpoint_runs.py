"""Runs by a server: kept, continued and grown like others, with what they cost, and without the key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import t2fast
from speaking import Speaking, cut, cut_in_the_middle, draw, speaking, status
from t2fast.cli.main import main
from t2fast.decode.endpoint import Endpoint
from t2fast.kernels.rng import hash64
from t2fast.runs import Run, evaluate
from t2fast.tasks import Task, load_task

pytest.importorskip("httpx", reason="asking a server needs the endpoint extra (httpx)")

PROBLEMS = 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = [{"q": f"{i} + {i} =", "a": str(2 * i % 10)} for i in range(PROBLEMS)]
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def task(path: Path) -> Task:
    return load_task(f"table:{path}:prompt=q,answer=a,rule=begins")


def truth(task: Task, k: int) -> list[tuple[str, int, str]]:
    return [
        (problem.id, i, draw(problem.prompt, (hash64(0, problem.id) + i) % 2**31))
        for problem in task.problems
        for i in range(k)
    ]


def samples(run: Run) -> list[tuple[str, int, str]]:
    return [(row["problem"], row["sample"], row["text"]) for row in run.samples()]


def test_a_run_by_a_server_has_counts_and_what_they_cost(
    server: Speaking, task: Task, tmp_path: Path
) -> None:
    server.faults = [None, status(500), None, cut_in_the_middle]
    prices = {
        "model": ["mine"],
        "usd_per_million_prompt_tokens": [2.0],
        "usd_per_million_output_tokens": [8.0],
    }
    sizes = {"model": ["mine"], "n_params": [7e9], "n_tokens": [2e12]}
    run = evaluate(
        {"mine": "org/mine-v1"},
        [task],
        tmp_path / "run",
        k=20,
        sizes=pl.DataFrame(sizes),
        prices=pl.DataFrame(prices),
        endpoint=Endpoint(server.url, concurrency=4, per_request=8),
        progress=False,
    )
    assert samples(run) == truth(task, 20)
    assert {body["model"] for body in server.bodies()} == {"org/mine-v1"}
    counts = t2fast.read_counts(tmp_path / "run" / "counts.csv")
    by_id = {problem.id: problem for problem in task.problems}
    right = [(p, task.verify(by_id[p], text)) for p, _, text in truth(task, 20)]
    assert counts.frame["n_correct"].to_list() == [
        sum(ok for p, ok in right if p == problem) for problem in by_id
    ]
    assert counts.n_params.tolist() == [7e9] * PROBLEMS
    assert counts.n_tokens.tolist() == [2e12] * PROBLEMS
    # The reply that was cut in the middle was drawn, and nobody knows it: 8 or 4 samples.
    took = run.usage().row(0, named=True)
    assert took["prompt_tokens"] < server.tokens[0]
    assert took["output_tokens"] == 2 * 20 * PROBLEMS
    assert (took["requests"], took["retries"], took["silent"]) == (3 * PROBLEMS, 2, 0)
    prompt = sum(3 * len(problem.prompt) for problem in task.problems)
    assert took["prompt_tokens"] == prompt
    assert took["usd"] == pytest.approx((2 * prompt + 8 * 40 * PROBLEMS) / 1e6)
    assert counts.frame["output_tokens"].to_list() == [40.0] * PROBLEMS
    assert counts.frame["usd"].sum() == pytest.approx(took["usd"])
    assert counts.frame["wall_seconds"].sum() == pytest.approx(took["wall_seconds"])


def test_a_run_grows_and_moves_to_another_address(server: Speaking, task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    evaluate(["mine"], [task.first(5)], folder, k=3, endpoint=server.url, progress=False)
    asked = sum(body["n"] for body in server.bodies())
    with speaking() as other:
        run = evaluate(["mine"], [task], folder, k=9, endpoint=other.url, progress=False)
        assert sum(body["n"] for body in other.bodies()) == 9 * PROBLEMS - asked == 9 * PROBLEMS - 15
        assert samples(run) == truth(task, 9)
        assert run.usage()["requests"].sum() == len(server.asked) + len(other.asked)
        with pytest.raises(ValueError, match="another run: model mine, hash: 'mine' there, 'yours' now"):
            evaluate({"mine": "yours"}, [task], folder, k=9, endpoint=other.url, progress=False)
        more = Endpoint(other.url, request={"top_k": 3})
        with pytest.raises(ValueError, match="another run: server, request, top_k"):
            evaluate(["mine"], [task], folder, k=9, endpoint=more, progress=False)


def test_sequential_sampling_ends_as_in_order(server: Speaking, task: Task, tmp_path: Path) -> None:
    run = evaluate(
        ["mine"],
        [task],
        tmp_path / "run",
        k=30,
        until_successes=2,
        endpoint=Endpoint(server.url, concurrency=4),
        progress=False,
    )
    by_id = {problem.id: problem for problem in task.problems}
    for row in run.counts().frame.iter_rows(named=True):
        own = [task.verify(by_id[p], text) for p, _, text in truth(task, 30) if p == row["problem"]]
        ends = [i + 1 for i in range(30) if sum(own[: i + 1]) == 2]
        n = min(ends, default=30)
        assert (row["n_samples"], row["n_correct"]) == (n, sum(own[:n]))
    assert "usd" not in run.counts().frame.columns


def test_a_server_that_says_no_usage_leaves_none_in_the_counts(
    server: Speaking, task: Task, tmp_path: Path
) -> None:
    left = [True]

    def change(answer: dict[str, Any], _: dict[str, Any]) -> None:
        if left:
            left.pop()
            answer["usage"] = {**answer["usage"]}
            answer["said"] = answer.pop("usage")

    server.change = change
    run = evaluate(["mine"], [task], tmp_path / "run", k=4, endpoint=server.url, progress=False)
    assert run.usage()["silent"].to_list() == [1]
    assert "output_tokens" not in run.counts().frame.columns


def command(path: Path, folder: Path, url: str, *more: str) -> list[str]:
    spec = f"table:{path}:prompt=q,answer=a,rule=begins"
    given = ["evaluate", "--endpoint", url, "--model", "mine", "--task", spec, "-k", "20", "-o", str(folder)]
    return [*given, "--concurrency", "3", "--per-request", "2", "--key-env", "THE_KEY", *more]


def test_a_run_that_is_killed_goes_on_with_the_same_samples(
    server: Speaking, path: Path, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 three times amid the work; nothing that was written is drawn again."""
    folder = tmp_path / "run"
    code = "from t2fast.cli.main import main; raise SystemExit(main())"
    monkeypatch.setenv("THE_KEY", "sk-secret-123")
    server.seconds = 0.01
    journals = folder / "samples" / "mine"
    for kept in (10, 60, 120):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *command(path, folder, server.url)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        while sum(file.read_bytes().count(b"\n") for file in journals.glob("*.journal")) < kept:
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    before = sum(body["n"] for body in server.bodies())
    assert main(command(path, folder, server.url)) == 0
    assert samples(Run.open(folder)) == truth(task, 20)
    # What was under way at each of three kills may be lost: three requests of two, and what was in the pipe.
    assert sum(body["n"] for body in server.bodies()) - before <= 20 * PROBLEMS - 120
    for file in folder.rglob("*"):
        assert file.is_dir() or b"secret" not in file.read_bytes(), file


def test_the_key_is_in_no_output(
    server: Speaking, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("THE_KEY", "sk-secret-123")
    server.faults = [cut, status(429, "sk-secret-123 is too quick")]
    assert main([*command(path, tmp_path / "run", server.url), "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["usage"][0]["retries"] == 2
    server.always = status(403, "sk-secret-123 may not")
    assert main(command(path, tmp_path / "other", server.url)) != 0
    out, more = capfd.readouterr()
    assert r"*** may not (the environment's THE_KEY holds a key that it does not take)" in " ".join(
        more.split()
    )
    assert "secret" not in out + err + more
    assert all("Bearer sk-secret-123" in headers.values() for _, _, headers, _ in server.asked)


def test_samples_on_the_command_line(server: Speaking, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["sample", "mine", "--endpoint", server.url, "--prompt", "2 + 2 ="]
    assert main([*given, "-k", "5", "--first-sample", "3", "--per-request", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    seed = hash64(0, 0)
    assert [(row["sample"], row["text"]) for row in rows] == [
        (i, draw("2 + 2 =", (seed + i) % 2**31)) for i in range(3, 8)
    ]
    assert {row["logprob"] for row in rows} == {None}
    assert "5 samples by 3 requests, 21 prompt and 10 output tokens" in err
    assert main([*given, "-k", "1"]) == 0
    assert "── problem 0, sample 0 (length)\n" in capsys.readouterr().out


def test_samples_that_came_before_a_server_gave_up_are_printed(
    server: Speaking, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = [None, None]
    server.always = status(500, "out of memory")
    given = ["sample", "mine", "--endpoint", server.url, "--prompt", "2 + 2 =", "-k", "12", "--json"]
    assert main([*given, "--per-request", "3", "--concurrency", "1", "--retries", "0"]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["sample"] for line in out.splitlines()] == list(range(6))
    assert "failed 1 time, at last with status 500: out of memory" in " ".join(err.split())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--score"], "a server gives no log-likelihoods"),
        (["--threads", "2"], "--threads is for models that are opened here"),
        (["--request", "3"], "is no object"),
        (["--request", "{"], "is no JSON"),
    ],
)
def test_what_a_server_does_not_do_is_said(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    try:
        code = main(command(path, tmp_path / "run", "http://localhost:1/v1", *more))
    except SystemExit as end:
        code = end.code
    assert code != 0
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
