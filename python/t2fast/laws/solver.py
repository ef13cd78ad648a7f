"""What plans ask of a law, whatever its kind: the best choices by it, and by each of its draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from t2fast import _core

if TYPE_CHECKING:
    from t2fast._core import _Asked, _Constraints, _Search

Floats = NDArray[np.float64]
Choices = tuple[Floats, Floats, NDArray[np.uint8]]
"""Ours and Chinchilla's N, D, k and value, a row a budget and draw, and what bounds them."""


class Solver(Protocol):
    """The core's search, by a law or by its draws; `_core.ForecastState` is one."""

    def plan(
        self,
        which: str,
        train: Floats,
        inference: Floats,
        constraints: _Constraints,
        tokens_per_param: float | None,
    ) -> Choices:
        """The best N, D and k of each pair of budgets."""

    def plan_checked(self, which: str, asked: _Asked, checks: Floats, harm: float) -> Choices:
        """The best N, D and k under checks that err, by their rates (rows, 2): N, D, k, right, wrong and the
        best k if samples were free.
        """

    def outcomes(self, which: str, n: Floats, d: Floats, k: Floats, checks: Floats) -> Floats:
        """Right and wrong answers at points, (rows, points, 2)."""

    def spend(self, which: str, search: _Search) -> Floats:
        """The best N, D and k of one budget, (rows, 7)."""

    def spend_checked(self, which: str, search: _Search, checks: Floats, harm: float) -> Floats:
        """The same under checks that err, by their rates (rows, 2): N, D, k, right, wrong, both costs and
        the gap, (rows, 8).
        """


@dataclass(frozen=True)
class RowSolver:
    """The search by a law of this name with these parameters, (rows, parameters)."""

    name: str
    rows: Floats

    def plan(
        self,
        which: str,
        train: Floats,
        inference: Floats,
        constraints: _Constraints,
        tokens_per_param: float | None,
    ) -> Choices:
        """See `Solver.plan`."""
        return _core.plan_batch(self.name, self.rows, train, inference, constraints, tokens_per_param)

    def spend(self, which: str, search: _Search) -> Floats:
        """See `Solver.spend`."""
        return _core.spend_batch(self.name, self.rows, search)

    def spend_checked(self, which: str, search: _Search, checks: Floats, harm: float) -> Floats:
        """See `Solver.spend_checked`."""
        return _core.spend_checked(self.name, self.rows, search, checks, harm)

    def plan_checked(self, which: str, asked: _Asked, checks: Floats, harm: float) -> Choices:
        """See `Solver.plan_checked`."""
        return _core.plan_checked(self.name, self.rows, asked, checks, harm)

    def outcomes(self, which: str, n: Floats, d: Floats, k: Floats, checks: Floats) -> Floats:
        """See `Solver.outcomes`."""
        return _core.law_outcomes(self.name, self.rows, n, d, k, checks)
