"""How many chips hold a latency, against the roofline by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from t2fast import default_law
from t2fast.cli.main import main
from t2fast.costs import Machine, accelerator
from t2fast.plans import Workload, plan_spending

WORK = Workload.on(Machine(accelerator("H100"), usd_per_hour=2.5), 1e7, 300, 200)
COMMAND = ["plan", "--usd", "10000", "--gpu", "H100", "--usd-per-hour", "2.5", "--queries", "1e7"]
COMMAND += ["--prompt-tokens", "300", "--output-tokens", "200"]


def seconds(n: float, k: float, chips: int) -> float:
    """Of a query's k samples drawn together: the prompt, then a step a token."""
    flops, bandwidth = chips * 0.4 * 989e12, chips * 0.6 * 3.35e12
    cache = 4 * 128 * (n / (12 * 128**2)) ** (2 / 3)
    step = max(2 * n * k / flops, (2 * n + k * 400 * cache) / bandwidth)
    return max(2 * n * 300 / flops, 2 * n / bandwidth) + 200 * step


@pytest.mark.parametrize("chips", [1, 2, 4, 8])
def test_the_fewest_chips_are_taken_on_which_the_latency_costs_nothing(chips: int) -> None:
    law = default_law()
    free = plan_spending(law, WORK, budget=1e4)
    n, k = free.chosen.n_params, free.chosen.k
    within = 1.01 * seconds(n, k, chips)
    found = plan_spending(law, WORK, budget=1e4, latency=within, max_chips=8)
    assert found.workload.machine is not None
    assert found.workload.machine.chips == chips
    assert found.chosen.predicted == pytest.approx(free.chosen.predicted, rel=1e-9)
    assert found.room is not None
    assert found.room.seconds(found.chosen.k) <= within
    assert f"latency at most {within:g} s holds on {chips} chip" in " ".join(str(found).split())


def test_where_none_holds_it_the_plan_says_by_how_much() -> None:
    law = default_law()
    free = plan_spending(law, WORK, budget=1e4)
    took = seconds(free.chosen.n_params, free.chosen.k, 4)
    found = plan_spending(law, WORK, budget=1e4, latency=took / 3, max_chips=5)
    assert found.workload.machine is not None
    assert found.workload.machine.chips == 4
    here = seconds(found.chosen.n_params, found.chosen.k, 4)
    assert here <= took / 3 * (1 + 1e-9)
    assert found.chosen.predicted < free.chosen.predicted
    assert any(f"the plan without it takes {took:.3g} s on 4 chips" in w for w in found.warnings)
    assert any("3 times that" in w for w in found.warnings)
    with pytest.raises(ValueError, match=r"latency at most 1e-06 s: the least model"):
        plan_spending(law, WORK, budget=1e4, latency=1e-6, max_chips=8)


def test_the_command_chooses_chips_unless_they_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    def run(*more: str) -> Any:
        assert main([*COMMAND, *more, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    free = run()
    within = 1.01 * seconds(free["n_params"], free["k"], 2)
    assert run("--latency", f"{within}")["memory"]["chips"] == 2
    held = run("--latency", f"{within}", "--chips", "1")
    assert held["memory"]["chips"] == 1
    assert held["predicted"] < free["predicted"]
    assert run("--latency", f"{within}", "--max-chips", "1")["predicted"] == held["predicted"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-chips", "4"], "--max-chips is of a latency"),
        (["--latency", "1", "--chips", "2", "--max-chips", "4"], "--chips already says how many share"),
        (["--latency", "1", "--max-chips", "0"], "--max-chips is 0"),
        (["--latency", "nan"], "--latency is nan"),
        (["--batch", "0.5"], "--batch is 0.5: at least one sample is in flight"),
    ],
)
def test_chips_that_are_none_are_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, *options]) == 1
    assert message in capsys.readouterr().err
