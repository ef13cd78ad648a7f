"""What a validation found about a law's forecasts, as it travels with the law."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from t2fast.laws import file
from t2fast.laws.report import FitReport


@dataclass(frozen=True)
class Validated:
    """The figures of a validation that everything made from the law repeats.

    Attributes:
        by: what was held out: compute, ratio, size, run or checkpoint.
        splits: over how many splits the law was fitted and judged.
        error: mean over splits of the median relative error of a held-out checkpoint's forecast.
        nearest: that of the nearest checkpoint, on the same splits.
        worse: share of the splits in which the law was worse than the nearest checkpoint.
        level: nominal coverage of the intervals.
        coverage: share of held-out measurements inside them, where the law gave intervals.
        width: median ratio of their upper to their lower end; None where that is not finite.
        forecastable: whether the law's forecasts are worth having.
        verdict: all this in words.
        seed: of the validation's draws and random splits; None where an older t2fast kept none.
    """

    by: str
    splits: int
    error: float
    nearest: float
    worse: float
    level: float
    coverage: float | None
    width: float | None
    forecastable: bool
    verdict: str
    seed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any, where: str) -> Validated:
        """The inverse of `to_dict`. `ValueError` names the key that is wrong, `KeyError` one that lacks."""

        def optional(name: str) -> float | None:
            return None if data.get(name) is None else file.number(data[name], where, name)

        data = file.typed(data, dict, where, "validation")
        return cls(
            by=file.typed(data["by"], str, where, "by"),
            splits=file.typed(data["splits"], int, where, "splits"),
            error=file.number(data["error"], where, "error"),
            nearest=file.number(data["nearest"], where, "nearest"),
            worse=file.number(data["worse"], where, "worse"),
            level=file.number(data["level"], where, "level"),
            coverage=optional("coverage"),
            width=optional("width"),
            forecastable=file.typed(data["forecastable"], bool, where, "forecastable"),
            verdict=file.typed(data["verdict"], str, where, "verdict"),
            seed=file.seed(data, where),
        )

    def caution(self) -> str:
        """The verdict with what it rests on, for a reader who has not seen the validation."""
        return f"validated over {self.splits} splits of its table by {self.by}: {self.verdict}"


def cautions(fit: FitReport | None, validation: Validated | None) -> tuple[str, ...]:
    """What everything made from a law has to repeat: its fit's notes, and what its validation found."""
    notes = () if fit is None else fit.notes
    return notes if validation is None else (*notes, validation.caution())
