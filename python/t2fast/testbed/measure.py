"""What a model does on tasks: samples that are correct, likelihoods, samples that begin with an answer.

Samples are counted as they are drawn and not kept, unlike those of `t2fast.runs.evaluate`, whose tables these
are to the byte: a model of a testbed draws a quarter of a million in seconds, most of which would go into
writing them down. What a kill costs is these seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import polars as pl

from t2fast.decode import Engine, load
from t2fast.decode.request import Sampling
from t2fast.decode.text import Tokenizer
from t2fast.runs.scores import scores
from t2fast.tasks import Problem, Task
from t2fast.training import Trained


def measure(
    name: str, trained: Trained, tasks: Sequence[Task], samples: int, device: Literal["cpu", "cuda"]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Counts, likelihoods of the answers, and counts of samples that begin with an answer.

    Args:
        name: of the model, in the tables.
        trained: the model.
        tasks: what it is asked.
        samples: drawn of each problem, from seed 0.
        device: ``cpu``, on one thread, or ``cuda``.

    Returns:
        Three tables, a row a task and problem.
    """
    engine = load(trained.folder, device=device, dtype="float32", threads=1 if device == "cpu" else None)
    counts, likelihoods, begun = [], [], []
    for task in tasks:
        drawn = engine.tally(
            {problem.id: problem.prompt for problem in task.problems},
            Sampling(max_tokens=task.max_tokens, stop=task.stop),
            k=samples,
        )
        for problem in task.problems:
            texts = drawn[problem.id]
            right = sum(n for text, n in texts.items() if task.verify(problem, text))
            begins = _beginning(engine.tokenizer, problem)
            so = sum(n for text, n in texts.items() if begins(text))
            counts.append((task.name, problem.id, samples, right))
            begun.append((task.name, problem.id, samples, so))
        likelihoods += _likelihoods(engine, task)
    labels = _labels(name, trained, "base")
    whole = {"n_samples": pl.Int64, "n_correct": pl.Int64}
    return (
        _table(labels, counts, whole),
        _table(labels, likelihoods, {"log_likelihood": pl.Float64}),
        _table(labels, begun, whole),
    )


def score(engine: Engine, name: str, trained: Trained, task: Task, stage: str) -> pl.DataFrame:
    """The likelihoods of a task's answers, a row a problem, under the model `name` at a stage of training."""
    rows = _likelihoods(engine, task)
    return _table(_labels(name, trained, stage), rows, {"log_likelihood": pl.Float64})


def _likelihoods(engine: Engine, task: Task) -> list[tuple[str, str, float]]:
    return [(task.name, row["problem"], row["log_likelihood"]) for row in scores(engine, task.problems)]


def _labels(name: str, trained: Trained, stage: str) -> dict[str, Any]:
    """What every row of a model's tables carries."""
    return {
        "model": name,
        "n_params": float(trained.n_params),
        "n_tokens": float(trained.n_tokens),
        "stage": stage,
    }


def _table(
    labels: Mapping[str, Any], rows: Sequence[tuple[Any, ...]], values: Mapping[str, Any]
) -> pl.DataFrame:
    schema = {"task": pl.String, "problem": pl.String, **values}
    own = [pl.lit(value).alias(name) for name, value in labels.items()]
    return pl.DataFrame(rows, schema=schema, orient="row").select(*own, *schema)


def _beginning(tokenizer: Tokenizer, problem: Problem) -> Callable[[str], bool]:
    """Whether a text begins with an answer: a village does not begin with a villa, though its letters do."""
    prompt = tokenizer.encode(problem.prompt)

    def cut(text: str) -> list[int]:
        return tokenizer.encode_answer(problem.prompt, prompt, text)

    answers = [(answer, cut(answer)) for answer in problem.answers]

    def begins(text: str) -> bool:
        near = [tokens for answer, tokens in answers if text.startswith(answer)]
        return bool(near) and any(cut(text)[: len(tokens)] == tokens for tokens in near)

    return begins
