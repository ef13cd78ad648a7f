"""Rollouts of training and evaluation by reward, JSON Lines with a reward a sample.

verifiers (`results.jsonl` beside `metadata.json`, which names model and environment) and prime-rl have
example_id and reward. NeMo-RL (`train_data_stepN.jsonl`, `val_data_stepN.jsonl`) has content, the messages,
and rewards; NeMo Gym has _ng_task_index and reward. Where no field names the problem it is the prompt.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import document, json_rows
from t2fast.readers.measured import Measured, Problems, Tally

NAME = "verifiers, prime-rl or NeMo-RL"
KEYS = frozenset({"example_id", "prompt", "completion", "reward"})
BESIDE = frozenset({"metadata.json"})
_REWARDS = ("reward", "rewards", "total_reward")
_PROBLEMS = ("example_id", "problem_id", "task_id", "_ng_task_index", "prompt_id")
_PROMPTS = ("prompt", "messages", "responses_create_params", "content", "message_log", "question")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is a rollout with its reward."""
    return _reward_key(first) is not None and any(name in first for name in (*_PROBLEMS, *_PROMPTS))


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every problem by model and environment: by its reward, or another key as `metric`."""
    choices.refuse_others(paths[0], NAME, ("metric", "correct_at", "errors"))
    tally = Tally()
    for path in paths:
        said = _beside(path)
        runs: dict[str | None, Problems] = {}
        for where, row in json_rows(path):
            task = row.get("env_name") or row.get("env_id") or row.get("task")
            task = task if isinstance(task, str) and task != "default" else said.get("task")
            if choices.task is not None and task not in (None, choices.task):
                tally.leave_out(f"task other than {choices.task!r}")
                continue
            correct = _verdict(row, choices, tally, where)
            if correct is not None:
                runs.setdefault(task, Problems()).add(
                    _problem(row, tally, where), 1, int(correct), _used(row)
                )
        for task, problems in runs.items():
            tally.add(
                problems,
                **({"model": said["model"]} if "model" in said else {}),
                **({"task": task} if task else {}),
            )
    return tally.measured(paths)


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


def _problem(row: Mapping[str, Any], tally: Tally, where: str) -> str:
    for name in _PROBLEMS:
        if isinstance(row.get(name), str | int):
            tally.note(f"read as rollouts with a reward, problems by {name}")
            return str(row[name])
    for name in _PROMPTS:
        if row.get(name) is not None:
            tally.note(f"read as rollouts with a reward, problems by the prompt in {name}")
            prompt = json.dumps(_prompt(row[name]), sort_keys=True)
            return hashlib.sha256(prompt.encode()).hexdigest()[:16]
    raise ValueError(f"{where} has neither {', '.join(_PROBLEMS)} nor a prompt: its problem is not known")


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
    total = timing.get("total_ms")
    return {
        "prompt_tokens": _number(usage.get("input_tokens", usage.get("prompt_tokens"))),
        "output_tokens": _number(usage.get("output_tokens", usage.get("completion_tokens"))),
        "wall_seconds": total / 1000 if isinstance(total, int | float) else None,
        "usd": _number(row.get("cost", usage.get("cost"))),
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
