"""OpenAI's simple-evals: `..._allresults.json`, one object with score, metrics, htmls and convos.

A sample is a conversation and its page, on which its score stands as `Score: 1.0`. Its prompt, the
conversation but the answer, is its problem: with n repeats it occurs n times, its choices A) to D) in
another order each time. HumanEval's conversation ends in all completions of a problem, and its score is the
share of them that pass. The file is called by the evaluation, the model and the time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_text, document
from t2fast.readers.measured import Measured, Problems, Tally
from t2fast.readers.naming import file_model

NAME = "simple-evals"
KEYS = frozenset({"score", "metrics", "htmls", "convos"})
_CHOICE = re.compile(r"^\(?[A-Z]\)\s*(.*)$", re.MULTILINE)
_SCORE = re.compile(r"Score:\s*(True|False|-?[\d.]+(?:e-?\d+)?)")
_EVALUATIONS = "mmlu|math|gpqa|mgsm|drop|humaneval|simpleqa|browsecomp|healthbench(?:_hard|_consensus|_meta)?"
_FILE = re.compile(
    rf"(?P<task>{_EVALUATIONS})_(?P<model>.+?)(?:_\d{{8}}_\d{{6}})?(?:_DEBUG)?_allresults\.json", re.ASCII
)


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a document holds all results of a run."""
    return {"htmls", "convos"} <= first.keys()


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every prompt by the scores on its samples' pages."""
    choices.refuse_others(paths[0], NAME, ("correct_at",))
    tally = Tally()
    tally.add_files(
        paths,
        choices.task,
        lambda path: _run(path, len(paths) > 1 and choices.model is None),
        lambda path: _counts(path, choices, tally),
    )
    return tally.measured(paths)


def _run(path: str, several: bool) -> dict[str, str]:
    """Evaluation and model by the file's name; where this is another, it is the model's, of `several`."""
    named = _FILE.fullmatch(os.path.basename(path))
    return named.groupdict() if named else {"model": file_model(path)} if several else {}


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
        words = scores[-1]
        score = float(words == "True") if words in ("True", "False") else float(words)
        messages = as_list(talk, f"convos of {where}")
        answers = max(1, _answers(messages))
        if answers == 1:
            correct = int(bool(choices.is_correct(score, f"score of {where}")))
        else:
            correct = round(score * answers)
            if abs(score * answers - correct) > 1e-6:
                raise ValueError(
                    f"score of {where} is {words}, no whole number of the {answers} answers after its prompt"
                )
        prompt = json.dumps([_in_any_order(message) for message in messages[:-answers]], sort_keys=True)
        problems.add(hashlib.sha256(prompt.encode()).hexdigest()[:16], answers, correct)
    return problems


def _answers(messages: list[object]) -> int:
    """How many messages at the end are the model's."""
    own = [isinstance(one, dict) and one.get("role") == "assistant" for one in messages]
    return own[::-1].index(False) if False in own else len(own)


def _in_any_order(message: object) -> object:
    """A message, of which the choices are set apart from the text and sorted."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), str):
        return message
    choices = sorted(_CHOICE.findall(message["content"]))
    return {**message, "content": [_CHOICE.sub("", message["content"]), choices]} if choices else message
