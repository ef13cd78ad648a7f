"""every_eval_ever's schema of instances, 0.1 to 0.3: JSON Lines, a row a sample.

A row has evaluation_id, model_id, evaluation_name, sample_id and evaluation, with score and is_correct; it
may have token_usage, performance, error and, where a sample was scored more than once, evaluation_result_id.
Its converter of inspect-ai's logs gives every epoch of a sample the mean over its epochs as score, and takes
what is above 0 for correct: there the score alone says how many epochs were right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from t2fast.readers.choices import Choices
from t2fast.readers.documents import as_object, as_text, expected, json_rows
from t2fast.readers.measured import Measured, Problems, Tally, amount

NAME = "every_eval_ever"
KEYS = frozenset({"evaluation_id", "sample_id", "evaluation"})


def recognises(first: Mapping[str, Any]) -> bool:
    """Whether a file's first object is an instance."""
    return first.keys() >= KEYS


def read(paths: Sequence[str], choices: Choices) -> Measured:
    """Counts of every sample id by model and evaluation: by is_correct, or by score from `correct_at` on.

    Errors: `ValueError` where one of several results of the same samples must be chosen, as `metric`.
    """
    choices.refuse_others(paths[0], NAME, ("metric", "correct_at", "errors"))
    tally = Tally()
    runs: dict[tuple[str, str, str], dict[str, dict[str, _Sample]]] = {}
    places: dict[tuple[str, str, str], str] = {}
    for path in paths:
        for where, row in json_rows(path):
            tally.note(f"read as every_eval_ever {row.get('schema_version', 'of no stated version')}")
            model = as_text(row.get("model_id"), f"model_id in {where}")
            task = as_text(row.get("evaluation_name"), f"evaluation_name in {where}")
            if choices.task not in (None, task):
                tally.leave_out(f"task other than {choices.task!r}")
                continue
            problem = str(expected(row.get("sample_id"), str | int, "text", f"sample_id in {where}"))
            correct = _verdict(row, choices, tally, where)
            run = (model, task, str(row.get("evaluation_id")))
            places.setdefault(run, path)
            metrics = runs.setdefault(run, {})
            samples = metrics.setdefault(str(row.get("evaluation_result_id") or ""), {})
            if correct is not None:
                samples.setdefault(problem, _Sample(where)).add(row, correct, _used(row))
    for (model, task, name), metrics in runs.items():
        # Under another result the same samples are there once more.
        several = len(metrics) > 1 or choices.metric is not None
        metric = choices.pick("metric", metrics, f"evaluation {name!r}") if several else next(iter(metrics))
        problems = _counted(metrics[metric], choices, tally)
        tally.add(places[model, task, name], problems, model=model, task=task)
    return tally.measured(paths)


@dataclass
class _Sample:
    """The rows of one sample id: where the first is, their verdicts, scores, epochs and what they used."""

    where: str
    verdicts: list[bool] = field(default_factory=list)
    scores: list[object] = field(default_factory=list)
    epochs: set[str] = field(default_factory=set)
    used: list[Mapping[str, float | None]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any], correct: bool, used: Mapping[str, float | None]) -> None:
        self.verdicts.append(correct)
        evaluation, metadata = row.get("evaluation"), row.get("metadata")
        self.scores.append(evaluation.get("score") if isinstance(evaluation, dict) else None)
        if isinstance(metadata, dict) and metadata.get("epoch") is not None:
            self.epochs.add(str(metadata["epoch"]))
        self.used.append(used)

    @property
    def repeats(self) -> bool:
        """Whether several epochs have one score, as where each repeats what was made of all."""
        return len(self.epochs) == len(self.scores) > 1 == len(set(map(repr, self.scores)))

    @property
    def share(self) -> float | None:
        """A score between 0 and 1, if one is."""
        between = (x for x in self.scores if isinstance(x, int | float) and x not in (0, 1))
        return next((x for x in between if not math.isnan(x)), None)


def _counted(samples: Mapping[str, _Sample], choices: Choices, tally: Tally) -> Problems:
    """Counts by sample id: by the rows' verdicts, or by the share of epochs where rows repeat that."""
    several = [sample for sample in samples.values() if len(sample.scores) > 1]
    repeat = bool(several) and all(sample.repeats for sample in several)
    problems = Problems()
    for name, sample in samples.items():
        n, correct = len(sample.verdicts), sum(sample.verdicts)
        share = sample.share
        if share is not None and repeat and sample.repeats:
            correct = round(share * n)
            if choices.correct_at is not None or abs(share * n - correct) > 1e-6 or not 0 <= correct <= n:
                raise ValueError(
                    f"score in {sample.where} is {share:g}, as in all {n} epochs of this sample: it is what "
                    "was made of them, which does not say how many are right. Read the log that this was "
                    "converted from"
                )
            tally.note("samples whose epochs all have their mean as score, counted by it", n)
        elif share is not None and choices.correct_at is None:
            raise ValueError(
                f"score in {sample.where} is {share:g}, which is neither 0 nor 1, and whoever wrote it "
                "decided what of it is correct: say from which score on a sample is by correct_at="
            )
        for i, used in enumerate(sample.used):
            problems.add(name, 1, int(i < correct), used)
    if repeat and all(sample.share is None for sample in samples.values()):
        tally.note("all epochs of each sample say the same: where these repeat a mode or a maximum, n is 1")
    return problems


def _verdict(row: Mapping[str, Any], choices: Choices, tally: Tally, where: str) -> bool | None:
    output = row.get("output")
    responses = output.get("raw") if isinstance(output, dict) else None
    if isinstance(responses, list) and len(responses) > 1:
        raise ValueError(
            f"{where} has one verdict for {len(responses)} responses: no count can be had from it"
        )
    if row.get("error"):
        counts_as = tally.errored(choices.errors, scored=True)
        if counts_as != "scored":
            return False if counts_as == "wrong" else None
    evaluation = as_object(row.get("evaluation"), f"evaluation in {where}")
    if choices.correct_at is not None:
        return choices.is_correct(evaluation.get("score"), f"score in {where}")
    return bool(expected(evaluation.get("is_correct"), bool, "true or false", f"is_correct in {where}"))


def _used(row: Mapping[str, Any]) -> dict[str, float | None]:
    usage, performance = row.get("token_usage") or {}, row.get("performance") or {}
    performance = performance if isinstance(performance, dict) else {}
    latency, generation = (amount(performance.get(f"{name}_ms")) for name in ("latency", "generation_time"))
    if latency is not None and generation is not None and generation > latency:
        # The whole is no less than its part: inspect-ai's converter has the waiting alone as latency.
        latency += generation
    return {
        "prompt_tokens": amount(usage.get("input_tokens")) if isinstance(usage, dict) else None,
        "output_tokens": amount(usage.get("output_tokens")) if isinstance(usage, dict) else None,
        "wall_seconds": None if latency is None else latency / 1000,
    }
