"""The work of a run: a part sampled or scored, every row kept as it ends."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from t2fast.decode import Engine
from t2fast.decode.endpoint import Served
from t2fast.decode.samples import Finished
from t2fast.decode.successes import AHEAD
from t2fast.progress import Bar
from t2fast.runs.manifest import Manifest
from t2fast.runs.part import Part, Tally
from t2fast.runs.records import Journal
from t2fast.runs.scores import scores
from t2fast.tasks import Task

_SCORED = 8
"""Problems scored between two writes: seconds of work for a model of a size that runs here."""
_SHOWN_SECONDS = 0.1
"""Between two looks of the bar: small models draw thousands of samples a second."""


class Sampler:
    """Samples and scores parts of a run, and shows how far it is."""

    def __init__(self, manifest: Manifest, bar: Bar):
        self.manifest = manifest
        self.bar = bar
        self._started = time.perf_counter()
        self._shown = self._started
        self._done = self._samples = self._tokens = 0

    def draw(self, model: Engine | Served, task: Task, part: Part, tally: Tally) -> None:
        """Draw what a part lacks. `KeyboardInterrupt` after Ctrl-C."""
        asked = {problem.id: problem for problem in task.problems if tally.left(problem.id)}
        assert part.task.sampling is not None
        with Journal(part.records) as journal, Journal(part.spent) as ledger:

            def finished(one: Finished) -> bool:
                problem = asked[str(one.problem)]
                correct = None if task.check is None else task.verify(problem, one.text)
                row = {
                    "problem": problem.id,
                    "sample": one.sample,
                    "text": one.text,
                    "correct": correct,
                    "length": one.length,
                    "finish_reason": one.finish_reason,
                    "logprob": one.logprob,
                }
                journal.append(row)
                left = tally.left(problem.id)
                over = tally.add(problem.id, one.sample, bool(correct))
                self._advance(left - tally.left(problem.id), 1, one.length or 0)
                return over

            asking: dict[str, Any] = {
                "k": part.k,
                "have": [tally.have(problem) for problem in asked],
                "ahead": None if part.until is None else AHEAD,
                "chat": self.manifest.chat,
            }
            prompts: dict[str | int, Any] = {problem.id: problem.prompt for problem in asked.values()}
            if isinstance(model, Served):
                asking["spent"] = lambda one: ledger.append(asdict(one))
            else:
                asking["now"] = self.manifest.date
            whole = model.each(prompts, finished, part.task.sampling, **asking)
        self._show()
        if not whole:
            raise KeyboardInterrupt

    def score(self, engine: Engine | Served, task: Task, part: Part, tally: Tally) -> None:
        """Score what a part lacks."""
        assert isinstance(engine, Engine)
        asked = [problem for problem in task.problems if tally.left(problem.id)]
        with Journal(part.records) as journal:
            for first in range(0, len(asked), _SCORED):
                for row in scores(
                    engine, asked[first : first + _SCORED], self.manifest.chat, self.manifest.date
                ):
                    journal.append(row)
                    tally.add(row["problem"], 0, False)
                    self._advance(1, 1, row["length"])
        self._show()

    def _advance(self, done: int, samples: int, tokens: int) -> None:
        self._done += done
        self._samples += samples
        self._tokens += tokens
        if time.perf_counter() - self._shown > _SHOWN_SECONDS:
            self._show()

    def _show(self) -> None:
        self._shown = time.perf_counter()
        seconds = max(self._shown - self._started, 1e-9)
        self.bar.rate(f"{self._samples / seconds:,.0f} samples/s, {self._tokens / seconds:,.0f} tokens/s")
        self.bar.advance(self._done)
        self._done = 0
