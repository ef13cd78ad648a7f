"""What a fit returns besides the law."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from t2fast.laws import file


@dataclass(frozen=True)
class FitReport:
    """How a law was fitted and how well.

    Attributes:
        method: the search, in words.
        objective: its least value found, in the units that `objective_name` says.
        points, checkpoints: how many were fitted.
        converged, reason, evaluations: how the search ended.
        unidentified: parameters that the data leave open.
        on_bound: parameters that sit on a bound.
        median_relative_error: of the law on the points it was fitted to.
        lack_of_fit: root mean square of the residuals in units of their sampling error: 1 where the law
            explains all but noise, far above it where no curve of this form fits.
        seed: that the draws were made with; None where a file of an older t2fast does not say.
        notes: what else a reader must know.
        residuals: a row a point; not kept in files.
    """

    method: str
    objective: float
    objective_name: str
    points: int
    checkpoints: int
    converged: bool
    reason: str
    evaluations: int
    unidentified: tuple[str, ...] = ()
    on_bound: tuple[str, ...] = ()
    median_relative_error: float | None = None
    lack_of_fit: float | None = None
    notes: tuple[str, ...] = ()
    seed: int | None = None
    residuals: pl.DataFrame | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the residuals, as plain JSON types."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "residuals"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, data: Any, where: str) -> FitReport:
        """The inverse of `to_dict`. `ValueError` names the key that is wrong, `KeyError` one that lacks."""

        def optional(name: str) -> float | None:
            return None if data.get(name) is None else file.number(data[name], where, name)

        data = file.typed(data, dict, where, "fit")
        return cls(
            method=file.typed(data["method"], str, where, "method"),
            objective=file.number(data["objective"], where, "objective"),
            objective_name=file.typed(data["objective_name"], str, where, "objective_name"),
            points=file.typed(data["points"], int, where, "points"),
            checkpoints=file.typed(data["checkpoints"], int, where, "checkpoints"),
            converged=file.typed(data["converged"], bool, where, "converged"),
            reason=file.typed(data["reason"], str, where, "reason"),
            evaluations=file.typed(data["evaluations"], int, where, "evaluations"),
            unidentified=file.words(data.get("unidentified", []), where, "unidentified"),
            on_bound=file.words(data.get("on_bound", []), where, "on_bound"),
            median_relative_error=optional("median_relative_error"),
            lack_of_fit=optional("lack_of_fit"),
            notes=file.words(data.get("notes", []), where, "notes"),
            seed=file.seed(data, where),
        )
