"""One model on one task, sampled or scored: what is there of it, and what is still to be done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from t2fast.decode.successes import Successes
from t2fast.runs.manifest import ModelEntry, TaskEntry
from t2fast.runs.records import Records, Row

Kind = Literal["samples", "likelihoods"]


class Tally:
    """Which samples of a part are there, and with what verdicts; a score counts as a problem's one sample."""

    def __init__(self, ids: Sequence[str], k: int, until: int | None):
        self.k = k
        self.until = until
        wanted = k + 1 if until is None else until  # more than there are: no success ends a problem
        self.problems = {problem: Successes(wanted) for problem in ids}

    def add(self, problem: str, sample: int, right: bool) -> bool:
        """Note a sample, if it is one of the part's; whether its problem is over by its successes."""
        own = self.problems.get(problem)
        return own is not None and sample < self.k and own.add(sample, right)

    def left(self, problem: str) -> int:
        """Samples that a problem still needs, at the most."""
        own = self.problems[problem]
        return 0 if own.over else self.k - len(own.right)

    def have(self, problem: str) -> list[int]:
        """Samples of a problem that are there, ascending."""
        return sorted(self.problems[problem].right)

    def counts(self, problem: str, sample: int) -> bool:
        """Whether a sample that is there counts: where successes end a problem, up to the last of these."""
        own = self.problems.get(problem)
        return own is not None and sample < (self.k if self.until is None else own.next)

    @property
    def missing(self) -> int:
        """Samples that the part still needs, at the most."""
        return sum(map(self.left, self.problems))


@dataclass(frozen=True)
class Part:
    """Samples or likelihoods of one model on one task."""

    kind: Kind
    model: ModelEntry
    task: TaskEntry
    k: int
    """Samples a problem; 1 for likelihoods."""
    until: int | None
    """The success at which a problem ends."""
    ids: tuple[str, ...]
    """Of its problems, in order; none if they are not written down yet."""
    records: Records
    spent: Records
    """Of each request to a server, what it took."""

    @property
    def total(self) -> int:
        """Samples that it may need."""
        return self.task.problems * self.k

    def tally(self) -> Tally:
        """What is there."""
        found = Tally(self.ids, self.k, self.until)
        for row in self.records.rows():
            found.add(row["problem"], row.get("sample", 0), bool(row.get("correct")))
        return found

    def missing(self, tally: Tally) -> int:
        """Samples that it still needs, at the most."""
        return tally.missing + (self.task.problems - len(self.ids)) * self.k

    def rows(self) -> Iterator[Row]:
        """Its rows, ordered by problem and sample."""
        tally = self.tally()
        for line in self.records.ordered(lambda row: self._place(row, tally)):
            yield json.loads(line)

    def join(self, tally: Tally) -> None:
        """Make one file of its rows, all of which are there."""
        self.records.join(lambda row: self._place(row, tally))

    def _place(self, row: Row, tally: Tally) -> tuple[int, int] | None:
        problem, sample = row["problem"], row.get("sample", 0)
        return (self._order[problem], sample) if tally.counts(problem, sample) else None

    @cached_property
    def _order(self) -> dict[str, int]:
        return {problem: place for place, problem in enumerate(self.ids)}

    def labels(self) -> dict[str, Any]:
        """What every row of a table of this part carries."""
        model = self.model
        sizes = {"n_params": model.n_params, "n_tokens": model.n_tokens}
        sizes = {name: float(value) for name, value in sizes.items() if value is not None}
        return {"model": model.name, **sizes, "stage": model.stage, "task": self.task.name}
