"""Stars of a table beside what lies outside a law's data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType

from t2fast.laws import AnyLaw
from t2fast.text import amount, note, samples

_SHOWN = {"n_params": amount, "n_tokens": amount, "k": samples}


class Stars:
    """Marks N, D and k, and says below the table what a star means.

    Args:
        law: whose data they are.
    """

    def __init__(self, law: AnyLaw) -> None:
        self._law = law
        self._any = False

    def choice(self, row: Mapping[str, Any], prefix: str = "") -> list[str]:
        """N, D and k of a row, in words; a dash where there is none."""
        return [self._marked(name, row[prefix + name]) for name in _SHOWN]

    def under(self, table: RenderableType) -> RenderableType:
        """The table, and what its stars mean if it has any."""
        if not self._any:
            return table
        axes = [("N", "n_params"), ("D", "n_tokens"), *([("k", "k")] if self._law.has_k else [])]
        ends = {symbol: self._law.domain[name] for symbol, name in axes}
        seen = ", ".join(f"{symbol} {amount(low)} to {amount(high)}" for symbol, (low, high) in ends.items())
        return Group(table, note(f"* outside the law's data ({seen}): an extrapolation"))

    def _marked(self, name: str, value: float | None) -> str:
        low, high = self._law.domain.get(name, (0.0, math.inf))
        inside = value is None or low <= value <= high
        self._any |= not inside
        return _SHOWN[name](value) + ("" if inside else "*")
