"""One checkpoint: trained, sampled and scored, in a folder of its own."""

from __future__ import annotations

import json
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from t2fast import atomic
from t2fast.runs.records import DYING_SECONDS, Lock
from t2fast.tasks import Task, load_task
from t2fast.testbed.grid import Checkpoint
from t2fast.testbed.measure import measure
from t2fast.testbed.settings import Settings
from t2fast.testbed.tune import tune
from t2fast.training import Corpus, Trained, generate_corpus, train
from t2fast.training.objects import is_number, read_object
from t2fast.training.tokens import read_tokenizer
from t2fast.training.trainer import finished

if TYPE_CHECKING:
    from tokenizers import Tokenizer

COUNTS, LIKELIHOODS, BEGUN = TABLES = ("counts.csv", "likelihoods.csv", "begun.csv")
"""What is kept of a checkpoint's measurement: samples that are correct, likelihoods of the answers, and, as a
table of counts, samples that begin with an answer: the very thing that a likelihood is the probability of."""
TUNED = "tuned.csv"
"""Likelihoods of the answers after fine-tuning."""
_DONE = "work.json"
_TOOK = (
    "train_flops",
    "train_seconds",
    "train_cpu_seconds",
    "timed_flops",
    "peak_flops",
    "measure_seconds",
    "seconds",
    "samples",
)
"""What that file says, all of it numbers."""


@lru_cache(maxsize=1)
def tasks_of(settings: Settings) -> tuple[Task, ...]:
    """The tasks that checkpoints are measured on."""
    return tuple(load_task(name, problems=settings.problems) for name in settings.tasks)


def make_corpus(folder: Path, settings: Settings, progress: bool | None = None) -> None:
    """Write the corpus and its tokenizer, if they are not there; `ValueError` if a prompt is too long."""
    corpus, tokenizer = folder / "corpus.npy", folder / "tokenizer.json"
    if not (corpus.exists() and tokenizer.exists()):
        made, cutter = generate_corpus(
            settings.corpus_tokens,
            vocab=settings.vocab,
            unseen=tasks_of(settings),
            also=_others(settings),
            progress=progress,
        )
        _check_lengths(settings, cutter)
        made.write(corpus)
        atomic.write(tokenizer, [cutter.to_str().encode()])
    else:
        _check_lengths(settings, read_tokenizer(tokenizer))


def _check_lengths(settings: Settings, tokenizer: Tokenizer) -> None:
    """Refuse prompts that a model could not be asked, before it is trained."""
    for task in tasks_of(settings):
        asked = [problem.prompt for problem in task.problems]
        longest = max(len(one.ids) for one in tokenizer.encode_batch_fast(asked)) + task.max_tokens
        if longest > settings.context:
            raise ValueError(
                f"task {task.name} takes {longest} tokens, the longest prompt and {task.max_tokens} that may "
                f"follow, and context is {settings.context}: set context = {longest}, in another folder"
            )


@lru_cache(maxsize=1)
def _corpus(path: Path) -> Corpus:
    """The corpus, whose fingerprint takes a second to read: once for all checkpoints of a process."""
    return Corpus.open(path)


def _others(settings: Settings) -> list[Task]:
    """Problems to learn from, of the tasks whose skills the corpus does not have by itself."""
    taught = [name for name in settings.tasks if not name.startswith("synthetic/")]
    return [load_task(name, problems=20 * settings.problems, seed=1) for name in taught]


def finish(folder: Path, settings: Settings, one: Checkpoint) -> None:
    """Train a checkpoint, measure it and fine-tune it, from wherever an earlier call was cut off."""
    place = _place(folder, one)
    place.mkdir(parents=True, exist_ok=True)
    with Lock(place, DYING_SECONDS):  # a node that is believed to be dead may be at work
        if not _is_measured(place, one):
            _finish(place, folder, settings, one)
        if one.tuned and not (place / TUNED).exists():
            table = tune(one.name, one.shape, trained_of(folder, one), one.tuned, settings)
            atomic.write(place / TUNED, [table.write_csv().encode()])


def _finish(place: Path, folder: Path, settings: Settings, one: Checkpoint) -> None:
    from t2fast.training.loop import peak_flops  # with torch

    corpus = _corpus(folder / "corpus.npy")
    tokenizer = (folder / "tokenizer.json").read_text("utf-8")
    began = time.perf_counter()
    trained = train(
        corpus,
        tokenizer,
        one.shape,
        one.recipe,
        place / "model",
        device=settings.device,
        threads=1,
        progress=False,
        label=one.name,
    )
    between = time.perf_counter()
    tables = measure(one.name, trained, tasks_of(settings), one.samples, settings.device)
    for name, table in zip(TABLES, tables, strict=True):
        atomic.write(place / name, [table.write_csv().encode()])
    took = {
        "train_seconds": trained.seconds,
        "train_cpu_seconds": trained.cpu_seconds if settings.device == "cpu" else trained.seconds,
        "timed_flops": trained.flops * trained.made,
    }
    earlier = None if trained.made else _earlier(place)
    if earlier is not None:  # measured anew: what its training took stays true
        took = {name: earlier[name] for name in took}
    record = {
        "train_flops": trained.flops,
        **took,
        "peak_flops": peak_flops(settings.device),
        "measure_seconds": time.perf_counter() - between,
        "seconds": time.perf_counter() - began,
        "samples": one.samples,
    }
    atomic.write(place / _DONE, [json.dumps(record).encode(), b"\n"])


def is_done(folder: Path, one: Checkpoint) -> bool:
    """Whether the checkpoint is trained, measured by as many samples, and fine-tuned, all of it readable.

    What an older version left, or damage, is not done: `finish` measures it again, to the same tables.
    """
    place = _place(folder, one)
    return _is_measured(place, one) and (not one.tuned or (place / TUNED).exists())


def _is_measured(place: Path, one: Checkpoint) -> bool:
    try:
        took, trained = _took(place), finished(place / "model")
    except ValueError:
        return False
    tables = all((place / name).exists() for name in TABLES)
    return took is not None and trained is not None and tables and took["samples"] >= one.samples


def trained_of(folder: Path, one: Checkpoint) -> Trained:
    """What a finished checkpoint is."""
    trained = finished(_place(folder, one) / "model")
    assert trained is not None
    return trained


def table_of(folder: Path, one: Checkpoint, name: str) -> Path:
    """The file of a finished checkpoint's counts or likelihoods, by its name among `TABLES`."""
    return _place(folder, one) / name


def work_of(folder: Path, one: Checkpoint) -> dict[str, float]:
    """What a finished checkpoint took."""
    took = _took(_place(folder, one))
    assert took is not None
    return took


def _took(place: Path) -> dict[str, float] | None:
    """What the checkpoint took; None where it is not done. `ValueError` where that cannot be read."""
    path = place / _DONE
    if not path.exists():
        return None
    found = read_object(path)
    if wrong := [name for name in _TOOK if not is_number(found.get(name))]:
        raise ValueError(f"{path} has no number {wrong[0]}")
    return {name: found[name] for name in _TOOK}


def _earlier(place: Path) -> dict[str, float] | None:
    """What an earlier measurement says the checkpoint took, if that can be read."""
    try:
        return _took(place)
    except ValueError:
        return None


def _place(folder: Path, one: Checkpoint) -> Path:
    return folder / "checkpoints" / one.name
