"""What the caller chooses where results leave a choice: one of several names, or an error that lists them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from t2fast.readers.documents import described
from t2fast.tables import fields as v

#: A regular expression for the answer in a response, or a function (row, response) -> whether it is correct.
Answer: TypeAlias = "str | Callable[[Mapping[str, Any], str], bool]"

#: What samples are that ended in an error: as their tool counts them, left out, or wrong.
Errors: TypeAlias = Literal["count", "drop", "fail"]


@dataclass(frozen=True)
class Choices:
    """What the caller chooses where results of a tool leave a choice."""

    task: str | None = None
    """This task alone."""
    model: str | None = None
    """A name for the model, where the tool does not store it or another name is wanted."""
    scorer: str | None = None
    """inspect-ai's scorer."""
    metric: str | None = None
    """The metric of lm-eval, HELM or lighteval, evalplus' `base` or `plus`, a key of an inspect-ai score that
    is an object, or of a rollout."""
    filter: str | None = None
    """lm-eval's filter."""
    answer: Answer | None = None
    """Scores lm-eval's responses anew. A regular expression whose last match (its first group, if it has one)
    must equal the target, spaces at the ends aside; or a function of a row and a response that returns True
    or False."""
    correct_at: float | None = None
    """The score from which on a sample counts as correct; without it a score other than 0 and 1 is an
    error."""
    errors: Errors = "count"
    """What a sample is that ended in an error: `"count"`, as its tool counts it, by its score if it has one;
    `"drop"`, left out; `"fail"`, wrong."""

    def __post_init__(self) -> None:
        if self.errors not in ("count", "drop", "fail"):
            raise ValueError(f"errors is {self.errors!r}, not 'count', 'drop' or 'fail'")

    def refuse_others(self, path: str, tool: str, taken: Iterable[str]) -> None:
        """`ValueError` for a choice that a file, which is one of `tool`, does not leave."""
        allowed = {"task", "model", *taken}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name not in allowed and value != entry.default:
                raise ValueError(
                    f"{entry.name}= {value!r} is no choice for {path}, a file of {tool}: leave it out"
                )

    def pick(self, option: str, there: Iterable[str], where: str) -> str:
        """The one of `there` that the caller chose by `option`, or the only one."""
        given, names = getattr(self, option), sorted(set(there))
        what = v.listed([v.shown(name) for name in names]) or "none"
        if given is not None:
            if given not in names:
                raise ValueError(f"{where} has no {option} {given!r}; it has {what}")
            return str(given)
        if len(names) != 1:
            raise ValueError(
                f"{where} has {len(names)} {option}s, {what}: choose one by {option}="
                if names
                else f"{where} has no {option} at all"
            )
        return names[0]

    def is_correct(self, value: object, where: str) -> bool | None:
        """Whether a score means success: 1 or true, 0 or false, from `correct_at` upwards; None if it is NaN.

        Errors: `ValueError`, beginning with `where`, for anything else.
        """
        if not isinstance(value, bool | int | float):
            raise ValueError(f"{where} is {described(value)}, not a number, true or false")
        if isinstance(value, float) and math.isnan(value):
            return None
        if self.correct_at is not None:
            return value >= self.correct_at
        if value not in (0, 1):
            raise ValueError(
                f"{where} is {described(value)}, neither 0 nor 1: say from what value on a sample counts as "
                "correct by correct_at="
            )
        return value == 1
