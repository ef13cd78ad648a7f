"""LiveCodeBench: `..._eval_all.json`, one array with an object a question.

A row has question_id and graded_list, one true or false a sample. Scenarios that ask a question several times
over tell its parts apart: prediction of tests' outputs by test_id, execution of code by id. The model names
the folder: `output/MODEL/Scenario.codegeneration_N_T_eval_all.json`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, expected, json_rows
from t2fast.readers.measured import Measured, Problems, Tally

NAME = "LiveCodeBench"
KEYS = frozenset({"question_id", "graded_list"})
_FILE = re.compile(r"Scenario\.(?P<task>\w+?)_\d+_[\d.]+?(?P<cot>_cot)?_eval_all\.json")
_PARTS = ("test_id", "id")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether an array's first object is a question with graded samples."""
    return first.keys() >= KEYS


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every question by its grades."""
    choices.refuse_others(paths[0], NAME, ())
    tally = Tally()
    tally.note("read as LiveCodeBench, of which every version grades a list")
    for path in paths:
        problems = Problems()
        for where, row in json_rows(path):
            question = _question(row, where)
            if question in problems:
                raise ValueError(f"{where} repeats the question {question}")
            grades = [
                expected(grade, bool, "true or false", f"grade {i} in {where}")
                for i, grade in enumerate(as_list(row.get("graded_list"), f"graded_list in {where}"), 1)
            ]
            codes = row.get("code_list")
            if isinstance(codes, list) and len(codes) != len(grades):
                raise ValueError(f"{where} has {len(codes)} in code_list but {len(grades)} in graded_list")
            problems.add(question, len(grades), sum(grades))
        tally.add(path, problems, **_run(path))
    return tally.measured(paths)


def _question(row: Mapping[str, Any], where: str) -> str:
    names = ["question_id", *(name for name in _PARTS if name in row)]
    return "/".join(str(expected(row.get(name), str | int, "text", f"{name} in {where}")) for name in names)


def _run(path: str) -> dict[str, str]:
    """Model and task, where the path is as LiveCodeBench names it."""
    named = _FILE.fullmatch(os.path.basename(path))
    if not named:
        return {}
    model = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return {"model": model, "task": named["task"] + (named["cot"] or "")}
