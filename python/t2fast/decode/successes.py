"""Samples judged as they finish, and problems ended at their m-th right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from t2fast.decode.prompts import Problem
from t2fast.decode.rendering import Renderer
from t2fast.decode.request import RawSamples

Verify = Callable[[Any, str], bool]
"""Whether a text answers the problem of this id."""

AHEAD = 4
"""Samples of a problem drawn at once where a right one ends it: what is cut off then is work for nothing."""


class Successes:
    """Verdicts on one problem's samples, and whether it is over: at its m-th right one, in order of index.

    Ending it at whichever right sample finishes first would favour short samples, and which samples are left
    would depend on the batch.
    """

    def __init__(self, wanted: int, first_sample: int = 0):
        self.wanted = wanted
        self.next = first_sample
        """Samples before this index count."""
        self.right: dict[int, bool] = {}
        self._found = 0

    @property
    def over(self) -> bool:
        """Whether no more samples are needed."""
        return self._found >= self.wanted

    def add(self, sample: int, right: bool) -> bool:
        """Note a verdict; whether the problem is over."""
        self.right[sample] = right
        while not self.over and self.next in self.right:
            self._found += self.right[self.next]
            self.next += 1
        return self.over


class FirstCorrect:
    """Asks `verify` about finished samples, and ends each problem at its first right one."""

    def __init__(self, found: list[Problem], verify: Verify, render: Renderer, first_sample: int):
        self.found, self.verify, self.render = found, verify, render
        self.verdicts = [Successes(1, first_sample) for _ in found]

    def finished(self, problem: int, sample: int, tokens: list[int], reason: str) -> bool:
        """Whether the problem of this sample is over."""
        text = self.render(tokens, reason == "stop_string")
        return self.verdicts[problem].add(sample, bool(self.verify(self.found[problem].id, text)))

    def column(self, raw: RawSamples) -> pl.Series:
        """What was found, row by row of the engine's result."""
        pairs = zip(raw["problem"].tolist(), raw["sample"].tolist(), strict=True)
        return pl.Series("correct", [self.verdicts[p].right.get(s) for p, s in pairs], dtype=pl.Boolean)
