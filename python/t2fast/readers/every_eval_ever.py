"""every_eval_ever's schema of instances, 0.1 to 0.2: JSON Lines, a row a sample.

A row has evaluation_id, model_id, evaluation_name, sample_id and evaluation, with score and is_correct; it
may have token_usage, performance, error and, where a sample was scored more than once, evaluation_result_id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_object, as_text, expected, json_rows
from t2fast.readers.measured import Measured, Problems, Tally

NAME = "every_eval_ever"
KEYS = frozenset({"evaluation_id", "sample_id", "evaluation"})


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is an instance."""
    return first.keys() >= KEYS


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every sample id by model and evaluation: by is_correct, or by score from `correct_at` on.

    Errors: `ValueError` where one of several results of the same samples must be chosen, as `metric`.
    """
    choices.refuse_others(paths[0], NAME, ("metric", "correct_at", "errors"))
    tally = Tally()
    runs: dict[tuple[str, str, str], dict[str, Problems]] = {}
    places: dict[tuple[str, str, str], str] = {}
    for path in paths:
        for where, row in json_rows(path):
            tally.note(f"read as every_eval_ever {row.get('schema_version', 'of no stated version')}")
            model = as_text(row.get("model_id"), f"model_id in {where}")
            task = as_text(row.get("evaluation_name"), f"evaluation_name in {where}")
            if choices.task not in (None, task):
                tally.leave_out(f"task other than {choices.task!r}")
                continue
            problem = str(expected(row.get("sample_id"), str | int, "text", f"sample_id in {where}"))
            correct = _verdict(row, choices, tally, where)
            run = (model, task, str(row.get("evaluation_id")))
            places.setdefault(run, path)
            metrics = runs.setdefault(run, {})
            problems = metrics.setdefault(str(row.get("evaluation_result_id") or ""), Problems())
            if correct is not None:
                problems.add(problem, 1, int(correct), _used(row))
    for (model, task, name), metrics in runs.items():
        # Under another result the same samples are there once more.
        several = len(metrics) > 1 or choices.metric is not None
        metric = choices.pick("metric", metrics, f"evaluation {name!r}") if several else next(iter(metrics))
        tally.add(places[model, task, name], metrics[metric], model=model, task=task)
    return tally.measured(paths)


def _verdict(row: Mapping[str, Any], choices: Choices, tally: Tally, where: str) -> bool | None:
    output = row.get("output")
    responses = output.get("raw") if isinstance(output, dict) else None
    if isinstance(responses, list) and len(responses) > 1:
        raise ValueError(
            f"{where} has one verdict for {len(responses)} responses: no count can be had from it"
        )
    if row.get("error"):
        counts_as = tally.errored(choices.errors, scored=True)
        if counts_as != "scored":
            return False if counts_as == "wrong" else None
    evaluation = as_object(row.get("evaluation"), f"evaluation in {where}")
    if choices.correct_at is not None:
        return choices.is_correct(evaluation.get("score"), f"score in {where}")
    return bool(expected(evaluation.get("is_correct"), bool, "true or false", f"is_correct in {where}"))


def _used(row: Mapping[str, Any]) -> dict[str, float | None]:
    usage, performance = row.get("token_usage") or {}, row.get("performance") or {}
    latency = performance.get("latency_ms") if isinstance(performance, dict) else None
    return {
        "prompt_tokens": usage.get("input_tokens") if isinstance(usage, dict) else None,
        "output_tokens": usage.get("output_tokens") if isinstance(usage, dict) else None,
        "wall_seconds": latency / 1000 if isinstance(latency, int | float) else None,
    }
