"""inspect-ai 0.3: an `.eval` log, a ZIP with a summary of every sample, or the same log as `.json`.

A sample is one epoch of a problem. Its `scores` map a scorer's name to a value: C, I, P or N, a number, true
or false, or an object of several. A running or crashed log has its summaries in `_journal`, a later one of a
sample in place of an earlier.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from t2fast.readers.archive import Archive
from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, as_text, described, document, expected
from t2fast.readers.measured import Measured, Tally

NAME = "inspect-ai"
# As inspect-ai's own value_to_float reads them.
_WORDS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


@dataclass(frozen=True)
class _Log:
    path: str
    header: Mapping[str, Any]
    samples: Sequence[Any]

    @property
    def run(self) -> Mapping[str, Any]:
        return as_object(self.header.get("eval"), f"eval in {self.path}")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a document is a log."""
    return {"version", "eval"} <= first.keys()


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every sample id by model and task. Samples that failed or were not run are left out.

    Errors: `ValueError` where a scorer must be chosen, or by `metric` a key of a score that is an object.
    """
    choices.refuse_others(paths[0], NAME, ("scorer", "metric", "correct_at"))
    tally = Tally()
    others = 0
    for path in paths:
        log = _log(path)
        task, model = (as_text(log.run.get(key), f"{key} in {path}") for key in ("task", "model"))
        if choices.task not in (None, task) and len(paths) > 1:
            others += 1
            continue
        tally.add(_counts(log, choices, tally), task=task, model=model)
    if others:
        tally.leave_out(f"task other than {choices.task!r} ({others} logs)", 0)
    return tally.measured(paths[0] if len(paths) == 1 else os.path.commonpath(paths))


def _log(path: str) -> _Log:
    if not Archive.recognises(path):
        header = document(path)
        return _Log(path, header, as_list(header.get("samples") or [], f"samples in {path}"))
    with Archive(path) as archive:
        header = as_object(
            archive.json("header.json" if "header.json" in archive else "_journal/start.json"), path
        )
        if header.get("invalidated"):
            raise ValueError(
                f"samples of {path} were invalidated, which its summaries do not tell: convert it by "
                "`inspect log convert --to json`, and read that"
            )
        if "summaries.json" in archive:
            return _Log(path, header, as_list(archive.json("summaries.json"), f"summaries.json in {path}"))
        samples: list[Any] = []
        for member in archive.numbered("_journal/summaries/"):
            samples += as_list(archive.json(member), f"{member} in {path}")
        return _Log(path, header, samples)


def _counts(log: _Log, choices: Choices, tally: Tally) -> dict[str, tuple[int, int]]:
    """(n_samples, n_correct) by sample id."""
    latest: dict[tuple[str, int], tuple[str, dict[str, Any]]] = {}
    for i, item in enumerate(log.samples, 1):
        where = f"sample {i} of {log.path}"
        sample = as_object(item, where)
        name = expected(sample.get("id"), int | str, "text or a whole number", f"id of {where}")
        epoch = expected(sample.get("epoch"), int, "a whole number", f"epoch of {where}")
        latest[str(name), epoch] = where, sample
    _leave_out_unrun(log, len(latest), tally)
    scored = []
    for (problem, _), (where, sample) in latest.items():
        reason = _why_unscored(sample)
        if reason:
            tally.leave_out(reason)
        else:
            scored.append((problem, where, as_object(sample["scores"], f"scores of {where}")))
    if not scored:
        return {}
    scorer = choices.pick("scorer", {name for _, _, scores in scored for name in scores}, log.path)
    counts: dict[str, tuple[int, int]] = {}
    for problem, where, scores in scored:
        if scorer not in scores:
            tally.leave_out(f"sample without a score by {scorer!r}")
            continue
        named = f"{scorer} of {where}"
        value = _number(as_object(scores[scorer], named).get("value"), choices, named)
        correct = choices.is_correct(value, named)
        if correct is None:
            tally.leave_out("score is NaN")
            continue
        n_samples, n_correct = counts.get(problem, (0, 0))
        counts[problem] = n_samples + 1, n_correct + correct
    return counts


def _why_unscored(sample: Mapping[str, Any]) -> str | None:
    if sample.get("error"):
        return "sample that ended in an error"
    if sample.get("invalidation"):
        return "sample that was invalidated"
    return None if sample.get("scores") else "sample without a score"


def _leave_out_unrun(log: _Log, there: int, tally: Tally) -> None:
    """Note the samples that a log lacks; where it does not say how many, that it may lack some."""
    status = log.header.get("status", "started")
    dataset = as_object(log.run.get("dataset") or {}, f"dataset in {log.path}")
    config = as_object(log.run.get("config") or {}, f"config in {log.path}")
    ids, epochs = dataset.get("sample_ids"), config.get("epochs") or 1
    if not isinstance(ids, list) or not isinstance(epochs, int):
        if status != "success":
            tally.leave_out(f"samples that were not run, if any: the log's status is {status!r}", 0)
    elif len(ids) * epochs > there:
        tally.leave_out(f"sample not run (the log's status is {status!r})", len(ids) * epochs - there)


def _number(value: object, choices: Choices, where: str) -> object:
    """A score's value as inspect-ai itself reads it: words as numbers, of an object the entry `metric`."""
    if isinstance(value, dict):
        value = value[choices.pick("metric", value, where)]
    elif choices.metric is not None:
        raise ValueError(f"{where} is one value: leave metric= out")
    if not isinstance(value, str):
        return value
    word = _WORDS.get(value, _WORDS.get(value.lower()) if len(value) > 1 else None)
    if word is not None:
        return word
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{where} is {described(value)}, not C, I, P, N, a number, true or false") from None
