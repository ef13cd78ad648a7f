"""evalplus: `X_eval_results.json`, also `X.eval_results.json` or `eval_results.json`, one object.

`eval` maps a task_id to its samples. From 0.2.1 on each is an object with base_status and plus_status: pass,
fail or timeout. 0.1 and 0.2.0 keep `nfiles` samples of a task as two lists, base and plus, of [status,
details of the tests], and say success, failed and timed out. After `--base_only` there is no plus status,
which is no failure but no measurement. EvalPerf, also of evalplus, writes `results` of a task, each with
`pass`; its brief form has the percentage of n_samples that pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, described, document, expected
from t2fast.readers.measured import Measured, Problems, Tally
from t2fast.readers.naming import measured_by_file

NAME = "evalplus"
KEYS = frozenset({"date", "hash", "eval"})
_STATUSES = {
    **{"pass": "pass", "fail": "fail", "timeout": "timeout"},
    **{"success": "pass", "failed": "fail", "timed out": "timeout"},
}
_EVALPERF = frozenset({"eval", "n_samples", "min_correct"})
_BRIEF = frozenset({"eval", "config", "summary"})

Statuses = list[tuple[str, str | None]]


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a document is one of evalplus or EvalPerf."""
    return any(keys <= first.keys() for keys in ({"eval", "hash"}, _EVALPERF, _BRIEF))


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts by the metric `base` (the original tests) or `plus` (these and the added ones pass).

    Errors: `ValueError` where both metrics were measured and none is chosen.
    """
    choices.refuse_others(paths[0], NAME, ("metric",))
    return measured_by_file(paths, choices.model, lambda path, tally: _counts(path, choices, tally))


def _counts(path: str, choices: Choices, tally: Tally) -> Problems:
    found = document(path)
    tasks = as_object(found.get("eval"), f"eval in {path}")
    if "hash" not in found:
        return _evalperf(found, tasks, path, tally)
    samples = {problem: _statuses(problem, results, path) for problem, results in tasks.items()}
    old = any(isinstance(results, dict) for results in tasks.values())
    tally.note(f"read as evalplus {'0.1 to 0.2.0' if old else '0.2.1 to 0.3'}")
    measured = {"base"} | {"plus" for statuses in samples.values() for _, plus in statuses if plus}
    plus = choices.pick("metric", measured, path) == "plus"
    problems = Problems()
    for problem, statuses in samples.items():
        usable = [(base, extra) for base, extra in statuses if extra or not plus]
        if len(usable) < len(statuses):
            tally.leave_out("without a plus_status: base tests only", len(statuses) - len(usable))
        correct = sum(base == "pass" and (not plus or extra == "pass") for base, extra in usable)
        problems.add(problem, len(usable), correct)
    return problems


def _statuses(problem: str, results: object, path: str) -> Statuses:
    where = f"eval[{problem!r}] in {path}"
    if isinstance(results, dict) and "base" in results:
        return _lists(results, where)
    pairs: Statuses = []
    for i, sample in enumerate(as_list(results, where), 1):
        status = as_object(sample, f"{where}, sample {i},")
        base = _status(status.get("base_status"), f"base_status of sample {i} of {where}")
        plus = status.get("plus_status")
        pairs.append((base, plus and _status(plus, f"plus_status of sample {i} of {where}")))
    return pairs


def _lists(results: Mapping[str, Any], where: str) -> Statuses:
    """The samples of a task as 0.1 and 0.2.0 keep them."""
    base, plus = (as_list(results.get(name) or [], f"{name} of {where}") for name in ("base", "plus"))
    nfiles = expected(results.get("nfiles", len(base)), int, "a whole number", f"nfiles of {where}")
    if len(base) != nfiles or len(plus) not in (0, nfiles):
        raise ValueError(
            f"{where} has {nfiles} samples by nfiles, but {len(base)} results of base and {len(plus)} of plus"
        )
    words = [
        [
            _status(one[0] if isinstance(one, list) and one else one, f"{name} {i} of {where}")
            for i, one in enumerate(ones, 1)
        ]
        for name, ones in (("base", base), ("plus", plus))
    ]
    plus_words: list[str | None] = [*words[1]] or [None] * nfiles
    return list(zip(words[0], plus_words, strict=True))


def _status(value: object, where: str) -> str:
    if not isinstance(value, str) or value not in _STATUSES:
        raise ValueError(f"{where} is {described(value)}, not one of {', '.join(_STATUSES)}")
    return _STATUSES[value]


def _evalperf(found: Mapping[str, Any], tasks: Mapping[str, Any], path: str, tally: Tally) -> Problems:
    problems = Problems()
    brief = "config" in found
    tally.note(
        "read as EvalPerf of evalplus 0.3" + (", brief: counts are pass@1 of n_samples" if brief else "")
    )
    for problem, results in tasks.items():
        where = f"eval[{problem!r}] in {path}"
        task = as_object(results, where)
        if not brief:
            passes = [
                expected(
                    as_object(one, where).get("pass"), bool, "true or false", f"pass of sample {i} of {where}"
                )
                for i, one in enumerate(as_list(task.get("results"), f"results of {where}"), 1)
            ]
            problems.add(problem, len(passes), sum(passes))
            continue
        n = as_object(found["config"], f"config in {path}").get("n_samples")
        n = expected(n, int, "a whole number", f"n_samples in config of {path}")
        if task.get("pass@1") is None:
            tally.leave_out("problem without a pass@1", 0)
            continue
        share = expected(task["pass@1"], int | float, "a percentage", f"pass@1 of {where}")
        correct = round(share * n / 100)
        if not 0 <= correct <= n or abs(share * n / 100 - correct) > 1e-6 * n:
            raise ValueError(f"pass@1 of {where} is {described(share)}: no whole number of {n} samples")
        problems.add(problem, n, correct)
    return problems
