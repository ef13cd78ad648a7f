"""lighteval: `details/MODEL/TIME/details_TASK_TIME.parquet`, a row a document.

`metric` (up to 0.10 `metrics`) is a struct of scores; up to 0.7 it and all other columns are text, as Python
prints them. Of several samples a document has one mean, such as avg@n:n=4, pass@k:k=1&n=4 or, up to 0.10,
math_pass@1:4_samples, from which the correct ones are counted. It may be of fewer samples than there are: all
metrics of a task share as many as the greediest needs.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_text, described
from t2fast.readers.measured import Measured, Problems, Tally
from t2fast.tables.json_lines import LONGEST_LINE

NAME = "lighteval"
KEYS = frozenset({"metric", "doc", "model_response"})
_SCORES = ("metric", "metrics")
_BESIDE = frozenset({"doc", "model_response", "full_prompt", "predictions", "example"})
_FILE = re.compile(r"details_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.parquet")
_NUMPY = re.compile(r"\bnp\.\w+\(([^()]*)\)|\b(?:nan|-?inf)\b")
_MEAN = re.compile(r"(?:\w+_)?(?P<of>avg|pass)@(?P<at>\w+)(?::(?P<more>.*))?")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether rows are details of lighteval: a struct of scores beside a document."""
    scores = next((first[name] for name in _SCORES if name in first), None)
    return isinstance(scores, dict) and bool(_BESIDE & first.keys())


def recognises_parquet(path: str) -> bool:
    """Whether a Parquet file is one of lighteval, by its columns."""
    try:
        schema = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError):
        return False
    if isinstance(schema.get("metrics"), pl.String):
        return {"full_prompt", "predictions"} <= schema.keys()
    return any(isinstance(schema.get(name), pl.Struct) for name in _SCORES) and bool(_BESIDE & schema.keys())


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every document by one metric."""
    choices.refuse_others(paths[0], NAME, ("metric", "correct_at"))
    tally = Tally()
    tally.add_files(paths, choices.task, _run, lambda path: _counts(path, choices, tally))
    return tally.measured(paths)


def _run(path: str) -> dict[str, str]:
    """Model and task, where the path is as lighteval names it."""
    named = _FILE.fullmatch(os.path.basename(path))
    if not named:
        return {}
    run = {"task": named["task"]}
    parts = os.path.abspath(path).split(os.sep)
    if "details" in parts[:-2]:
        start = len(parts) - 1 - parts[::-1].index("details")
        run["model"] = "/".join(parts[start + 1 : -2])
    return run


def _counts(path: str, choices: Choices, tally: Tally) -> Problems:
    rows = list(_rows(path, tally))
    metric = choices.pick("metric", {name for _, _, scores, _ in rows for name in scores}, path)
    mean_of = _mean_of(metric)
    problems = Problems()
    for where, problem, scores, samples in rows:
        named, value = f"{metric} in {where}", scores.get(metric)
        n = samples if mean_of is None else mean_of or samples
        if problem in problems:
            raise ValueError(f"{where} repeats the document {problem}")
        if value is None:
            tally.leave_out(f"document without {metric}")
        elif n > 1 and (mean_of is None or not isinstance(value, int | float)):
            raise ValueError(
                f"{named} is one score for {n} samples, from which no count can be had: choose a metric "
                "avg@n or pass@1"
            )
        elif 0 < samples < n:
            raise ValueError(f"{named} is a mean of {n} samples, of which {samples} are there")
        elif n > 1:
            correct = round(value * n)
            if abs(value * n - correct) > 1e-6 * n:
                raise ValueError(f"{named} is {described(value)}: no whole number of {n} samples")
            problems.add(problem, n, correct)
        else:
            verdict = choices.is_correct(value, named)
            if verdict is None:
                tally.leave_out("score is NaN")
            else:
                problems.add(problem, 1, int(verdict))
        if value is not None and samples > max(n, 1):
            tally.leave_out(f"sample that {metric} does not count", samples - max(n, 1))
    return problems


def _mean_of(metric: str) -> int | None:
    """Of how many samples a metric is the mean: 0 if of all that there are, None if it is no mean."""
    found = _MEAN.fullmatch(metric)
    if not found:
        return None
    more = found["more"] or ""
    given = dict(part.split("=", 1) for part in more.split("&") if "=" in part)
    plain = re.fullmatch(r"(\d+)(_samples)?", more)
    if found["of"] == "pass" and given.get("k", found["at"]) != "1":
        return None
    n = given.get("n") or (plain[1] if plain else found["at"] if found["of"] == "avg" else "")
    return int(n) if n.isdigit() else 0


def _rows(path: str, tally: Tally) -> Iterator[tuple[str, str, dict[str, Any], int]]:
    """Words for where a row is, its problem, its scores and how many samples it has."""
    schema = pl.read_parquet_schema(path)
    scores = next(name for name in _SCORES if name in schema)
    printed = isinstance(schema[scores], pl.String)
    versions = "0.11 to 0.13" if scores == "metric" else "0.3 to 0.7, of text" if printed else "0.8 to 0.10"
    tally.note(f"read as lighteval {versions}")
    wanted = [name for name in (scores, "doc", "model_response", "predictions") if name in schema]
    for number, kept in enumerate(pl.read_parquet(path, columns=wanted).iter_rows(named=True)):
        where = f"row {number + 1} of {path}"
        row = {name: _unprinted(it, f"{name} in {where}") if printed else it for name, it in kept.items()}
        document, response = row.get("doc") or {}, row.get("model_response") or {}
        texts = response.get("text") or response.get("texts") or row.get("predictions") or []
        if (texts and not isinstance(texts[0], str)) or (not texts and response.get("logprobs")):
            raise ValueError(
                f"{where} holds log-probabilities of given answers, not samples: pass@k needs a task that "
                "generates"
            )
        found = {name: value for name, value in row[scores].items() if value is not None}
        name = document.get("id")
        yield where, str(number if name is None else name), found, len(texts)


def _unprinted(text: object, where: str) -> Any:
    """A dictionary or list from how Python prints it, numbers of numpy as numbers, NaN as None."""
    kind, what = (dict, "a dictionary") if where.startswith("metrics") else (list, "a list")
    printed = as_text(text, where)
    if kind is dict:
        printed = _NUMPY.sub(lambda found: found[1] or "None", printed)
    try:
        value = ast.literal_eval(printed) if len(printed) < LONGEST_LINE else None
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"{where} is {described(text)}, not {what} as Python prints it")
    return value
