"""Rollouts of training and evaluation by reward, JSON Lines with a reward a sample.

verifiers up to 0.1 (`results.jsonl` beside `metadata.json`, which names model and environment) and prime-rl
have example_id and reward; the id of verifiers 0.1.3 is not the example's. NeMo-RL
(`train_data_stepN.jsonl`, `val_data_stepN.jsonl`) has content, the messages, and rewards; NeMo Gym has
_ng_task_index and reward. Where no field names the problem it is the prompt, and what names it in the first
row does in all. Rows of several steps of training are of several models.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import document, expected, json_rows
from t2fast.readers.measured import Measured, Problems, Tally

NAME = "verifiers, prime-rl or NeMo-RL"
KEYS = frozenset({"example_id", "prompt", "completion", "reward"})
BESIDE = frozenset({"metadata.json"})
_REWARDS = ("reward", "rewards", "total_reward")
_PROBLEMS = ("example_id", "problem_id", "task_id", "_ng_task_index", "prompt_id")
_STEPS = ("step", "ckpt_step", "global_step", "training_step")
_PROMPTS = ("prompt", "messages", "responses_create_params", "content", "message_log", "question")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is a rollout with its reward."""
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
        for where, row in json_rows(path):
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


def _reward_key(row: Mapping[str, Any]) -> str | None:
    return next((name for name in _REWARDS if isinstance(row.get(name), int | float)), None)


def _beside(path: str) -> dict[str, str]:
    """Model and environment by the metadata beside a file of verifiers."""
    metadata = os.path.join(os.path.dirname(path), "metadata.json")
    if not os.path.exists(metadata):
        return {}
    found = document(metadata)
    said = {"model": found.get("model"), "task": found.get("env_id") or found.get("env")}
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
    return hashlib.sha256(json.dumps(_prompt(row[by]), sort_keys=True).encode()).hexdigest()[:16]


def _prompt(content: object) -> object:
    """What a rollout was asked: of messages those before the first answer, of texts the first."""
    if not isinstance(content, list):
        return content
    asked = []
    for message in content:
        if not isinstance(message, dict):
            return content[:1]
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
    total = timing.get("total_ms", row.get("total_ms"))
    return {
        "prompt_tokens": _number(usage.get("input_tokens", usage.get("prompt_tokens"))),
        "output_tokens": _number(usage.get("output_tokens", usage.get("completion_tokens"))),
        "wall_seconds": total / 1000 if isinstance(total, int | float) else None,
        "usd": _number(row.get("cost", usage.get("cost"))),
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
