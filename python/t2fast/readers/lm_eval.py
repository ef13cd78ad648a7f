"""lm-eval 0.4: `samples_<task>_<time>.jsonl` beside `results_<time>.json`, in one folder a model.

A row is one document under one filter: `resps` holds its K responses, `metrics` names the keys that hold its
scores. The results name the model and, for Hugging Face models, its parameters.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Answer, Choices
from t2fast.readers.documents import as_list, as_object, as_text, document, expected, json_rows
from t2fast.readers.measured import Measured, Tally

NAME = "lm-eval"
# Task names hold underscores, so the name ends where the time begins.
_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.jsonl(\.gz)?")
_RESULTS = re.compile(r".+_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.json")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is a row of samples."""
    return {"doc_id", "resps", "doc_hash"} <= first.keys()


def recognises_results(first: Mapping[str, Any]) -> bool:
    """Whether a document holds the results of a run, whose samples lie beside it."""
    return {"results", "configs"} <= first.keys()


def samples_beside(path: str) -> list[str]:
    """The files of samples of the run whose results are at `path`; `ValueError` if there are none."""
    named = _RESULTS.fullmatch(os.path.basename(path))
    pattern = f"samples_*_{named['time']}.jsonl*" if named else "samples_*.jsonl*"
    found = sorted(glob.glob(os.path.join(glob.escape(os.path.dirname(path)), pattern)))
    if not found:
        raise ValueError(
            f"{path} holds means alone, and no {pattern} lies beside it: run lm-eval with --log_samples"
        )
    return found


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every document by model and task; problems go by doc_hash, which is the same in every run.

    Errors: `ValueError` where a filter or a metric must be chosen; for one score of several responses, which
    is no count; and for log-probabilities of choices in place of responses.
    """
    choices.refuse_others(paths[0], NAME, ("filter", "metric", "answer", "correct_at"))
    tally = Tally()
    others = 0
    for path in paths:
        named = _SAMPLES.fullmatch(os.path.basename(path))
        task = named["task"] if named else None
        if None not in (choices.task, task) and task != choices.task and len(paths) > 1:
            others += 1
            continue
        run = _run(path, named["time"]) if named else {}
        tally.add(_counts(path, choices, tally), task=task, **run)
    if others:
        tally.leave_out(f"task other than {choices.task!r} ({others} files)", 0)
    return tally.measured(paths[0] if len(paths) == 1 else os.path.commonpath(paths))


def _run(path: str, time: str) -> dict[str, str | float | None]:
    """The model of a run and its n_params, if its results lie beside its samples and say so."""
    beside = glob.glob(os.path.join(glob.escape(os.path.dirname(path)), f"*_{time}.json"))
    if not beside:
        return {"model": None, "n_params": None}
    results = document(beside[0])
    config = as_object(results.get("config"), f"config in {beside[0]}")
    n_params = config.get("model_num_parameters")
    model = as_text(results.get("model_name"), f"model_name in {beside[0]}")
    # -1 where lm-eval cannot tell
    if not isinstance(n_params, int) or not 0 < n_params < 2**63:
        return {"model": model, "n_params": None}
    return {"model": model, "n_params": float(n_params)}


def _counts(path: str, choices: Choices, tally: Tally) -> dict[str, tuple[int, int]]:
    """(n_samples, n_correct) by problem, of one file."""
    counts: dict[str, tuple[int, int]] = {}
    seen: dict[object, str] = {}
    for where, row in _filtered(path, choices, tally):
        doc_id = expected(row.get("doc_id"), int, "a whole number", f"doc_id in {where}")
        if doc_id in seen:
            raise ValueError(f"{where} repeats document {doc_id}, which is in {seen[doc_id]}")
        seen[doc_id] = where
        verdicts = list(_verdicts(row, choices, where))
        missing = verdicts.count(None)
        if missing:
            tally.leave_out("score is NaN", missing)
        problem = as_text(row.get("doc_hash"), f"doc_hash in {where}")
        while problem in counts:  # a data set may hold one document twice
            stem, _, number = problem.partition("#")
            problem = f"{stem}#{int(number or 1) + 1}"
        counts[problem] = len(verdicts) - missing, verdicts.count(True)
    return counts


def _filtered(path: str, choices: Choices, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of one filter: every filter has a row of its own for every document."""
    filters: dict[str, int] = {}
    taken = choices.filter
    for where, row in json_rows(path):
        name = as_text(row.get("filter"), f"filter in {where}")
        filters[name] = filters.get(name, 0) + 1
        taken = taken or name
        if name == taken:
            yield where, row
    # Responses are the same under every filter: it is only their scores that differ.
    if choices.answer is None or choices.filter is not None:
        choices.pick("filter", filters, path)
    for name, rows in filters.items():
        if name != taken:
            tally.leave_out(f"filter {name!r}, the same responses as {taken!r}", rows)


def _verdicts(row: Mapping[str, Any], choices: Choices, where: str) -> Iterator[bool | None]:
    responses = _responses(row, where)
    if choices.answer is not None:
        if choices.metric is not None:
            raise ValueError("answer= scores the responses anew: leave metric= out")
        yield from _scored(row, responses, choices.answer, where)
        return
    metrics = [
        as_text(name, f"metrics in {where}") for name in as_list(row.get("metrics"), f"metrics in {where}")
    ]
    metric = choices.pick("metric", metrics, where)
    score = row.get(metric)
    if not isinstance(score, list):
        if len(responses) > 1:
            raise ValueError(
                f"{metric} in {where} is one score for {len(responses)} responses, and most filters score "
                "the first alone: choose a metric that holds a list, one score a response, or score the "
                "responses anew by answer= (--answer REGEX)"
            )
        score = [score]
    if len(score) > len(responses):
        raise ValueError(f"{metric} in {where} has {len(score)} scores for {len(responses)} responses")
    for value in score:
        yield choices.is_correct(value, f"{metric} in {where}")


def _responses(row: Mapping[str, Any], where: str) -> list[str]:
    requests = as_list(row.get("resps"), f"resps in {where}")
    responses = as_list(requests[0], f"resps in {where}") if len(requests) == 1 else []
    pairs = any(
        isinstance(response, list)
        for request in requests
        if isinstance(request, list)
        for response in request
    )
    if pairs or len(requests) != 1:
        raise ValueError(
            f"resps in {where} are log-probabilities of given answers, not samples: pass@k needs a task that "
            "generates (output_type: generate_until)"
        )
    if not responses:
        raise ValueError(f"resps in {where} holds no response")
    return [str(expected(response, str, "text", f"resps in {where}")) for response in responses]


def _scored(row: Mapping[str, Any], responses: list[str], answer: Answer, where: str) -> Iterator[bool]:
    """Responses by the caller's own rule."""
    rule = _by_pattern(answer, where) if isinstance(answer, str) else answer
    for response in responses:
        verdict = rule(row, response)
        if not isinstance(verdict, bool):
            raise ValueError(f"answer= gave {verdict!r} for {where}, not True or False")
        yield verdict


def _by_pattern(pattern: str, where: str) -> Callable[[Mapping[str, Any], str], bool]:
    """Whether what the pattern finds last, its first group if it has one, is the target, spaces aside."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"answer= {pattern!r} is no regular expression: {error}") from None
    group = min(compiled.groups, 1)

    def rule(row: Mapping[str, Any], response: str) -> bool:
        target = as_text(row.get("target"), f"target in {where}")
        found = [match[group] for match in compiled.finditer(response)]
        return bool(found) and (found[-1] or "").strip() == target.strip()

    return rule
