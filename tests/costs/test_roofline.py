"""The roofline through timed steps: rates that are known are found, noise or not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from t2fast.costs import Accelerator, Machine, Served
from t2fast.costs.roofline import Step, fit_roofline

MODEL = Served(1e9, 1e9, cache_bytes=1e5)
ROWS = (1, 2, 4, 16, 64, 256, 1024)


@given(st.floats(11, 15), st.floats(-3.5, -1.5))
def test_rates_that_made_the_times_are_found(log_flops: float, log_ratio: float) -> None:
    # Operations a byte between 30 and 3000: both sides of the roof are seen.
    flops = 10**log_flops
    machine = Machine(Accelerator("x", flops, flops * 10**log_ratio, 1e12), mfu=1.0, mbu=1.0)
    steps = [Step(rows, 100.0, machine.step_seconds(MODEL, rows, 100.0)) for rows in ROWS]
    found = fit_roofline(MODEL, steps)
    arithmetic = [2e9 * s.rows / flops >= s.seconds * (1 - 1e-12) for s in steps]
    if any(arithmetic):
        assert found.flops == pytest.approx(flops, rel=1e-9)
    else:
        assert found.at_least == ("flops",)
        assert found.flops <= flops * (1 + 1e-9)
    if not all(arithmetic):
        assert found.bandwidth == pytest.approx(flops * 10**log_ratio, rel=1e-9)
    else:
        assert found.at_least == ("bandwidth",)
    assert found.off == pytest.approx((1, 1), rel=1e-9)
    assert [found.seconds(MODEL, step) for step in steps] == pytest.approx([s.seconds for s in steps])


def test_no_other_rates_explain_noisy_steps_better() -> None:
    rng = np.random.default_rng(3)
    machine = Machine(Accelerator("x", 1e13, 1e11, 1e12), mfu=1.0, mbu=1.0)
    times = [machine.step_seconds(MODEL, rows, 10.0) * math.exp(0.2 * rng.normal()) for rows in ROWS]
    steps = [Step(rows, 10.0, seconds) for rows, seconds in zip(ROWS, times, strict=True)]
    found = fit_roofline(MODEL, steps)

    def miss(flops: float, bandwidth: float) -> float:
        work = np.array([2e9 * s.rows / flops for s in steps])
        moved = np.array([(2e9 + s.rows * s.context * 1e5) / bandwidth for s in steps])
        return float(np.sum((np.log(np.maximum(work, moved)) - np.log(times)) ** 2))

    best = miss(found.flops, found.bandwidth)
    for f in np.geomspace(0.5, 2, 41):
        for b in np.geomspace(0.5, 2, 41):
            assert best <= miss(found.flops * f, found.bandwidth * b) + 1e-12


def test_steps_without_time_are_refused() -> None:
    with pytest.raises(ValueError, match="give at least one"):
        fit_roofline(MODEL, [])
    with pytest.raises(ValueError, match="more than 0 seconds"):
        fit_roofline(MODEL, [Step(1, 0, 0.0)])
