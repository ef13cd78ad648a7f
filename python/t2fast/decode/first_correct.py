"""Samples judged as they finish, and problems ended at their first right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from t2fast.decode.prompts import Problem
from t2fast.decode.rendering import Renderer
from t2fast.decode.request import RawSamples

Verify = Callable[[Any, str], bool]
"""Whether a text answers the problem of this id."""


class FirstCorrect:
    """Asks `verify` about finished samples and ends a problem at its first correct one, in order of index.

    Ending it at whichever correct sample finishes first would favour short samples, and which samples are
    left would depend on the batch.
    """

    def __init__(self, found: list[Problem], verify: Verify, render: Renderer, first_sample: int):
        self.found, self.verify, self.render = found, verify, render
        self.right: list[dict[int, bool]] = [{} for _ in found]
        self.next = [first_sample] * len(found)

    def finished(self, problem: int, sample: int, tokens: list[int], reason: str) -> bool:
        """Whether the problem of this sample is at its end."""
        if reason == "cancelled":
            return False
        right = self.right[problem]
        right[sample] = bool(
            self.verify(self.found[problem].id, self.render(tokens, reason == "stop_string"))
        )
        while self.next[problem] in right:
            if right[self.next[problem]]:
                return True
            self.next[problem] += 1
        return False

    def column(self, raw: RawSamples) -> pl.Series:
        """What was found, row by row of the engine's result."""
        pairs = zip(raw["problem"].tolist(), raw["sample"].tolist(), strict=True)
        return pl.Series("correct", [self.right[p].get(s) for p, s in pairs], dtype=pl.Boolean)
