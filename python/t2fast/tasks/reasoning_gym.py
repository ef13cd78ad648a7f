"""Procedural problems with verifiers, from the package reasoning-gym (Apache-2.0), scored strictly.

Its own scores give partial credit: an answer that merely contains the right one can get half. Here a text is
right if, blanks around it taken off, it scores 1.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from t2fast.tasks.task import Problem, Task, configured
from t2fast.text import nearest

_PROBES = ("", "?", "no such answer")
_SIZE = 1_000_000
"""Entries of every data set: always the same, so that no entry depends on how many problems are wanted."""
_TRIES = 50
"""Entries looked at for each problem wanted, before the data set counts as exhausted."""


def reasoning_gym(
    name: str,
    *,
    problems: int = 200,
    seed: int = 0,
    shots: int = 0,
    config: Mapping[str, Any] | None = None,
    max_tokens: int = 32,
) -> Task:
    r"""A data set of reasoning-gym as a task.

    name, seed, config: as for `reasoning_gym.create_dataset`. No two problems ask the same: entries that
    repeat a question are passed over. An id is the data set's name with its config and the entry's index.
    With `shots`, the first entries are not problems but solved examples, with which every prompt begins. A
    prompt is `Question: …\nAnswer:`; a sample ends with its line.

    Errors: `ValueError` for an unknown name or config, for a data set with too few different problems, and
    for one whose verifier accepts any text. `ImportError` without the package.
    """
    try:
        import reasoning_gym as gym
    except ImportError as error:
        raise ImportError("reasoning-gym is not installed: pip install 't2fast[tasks]'") from error
    if problems < 1 or shots < 0:
        raise ValueError(f"problems must be at least 1 and shots at least 0; got {problems} and {shots}")
    try:
        data = gym.create_dataset(name, seed=seed, size=_SIZE, **(config or {}))
    except (ValueError, AssertionError, TypeError, KeyError) as error:
        hint = None if name in data_sets() else nearest(name, data_sets())
        raise ValueError(
            f"reasoning-gym makes no data set {name!r} with {dict(config or {})}: {error}"
            + (f" (did you mean {hint!r}?)" if hint else "")
        ) from error
    wanted = shots + problems
    entries = list(islice(_distinct(data, min(_SIZE, _TRIES * wanted)), wanted))
    if len(entries) < wanted:
        raise ValueError(
            f"{name} gave {len(entries)} different problems where {wanted} are needed: "
            "ask for fewer, or widen its config"
        )
    examples, chosen = entries[:shots], dict(entries[shots:])
    head = "".join(f"{_prompt(entry)} {entry['answer']}\n\n" for _, entry in examples)
    # A problem goes by what made it, so that no two share a name; how it is asked is its task's business.
    made = configured(name, {**(config or {}), **({"seed": seed} if seed else {})})
    by_id = {f"{made}-{index}": entry for index, entry in chosen.items()}

    def check(problem: Problem, text: str) -> bool:
        return _strict(data, by_id[problem.id], text)

    for entry in chosen.values():
        for probe in _PROBES:
            if _strict(data, entry, probe):
                raise ValueError(f"the verifier of {name} accepts {probe!r}: it cannot tell right from wrong")
    found = tuple(Problem(i, head + _prompt(entry), (f" {entry['answer']}",)) for i, entry in by_id.items())
    rule = f"reasoning-gym {importlib.metadata.version('reasoning-gym')} {name}, score 1"
    asked = configured(made, {"shots": shots} if shots else {})
    return Task(asked, found, rule, check, ("\n",), max_tokens)


def data_sets() -> list[str]:
    """The names of reasoning-gym's data sets; none where it is not installed."""
    try:
        from reasoning_gym.factory import DATASETS
    except ImportError:
        return []
    return sorted(DATASETS)


def _distinct(data: Any, tries: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of the first `tries` entries those whose question has not been asked before, with their indices."""
    asked = set()
    for index in range(tries):
        entry = data[index]
        if entry["question"] not in asked:
            asked.add(entry["question"])
            yield index, entry


def _prompt(entry: Mapping[str, Any]) -> str:
    return f"Question: {str(entry['question']).strip()}\nAnswer:"


def _strict(data: Any, entry: dict[str, Any], text: str) -> bool:
    try:
        return float(data.score_answer(text.strip(), entry)) == 1.0
    except Exception:  # some verifiers raise on a text that is no answer, each its own kind
        return False
