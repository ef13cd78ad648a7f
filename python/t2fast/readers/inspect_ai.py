"""inspect-ai 0.3: an `.eval` log, a ZIP with a summary of every sample, or the same log as `.json`.

A sample is one epoch of a problem. Its `scores` map a scorer's name to a value: C, I, P or N, a number, true
or false, or an object of several. A running or crashed log has its summaries in `_journal`, a later one of a
sample in place of an earlier. What is tried again (`inspect eval-retry`) is another log with the same
task_id, which repeats the samples that were done. In the spring of 2024 (0.3.4) a sample has one `score`, of
the scorer that the results name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from t2fast.readers.archive import Archive
from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, as_text, described, document, expected
from t2fast.readers.measured import Measured, Problems, Tally, amount

NAME = "inspect-ai"
KEYS = frozenset({"version", "status", "eval"})
# What is kept of a sample, which may hold whole conversations.
_READ = ("scores", "score", "error", "limit", "invalidation", "model_usage", "total_time")
# As inspect-ai's own value_to_float reads them.
_WORDS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


@dataclass(frozen=True)
class _Log:
    path: str
    header: Mapping[str, Any]
    samples: Mapping[tuple[str | int, int], tuple[str, Mapping[str, Any]]]
    """By id and epoch: words for where a sample is, and what is read of it."""

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
    choices.refuse_others(paths[0], NAME, ("scorer", "metric", "correct_at", "errors"))
    tally = Tally()
    others = 0
    tries: dict[tuple[str, str, object], list[_Log]] = {}
    for path in paths:
        log = _log(path)
        task, model = (as_text(log.run.get(key), f"{key} in {path}") for key in ("task", "model"))
        if choices.task not in (None, task) and len(paths) > 1:
            others += 1
            continue
        tries.setdefault((task, model, log.run.get("task_id") or path), []).append(log)
    for (task, model, _), logs in tries.items():
        log = _last_tries(logs, tally)
        tally.add(log.path, _counts(log, choices, tally), task=task, model=model)
    if others:
        tally.leave_out(f"task other than {choices.task!r} ({others} logs)", 0)
    return tally.measured(paths)


def _last_tries(logs: Sequence[_Log], tally: Tally) -> _Log:
    """The logs of one evaluation as one: of every sample the last."""
    if len(logs) == 1:
        return logs[0]
    logs = sorted(logs, key=lambda log: str(log.run.get("created")))
    tally.note("evaluations that were tried again, of which each sample's last try counts", 1)
    samples = {key: sample for log in logs for key, sample in log.samples.items()}
    return _Log(logs[-1].path, logs[-1].header, samples)


def _log(path: str) -> _Log:
    if not Archive.recognises(path):
        header = document(path)
        samples = as_list(header.get("samples") or [], f"samples in {path}")
        return _Log(path, header, _by_epoch(samples, path))
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
            samples = as_list(archive.json("summaries.json"), f"summaries.json in {path}")
            return _Log(path, header, _by_epoch(samples, path))
        samples = []
        for member in archive.numbered("_journal/summaries/"):
            samples += as_list(archive.json(member), f"{member} in {path}")
        return _Log(path, header, _by_epoch(samples, path, journal=True))


def _by_epoch(
    samples: Sequence[Any], path: str, journal: bool = False
) -> dict[tuple[str | int, int], tuple[str, Mapping[str, Any]]]:
    """Samples by id and epoch, of which each is there once, but in a journal, where the last counts."""
    found: dict[tuple[str | int, int], tuple[str, Mapping[str, Any]]] = {}
    for i, item in enumerate(samples, 1):
        where = f"sample {i} of {path}"
        sample = as_object(item, where)
        name = expected(sample.get("id"), int | str, "text or a whole number", f"id of {where}")
        epoch = expected(sample.get("epoch"), int, "a whole number", f"epoch of {where}")
        if (name, epoch) in found and not journal:
            raise ValueError(f"{where} repeats {found[name, epoch][0]}: both are epoch {epoch} of {name!r}")
        found[name, epoch] = where, {key: sample[key] for key in _READ if key in sample}
    return found


def _counts(log: _Log, choices: Choices, tally: Tally) -> Problems:
    """Counts by sample id."""
    _leave_out_unrun(log, len(log.samples), tally)
    problems = Problems()
    scored = []
    names = _names(log, tally)
    for (name, _), (where, sample) in log.samples.items():
        problem = names[name]
        scores = _scores(log, sample, where, tally)
        if sample.get("error"):
            counts_as = tally.errored(choices.errors, bool(scores))
            if counts_as == "wrong":
                problems.add(problem, 1, 0, _used(sample))
            if counts_as != "scored":
                continue
        if sample.get("invalidation"):
            tally.leave_out("sample that was invalidated")
        elif scores:
            if sample.get("limit"):
                tally.note("samples that a limit ended, counted as they were scored", 1)
            scored.append((problem, where, scores, _used(sample)))
        else:
            tally.leave_out("sample without a score")
    if not scored:
        return problems
    scorer = choices.pick("scorer", {name for _, _, scores, _ in scored for name in scores}, log.path)
    for problem, where, scores, used in scored:
        if scorer not in scores:
            tally.leave_out(f"sample without a score by {scorer!r}")
            continue
        named = f"{scorer} of {where}"
        value = _number(as_object(scores[scorer], named).get("value"), choices, named)
        correct = choices.is_correct(value, named)
        if correct is None:
            tally.leave_out("score is NaN")
            continue
        problems.add(problem, 1, int(correct), used)
    return problems


def _names(log: _Log, tally: Tally) -> dict[str | int, str]:
    """The problem of every sample id, no two alike: 1 and "1" are two ids."""
    ids = dict.fromkeys(name for name, _ in log.samples)
    numbers = {str(name) for name in ids if isinstance(name, int)}
    names = {name: f'"{name}"' if isinstance(name, str) and name in numbers else str(name) for name in ids}
    if any(isinstance(name, str) and name in numbers for name in ids):
        tally.note("ids that are a number and a text alike are two problems, the text one in quotes")
    return names


def _scores(log: _Log, sample: Mapping[str, Any], where: str, tally: Tally) -> dict[str, Any]:
    """A sample's scores by their scorer; none if it has none."""
    if sample.get("scores"):
        tally.note("read as inspect-ai with scores by scorer, as from 2024 on")
        return as_object(sample["scores"], f"scores of {where}")
    if not sample.get("score"):
        return {}
    tally.note("read as inspect-ai of spring 2024, with one score a sample")
    results = log.header.get("results") or {}
    scorer = results.get("scorer") if isinstance(results, dict) else None
    name = scorer.get("name") if isinstance(scorer, dict) else None
    return {name if isinstance(name, str) and name else "score": sample["score"]}


def _used(sample: Mapping[str, Any]) -> dict[str, float | None]:
    """The tokens that all models of a sample used, and its time."""
    usage, seconds = sample.get("model_usage"), sample.get("total_time")
    used: dict[str, float | None] = {"wall_seconds": amount(seconds)}
    if isinstance(usage, dict) and usage and all(isinstance(one, dict) for one in usage.values()):
        models = list(usage.values())
        # What came from a cache is not in input_tokens.
        cached = ("input_tokens_cache_read", "input_tokens_cache_write")
        prompts = [amount(one.get(name)) or 0.0 for one in models for name in ("input_tokens", *cached)]
        used["prompt_tokens"] = sum(prompts)
        used["output_tokens"] = sum(amount(one.get("output_tokens")) or 0.0 for one in models)
        costs = [amount(one.get("total_cost")) for one in models]
        if None not in costs:
            used["usd"] = sum(cost or 0.0 for cost in costs)
    return used


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
