"""lm-eval 0.4: `samples_<task>_<time>.jsonl` beside `results_<time>.json`, in one folder a model.

A row is one document under one filter: `resps` holds its K responses, `metrics` names the keys that hold its
scores. The results name the model and, for Hugging Face models, its parameters. Up to 0.4.6 rows name neither
their filter nor their metrics: the filters come one after the other, in the order that the task has them. Up
to 0.4.2 documents have no hash, and the rows are one array, in `<model args>_<task>.jsonl` beside
`results.json`.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Answer, Choices
from t2fast.readers.documents import as_list, as_object, as_text, document, expected, json_rows
from t2fast.readers.measured import Measured, Problems, Tally

NAME = "lm-eval"
KEYS = frozenset({"doc_id", "doc", "target", "resps", "filtered_resps"})
_NO_METRICS = KEYS | {"arguments", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash"}
# Task names hold underscores, so the name ends where the time begins.
_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.jsonl(\.gz)?")
_SHARE = re.compile(r"pass(@|_at_)1")
_RESULTS = re.compile(r".+_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.json")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is a row of samples."""
    return {"doc_id", "resps"} <= first.keys()


def recognises_results(first: Mapping[str, Any]) -> bool:
    """Whether a document holds the results of a run, whose samples lie beside it."""
    return {"results", "configs"} <= first.keys()


def samples_beside(path: str) -> list[str]:
    """The files of samples of the run whose results are at `path`; `ValueError` if there are none."""
    named = _RESULTS.fullmatch(os.path.basename(path))
    pattern = f"samples_*_{named['time']}.jsonl*" if named else "*.jsonl*"
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
        results = _results(path, named["time"] if named else None)
        task = named["task"] if named else _old_task(path, results)
        if None not in (choices.task, task) and task != choices.task and len(paths) > 1:
            others += 1
            continue
        problems = _counts(path, choices, tally, _filters(results, task))
        tally.add(path, problems, task=task, **_run(results))
    if others:
        tally.leave_out(f"task other than {choices.task!r} ({others} files)", 0)
    return tally.measured(paths)


Results = tuple[str, dict[str, Any]]


def _results(path: str, time: str | None) -> Results | None:
    """The results of the run that samples are of, and where they are, if they lie beside."""
    pattern = "results*.json" if time is None else f"*_{time}.json"
    beside = glob.glob(os.path.join(glob.escape(os.path.dirname(path)), pattern))
    return (beside[0], document(beside[0])) if len(beside) == 1 else None


def _old_task(path: str, results: Results | None) -> str | None:
    """The task of samples in a file that ends in its name, by the tasks that the results know."""
    stem = os.path.basename(path).removesuffix(".gz").removesuffix(".jsonl")
    known = (results[1].get("configs") if results else None) or {}
    return max((task for task in known if stem == task or stem.endswith(f"_{task}")), key=len, default=None)


def _filters(results: Results | None, task: str | None) -> list[str]:
    """The names of a task's filters in their order, as far as the results say them."""
    if results is None or task is None:
        return []
    config = (results[1].get("configs") or {}).get(task) or {}
    there = config.get("filter_list")
    if not isinstance(there, list):
        return ["none"]
    return [str(entry.get("name")) for entry in there if isinstance(entry, dict)]


def _run(results: Results | None) -> dict[str, str | float | None]:
    """The model of a run and its n_params, as far as its results say them."""
    if results is None:
        return {"model": None, "n_params": None}
    where, found = results
    config = as_object(found.get("config"), f"config in {where}")
    n_params = config.get("model_num_parameters")
    model = found.get("model_name") or _model_in(config.get("model_args")) or config.get("model")
    model = as_text(model, f"model_name in {where}")
    # -1 where lm-eval cannot tell
    if not isinstance(n_params, int) or not 0 < n_params < 2**63:
        return {"model": model, "n_params": None}
    return {"model": model, "n_params": float(n_params)}


def _model_in(arguments: object) -> str | None:
    """The model that arguments name: `pretrained=NAME,dtype=float`, or an object as in later versions."""
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    names = ("peft", "delta", "pretrained", "model", "path", "engine")
    return (
        next((arguments[name] for name in names if arguments.get(name)), None)
        if isinstance(arguments, dict)
        else None
    )


def _counts(path: str, choices: Choices, tally: Tally, filters: Sequence[str]) -> Problems:
    problems = Problems()
    seen: dict[object, str] = {}
    for where, row in _filtered(path, choices, tally, filters):
        doc_id = expected(row.get("doc_id"), int, "a whole number", f"doc_id in {where}")
        if doc_id in seen:
            raise ValueError(f"{where} repeats document {doc_id}, which is in {seen[doc_id]}")
        seen[doc_id] = where
        verdicts = list(_verdicts(row, choices, tally, where))
        missing = verdicts.count(None)
        if missing:
            tally.leave_out("score is NaN", missing)
        problem = as_text(row["doc_hash"] if "doc_hash" in row else _hash(row), f"doc_hash in {where}")
        while problem in problems:  # a data set may hold one document twice
            stem, _, number = problem.partition("#")
            problem = f"{stem}#{int(number or 1) + 1}"
        problems.add(problem, len(verdicts) - missing, verdicts.count(True))
    return problems


def _hash(row: Mapping[str, Any]) -> str:
    """The hash of a document that lm-eval itself gives it from 0.4.3 on."""
    return hashlib.sha256(json.dumps(row.get("doc"), indent=2, ensure_ascii=False).encode()).hexdigest()


def _filtered(
    path: str, choices: Choices, tally: Tally, names: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of one filter: every filter has a row of its own for every document."""
    filters: dict[str, int] = {}
    taken = choices.filter
    occurrences: Counter[object] = Counter()
    for where, row in json_rows(path):
        if "filter" in row:
            name = as_text(row["filter"], f"filter in {where}")
            tally.note("read as lm-eval 0.4.7 to 0.4.13")
        else:
            doc_id = expected(row.get("doc_id"), int, "a whole number", f"doc_id in {where}")
            number = occurrences[doc_id]
            occurrences[doc_id] += 1
            name = names[number] if number < len(names) else f"filter {number + 1}"
            tally.note(f"read as lm-eval {'0.4.3 to 0.4.6' if 'doc_hash' in row else '0.4.0 to 0.4.2'}")
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


def _verdicts(row: Mapping[str, Any], choices: Choices, tally: Tally, where: str) -> Iterator[bool | None]:
    responses = _responses(row, where)
    if choices.answer is not None:
        if choices.metric is not None:
            raise ValueError("answer= scores the responses anew: leave metric= out")
        yield from _scored(row, responses, choices.answer, where)
        return
    metric = choices.pick("metric", _metrics(row, where), where)
    score: Any = row.get(metric)
    named = f"{metric} in {where}"
    kept = _kept(row, responses)
    if kept == 1 and len(responses) > 1:
        raise ValueError(
            f"{named} is one score for {len(responses)} responses, of which the filter makes one: choose a "
            "filter that keeps them, or score the responses anew by answer="
        )
    if not isinstance(score, list):
        if kept == 1:
            yield choices.is_correct(score, named)
            return
        correct = round(score * kept) if _SHARE.fullmatch(metric) and isinstance(score, int | float) else -1
        if correct < 0 or abs(score * kept - correct) > 1e-6:
            raise ValueError(
                f"{named} is one score for {kept} responses: choose a metric that holds a list, one score a "
                "response, or score the responses anew by answer="
            )
        # pass@1 of a document is the share of its responses that are right.
        score = [i < correct for i in range(kept)]
    if len(score) != kept:
        raise ValueError(
            f"{named} has {len(score)} scores for {kept} response{'s' * (kept > 1)}: it does not say which "
            "responses are right; choose another metric, or score the responses anew by answer="
        )
    if kept < len(responses):
        tally.leave_out("response that the filter left out", len(responses) - kept)
    for value in score:
        yield choices.is_correct(value, named)


def _kept(row: Mapping[str, Any], responses: Sequence[str]) -> int:
    """How many responses were scored: a row's filter may leave some out, or make one answer of all."""
    kept = row.get("filtered_resps")
    if not isinstance(kept, list) or len(kept) != 1:
        return len(responses)
    return min(len(kept[0]), len(responses)) if isinstance(kept[0], list) else 1


def _metrics(row: Mapping[str, Any], where: str) -> list[str]:
    """The keys that hold scores: those that `metrics` names, or before 0.4.7 whatever is no other field."""
    if "metrics" in row:
        names = as_list(row["metrics"], f"metrics in {where}")
        return [as_text(name, f"metrics in {where}") for name in names]
    return [
        key
        for key, value in row.items()
        if key not in _NO_METRICS and (isinstance(value, bool | int | float) or _numbers(value))
    ]


def _numbers(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, bool | int | float) for item in value)
    )


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
