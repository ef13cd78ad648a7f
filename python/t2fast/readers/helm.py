"""HELM, also HELM-lite: `per_instance_stats.json`, in a folder a run that `run_spec.json` describes.

The file is one array with an object an instance, trial and class of metrics: instance_id, train_trial_index,
perturbation and stats, each with its name and the count and sum of its values. Perturbed instances are other
prompts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_list, as_object, as_text, document, expected, json_rows
from t2fast.readers.measured import Measured, Problems, Tally

NAME = "HELM"
KEYS = frozenset({"instance_id", "train_trial_index", "stats"})
FILE = "per_instance_stats.json"
BESIDE = frozenset(
    {f"{name}.json" for name in ("run_spec", "scenario", "scenario_state", "stats", "instances", "costs")}
    | {"display_predictions.json", "display_requests.json", "adapter_spec.json", "metrics.json"}
)
_CORRECTNESS = [
    "exact_match",
    "quasi_exact_match",
    "prefix_exact_match",
    "quasi_prefix_exact_match",
    "final_number_exact_match",
    "math_equiv",
    "math_equiv_chain_of_thought",
    "code_eval_acc",
    "pass",
    "test_avg",
    "strict_acc",
    "chain_of_thought_correctness",
    "ifeval_strict_accuracy",
]
_USAGE = {
    "prompt_tokens": ("num_prompt_tokens",),
    "output_tokens": ("num_output_tokens", "num_completion_tokens"),
    "wall_seconds": ("inference_runtime",),
}


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether an array's first object is an instance with its statistics."""
    return {"instance_id", "stats"} <= first.keys()


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every instance, a trial a sample, by one metric; perturbed instances are left out."""
    choices.refuse_others(paths[0], NAME, ("metric", "correct_at"))
    tally = Tally()
    tally.note("read as HELM 0.2 to 0.5")
    tally.add_files(paths, choices.task, _run, lambda path: _counts(path, choices, tally))
    return tally.measured(paths)


def _run(path: str) -> dict[str, str]:
    spec = os.path.join(os.path.dirname(path), "run_spec.json")
    if not os.path.exists(spec):
        return {}
    found = document(spec)
    adapter = as_object(found.get("adapter_spec"), f"adapter_spec in {spec}")
    model = as_text(adapter.get("model") or adapter.get("model_deployment"), f"model in {spec}")
    name = as_text(found.get("name"), f"name in {spec}")
    # A run is called SCENARIO:ARGUMENTS,model=MODEL,...
    scenario, colon, arguments = name.partition(":")
    kept = [part for part in arguments.split(",") if not part.startswith("model=")]
    return {"model": model, "task": scenario + (colon + ",".join(kept) if any(kept) else "")}


def _counts(path: str, choices: Choices, tally: Tally) -> Problems:
    trials: dict[tuple[object, object], tuple[str, dict[str, Any], dict[str, float]]] = {}
    for where, row in json_rows(path):
        trial = (
            as_text(row.get("instance_id"), f"instance_id in {where}"),
            expected(row.get("train_trial_index", 0), int, "a whole number", f"train_trial_index in {where}"),
        )
        if row.get("perturbation"):
            tally.leave_out("perturbed instance")
            continue
        # Every class of metrics of a run has a row of its own for each trial.
        first, _, stats = trials.setdefault(trial, (where, row, {}))
        for name, value in _stats(row, where):
            if stats.setdefault(name, value) != value:
                raise ValueError(
                    f"{where} has another value of {name} than {first}, {value} and {stats[name]}: both are "
                    f"instance {trial[0]}, trial {trial[1]}"
                    if where != first
                    else f"{where} has two values of {name}, {stats[name]} and {value}"
                )
    rows = list(trials.values())
    there = {name for _, _, stats in rows for name in stats}
    metric = choices.pick("metric", there if choices.metric else there & set(_CORRECTNESS) or there, path)
    problems = Problems()
    for where, row, stats in rows:
        problem = as_text(row.get("instance_id"), f"instance_id in {where}")
        if metric not in stats:
            tally.leave_out(f"instance without {metric}")
            continue
        correct = choices.is_correct(stats[metric], f"{metric} in {where}")
        if correct is None:
            tally.leave_out("score is NaN")
            continue
        used = {
            ours: next((stats[name] for name in theirs if name in stats), None)
            for ours, theirs in _USAGE.items()
        }
        problems.add(problem, 1, int(correct), used)
    return problems


def _stats(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, float]]:
    """The mean of every statistic of an instance, perturbed ones aside."""
    for stat in as_list(row.get("stats"), f"stats in {where}"):
        found = as_object(stat, f"stats in {where}")
        name = as_object(found.get("name"), f"name of a statistic in {where}")
        if name.get("perturbation") or not found.get("count"):
            continue
        total, count = (
            expected(found.get(key), int | float, "a number", f"{key} of {name.get('name')} in {where}")
            for key in ("sum", "count")
        )
        yield as_text(name.get("name"), f"name of a statistic in {where}"), total / count
