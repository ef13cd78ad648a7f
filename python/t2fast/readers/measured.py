"""What a reader finds in a tool's files, before it is checked: rows, and what had to be left out of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from t2fast.tables.fields import USAGE
from t2fast.tables.reading import LeftOut, in_order
from t2fast.tables.rows import Source

_MOST_USED = 1e18  # whole numbers may be longer than floats can be
_USAGE = tuple(entry.name for entry in USAGE)


@dataclass(frozen=True)
class Measured:
    """Rows to be checked as counts or samples, and `columns`, both as `t2fast.read_counts` takes them."""

    source: Source
    columns: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    errored: Mapping[str, int] = field(default_factory=dict)


class Problems:
    """The samples of one run of one model on one task, counted by problem, with what they used."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._usage: dict[str, dict[str, list[float]]] = {}

    def __contains__(self, problem: str) -> bool:
        return problem in self._counts

    def __len__(self) -> int:
        return len(self._counts)

    def add(
        self, problem: str, n_samples: int, n_correct: int, used: Mapping[str, float | None] | None = None
    ) -> None:
        """Count samples of a problem; `used` is what they used in all, by the names of the fields `USAGE`."""
        counts = self._counts.setdefault(problem, [0, 0])
        counts[0] += n_samples
        counts[1] += n_correct
        for name, taken in (used or {}).items():
            if taken is not None and 0 <= taken < _MOST_USED:
                known = self._usage.setdefault(problem, {}).setdefault(name, [0, 0.0])
                known[0] += n_samples
                known[1] += taken

    def rows(self) -> list[dict[str, object]]:
        """A row a problem; what was used where all of its samples say it."""
        return [
            {"problem": problem, "n_samples": n_samples, "n_correct": n_correct}
            | {
                name: taken
                for name, (samples, taken) in self._usage.get(problem, {}).items()
                if samples == n_samples
            }
            for problem, (n_samples, n_correct) in self._counts.items()
            if n_samples
        ]


def amount(value: object) -> float | None:
    """A number that a tool wrote of what was used; None for anything else that it may have written there."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and abs(value) < _MOST_USED else None  # type: ignore[arg-type]


class Tally:
    """Runs of models on tasks, what is left out of them by its reason, and what is to be told of them."""

    def __init__(self) -> None:
        self._rows: list[dict[str, object]] = []
        self._parts: list[tuple[str, int]] = []
        self._left_out: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._errored: Counter[str] = Counter()

    def add(self, path: str, problems: Problems, **run: str | float | None) -> None:
        """One run, found in `path`; `run` is what it says of model, task and n_params."""
        rows = problems.rows()
        self._parts.append((path, len(rows)))
        self._rows += [{**run, **row} for row in rows]
        if len(rows) < len(problems):
            self.leave_out("problem without samples", len(problems) - len(rows))

    def leave_out(self, reason: str, rows: int = 1) -> None:
        """Note `rows` rows, or none, that are not counted."""
        self._left_out[reason] += rows

    def note(self, words: str, samples: int = 0) -> None:
        """Note what a reader should know of the counts, such as the layout seen; `samples` add up."""
        self._notes[words] += samples

    def errored(self, errors: str, scored: bool) -> Literal["scored", "wrong", "left out"]:
        """What a sample is that ended in an error, by the caller's choice of `errors`; it is noted."""
        if errors == "fail":
            self.note("samples that ended in an error, counted as wrong", 1)
            self._errored["counted as wrong"] += 1
            return "wrong"
        if errors == "drop" or not scored:
            self.leave_out("sample that ended in an error")
            self._errored["left out"] += 1
            return "left out"
        self.note("samples that ended in an error, counted as they were scored", 1)
        self._errored["counted as they were scored"] += 1
        return "scored"

    def add_files(
        self,
        paths: Sequence[str],
        task: str | None,
        run: Callable[[str], Mapping[str, str]],
        counts: Callable[[str], Problems],
    ) -> None:
        """A run a file: what `run` says of it, and `counts`. Of several, other tasks stay out."""
        for path in paths:
            said = run(path)
            if task not in (None, said.get("task")) and len(paths) > 1:
                self.leave_out(f"task other than {task!r} (files)")
            else:
                self.add(path, counts(path), **said)

    def measured(self, paths: Sequence[str]) -> Measured:
        """The counts as a source called by its path, or by the folder that several have in common.

        n_params is a column if every row says it, and what samples used if one does. Errors: `ValueError` if
        no sample is left, or if some runs name their model and others do not.
        """
        name = paths[0] if len(paths) == 1 else os.path.commonpath(paths)
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
            **dict.fromkeys(_USAGE, pl.Float64),
        }
        keys = {key for row in self._rows for key in row}
        frame = pl.DataFrame(self._rows, schema={key: kind for key, kind in schema.items() if key in keys})
        known = {key: frame[key].null_count() == 0 for key in in_order(frame, ("model", "n_params", "task"))}
        if not known.get("model", True) and frame["model"].null_count() < frame.height:
            raise ValueError(
                f"some runs of {name} name their model and others do not: read them one by one, with model="
            )
        frame = frame.drop(key for key, complete in known.items() if not complete)
        notes = tuple(f"{words}: {count}" if count else words for words, count in self._notes.items())
        source = Source(name, frame.lazy(), tuple(frame.columns), parts=tuple(self._parts))
        return Measured(source, left_out=reasons, notes=notes, errored=dict(self._errored))
