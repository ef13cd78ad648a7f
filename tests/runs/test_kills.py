"""Runs that are killed, at chosen system calls and at any moment: nothing is lost, the end is the same."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from t2fast.runs import evaluate
from t2fast.runs.folder import Run
from t2fast.tasks import Problem, Task
from tiny_model import OPTIONS, contents, write_sums


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


def bytes_in(folder: Path) -> int:
    """Of all files there; one may be renamed while they are added up."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def kill_repeatedly(model: Path, task: str, folder: Path, kills: int, *options: str) -> int:
    """Kill a run at random moments, `kills` times or more; how many found work still to be done.

    More often than `kills` where a machine so fast, or so busy, that most runs end before the signal comes
    has been caught at work by fewer than a quarter of them.

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
    for number in range(10 * kills):
        if number >= kills and amid >= kills / 4:
            break
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


DENSE = """
import os, sys
from dataclasses import replace
from t2fast.runs import evaluate
from t2fast.tasks import load_task

model, task, folder, verdicts = sys.argv[1:]
told = os.open(verdicts, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sums = load_task(task)

def check(problem, text):
    os.write(told, b".")
    return sums.verify(problem, text)

options = {"temperature": 0.7, "max_tokens": 16, "dtype": "float32", "progress": False}
evaluate([model], [replace(sums, check=check)], folder, k=64, **options)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_kill_amid_many_rows_costs_the_sample_at_hand_at_most(model: Path, tmp_path: Path) -> None:
    """Of samples that had ended: the one between its verdict and its line. Rows underway are drawn again."""
    problems, k = 200, 64
    verdicts, run = tmp_path / "verdicts", tmp_path / "run"
    path = write_sums(tmp_path / "sums.jsonl", problems)
    task = f"table:{path}:prompt=q,answer=a,rule=begins"

    def command(folder: Path, told: Path) -> list[str]:
        return [sys.executable, "-c", DENSE, str(model), task, str(folder), str(told)]

    subprocess.run(command(tmp_path / "whole", tmp_path / "others"), check=True, capture_output=True)
    verdicts.touch()
    kills, amid = 0, 0
    for part in (0.15, 0.4, 0.7):
        process = subprocess.Popen(command(run, verdicts), stderr=subprocess.PIPE)
        while process.poll() is None and verdicts.stat().st_size < part * problems * k:
            time.sleep(0.001)
        process.kill()
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
        kills += process.returncode != 0
        kept: dict[str, set[int]] = {}
        for row in Run.open(run).samples():
            kept.setdefault(row["problem"], set()).add(row["sample"])
        assert 0 <= verdicts.stat().st_size - sum(map(len, kept.values())) <= kills
        # Samples that ended while earlier ones of their problem were underway.
        amid += sum(max(own) + 1 - len(own) for own in kept.values()) >= 16
    assert amid >= 1
    subprocess.run(command(run, verdicts), check=True, capture_output=True)
    assert 0 <= verdicts.stat().st_size - problems * k <= kills
    assert contents(run) == contents(tmp_path / "whole")
    assert Run.open(run).counts().frame.equals(Run.open(tmp_path / "whole").counts().frame)
