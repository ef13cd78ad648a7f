"""A small table of counts, and changes of it."""

from __future__ import annotations

from typing import Any

import pytest
from t2fast.tables import read_counts

GOOD: dict[str, list[Any]] = {
    "model": ["a", "a", "b"],
    "n_params": [1e6, 1e6, 2e6],
    "n_tokens": [1e9, 1e9, 2e9],
    "task": ["t", "t", "t"],
    "problem": ["x", "y", "x"],
    "n_samples": [8, 8, 16],
    "n_correct": [0, 8, 3],
}
ORDER = list(GOOD)


def good(**changes: list[Any]) -> dict[str, list[Any]]:
    return {**GOOD, **changes}


def without(*names: str) -> dict[str, list[Any]]:
    return {name: values for name, values in GOOD.items() if name not in names}


def refused(source: Any, read: Any = read_counts, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each caller looks into the message
        read(source, **options)
    return str(caught.value)
