"""What a task is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One problem. Its samples are a function of the seed, its `id` and their index: ids must stay."""

    id: str
    prompt: str
    answers: tuple[str, ...] = ()
    """Reference answers as the prompt's continuation, their leading space included; for scoring."""


@dataclass(frozen=True)
class Task:
    """Problems and the rule by which texts are judged."""

    name: str
    problems: tuple[Problem, ...]
    rule: str
    """Name of the rule, for the record: texts judged by another rule are another task."""
    check: Callable[[Problem, str], bool] | None
    """The rule itself; None where texts cannot be judged here, as with code."""
    stop: tuple[str, ...] = ()
    """Strings that end a sample."""
    max_tokens: int = 32
    """Longest sample worth drawing, in tokens."""

    def __post_init__(self) -> None:
        if not self.problems:
            raise ValueError(f"task {self.name} has no problems")
        seen: dict[str, int] = {}
        for row, problem in enumerate(self.problems):
            first = seen.setdefault(problem.id, row)
            if first != row:
                raise ValueError(
                    f"task {self.name}: problems {first} and {row} have the same id {problem.id!r}"
                )
            if not problem.id or not problem.prompt:
                raise ValueError(f"task {self.name}: problem {row} has an empty id or prompt")

    def verify(self, problem: Problem, text: str) -> bool:
        """Whether `text`, drawn after the problem's prompt, solves it. `ValueError` if nothing can tell."""
        if self.check is None:
            raise ValueError(
                f"task {self.name} is code, which is not executed here: draw samples, "
                "export them in human-eval's layout, and bring the results of human-eval or evalplus"
            )
        return self.check(problem, text)

    def first(self, count: int | None) -> Task:
        """The same task with its first `count` problems; all for None."""
        if count is None:
            return self
        if not 1 <= count <= len(self.problems):
            raise ValueError(f"task {self.name} has {len(self.problems)} problems, not {count}")
        return replace(self, problems=self.problems[:count])

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that can change a sample or a verdict."""
        parts = [self.name, self.rule, list(self.stop), self.max_tokens]
        rows = [[problem.id, problem.prompt, list(problem.answers)] for problem in self.problems]
        return hashlib.sha256(json.dumps([parts, rows]).encode()).hexdigest()


def configured(name: str, config: Mapping[str, Any]) -> str:
    """`name` with the settings that set it apart, by name: `lcm:max_value=10,seed=1`."""
    if not config:
        return name
    settings = (
        f"{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for key, value in sorted(config.items())
    )
    return f"{name}{',' if ':' in name else ':'}{','.join(settings)}"
