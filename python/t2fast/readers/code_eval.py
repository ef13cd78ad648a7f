"""What `code_eval` returns beside pass@k, as bigcode-evaluation-harness keeps it: `logs.json`, one object.

A key is a task's number, its value a list of [number of the completion, its result], each with task_id,
passed, result and completion_id. bigcode-evaluation-harness writes it for HumanEvalPack alone, without the
model, and everything else as means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, document, expected
from t2fast.readers.measured import Measured, Problems, Tally
from t2fast.readers.naming import measured_by_file

NAME = "bigcode-evaluation-harness"
KEYS = frozenset({"completion_id", "passed", "result"})


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a document holds the results of completions by task."""
    pairs = next(iter(first.values()), None)
    pair = pairs[0] if isinstance(pairs, list) and pairs else None
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict) and pair[1].keys() >= KEYS


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every task by what passed."""
    choices.refuse_others(paths[0], NAME, ())
    return measured_by_file(paths, choices.model, _counts)


def _counts(path: str, tally: Tally) -> Problems:
    tally.note("read as results of code_eval, as bigcode-evaluation-harness keeps them")
    problems = Problems()
    for task, results in document(path).items():
        seen: dict[object, int] = {}
        for i, pair in enumerate(as_list(results, f"{task!r} in {path}"), 1):
            where = f"result {i} of {task!r} in {path}"
            number, *rest = as_list(pair, where) or [None]
            expected(number, int, "a whole number", f"the completion of {where}")
            if seen.setdefault(number, i) != i:
                raise ValueError(f"{where} repeats result {seen[number]}: both are of completion {number}")
            result = as_object(rest[0] if rest else None, where)
            passed = expected(result.get("passed"), bool, "true or false", f"passed in {where}")
            problems.add(task, 1, int(passed))
    return problems
