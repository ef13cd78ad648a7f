"""Files that hold means alone, or ungraded samples: who wrote them, and what to read in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from t2fast.readers.choices import Choices
from t2fast.readers.documents import first_object

NAME = "a tool that keeps means alone"
KEYS: frozenset[str] = frozenset()


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a document holds means and no samples."""
    return _writer(first) is not None


def read(paths: Sequence[str], choices: Choices) -> NoReturn:
    """`ValueError` that says what to do."""
    del choices
    raise ValueError(f"{paths[0]} {_writer(first_object(paths[0])[0])}")


def _writer(first: Mapping[str, Any]) -> str | None:
    tasks = [value for key, value in first.items() if key != "config"]
    config = first.get("config")
    of_bigcode = isinstance(config, dict) and config.keys() >= {"allow_code_execution", "metric_output_path"}
    if of_bigcode or (tasks and all(isinstance(task, dict) and _means(task) for task in tasks)):
        return (
            "was written by bigcode-evaluation-harness and holds means over problems alone, from which no "
            "count can be had: run its generations (--save_generations) through human-eval or evalplus, and "
            "read that, or the logs.json that HumanEvalPack leaves where it ran"
        )
    if "evaluation_results" in first and "evaluation_id" in first:
        return (
            "is a summary by every_eval_ever's schema and holds means alone: read the file of instances that "
            "its detailed_evaluation_results name"
        )
    ungraded = {"question_id", "output_list"} <= first.keys() and "graded_list" not in first
    if ungraded or first.keys() in ({"pass@1"}, {"pass@1", "detail"}):
        what = "is not graded: run it with --evaluate, and" if ungraded else "holds its metrics:"
        return f"was written by LiveCodeBench and {what} read the file ..._eval_all.json beside it"
    if {"gt_pass_rate", "calibrated"} <= first.keys():
        return (
            "was written by BigCodeBench and holds means over problems alone: read the file "
            "..._eval_results.json beside it"
        )
    if "score" in first and all(isinstance(value, int | float) for value in first.values()):
        return (
            "was written by simple-evals and holds means over problems alone: read the file "
            "..._allresults.json beside it"
        )
    return None


def _means(task: Mapping[str, Any]) -> bool:
    return any(key.startswith("pass@") for key in task) and all(
        isinstance(value, int | float | str) for value in task.values()
    )
