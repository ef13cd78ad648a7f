"""Shares of a run, a model on a task each, as tasks of Ray.

A run's samples of a model on a task are files of their own, which no other part of the run touches: so a
share needs the run's folder and no more, and what its node had finished when it died is there for the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from t2fast.cluster import Resources, each_on_ray
from t2fast.progress import Bar
from t2fast.runs.folder import Run, folder_name
from t2fast.runs.manifest import ModelEntry
from t2fast.runs.models import Files, Opening, Source
from t2fast.runs.part import Part, Tally
from t2fast.runs.records import DYING_SECONDS, Lock
from t2fast.runs.sampler import Sampler
from t2fast.tasks import Task

_AT_WORK = "at_work"
"""Where shares have their locks, under the run's folder, while there are any."""


def finish_part(work: Sampler, source: Source, task: Task, part: Part, tally: Tally) -> None:
    """Do what is missing of a part, and put in order what is whole."""
    if tally.missing:
        do = work.draw if part.kind == "samples" else work.score
        do(source.open(part.model.name), task, part, tally)
    part.join(tally)


def describe_on_ray(
    source: Files, stage: str, sizes: Mapping[str, Mapping[str, float]], resources: Resources
) -> tuple[ModelEntry, ...]:
    """What a run writes down of its models, as the nodes see them: where this one is has perhaps no GPU."""
    asked = {name: (*_alone(source, name), stage, dict(sizes.get(name, {}))) for name in source.names}
    found = dict(each_on_ray(_describe, asked, resources))
    return tuple(found[name] for name in source.names)


def finish_on_ray(
    run: Run,
    tasks: Mapping[str, Task],
    source: Files,
    missing: Mapping[tuple[str, str], int],
    resources: Resources,
) -> Iterator[int]:
    """Do the shares that are not whole, by model and task; yields how much each missed, as they end."""
    labels = {f"{model}, {task}": (model, task) for model, task in missing}
    work = {
        label: (run.folder.resolve(), *_alone(source, model), tasks[task])
        for label, (model, task) in labels.items()
    }
    for label, _ in each_on_ray(_finish, work, resources):
        yield missing[labels[label]]


def wait_for_shares(folder: Path) -> None:
    """Wait for what may still be at work of a run whose caller died, and clean up."""
    for place in sorted((folder / _AT_WORK).glob("*/*")):
        with Lock(place, DYING_SECONDS):
            pass
    shutil.rmtree(folder / _AT_WORK, ignore_errors=True)


def _alone(source: Files, name: str) -> tuple[str, Path, Opening]:
    return name, Path(source.paths[name]).resolve(), source.opening


def _describe(name: str, path: Path, opening: Opening, stage: str, sizes: Mapping[str, float]) -> ModelEntry:
    return Files({name: path}, opening).describe(name, stage, sizes)


def _finish(folder: Path, name: str, path: Path, opening: Opening, task: Task) -> None:
    """Do a share, from wherever an earlier node left it."""
    run, source = Run.open(folder), Files({name: path}, opening)
    place = folder / _AT_WORK / folder_name(name) / folder_name(task.name)
    place.mkdir(parents=True, exist_ok=True)
    with Lock(place, DYING_SECONDS), Bar(1, False) as bar:
        work = Sampler(run.manifest, bar)
        for part in run.parts():
            if (part.model.name, part.task.name) == (name, task.name):
                _same(part.model, source)
                finish_part(work, source, task, part, part.tally())


def _same(model: ModelEntry, source: Files) -> None:
    """Refuse a node where the model, or the arithmetic, is another than the run's."""
    here: Any = source.describe(model.name, model.stage, {})
    for what in ("hash", "dtype", "kernel"):
        was, now = getattr(model, what), getattr(here, what)
        if was != now:
            raise ValueError(
                f"the run's {what} is {was}, and on this node it is {now}: give all nodes the same "
                "model, and arithmetic that all of them have, by kernel and dtype"
            )
