"""verifiers' `traces.jsonl`, from 0.2 on: a row a rollout, up to 0.2 its trace, later an episode of traces.

A trace has its task, by key, id or index, its agent's model, calls with their usage, and rewards by name: a
number up to 0.2, then a score and a weight, or null where none was given. Its reward is their weighted sum.

prime-rl writes them to `rollouts/step_N/KIND/SUBSET/traces.jsonl`: another step is another model, what it
trained on is not what it was evaluated on, and the effective ones are those of all that filters kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, expected, json_rows
from t2fast.readers.measured import Measured, Problems, Tally, amount
from t2fast.readers.rollouts import refuse_other_step

NAME = "verifiers' traces"
KEYS = frozenset({"task", "traces", "env"})
_TRACE = frozenset({"task", "nodes", "rewards"})
_HASH = 64  # digits of a key that is a hash
_OF_TRAINING = re.compile(
    r"(?P<step>step_\d+)/(?P<kind>train|eval)/(?P<subset>all|effective)/traces\.jsonl(\.gz|\.zst)?$"
)


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is an episode or a trace."""
    return first.keys() >= {"task", "traces"} or first.keys() >= _TRACE


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every task by model and environment: by the whole reward, or the one called `metric`."""
    choices.refuse_others(paths[0], NAME, ("metric", "correct_at", "errors"))
    tally = Tally()
    paths, steps_seen = _one_subset(paths, tally)
    for path in paths:
        runs: dict[tuple[str | None, str | None], Problems] = {}
        steps: dict[str, tuple[object, str]] = {}
        for where, row in json_rows(path):
            refuse_other_step(_work(row), steps, where)
            trace, env = _trace(row, where)
            tally.note(f"read as verifiers {'0.3 to 0.4' if 'traces' in row else '0.2'}, traces with rewards")
            if choices.task is not None and env not in (None, choices.task):
                tally.leave_out(f"task other than {choices.task!r}")
                continue
            if trace is None:
                tally.errored(choices.errors, scored=False)
                if choices.errors != "fail":
                    continue
            correct = False if trace is None else _verdict(trace, choices, tally, where)
            if correct is not None:
                used = _used(trace) if trace else None
                problems = runs.setdefault((_model(trace), env), Problems())
                problems.add(_problem(row, where), 1, int(correct), used)
        for (model, env), problems in runs.items():
            step = f"{model or ''} {steps_seen[path]}".strip() if steps_seen.get(path) else model
            said = {"model": step, "task": env}
            tally.add(path, problems, **{key: value for key, value in said.items() if value})
    return tally.measured(paths)


def _one_subset(paths: Sequence[str], tally: Tally) -> tuple[list[str], dict[str, str]]:
    """Of prime-rl's files those whose samples are alike, and of several steps the step of each.

    Evaluations come before what was trained on, and all rollouts before those that its filters kept.
    """
    named = {
        path: found
        for path in paths
        if (found := _OF_TRAINING.search(os.path.abspath(path).replace("\\", "/")))
    }
    kept = [path for path in paths if path not in named]
    if any(found["kind"] == "eval" for found in named.values()):
        trained = [path for path, found in named.items() if found["kind"] == "train"]
        if trained:
            tally.leave_out(f"files of prime-rl's training beside its evaluations: {len(trained)}", 0)
        named = {path: found for path, found in named.items() if found["kind"] == "eval"}
    whole = {(found["step"], found["kind"]) for found in named.values() if found["subset"] == "all"}
    effective = [path for path, found in named.items() if found["subset"] == "effective"]
    double = [path for path in effective if (named[path]["step"], named[path]["kind"]) in whole]
    if double:
        tally.leave_out(f"files of effective rollouts, which are among all: {len(double)}", 0)
    elif effective:
        tally.note(
            "effective rollouts alone: those that prime-rl's filters kept, of whose chances they say less"
        )
    kept += [path for path in named if path not in double]
    several = len({found["step"] for path, found in named.items() if path not in double}) > 1
    if several:
        tally.note("steps of prime-rl are models of their own")
    return kept, {path: found["step"] for path, found in named.items()} if several else {}


def _trace(row: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any] | None, str | None]:
    """The one trace of a rollout, none where it failed before it had one; and its environment."""
    if "traces" not in row:
        return row, None
    env = row.get("env") or {}
    name = env.get("id") if isinstance(env, dict) else None
    traces = [as_object(one, f"traces in {where}") for one in as_list(row["traces"], f"traces in {where}")]
    if len(traces) > 1:
        traces = [one for one in traces if (one.get("agent") or {}).get("trainable", True)]
        if len(traces) != 1:
            raise ValueError(
                f"{where} has {len(traces)} traces of agents that are trained, and so no one reward"
            )
    return (traces[0] if traces else None), name if isinstance(name, str) and name else None


def _work(row: Mapping[str, Any]) -> Mapping[str, Any]:
    run = row.get("run")
    work = run.get("work") if isinstance(run, dict) else None
    return work if isinstance(work, dict) else {}


def _verdict(trace: Mapping[str, Any], choices: Choices, tally: Tally, where: str) -> bool | None:
    rewards = as_object(trace.get("rewards") or {}, f"rewards in {where}")
    if choices.metric is None:
        given = {name: _value(value, f"reward {name!r} in {where}") for name, value in rewards.items()}
        scores = [score * weight for score, weight in filter(None, given.values())]
        value = sum(scores) if scores else None
    else:
        named = {**as_object(trace.get("metrics") or {}, f"metrics in {where}"), **rewards}
        found = named.get(choices.pick("metric", named, where))
        pair = _value(found, f"{choices.metric} in {where}")
        value = pair and pair[0]
    if trace.get("errors") and not trace.get("ok"):
        counts_as = tally.errored(choices.errors, scored=value is not None)
        if counts_as != "scored":
            return False if counts_as == "wrong" else None
    if value is None:
        tally.leave_out("trace without a reward")
        return None
    correct = choices.is_correct(value, f"{choices.metric or 'reward'} in {where}")
    if correct is None:
        tally.leave_out("reward is NaN")
    return correct


def _value(reward: object, where: str) -> tuple[float, float] | None:
    """A reward's score and weight."""
    if reward is None:
        return None
    if isinstance(reward, dict):
        score, weight = (
            expected(reward.get(key, 1.0 if key == "weight" else None), int | float, "a number", where)
            for key in ("score", "weight")
        )
        return score, weight
    return expected(reward, int | float, "a number", where), 1.0


def _problem(row: Mapping[str, Any], where: str) -> str:
    task = as_object(row.get("task"), f"task in {where}")
    data = as_object(task.get("data") or {}, f"data of task in {where}")
    names = (task.get("key"), data.get("id"), data.get("idx"))
    name = next((one for one in names if isinstance(one, str | int) and one != ""), None)
    if name is None:
        raise ValueError(f"{where} has a task without key, id and idx: its problem is not known")
    return name[:16] if isinstance(name, str) and len(name) == _HASH else str(name)


def _model(trace: Mapping[str, Any] | None) -> str | None:
    agent = (trace or {}).get("agent") or {}
    config = agent.get("config") if isinstance(agent, dict) else None
    calls = _calls(trace)
    said = [one.get("model") for one in (config, agent) if isinstance(one, dict)]  # the latter up to 0.2
    names = [*said, *(one.get("model") for one in calls)]
    return next((name for name in names if isinstance(name, str) and name), None)


def _calls(trace: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    calls = (trace or {}).get("calls")
    return [one for one in calls if isinstance(one, dict)] if isinstance(calls, list) else []


def _used(trace: Mapping[str, Any]) -> dict[str, float | None]:
    """The tokens, dollars and seconds of all calls, where each says them."""
    usages = [call.get("usage") for call in _calls(trace)]
    known = [one for one in usages if isinstance(one, dict)]
    if not known or len(known) < len(usages):
        return {}
    # What came from a cache is not in prompt_tokens.
    prompts = [_sum(one, "prompt_tokens", "cached_input_tokens") for one in known]
    outputs = [_sum(one, "completion_tokens") for one in known]
    costs = [_sum(one, "cost") for one in known]
    times = [call.get("time") for call in _calls(trace)]
    seconds = [_sum(one, "end") - _sum(one, "start") for one in times if isinstance(one, dict)]
    return {
        "prompt_tokens": sum(prompts),
        "output_tokens": sum(outputs),
        "usd": sum(costs) if all("cost" in one for one in known) else None,
        "wall_seconds": sum(seconds) if len(seconds) == len(times) else None,
    }


def _sum(found: Mapping[str, Any], *names: str) -> float:
    return sum(amount(found.get(name)) or 0.0 for name in names)
