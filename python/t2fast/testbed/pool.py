"""Checkpoints one after another, or several at once, a process each."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from t2fast.cluster import Resources, each_on_ray
from t2fast.progress import Bar
from t2fast.testbed.grid import Checkpoint
from t2fast.testbed.settings import Settings
from t2fast.testbed.work import finish, is_done
from t2fast.testbed.worker import Worker

_UNITS = 1_000
"""Of the bar: thousandths of the FLOPs."""


def finish_all(
    folder: Path,
    settings: Settings,
    checkpoints: Sequence[Checkpoint],
    workers: int | None,
    progress: bool | None,
) -> None:
    """Train and measure what is missing, the dearest first, on so many processes; None: by Ray."""
    missing = sorted((one for one in checkpoints if not is_done(folder, one)), key=lambda one: -one.flops)
    total = sum(one.flops for one in checkpoints)
    kept = total - sum(one.flops for one in missing)
    did, began = kept, time.perf_counter()
    with Bar(_UNITS, progress, done=round(_UNITS * kept / total)) as bar:
        ready = len(checkpoints) - len(missing)
        bar.label(f"{ready} of {len(checkpoints)} checkpoints")
        for one in _each(folder, settings, missing, workers):
            before, did, ready = did, did + one.flops, ready + 1
            bar.advance(round(_UNITS * did / total) - round(_UNITS * before / total))
            bar.label(f"{ready} of {len(checkpoints)} checkpoints")
            bar.rate(f"{(did - kept) / (time.perf_counter() - began) / 1e9:.3g} GFLOP/s")


def _each(
    folder: Path, settings: Settings, missing: Sequence[Checkpoint], workers: int | None
) -> Iterator[Checkpoint]:
    """Do them, and yield each when it is done."""
    if workers is None:
        by_name = {one.name: one for one in missing}
        work = {name: (folder.resolve(), settings, one) for name, one in by_name.items()}
        for name, _ in each_on_ray(finish, work, Resources(gpus=float(settings.device == "cuda"))):
            yield by_name[name]
        return
    workers = min(workers, len(missing))
    if workers <= 1:
        for one in missing:
            finish(folder, settings, one)
            yield one
        return
    todo: queue.SimpleQueue[Checkpoint] = queue.SimpleQueue()
    done: queue.SimpleQueue[Checkpoint | Exception] = queue.SimpleQueue()
    for one in missing:
        todo.put(one)
    crew = [Worker(folder) for _ in range(workers)]
    for worker in crew:
        threading.Thread(target=_work, args=(worker, todo, done), daemon=True).start()
    try:
        for _ in missing:
            found = done.get()
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        for worker in crew:
            worker.close()


def _work(
    worker: Worker, todo: queue.SimpleQueue[Checkpoint], done: queue.SimpleQueue[Checkpoint | Exception]
) -> None:
    """Let a worker finish what is to do, until nothing is or it fails."""
    try:
        while True:
            one = todo.get_nowait()
            worker.finish(one)
            done.put(one)
    except queue.Empty:
        return
    except (ValueError, OSError) as error:
        done.put(error)
