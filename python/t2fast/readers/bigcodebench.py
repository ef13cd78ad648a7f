"""BigCodeBench: `X_eval_results.json`, one object, as that of evalplus with one `status` a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, described, document
from t2fast.readers.measured import Measured, Problems, Tally
from t2fast.readers.naming import measured_by_file

NAME = "BigCodeBench"
KEYS = frozenset({"date", "eval"})
_STATUSES = ("pass", "fail", "timeout")


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a document is one of BigCodeBench: of its samples the first has a status."""
    tasks = first.get("eval")
    samples = next(iter(tasks.values()), None) if isinstance(tasks, dict) else None
    return bool(
        isinstance(samples, list) and samples and isinstance(samples[0], dict) and "status" in samples[0]
    )


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every task by its samples' status."""
    choices.refuse_others(paths[0], NAME, ())
    return measured_by_file(paths, choices.model, _counts)


def _counts(path: str, tally: Tally) -> Problems:
    tally.note("read as BigCodeBench 0.1 to 0.2")
    problems = Problems()
    for problem, results in as_object(document(path).get("eval"), f"eval in {path}").items():
        where = f"eval[{problem!r}] in {path}"
        for i, sample in enumerate(as_list(results, where), 1):
            status = as_object(sample, f"sample {i} of {where}").get("status")
            if status not in _STATUSES:
                raise ValueError(
                    f"status of sample {i} of {where} is {described(status)}, not one of "
                    f"{', '.join(_STATUSES)}"
                )
            problems.add(problem, 1, int(status == "pass"))
    return problems
