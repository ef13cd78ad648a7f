"""Tasks by name, as the command line gives them."""

from __future__ import annotations

import json
import re
from typing import Any

from t2fast.tasks.published import LAYOUTS, table
from t2fast.tasks.reasoning_gym import data_sets, reasoning_gym
from t2fast.tasks.synthetic import KINDS, synthetic
from t2fast.tasks.task import Task
from t2fast.text import nearest

_FORMS = (
    "reasoning-gym/NAME[:KEY=VALUE,...], "
    + ", ".join(f"synthetic/{kind}" for kind in KINDS)
    + ", "
    + ", ".join(f"{layout}:FILE" for layout in LAYOUTS)
    + " or table:FILE:prompt=COLUMN,answer=COLUMN[,id=COLUMN][,rule=RULE]"
)


def load_task(spec: str, *, problems: int | None = None, seed: int = 0, shots: int = 0) -> Task:
    """The task that `spec` names.

    Args:
        spec: `reasoning-gym/NAME[:KEY=VALUE,...]` (values are JSON, else text), `synthetic/KIND`,
            `LAYOUT:FILE` with a layout of `published.LAYOUTS`, or
            `table:FILE:prompt=COLUMN,answer=COLUMN[,id=COLUMN] [,rule=RULE]`.
        problems: only the first so many; None for all.
        seed: of generated problems.
        shots: solved examples before each problem of reasoning-gym.

    Returns:
        The task.

    Raises:
        ValueError: for a name that no task has, and for solved examples where there are none.
    """
    kind, _, rest = spec.partition(":")
    family, _, name = kind.partition("/")
    if shots and family != "reasoning-gym":
        raise ValueError(f"task {spec}: only reasoning-gym's tasks take solved examples (shots)")
    if family == "reasoning-gym" and name:
        config = {key: _value(text) for key, text in _pairs(spec, rest).items()}
        return reasoning_gym(name, problems=problems or 200, seed=seed, shots=shots, config=config)
    if family == "synthetic" and name in KINDS and not rest:
        return synthetic(name, seed=seed).first(problems)
    if kind in LAYOUTS and rest:
        return LAYOUTS[kind](rest).first(problems)
    if kind == "table" and rest:
        path, _, mapping = rest.rpartition(":")
        columns = _pairs(spec, mapping)
        rule = columns.pop("rule", "text")
        return table(path, columns, rule=rule).first(problems)
    hint = nearest(spec, task_names())
    meant = f" (did you mean {hint!r}?)" if hint else ""
    raise ValueError(f"no task {spec!r}{meant}: name it {_FORMS}")


def task_names() -> list[str]:
    """The tasks that have a name.

    Returns:
        `synthetic/KIND`, `LAYOUT:FILE` for every layout of files, and `reasoning-gym/NAME` where that is
        installed.
    """
    made = [f"reasoning-gym/{name}" for name in data_sets()]
    return [*(f"synthetic/{kind}" for kind in KINDS), *(f"{layout}:FILE" for layout in LAYOUTS), *made]


def _pairs(spec: str, text: str) -> dict[str, str]:
    # A comma inside a value, as in operators=["+","-"], is followed by no key.
    pairs = [part.partition("=") for part in re.split(r",(?=\w+=)", text)] if text else []
    if any(not (key and equals and value) for key, equals, value in pairs):
        raise ValueError(f"task {spec}: {text!r} is not of the form KEY=VALUE,KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
