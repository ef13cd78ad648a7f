"""Two callables beside each other: alternating runs, medians, their ratio, and the machine they ran on."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

# On vectors this small BLAS's own threads only slow the peers down. Read by NumPy when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@dataclass(frozen=True)
class Pair:
    """Median seconds of both sides; median and middle half of the peer's time over ours, run by run."""

    ours: float
    peer: float
    ratio: float
    low: float
    high: float


def alternate(
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    repeats: int = 7,
    inner: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Pair:
    """Time both sides in turn, `inner` runs of ours to one of the peer's, after one run to warm up."""
    ours()
    fast, slow = [], []
    for _ in range(repeats):
        fast.append(statistics.median(_seconds(ours, clock) for _ in range(inner)))
        slow.append(_seconds(peer, clock))
    ratios = sorted(p / o for o, p in zip(fast, slow, strict=True))
    quarter = len(ratios) // 4
    ratio = statistics.median(ratios)
    return Pair(
        statistics.median(fast), statistics.median(slow), ratio, ratios[quarter], ratios[-1 - quarter]
    )


def _seconds(function: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    function()
    return clock() - start


def duration(seconds: float) -> str:
    """Seconds in a unit that leaves one to three digits before the point."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


HEADER = (
    "| case | peer | ours | peer's | ratio (middle half) | goal | agreement | limit |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def row(case: str, peer: str, pair: Pair, *, goal: str, agreement: str, limit: str) -> str:
    """One line under `HEADER`."""
    ratio = f"{pair.ratio:.4g}x ({pair.low:.4g} to {pair.high:.4g})"
    cells = [case, peer, duration(pair.ours), duration(pair.peer), ratio, goal, agreement, limit]
    return f"| {' | '.join(cells)} |"


def share_error(share: float, of: int) -> float:
    """Standard error of a share of independent things, binomial; never less than that of half a thing."""
    return math.sqrt(max(share * (1 - share), 1 / of / 4) / of)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Processor, cores this process may use, load before the run, Python."""
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    return f"{_processor()}, {cores()} cores{load}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
