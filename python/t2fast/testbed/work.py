"""One checkpoint: trained, sampled and scored, in a folder of its own."""

from __future__ import annotations

import json
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from t2fast import atomic
from t2fast.runs import Run, evaluate
from t2fast.tasks import Task, load_task
from t2fast.testbed.grid import Checkpoint
from t2fast.testbed.settings import Settings
from t2fast.training import Corpus, Trained, generate_corpus, train


@lru_cache(maxsize=1)
def tasks_of(settings: Settings) -> tuple[Task, ...]:
    """The tasks that checkpoints are measured on."""
    return tuple(load_task(name, problems=settings.problems) for name in settings.tasks)


def make_corpus(folder: Path, settings: Settings) -> None:
    """Write the corpus and its tokenizer, if they are not there."""
    corpus, tokenizer = folder / "corpus.npy", folder / "tokenizer.json"
    if not (corpus.exists() and tokenizer.exists()):
        made, cutter = generate_corpus(
            settings.corpus_tokens, vocab=settings.vocab, unseen=tasks_of(settings), also=_others(settings)
        )
        made.write(corpus)
        atomic.write(tokenizer, [cutter.to_str().encode()])


def _others(settings: Settings) -> list[Task]:
    """Problems to learn from, of the tasks whose skills the corpus does not have by itself."""
    taught = [name for name in settings.tasks if not name.startswith("synthetic/")]
    return [load_task(name, problems=20 * settings.problems, seed=1) for name in taught]


def finish(folder: Path, settings: Settings, one: Checkpoint) -> None:
    """Train a checkpoint and measure it, from wherever an earlier call was cut off."""
    place = _place(folder, one)
    place.mkdir(parents=True, exist_ok=True)
    corpus = Corpus.open(folder / "corpus.npy")
    tokenizer = (folder / "tokenizer.json").read_text("utf-8")
    began = time.perf_counter()
    trained = train(
        corpus, tokenizer, one.shape, one.recipe, place / "model", threads=1, progress=False, label=one.name
    )
    between = time.perf_counter()
    evaluate(
        {one.name: trained.folder},
        tasks_of(settings),
        place / "measured",
        k=settings.samples,
        score=True,
        dtype="float32",
        threads=1,
        progress=False,
    )
    record = {
        "train_flops": trained.flops,
        "train_seconds": trained.seconds,
        "measure_seconds": time.perf_counter() - between,
        "seconds": time.perf_counter() - began,
    }
    atomic.write(place / "work.json", [json.dumps(record).encode(), b"\n"])


def is_done(folder: Path, one: Checkpoint) -> bool:
    """Whether the checkpoint is trained and measured."""
    return (_place(folder, one) / "work.json").exists()


def trained_of(folder: Path, one: Checkpoint) -> Trained:
    """What a finished checkpoint is."""
    path = _place(folder, one) / "model"
    config = json.loads((path / "config.json").read_text("utf-8"))
    names = ("n_params", "n_tokens", "unique_tokens", "loss")
    return Trained(path, *(config[name] for name in names))


def run_of(folder: Path, one: Checkpoint) -> Run:
    """What was measured of a finished checkpoint."""
    return Run.open(_place(folder, one) / "measured")


def work_of(folder: Path, one: Checkpoint) -> dict[str, Any]:
    """What a finished checkpoint took."""
    found: dict[str, Any] = json.loads((_place(folder, one) / "work.json").read_text("utf-8"))
    return found


def _place(folder: Path, one: Checkpoint) -> Path:
    return folder / "checkpoints" / one.name
