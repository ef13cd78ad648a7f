"""evalplus 0.3: `X_eval_results.json`, also `X.eval_results.json` or `eval_results.json`, one object.

`eval` maps a task_id to its samples, each with base_status and plus_status: pass, fail or timeout. After
`--base_only` plus_status is null, which is no failure but no measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, described, document
from t2fast.readers.measured import Measured, Tally

NAME = "evalplus"
_STATUSES = ("pass", "fail", "timeout")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a document is one of evalplus."""
    return "eval" in first and "hash" in first


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts by the metric `base` (the original tests) or `plus` (these and the added ones pass).

    Errors: `ValueError` for several files, which nothing in them tells apart, and where both metrics were
    measured and none is chosen.
    """
    choices.refuse_others(paths[0], NAME, ("metric",))
    if len(paths) > 1:
        raise ValueError(
            f"{paths[0]} and {len(paths) - 1} more are results of {NAME}, which do not name their models: "
            "read them one by one, with model="
        )
    path = paths[0]
    samples = {
        problem: _statuses(problem, results, path)
        for problem, results in as_object(document(path).get("eval"), f"eval in {path}").items()
    }
    measured = {"base"} | {"plus" for statuses in samples.values() for _, plus in statuses if plus}
    plus = choices.pick("metric", measured, path) == "plus"
    tally = Tally()
    counts = {}
    for problem, statuses in samples.items():
        usable = [(base, extra) for base, extra in statuses if extra or not plus]
        if len(usable) < len(statuses):
            tally.leave_out("without a plus_status: base tests only", len(statuses) - len(usable))
        correct = sum(base == "pass" and (not plus or extra == "pass") for base, extra in usable)
        counts[problem] = len(usable), correct
    tally.add(counts)
    return tally.measured(path)


def _statuses(problem: str, results: object, path: str) -> list[tuple[str, str | None]]:
    where = f"eval[{problem!r}] in {path}"
    pairs: list[tuple[str, str | None]] = []
    for i, sample in enumerate(as_list(results, where)):
        status = as_object(sample, f"{where}, sample {i + 1},")
        base, plus = status.get("base_status"), status.get("plus_status")
        for name, value in (("base_status", base), ("plus_status", plus)):
            if value not in _STATUSES and not (value is None and name == "plus_status"):
                raise ValueError(
                    f"{name} of sample {i + 1} of {where} is {described(value)}, "
                    f"not one of {', '.join(_STATUSES)}"
                )
        pairs.append((str(base), plus))
    return pairs
