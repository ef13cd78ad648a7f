"""Results as lines of JSON, and the clock."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from benches.gpu_check.bare import REHEARSED


class Results:
    """OUT/results.jsonl, with what earlier runs left there."""

    def __init__(self, out: Path):
        self.path = out / "results.jsonl"
        text = self.path.read_text() if self.path.exists() else ""
        self.had = {(line["stage"], line["case"]): line for line in whole(text.splitlines())}
        if text and not text.endswith("\n"):
            with self.path.open("a") as file:
                file.write("\n")

    def add(self, stage: str, case: str, **values: Any) -> None:
        """Write a result at once."""
        line = {"stage": stage, "case": case, **values}
        self.had[stage, case] = line
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def take(self, stage: str, case: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure, unless a run before has; an error is a result."""
        if "error" not in self.had.get((stage, case), {"error": "not there"}):
            return
        try:
            self.add(stage, case, **measure())
        except Exception as error:
            self.add(stage, case, error=f"{type(error).__name__}: {str(error)[:400]}")
            sync()  # a broken context ends the stage here


def whole(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The lines that were not cut off when a machine went away."""
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def device() -> torch.device:
    """Where everything runs."""
    return torch.device("cpu") if REHEARSED else torch.device("cuda", torch.cuda.current_device())


def sync() -> None:
    """Wait for the GPU."""
    if not REHEARSED:
        torch.cuda.synchronize()


def seconds(call: Callable[[], Any], times: int = 10, rounds: int = 3) -> float:
    """Median over rounds of the time of one of `times` calls in a row; the rehearsal makes one."""
    times, rounds, found = (1, 1, []) if REHEARSED else (times, rounds, list[float]())
    for _ in range(rounds):
        sync()
        start = time.perf_counter()
        for _ in range(times):
            call()
        sync()
        found.append((time.perf_counter() - start) / times)
    return statistics.median(found)
