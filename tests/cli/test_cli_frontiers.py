"""`t2fast plan --frontier` under one budget, or for a target: each row is the plan for it alone."""

from __future__ import annotations

import json

import pytest
from t2fast.cli.main import main

DOLLARS = ["plan", "--usd", "1000", "--gpu", "h100", "--usd-per-hour", "2.5", "--queries", "1e6"]


def test_a_frontier_has_the_plan_of_every_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DOLLARS, "--frontier", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["frontier"]
    assert rows[0]["budget"] == pytest.approx(100)
    assert rows[-1]["budget"] == pytest.approx(1e4)
    for row in rows:
        assert main([*DOLLARS[:2], str(row["budget"]), *DOLLARS[3:], "--json"]) == 0
        alone = json.loads(capsys.readouterr().out)
        for name in ("n_params", "n_tokens", "k", "predicted", "cost"):
            assert row[name] == pytest.approx(alone[name], rel=1e-6)
            theirs = None if alone["chinchilla"] is None else pytest.approx(alone["chinchilla"][name])
            assert row[f"chinchilla_{name}"] == theirs
    assert main([*DOLLARS, "--frontier", "--latency", "2"]) == 0
    out = capsys.readouterr().out
    assert "10,000" in out
    assert "every row is served on " in out
    assert "about the law, " in out


def test_a_frontier_of_targets_says_what_each_costs(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--target", "0.3", "--queries", "1e6", "--frontier"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unit"] == "FLOPs"
    costs = [row["cost"] for row in found["frontier"]]
    assert costs == sorted(costs)
    assert len(costs) > 4
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "at least" in out
    assert f"{costs[0]:.3g}" in out
