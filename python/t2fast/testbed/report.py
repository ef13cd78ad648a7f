"""What a testbed found, for reading and as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Group, RenderableType

from t2fast.laws import ForecastLaw
from t2fast.tables import Counts, Likelihoods, Losses
from t2fast.testbed.loop import Kept
from t2fast.text import amount, chance, columns, counted, line, note, percent, plain
from t2fast.training.objects import read_object

REPORT = "report.json"
_ANEW = "run the testbed again, which writes it anew"


@dataclass(frozen=True)
class Testbed:
    """A testbed that is done.

    Attributes:
        folder: where it is kept.
        counts: of the grid and the loop.
        likelihoods: likewise.
        losses: likewise.
        laws: by task, of the checkpoints up to C/8.
        fitted: how many these are.
        kept: what was promised for C, and what was measured.
        train_flops: C.
        inference_flops: FLOPs per token served.
        work: FLOPs and seconds of each checkpoint, by name.
        device: that trained and measured them.
    """

    __test__ = False  # pytest takes a class of this name for a test

    folder: Path
    counts: Counts
    likelihoods: Likelihoods
    losses: Losses
    laws: Mapping[str, ForecastLaw]
    fitted: int
    kept: Sequence[Kept]
    train_flops: float
    inference_flops: float
    work: Mapping[str, Mapping[str, float]]
    device: str = "cpu"

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """The loop first, what missed its interval before all; then what it rests on."""
        misses = [(one, len(one.by_likelihood) - one.inside) for one in self.kept]
        parts: list[RenderableType] = [
            line(
                f"Plans for {self.train_flops:.3g} training FLOPs and {self.inference_flops:.3g} FLOPs per "
                f"token served, by laws of {counted(self.fitted, 'checkpoint')} of at most an eighth of that"
            )
        ]
        parts += [
            note(
                f"{one.promise.task}, {one.promise.choice}: {missed} of "
                f"{counted(len(one.by_likelihood), 'seed')} outside the interval of "
                f"{chance(one.promise.low)} to {chance(one.promise.high)}, "
                f"{_range(one.by_likelihood, chance)} measured"
            )
            for one, missed in misses
            if missed
        ]
        parts += [self._loop(), self._gains(), *self._seeds()]
        parts += [line(self._agreement_words()), line(self._speed_words())]
        for task, law in self.laws.items():
            parts += [note(f"law of {task}: {words}") for words in _notes(law)]
        return Group(*parts)

    def _loop(self) -> RenderableType:
        table = columns(
            "task",
            "choice",
            "N",
            "D",
            "k",
            "predicted",
            "90% interval",
            "measured",
            "by counts",
            left=("task", "choice"),
        )
        for one in self.kept:
            promise = one.promise
            table.add_row(
                promise.task,
                promise.choice,
                amount(promise.n_params),
                amount(promise.n_tokens),
                str(promise.k),
                chance(promise.predicted),
                f"{chance(promise.low)} to {chance(promise.high)}",
                chance(one.measured),
                chance(float(np.mean(one.by_counts))),
            )
        return table

    def _gains(self) -> RenderableType:
        table = columns("task", "plan / Chinchilla predicted", "measured", "by counts", left=("task",))
        for ours, theirs in self.pairs():
            table.add_row(
                ours.promise.task,
                times(ratio(ours.promise.predicted, theirs.promise.predicted)),
                times(ratio(ours.measured, theirs.measured)),
                times(ratio(*(float(np.mean(one.by_counts)) for one in (ours, theirs)))),
            )
        return table

    def _seeds(self) -> list[RenderableType]:
        """How far seeds are apart, where there are several, and how many are inside the interval."""
        if not any(len(one.by_likelihood) > 1 for one in self.kept):
            return []
        names = ("plan", "inside", "Chinchilla", "inside", "plan / Chinchilla")
        table = columns("task", *names, left=("task",))
        for pair in self.pairs():
            cells = []
            for one in pair:
                inside = f"{one.inside} of {len(one.by_likelihood)}"
                cells += [_range(one.by_likelihood, chance), inside]
            each = map(ratio, *(one.by_likelihood for one in pair))
            table.add_row(pair[0].promise.task, *cells, _range(list(each), times))
        return [line("measured from seed to seed, and how many are inside the interval"), table]

    def pairs(self) -> list[tuple[Kept, Kept]]:
        """The plan and Chinchilla's choice of each task."""
        return list(zip(self.kept[::2], self.kept[1::2], strict=True))

    def agreement(self) -> dict[str, tuple[float, float]]:
        """By task: the mean probability by likelihood, and the share of samples that were correct."""
        tasks = self.counts.frame["task"].unique(maintain_order=True)
        found = {}
        for task in tasks:
            by_p = self.likelihoods.filter(task=task).p.mean()
            rows = self.counts.filter(task=task).frame
            found[task] = (float(by_p), float(rows["n_correct"].sum()) / float(rows["n_samples"].sum()))
        return found

    def _agreement_words(self) -> str:
        parts = (f"{task} {chance(p)} and {chance(c)}" for task, (p, c) in self.agreement().items())
        return f"mean probability by likelihood, and share of samples that are correct: {'; '.join(parts)}"

    def _speed_words(self) -> str:
        def total(name: str) -> float:
            return sum(one[name] for one in self.work.values())

        flops, training, measuring = total("train_flops"), total("train_seconds"), total("measure_seconds")
        clock = total("train_cpu_seconds")
        peak = sum(one["train_cpu_seconds"] * one["peak_flops"] for one in self.work.values())
        speed = "all of it trained before"
        if clock:
            timed = total("timed_flops")
            kind = "float32" if self.device == "cpu" else "bfloat16"
            speed = f"{timed / clock / 1e9:.3g} GFLOP/s, {percent(timed / peak)} of {kind} matrices' speed"
        where = "one thread each" if self.device == "cpu" else "a GPU"
        return (
            f"{len(self.work)} checkpoints, {flops:.3g} FLOPs: {training:,.0f} s of training on {where} "
            f"({speed}), {measuring:,.0f} s of measuring"
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return {
            "folder": str(self.folder),
            "train_flops": self.train_flops,
            "inference_flops": self.inference_flops,
            "loop": [
                {
                    **asdict(one.promise),
                    "measured": list(one.by_likelihood),
                    "measured_by_counts": list(one.by_counts),
                    "inside": one.inside,
                }
                for one in self.kept
            ],
            "agreement": {task: list(pair) for task, pair in self.agreement().items()},
            "losses": self.losses.frame.to_dicts(),
            "work": {name: dict(one) for name, one in self.work.items()},
            "notes": {task: list(_notes(law)) for task, law in self.laws.items()},
        }


def loop_in(folder: Path) -> pl.DataFrame:
    """What was promised and measured, as a testbed's report has it; no rows where there is none yet.

    Columns: `task`, `choice`, `n_params`, `n_tokens`, `k`, `predicted`, `low`, `high`, `measured` (the mean
    over seeds). `ValueError` if the report is damaged.
    """
    path, rows = folder / REPORT, []
    numbers = ("n_params", "n_tokens", "k", "predicted", "low", "high")
    if path.exists():
        try:
            for one in read_object(path, _ANEW)["loop"]:
                values = [float(one[name]) for name in numbers]
                rows.append((str(one["task"]), str(one["choice"]), *values, float(np.mean(one["measured"]))))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a report of this version ({error}): {_ANEW}") from error
    kinds = dict.fromkeys((*numbers, "measured"), pl.Float64)
    return pl.DataFrame(rows, schema={"task": pl.String, "choice": pl.String, **kinds}, orient="row")


def ratio(ours: float, theirs: float) -> float:
    """The one over the other; NaN over nothing."""
    return ours / theirs if theirs else math.nan


def times(value: float) -> str:
    """A ratio in words."""
    return "-" if math.isnan(value) else f"{value:.3g}"


def _range(values: Sequence[float], words: Callable[[float], str]) -> str:
    """From the least to the most, or the one there is."""
    ends = list(dict.fromkeys((words(min(values)), words(max(values)))))
    return " to ".join(ends)


def _notes(law: ForecastLaw) -> tuple[str, ...]:
    return law.fit.notes if law.fit is not None else ()
