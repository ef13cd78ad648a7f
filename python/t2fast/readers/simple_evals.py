"""OpenAI's simple-evals: `..._allresults.json`, one object with score, metrics, htmls and convos.

A sample is a conversation and its page, on which its score stands as `Score: 1.0`. Its prompt, the
conversation but the last message, is its problem: with n repeats it occurs n times, its choices A) to D) in
another order each time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_text, document
from t2fast.readers.measured import Measured, Problems, Tally
from t2fast.readers.naming import measured_by_file

NAME = "simple-evals"
KEYS = frozenset({"score", "metrics", "htmls", "convos"})
_CHOICE = re.compile(r"^\(?[A-Z]\)\s*(.*)$", re.MULTILINE)
_SCORE = re.compile(r"Score:\s*(True|False|-?[\d.]+(?:e-?\d+)?)")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a document holds all results of a run."""
    return {"htmls", "convos"} <= first.keys()


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every prompt by the scores on its samples' pages."""
    choices.refuse_others(paths[0], NAME, ("correct_at",))
    return measured_by_file(paths, choices.model, lambda path, tally: _counts(path, choices, tally))


def _counts(path: str, choices: Choices, tally: Tally) -> Problems:
    tally.note("read as simple-evals of 2025")
    found = document(path)
    pages, talks = (as_list(found.get(name), f"{name} in {path}") for name in ("htmls", "convos"))
    if len(pages) != len(talks):
        raise ValueError(f"{path} has {len(pages)} htmls but {len(talks)} convos")
    problems = Problems()
    for i, (page, talk) in enumerate(zip(pages, talks, strict=True), 1):
        where = f"sample {i} of {path}"
        scores = _SCORE.findall(as_text(page, f"htmls of {where}"))
        if not scores:
            raise ValueError(f"htmls of {where} has no score on it")
        score = {"True": 1.0, "False": 0.0}.get(scores[-1])
        correct = choices.is_correct(float(scores[-1]) if score is None else score, f"score of {where}")
        messages = as_list(talk, f"convos of {where}")[:-1]
        prompt = json.dumps([_in_any_order(message) for message in messages], sort_keys=True)
        problems.add(hashlib.sha256(prompt.encode()).hexdigest()[:16], 1, int(bool(correct)))
    return problems


def _in_any_order(message: object) -> object:
    """A message, of which the choices are set apart from the text and sorted."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), str):
        return message
    choices = sorted(_CHOICE.findall(message["content"]))
    return {**message, "content": [_CHOICE.sub("", message["content"]), choices]} if choices else message
