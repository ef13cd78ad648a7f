"""What a reader finds in a tool's files, before it is checked: rows, and what had to be left out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from t2fast.tables.reading import LeftOut, in_order
from t2fast.tables.sources import Source


@dataclass(frozen=True)
class Measured:
    """Rows to be checked as counts or samples, and `columns`, both as `t2fast.read_counts` takes them."""

    source: Source
    columns: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


class Tally:
    """Counts samples by problem within each run of a model on a task, and what is left out by its reason."""

    def __init__(self) -> None:
        self._rows: list[dict[str, object]] = []
        self._left_out: Counter[str] = Counter()

    def add(self, counts: Mapping[str, tuple[int, int]], **run: str | float | None) -> None:
        """One run's (n_samples, n_correct) by problem; `run` is what it says of model, task and n_params."""
        for problem, (n_samples, n_correct) in counts.items():
            if n_samples:
                self._rows.append({**run, "problem": problem, "n_samples": n_samples, "n_correct": n_correct})

    def leave_out(self, reason: str, rows: int = 1) -> None:
        """Note `rows` rows, or none, that are not counted."""
        self._left_out[reason] += rows

    def measured(self, name: str) -> Measured:
        """The counts as a source called `name`.

        n_params is a column if every run says it. Errors: `ValueError` if no sample is left, or if some runs
        name their model and others do not.
        """
        reasons = tuple(LeftOut(rows, reason) for reason, rows in self._left_out.items())
        if not self._rows:
            what = "; ".join(f"{part.rows} x {part.reason}" if part.rows else part.reason for part in reasons)
            raise ValueError(f"no sample of {name} can be counted" + (f": {what}" if what else ""))
        schema = {
            "model": pl.String,
            "n_params": pl.Float64,
            "task": pl.String,
            "problem": pl.String,
            "n_samples": pl.Int64,
            "n_correct": pl.Int64,
        }
        frame = pl.DataFrame(
            self._rows, schema={key: kind for key, kind in schema.items() if key in self._keys}
        )
        known = {key: frame[key].null_count() == 0 for key in in_order(frame, ("model", "n_params", "task"))}
        if not known.get("model", True) and frame["model"].null_count() < frame.height:
            raise ValueError(
                f"some runs of {name} name their model and others do not: read them one by one, with model="
            )
        frame = frame.drop(key for key, complete in known.items() if not complete)
        return Measured(Source(name, frame.lazy(), tuple(frame.columns)), left_out=reasons)

    @property
    def _keys(self) -> set[str]:
        return {key for row in self._rows for key in row}
