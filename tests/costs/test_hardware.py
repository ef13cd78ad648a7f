"""The roofline by hand, and the chips' published rates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from t2fast.costs.hardware import ACCELERATORS, Machine, Served, accelerator

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles.json"


def test_chips_have_their_published_rates() -> None:
    if not ORACLES.exists():
        pytest.skip(f"needs the published rates in {ORACLES}")
    table = json.loads(ORACLES.read_text(encoding="utf-8"))["accelerators"]
    published = {name: rates for name, rates in table.items() if name != "_about"}
    ours = {n: [c.flops / 1e12, c.bandwidth / 1e12, c.memory / 1e9] for n, c in ACCELERATORS.items()}
    assert ours.keys() == published.keys()
    for name, rates in ours.items():
        assert rates == pytest.approx(published[name])


def test_a_step_takes_the_longer_of_bytes_and_arithmetic() -> None:
    machine = Machine(accelerator("h100"), usd_per_hour=3.6, mfu=0.5, mbu=0.5)
    model = Served(8e9, 8e9, cache_bytes=131072)
    # One row: 16 GB of weights and a small cache. Many rows: arithmetic.
    assert machine.step_seconds(model, 1, 1000) == pytest.approx((16e9 + 131072e3) / (0.5 * 3.35e12))
    arithmetic = 2 * 8e9 * 1000 / (0.5 * 989e12)
    assert machine.step_seconds(Served(8e9, 8e9), 1000, 1000) == pytest.approx(arithmetic)
    assert machine.prefill_seconds(model, 10_000) == pytest.approx(2 * 8e9 * 1e4 / (0.5 * 989e12))
    assert machine.prefill_seconds(model, 1) == pytest.approx(16e9 / (0.5 * 3.35e12))
    latency = machine.query_seconds(model, 500, 400, 8)
    expected = machine.prefill_seconds(model, 500) + 400 * machine.step_seconds(model, 8, 700)
    assert latency == pytest.approx(expected)
    assert machine.train_usd(989e12 * 0.5 * 3600) == pytest.approx(3.6)


def test_memory_bounds_the_batch() -> None:
    machine = Machine(accelerator("A100"), usd_per_hour=2)
    model = Served(8e9, 8e9, cache_bytes=131072)
    assert machine.largest_batch(model, 1000) == int((80e9 - 16e9) // 131072e3)
    assert machine.largest_batch(Served(70e9, 70e9), 1000) == 0
    with pytest.raises(ValueError, match="do not fit: 1 x A100 hold 0 beside the weights"):
        machine.usd_per_token(Served(70e9, 70e9, 1.0), 500, 400, 1)
    read, written = machine.usd_per_token(model, 500, 400, 64)
    assert read == pytest.approx(2 * 8e9 / (312e12 * 0.4) * 2 / 3600)
    assert written == pytest.approx(machine.step_seconds(model, 64, 700) / 64 * 2 / 3600)
    # A token written in a larger batch is never dearer.
    assert machine.usd_per_token(model, 500, 400, 128)[1] <= written


def test_a_mixture_reads_what_its_rows_pick() -> None:
    mixture = Served(2e9, 16e9)
    assert Machine.read_weights(mixture, 1) == pytest.approx(2e9)
    assert 2e9 < Machine.read_weights(mixture, 4) < 8e9
    assert Machine.read_weights(mixture, 1000) == pytest.approx(16e9)


def test_chips_of_a_users_table() -> None:
    table = {"name": ["MI300X"], "tflops": [1307], "tb_per_s": [5.3], "gb": [192]}
    assert accelerator("mi300x", table).memory == 192e9
    with pytest.raises(ValueError, match=r"no accelerator is called 'H10'.*H100\?"):
        accelerator("H10")
    with pytest.raises(ValueError, match="no column 'gb'"):
        accelerator("x", {"name": ["x"], "tflops": [1], "tb_per_s": [1]})
    with pytest.raises(ValueError, match="positive and finite"):
        accelerator("x", {"name": ["x"], "tflops": [-1], "tb_per_s": [1], "gb": [1]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"usd_per_hour": -1.0}, "usd_per_hour is -1.0"),
        ({"usd_per_hour": float("nan")}, "usd_per_hour is nan"),
        ({"chips": 0}, "chips is 0"),
        ({"chips": 1.5}, "chips is 1.5"),
    ],
)
def test_machines_that_nobody_has_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message.replace(".", "[.]")):
        Machine(accelerator("H100"), **options)
