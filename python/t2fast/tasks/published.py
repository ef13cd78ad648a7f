"""Published tasks, read from local files in the layouts in which their authors publish them.

Formats of prompt | answer are the T² paper's (Roberts et al. 2026, arXiv 2604.01411) for LAMBADA, ARC-Easy,
SciQ and OpenBookQA: a likelihood is that of the answer's text alone, not of a choice's letter. Each file may
be JSON Lines, a JSON array or Parquet, gzipped or not, with the columns that its authors or its copy on a hub
have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from t2fast.tasks.answers import RULES, number
from t2fast.tasks.files import Row, rows
from t2fast.tasks.task import Problem, Task

_CODE_ENDS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where a completed function is over (Chen et al. 2021, section 2.2)."""


def lambada(path: str | Path) -> Task:
    """LAMBADA, OpenAI's variant: a passage in `text`, of which the last word is to be found."""

    def problem(row: Row) -> Problem:
        prompt, _, word = row.text("text").rstrip().rpartition(" ")
        if not prompt.strip() or not word:
            raise row.fault("text has a single word: nothing is left for a prompt")
        return Problem(_id(row, "lambada"), prompt.rstrip(), (f" {word}",))

    return _answered("lambada", path, problem, max_tokens=8)


def arc_easy(path: str | Path) -> Task:
    """ARC-Easy: `question` with a `stem` and `choices`, or flat with both beside it; `answerKey`."""

    def problem(row: Row) -> Problem:
        prompt = f"Question: {_stem(row)}\nAnswer:"
        return Problem(_id(row, "arc-easy"), prompt, (f" {_chosen(row)}",))

    return _answered("arc-easy", path, problem)


def openbookqa(path: str | Path) -> Task:
    """OpenBookQA: as ARC, the question itself being the prompt."""

    def problem(row: Row) -> Problem:
        return Problem(_id(row, "openbookqa"), _stem(row), (f" {_chosen(row)}",))

    return _answered("openbookqa", path, problem)


def sciq(path: str | Path) -> Task:
    """SciQ: `support` (may be empty: then the prompt is the question alone), `question`, `correct_answer`."""

    def problem(row: Row) -> Problem:
        support = str(row.values.get("support") or "").strip()
        prompt = f"{support}\nQuestion: {row.text('question')}\nAnswer:".lstrip()
        return Problem(_id(row, "sciq"), prompt, (f" {row.text('correct_answer')}",))

    return _answered("sciq", path, problem)


def gsm8k(path: str | Path) -> Task:
    """GSM8K: `question`, and `answer`, whose result stands after `####`. A text's last number is its result.

    The reference to score is the result alone, without the steps.
    """

    def problem(row: Row) -> Problem:
        answer = row.text("answer")
        if "####" not in answer or number(answer) is None:
            raise row.fault("answer has no number after ####")
        result = answer.rpartition("####")[2].strip()
        return Problem(_id(row, "gsm8k"), f"Question: {row.text('question')}\nAnswer:", (f" {result}",))

    return _answered("gsm8k", path, problem, rule="number", stop=("\nQuestion:",), max_tokens=256)


def humaneval(path: str | Path) -> Task:
    """HumanEval and its kin: `task_id`, `prompt`, `canonical_solution`. Samples are drawn, never executed."""
    found = tuple(
        Problem(row.text("task_id"), row.text("prompt"), (row.text("canonical_solution"),))
        for row in rows(path)
    )
    return Task("humaneval", found, "code, not executed", None, _CODE_ENDS, 512)


LAYOUTS: dict[str, Callable[[str | Path], Task]] = {
    "lambada": lambada,
    "arc-easy": arc_easy,
    "openbookqa": openbookqa,
    "sciq": sciq,
    "gsm8k": gsm8k,
    "humaneval": humaneval,
}
"""Readers by the task's name."""


def table(
    path: str | Path,
    columns: Mapping[str, str],
    *,
    name: str | None = None,
    rule: str = "text",
    stop: tuple[str, ...] = ("\n",),
    max_tokens: int = 32,
) -> Task:
    """Any file of prompts and answers.

    columns: `prompt` -> its column, `answer` -> its column (text, or a list of texts that are all right), and
    `id` if wanted (else rows are numbered from 0). A space is put before an answer that has none when it is
    scored, unless the prompt ends in a blank. rule: one of `RULES`.
    """
    if rule not in RULES:
        raise ValueError(f"no rule {rule!r}; there are {', '.join(RULES)}")
    unknown = sorted(columns.keys() - {"prompt", "answer", "id"})
    if unknown or not {"prompt", "answer"} <= columns.keys():
        raise ValueError(f"columns must name prompt and answer, and may name id; got {', '.join(columns)}")
    name = name or re.sub(r"\.(jsonl|ndjson|json|parquet|pq|gz)\b", "", Path(path).name)

    def problem(row: Row) -> Problem:
        prompt = row.text(columns["prompt"])
        given = row.get(columns["answer"])
        answers = (
            [row.text(columns["answer"])] if not isinstance(given, list) else [str(one) for one in given]
        )
        if not answers or not all(answer.strip() for answer in answers):
            raise row.fault(f"{columns['answer']} is empty")
        before = "" if prompt[-1:].isspace() else " "
        listed = tuple(answer if answer[:1].isspace() else before + answer for answer in answers)
        return Problem(row.text(columns["id"]) if "id" in columns else f"{name}-{row.number}", prompt, listed)

    return _answered(name, path, problem, rule=rule, stop=stop, max_tokens=max_tokens)


def _answered(
    name: str,
    path: str | Path,
    problem: Callable[[Row], Problem],
    *,
    rule: str = "begins",
    stop: tuple[str, ...] = ("\n",),
    max_tokens: int = 32,
) -> Task:
    return Task(name, tuple(problem(row) for row in rows(path)), rule, RULES[rule], stop, max_tokens)


def _id(row: Row, name: str) -> str:
    return str(row.values.get("id") or f"{name}-{row.number}")


def _stem(row: Row) -> str:
    question: Any = row.get("question_stem", "question")
    if isinstance(question, dict):
        question = question.get("stem")
    if not isinstance(question, str) or not question:
        raise row.fault("the question has no stem")
    return question


def _chosen(row: Row) -> str:
    """Text of the choice that `answerKey` names. Choices are a list of {label, text} or a pair of lists."""
    question = row.values.get("question")
    choices: Any = question.get("choices") if isinstance(question, dict) else row.get("choices")
    key = row.text("answerKey").strip()
    try:
        if isinstance(choices, dict):
            texts = dict(zip(choices["label"], choices["text"], strict=True))
        else:
            texts = {choice["label"]: choice["text"] for choice in choices}
        answer = texts[key]
    except (KeyError, TypeError, ValueError):
        raise row.fault(f"answerKey is {key!r}, which is the label of none of its choices") from None
    if not isinstance(answer, str) or not answer.strip():
        raise row.fault(f"choice {key} has no text")
    return answer
