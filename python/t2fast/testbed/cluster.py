"""Checkpoints as tasks of Ray, on whatever nodes it has. Needs the package ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from t2fast.testbed.grid import Checkpoint
from t2fast.testbed.settings import Settings
from t2fast.testbed.work import finish

_DEATHS = 10
"""How often a checkpoint is begun again whose node or process died."""


def each_on_ray(folder: Path, settings: Settings, missing: Sequence[Checkpoint]) -> Iterator[Checkpoint]:
    """Do them, a processor each, and yield each when it is done.

    Every node must see the folder: a checkpoint whose node dies goes on elsewhere from the state there.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError("work on a cluster needs ray: pip install 't2fast[ray]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)  # the cluster that RAY_ADDRESS names, else one on this machine
    task = ray.remote(num_cpus=1, max_retries=_DEATHS)(_finish)
    pending: dict[Any, Checkpoint] = {
        task.remote(str(folder.resolve()), settings, one): one for one in missing
    }
    while pending:
        ready, _ = ray.wait(list(pending), num_returns=1)
        for answer in ready:
            one = pending.pop(answer)
            if wrong := ray.get(answer):
                raise ValueError(f"{one.name}: {wrong}")
            yield one


def _finish(folder: str, settings: Settings, one: Checkpoint) -> str | None:
    """Finish a checkpoint; what went wrong, if the same would again."""
    try:
        finish(Path(folder), settings, one)
    except (ValueError, OSError, ImportError) as error:
        return str(error)
    return None
