"""evalplus: files that its own evaluation wrote, with and without its added tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from t2fast.readers import read_results

RUN = """
import os, sys
from evalplus.evaluate import evaluate
evaluate("humaneval", samples=sys.argv[1], base_only=sys.argv[2] == "base", parallel=1)
sys.stdout.flush()
os._exit(0)  # a watchdog thread would hold the process for another 20 seconds
"""
# Right on all tests, on the base tests alone, on the added tests alone, on none, never done.
BODIES = ["return 2 * x", "return 4", "return 2 * x if x > 2 else 0", "return 0", "\n    while True: pass"]


def evaluated(folder: Path, tests: str) -> Path:
    problems = [
        {
            "task_id": f"HumanEval/{i}",
            "prompt": "def f(x):\n",
            "contract": "",
            "entry_point": "f",
            "canonical_solution": "    return 2 * x\n",
            "base_input": [[2]],
            "plus_input": [[3], [5]],
            "atol": 0,
        }
        for i in range(2)
    ]
    bodies = {0: BODIES, 1: ["return 4", "return 2 * x"]}
    samples = [
        {"task_id": f"HumanEval/{i}", "completion": f"    {body}\n"} for i in bodies for body in bodies[i]
    ]
    for name, rows in (("problems.jsonl", problems), ("samples.jsonl", samples)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    environment = {
        **os.environ,
        "HUMANEVAL_OVERRIDE_PATH": str(folder / "problems.jsonl"),
        "XDG_CACHE_HOME": str(folder),
    }
    subprocess.run(
        [sys.executable, "-c", RUN, str(folder / "samples.jsonl"), tests],
        env=environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return folder / "samples_eval_results.json"


@pytest.fixture(scope="module")
def plus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("evalplus", reason="evalplus is not installed (t2fast[readers-test])")
    return evaluated(tmp_path_factory.mktemp("plus"), "plus")


@pytest.fixture(scope="module")
def base_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("evalplus", reason="evalplus is not installed (t2fast[readers-test])")
    return evaluated(tmp_path_factory.mktemp("base"), "base")


def test_plus_needs_both(plus: Path) -> None:
    assert read_results(plus, metric="base").frame.rows() == [("HumanEval/0", 5, 2), ("HumanEval/1", 2, 2)]
    # "return 2 * x if x > 2 else 0" passes the added tests and fails the base test: not correct.
    assert read_results(plus, metric="plus").frame.rows() == [("HumanEval/0", 5, 1), ("HumanEval/1", 2, 1)]
    statuses = {
        (sample["base_status"], sample["plus_status"])
        for sample in json.loads(plus.read_text())["eval"]["HumanEval/0"]
    }
    assert {("pass", "pass"), ("pass", "fail"), ("fail", "pass"), ("fail", "fail")} <= statuses


def test_two_metrics_are_a_choice(plus: Path) -> None:
    with pytest.raises(ValueError, match=r"has 2 metrics, 'base', 'plus': choose one by metric="):
        read_results(plus)


def test_base_only_is_no_failure(base_only: Path) -> None:
    assert read_results(base_only).frame.rows() == [("HumanEval/0", 5, 2), ("HumanEval/1", 2, 2)]
    with pytest.raises(ValueError, match="has no metric 'plus'; it has 'base'"):
        read_results(base_only, metric="plus")


def test_samples_without_plus_are_left_out(plus: Path, base_only: Path, tmp_path: Path) -> None:
    # Two of evalplus' own runs, joined as a resumed evaluation would be.
    joined = json.loads(plus.read_text())
    joined["eval"]["HumanEval/1"] += json.loads(base_only.read_text())["eval"]["HumanEval/1"]
    path = tmp_path / "eval_results.json"
    path.write_text(json.dumps(joined))
    counts = read_results(path, metric="plus")
    assert counts.frame.row(1) == ("HumanEval/1", 2, 1)
    assert [(part.rows, part.reason) for part in counts.left_out] == [
        (2, "without a plus_status: base tests only")
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"base_status": "pass"',
            '"base_status": "ok"',
            r"base_status of sample 1 of eval\['HumanEval/0'\] in .* 'ok'",
        ),
        (
            '"base_status": "pass"',
            '"base_status": null',
            r"base_status of sample 1 of .* is missing, not one of pass",
        ),
        ('"plus_status": "pass"', '"plus_status": NaN', r"plus_status of sample 1 of .* is nan"),
        ('"plus_status": "pass"', '"plus_status": ["pass"]', "is an array"),
        ('"eval": {', '"eval": [], "x": {', "eval in .* is an array, not an object"),
        (
            '"HumanEval/0": [',
            '"HumanEval/0": {}, "x": [1, ',
            r"eval\['HumanEval/0'\] in .* is an object, not an array",
        ),
        ('"hash": ', '"hash": ' + "[" * 100_000 + ", ", "no JSON|nested too deeply"),
        ("}", "", "no JSON"),
    ],
)
def test_faults_are_named(plus: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "x_eval_results.json"
    path.write_text(plus.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_results(path, metric="base")
