"""Rollouts of training and evaluation by reward, JSON Lines with a reward a sample.

verifiers up to 0.1 (`results.jsonl` beside `metadata.json`, which names model and environment) and prime-rl
have example_id and reward; the id of verifiers 0.1.3 is not the example's. NeMo-RL
(`train_data_stepN.jsonl`, `val_data_stepN.jsonl`) has content, the messages or their texts alone, and
rewards, each a list of one; its evaluation (`evaluation_data.json` beside `config.json`) one object with a
list of rollouts; NeMo Gym has _ng_task_index and reward. Where no field names the problem it is the prompt,
and what names it in the first row does in all. Rows of several steps of training are of several models.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, document, expected, first_object, json_rows
from t2fast.readers.measured import Measured, Problems, Tally, amount
from t2fast.readers.naming import file_model

NAME = "verifiers, prime-rl or NeMo-RL"
KEYS = frozenset({"example_id", "prompt", "completion", "reward"})
BESIDE = frozenset({"metadata.json", "config.json"})
_EVALUATION = "evaluation_data"  # NeMo-RL's key, and its file's name
_REWARDS = ("reward", "rewards", "total_reward")
_PROBLEMS = ("example_id", "problem_id", "task_id", "_ng_task_index", "prompt_id")
_STEPS = ("step", "ckpt_step", "global_step", "training_step")
_PROMPTS = ("prompt", "messages", "responses_create_params", "content", "message_log", "question")
_ANSWERED = ("messages", "content", "message_log")  # which hold the answers, too


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is a rollout with its reward."""
    rows = first.get(_EVALUATION)
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        first = rows[0]
    first = _one(first)
    return _reward_key(first) is not None and any(name in first for name in (*_PROBLEMS, *_PROMPTS))


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every problem by model and environment: by its reward, or another key as `metric`."""
    choices.refuse_others(paths[0], NAME, ("metric", "correct_at", "errors"))
    tally = Tally()
    for path in paths:
        beside = _beside(path)
        runs: dict[tuple[str | None, str | None], Problems] = {}
        steps: dict[str, tuple[object, str]] = {}
        by = ""
        for where, row in _rows(path):
            refuse_other_step(row, steps, where)
            task = row.get("env_name") or row.get("env_id") or row.get("task")
            task = task if isinstance(task, str) and task != "default" else beside.get("task")
            if choices.task is not None and task not in (None, choices.task):
                tally.leave_out(f"task other than {choices.task!r}")
                continue
            correct = _verdict(row, choices, tally, where)
            if not by:
                by = _names_problem(row, where)
                named = by if by in _PROBLEMS else f"the prompt in {by}"
                tally.note(f"read as rollouts with a reward, problems by {named}")
            if correct is not None:
                model = row.get("model", beside.get("model"))
                run = model if isinstance(model, str) else None, task
                runs.setdefault(run, Problems()).add(_problem(row, by, where), 1, int(correct), _used(row))
        for (model, task), problems in runs.items():
            said = {"model": model, "task": task}
            if model is None and choices.model is None and len(paths) > 1:
                # A step of training is a model of its own.
                said["model"] = file_model(path)
                tally.note("models are called as their files are, since these do not name them")
            tally.add(path, problems, **{key: value for key, value in said.items() if value})
    return tally.measured(paths)


def refuse_other_step(row: Mapping[str, Any], steps: dict[str, tuple[object, str]], where: str) -> None:
    """`ValueError` for a step of training other than that of the rows before."""
    for name in _STEPS:
        if isinstance(row.get(name), int):
            step, first = steps.setdefault(name, (row[name], where))
            if step != row[name]:
                raise ValueError(
                    f"{name} is {row[name]} in {where} but {step} in {first}: another step is another model, "
                    "so make a file of each"
                )


def _rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    first, whole = first_object(path)
    if not (whole and _EVALUATION in first):
        yield from ((where, _one(row)) for where, row in json_rows(path))
        return
    for i, row in enumerate(as_list(first[_EVALUATION], f"{_EVALUATION} of {path}"), 1):
        where = f"row {i} of {path}"
        yield where, as_object(row, where)


def _one(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it is; of NeMo-RL's batch of one, which holds lists of one, what these hold."""
    rewards = row.get("rewards")
    if not isinstance(rewards, list) or len(rewards) != 1:
        return dict(row)
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in row.items()
    }


def _reward_key(row: Mapping[str, Any]) -> str | None:
    return next((name for name in _REWARDS if isinstance(row.get(name), int | float)), None)


def _beside(path: str) -> dict[str, str]:
    """Model and environment by what verifiers or NeMo-RL's evaluation wrote beside a file."""
    evaluation = os.path.basename(path) == f"{_EVALUATION}.json"
    beside = os.path.join(os.path.dirname(path), "config.json" if evaluation else "metadata.json")
    if not os.path.exists(beside):
        return {}
    found = document(beside)
    names = ("model_name", "dataset_name") if evaluation else ("model", "env_id", "env")
    task = next((found[name] for name in names[1:] if found.get(name)), None)
    said = {"model": found.get(names[0]), "task": task}
    return {key: value for key, value in said.items() if isinstance(value, str) and value}


def _verdict(row: Mapping[str, Any], choices: Choices, tally: Tally, where: str) -> bool | None:
    key = choices.metric or _reward_key(row)
    metrics = row.get("metrics")
    value = row.get(key or "reward")
    if value is None and key and isinstance(metrics, dict):
        value = metrics.get(key)
    if row.get("error"):
        counts_as = tally.errored(choices.errors, scored=value is not None)
        if counts_as != "scored":
            return False if counts_as == "wrong" else None
    if value is None:
        raise ValueError(f"{where} has no {key or 'reward'}")
    correct = choices.is_correct(value, f"{key} in {where}")
    if correct is None:
        tally.leave_out("reward is NaN")
    return correct


def _names_problem(row: Mapping[str, Any], where: str) -> str:
    """The field that names a row's problem, or else that holds its prompt."""
    for name in _PROBLEMS:
        if isinstance(row.get(name), str | int):
            return name
    for name in _PROMPTS:
        if row.get(name) is not None:
            return name
    raise ValueError(f"{where} has neither {', '.join(_PROBLEMS)} nor a prompt: its problem is not known")


def _problem(row: Mapping[str, Any], by: str, where: str) -> str:
    if by in _PROBLEMS:
        return str(expected(row.get(by), str | int, "text or a whole number", f"{by} in {where}"))
    if row.get(by) is None:
        raise ValueError(f"{where} has no {by}, by which the problems of the rows before are told apart")
    prompt = _prompt(row[by], by, where)
    return hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()[:16]


def _prompt(content: object, by: str, where: str) -> object:
    """What a rollout was asked: of messages those before the first answer, of texts all but the last."""
    if by in _ANSWERED and isinstance(content, str):
        raise ValueError(f"{by} in {where} is one text, of which prompt and answer cannot be told apart")
    if not isinstance(content, list):
        return content
    if content and all(isinstance(text, str) for text in content) and by in _ANSWERED:
        # A user's and the model's, perhaps after a system's.
        if len(content) not in (2, 3):
            raise ValueError(
                f"{by} in {where} has {len(content)} texts, which do not say whose they are: where the "
                "answer begins is not known. NeMo-RL's val_data_stepN.jsonl says it"
            )
        return content[:-1]
    asked = []
    for message in content:
        if not isinstance(message, dict):
            return content
        if message.get("role") == "assistant":
            break
        asked.append({key: message.get(key) for key in ("role", "content")})
    return asked


def _used(row: Mapping[str, Any]) -> dict[str, float | None]:
    usage = row.get("token_usage") or row.get("usage") or {}
    response = row.get("response")
    if not usage and isinstance(response, dict):
        usage = response.get("usage") or {}
    timing = row.get("timing") or {}
    usage, timing = (one if isinstance(one, dict) else {} for one in (usage, timing))
    total = amount(timing.get("total_ms", row.get("total_ms")))
    return {
        "prompt_tokens": amount(usage.get("input_tokens", usage.get("prompt_tokens"))),
        "output_tokens": amount(usage.get("output_tokens", usage.get("completion_tokens"))),
        "wall_seconds": None if total is None else total / 1000,
        "usd": amount(row.get("cost", usage.get("cost"))),
    }
