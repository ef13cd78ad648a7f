"""What callers may pass as prompts, brought into one form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from t2fast.decode.chat import Message

Prompt: TypeAlias = str | Sequence[int] | Sequence[Message]
"""Text, tokens or (with ``chat``) messages."""
ProblemId: TypeAlias = int | str
Prompts: TypeAlias = (
    Prompt | Sequence[Prompt] | Sequence[tuple[ProblemId, Prompt]] | Mapping[ProblemId, Prompt]
)


@dataclass(frozen=True)
class Problem:
    """One prompt with its id."""

    id: ProblemId
    prompt: Any


def problems(prompts: Prompts) -> list[Problem]:
    """One `Problem` for each prompt; ids are the caller's, else positions from 0.

    Accepts one prompt, a sequence of prompts or of ``(id, prompt)`` pairs, or a mapping from id to prompt.
    Ids must be distinct: two problems with one id would draw the same samples.
    """
    if isinstance(prompts, Mapping):
        found = [Problem(_id(key), prompt) for key, prompt in prompts.items()]
    elif isinstance(prompts, str) or is_tokens(prompts) or _is_messages(prompts):
        found = [Problem(0, prompts)]
    else:
        found = [_problem(i, item) for i, item in enumerate(prompts)]
    if not found:
        raise ValueError("no prompt given")
    seen: dict[str, int] = {}
    for row, problem in enumerate(found):
        first = seen.setdefault(str(problem.id), row)
        if first != row:
            raise ValueError(
                f"prompts {first} and {row} have the same problem id {problem.id!r}; ids must differ"
            )
    return found


def same_length(values: int | Iterable[int], n: int, name: str) -> list[int]:
    """``values`` as one integer for each of ``n`` problems."""
    if isinstance(values, int | np.integer):
        return [int(values)] * n
    listed = [int(value) for value in values]
    if len(listed) != n:
        raise ValueError(f"{name} has {len(listed)} values for {n} prompts")
    return listed


def is_tokens(value: Any) -> bool:
    """Whether ``value`` is a list of token ids."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and np.issubdtype(value.dtype, np.integer)
    return (
        isinstance(value, Sequence) and len(value) > 0 and all(isinstance(v, int | np.integer) for v in value)
    )


def _is_messages(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(isinstance(v, Mapping) for v in value)


def _problem(position: int, item: Any) -> Problem:
    """The problem at ``position``: ``(id, prompt)``, or a prompt (a tuple of two tokens is one, too)."""
    if isinstance(item, tuple) and len(item) == 2 and not isinstance(item[1], int | np.integer | Mapping):
        return Problem(_id(item[0]), item[1])
    return Problem(position, item)


def _id(value: Any) -> ProblemId:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    raise ValueError(f"problem id {value!r} is neither a string nor an integer")
