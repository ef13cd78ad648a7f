"""Arithmetic and bandwidth that an engine really reaches, from timed runs of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from t2fast.costs.hardware import Accelerator, Machine, Served


@dataclass(frozen=True)
class Step:
    """A timed step.

    Attributes:
        rows: tokens that go through the model at once: samples, or a prompt's tokens.
        context: tokens whose keys and values each of them reads.
        seconds: it took.
    """

    rows: float
    context: float
    seconds: float


@dataclass(frozen=True)
class Roofline:
    """The two rates that explain timed steps best.

    Attributes:
        flops: operations a second, 2 N a row.
        bandwidth: bytes a second, the weights once and every row's cache.
        at_least: which of the two bound no step, so that it is at least the highest that was seen.
        off: how far the roofline misses the steps, as a factor, at the median and at the most.
    """

    flops: float
    bandwidth: float
    at_least: tuple[str, ...]
    off: tuple[float, float]

    def seconds(self, model: Served, step: Step) -> float:
        """max(2 N rows/flops, bytes/bandwidth)."""
        return max(_work(model, step) / self.flops, _bytes(model, step) / self.bandwidth)

    def machine(self, name: str, memory: float, usd_per_hour: float = 0.0) -> Machine:
        """The machine that these rates are of: whatever share of its peak they are, all of it is reached."""
        chip = Accelerator(name, self.flops, self.bandwidth, memory)
        return Machine(chip, usd_per_hour=usd_per_hour, mfu=1.0, mbu=1.0)


def fit_roofline(model: Served, steps: Sequence[Step]) -> Roofline:
    """The roofline through timed steps, by least squares in ln seconds.

    Steps are told apart by their operations a byte: those below some intensity are bound by bandwidth, those
    above by arithmetic. For every such cut both rates are means in logarithms; the best cut is kept.

    Args:
        model: what was run.
        steps: at least one; with few rows and with many, so that both rates bind somewhere.

    Raises:
        ValueError: without steps, or for one that took no time.
    """
    if not steps or not all(step.seconds > 0 for step in steps):
        raise ValueError("steps: give at least one, each of more than 0 seconds")
    work = np.log([_work(model, step) for step in steps])
    moved = np.log([_bytes(model, step) for step in steps])
    seconds = np.log([step.seconds for step in steps])
    order = np.argsort(work - moved, kind="stable")
    best: tuple[float, Roofline] | None = None
    # One rate for all steps first: a second one must explain more than rounding.
    for cut in (len(steps), *range(len(steps))):
        low, high = order[:cut], order[cut:]
        # A side without steps: its rate is at least the highest seen.
        flops, bandwidth = (
            float(np.mean(of[part] - seconds[part]) if len(part) else np.max(of - seconds))
            for of, part in ((work, high), (moved, low))
        )
        miss = np.maximum(work - flops, moved - bandwidth) - seconds
        error = float(miss @ miss)
        if best is None or error < best[0] - 1e-12:
            unseen = [name for name, part in (("flops", high), ("bandwidth", low)) if not len(part)]
            off = np.exp(np.abs(miss))
            ends = float(np.median(off)), float(off.max())
            best = error, Roofline(float(np.exp(flops)), float(np.exp(bandwidth)), tuple(unseen), ends)
    assert best is not None
    return best[1]


def _work(model: Served, step: Step) -> float:
    return 2 * model.active_params * step.rows


def _bytes(model: Served, step: Step) -> float:
    weights = Machine.read_weights(model, step.rows) * model.weight_bytes
    return weights + step.rows * step.context * model.cache_bytes
