"""Work as tasks of Ray, on whatever nodes it has. Needs the package ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_DEATHS = 10
"""How often a task is begun again whose node or process died."""


@dataclass(frozen=True)
class Resources:
    """What a task takes of its node.

    Attributes:
        cpus: processors.
        gpus: GPUs; a half lets two tasks share one.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.cpus < float("inf"):
            raise ValueError(f"cpus must be above 0, not {self.cpus:g}: a task takes so many processors")
        if not 0 <= self.gpus < float("inf"):
            raise ValueError(f"gpus must be 0 or more, not {self.gpus:g}: a task takes so many GPUs")


def each_on_ray(
    work: Callable[..., Any], items: Mapping[str, tuple[Any, ...]], resources: Resources
) -> Iterator[tuple[str, Any]]:
    """`work` of each item's arguments: its name and what came back, as they end.

    A task whose node or process dies is begun again elsewhere: what it keeps, it keeps on disk that all nodes
    see. `ValueError`, with the item's name, for what would go wrong again; the others are then ended.
    """
    ray = _ray(resources)
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=_DEATHS)(_said)
    pending = {task.remote(work, given): name for name, given in items.items()}
    try:
        while pending:
            ready, _ = ray.wait(list(pending), num_returns=1)
            for answer in ready:
                name = pending.pop(answer)
                try:
                    found, wrong = ray.get(answer)
                except ray.exceptions.RayError as error:
                    words = str(error).partition("\n")[0]
                    raise ValueError(f"{name}: its node or process died again and again ({words})") from error
                if wrong is not None:
                    raise ValueError(f"{name}: {wrong}")
                yield name, found
    finally:
        for answer in pending:
            ray.cancel(answer, force=True)


def _ray(resources: Resources) -> Any:
    """Ray, connected to nodes that can have such tasks."""
    ray = require_ray()
    if not ray.is_initialized():
        ray.init(log_to_driver=False)  # the cluster that RAY_ADDRESS names, else one on this machine
    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, wanted in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        most = max((node.get(name, 0.0) for node in there), default=0.0)
        if wanted > most:
            raise ValueError(f"a task takes {wanted:g} {name}, and no node of Ray has more than {most:g}")
    return ray


def require_ray() -> Any:
    """The package; `ImportError` that says what to install."""
    try:
        import ray
    except ImportError as error:
        raise ImportError("work on a cluster needs ray: pip install 't2fast[ray]'") from error
    return ray


def _said(work: Callable[..., Any], given: tuple[Any, ...]) -> tuple[Any, str | None]:
    """What came back, or what went wrong, if the same would again."""
    try:
        return work(*given), None
    except (ValueError, OSError, ImportError) as error:
        return None, str(error)
