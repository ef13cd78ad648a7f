"""Costs by the tokens that counts say were used, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from markets import prices_of
from t2fast.choices.market import market_of
from t2fast.cli.main import main

ROWS = {
    "model": ["a", "a", "b", "b"],
    "problem": ["1", "2", "1", "2"],
    "n_samples": [4, 4, 2, 4],
    "n_correct": [2, 1, 1, 1],
    "prompt_tokens": [400.0, 800, 200, 400],
    "output_tokens": [100.0, 900, 30, 260],
}
PRICES = prices_of({"a": (1, 4), "b": (10, 40)})


def test_each_problem_costs_what_its_samples_used() -> None:
    market = market_of(t2fast.read_counts(ROWS), PRICES, None, None)
    a, b = market.sellers
    # A sample of a: 100 + 25 tokens of the one problem and 200 + 225 of the other.
    one = np.array([100 * 1 + 25 * 4, 200 * 1 + 225 * 4]) / 1e6
    np.testing.assert_allclose(a.usd, np.arange(1, 5)[:, None] * one, rtol=1e-14)
    # One by one, up to two of four: of two right 1 + 1/2 samples, of one 1 + 3/4.
    np.testing.assert_allclose(a.usd_until_solved[1], one * [1.5, 1.75], rtol=1e-14)
    np.testing.assert_allclose(b.usd[0], np.array([100 * 10 + 15 * 40, 100 * 10 + 65 * 40]) / 1e6)
    once = market_of(t2fast.read_counts(ROWS), PRICES, None, None, prompt_once=True)
    np.testing.assert_allclose(once.sellers[0].usd[2], np.array([100 + 3 * 100, 200 + 3 * 900]) / 1e6)
    assert market.notes[0] == (
        "tokens as the counts say they were used, prompt + output a sample: a 150 + 125, b 100 + 40"
    )
    found = t2fast.choose(t2fast.read_counts(ROWS), PRICES, per_query=1)
    cheapest = found.frontier[0]
    assert (cheapest.model, cheapest.k) == ("a", 1)
    assert cheapest.usd_per_query == pytest.approx(one.mean())
    assert cheapest.usd_per_solved == pytest.approx(one.mean() / 0.375)


def test_what_is_given_comes_first() -> None:
    counts = t2fast.read_counts(ROWS)
    market = market_of(counts, PRICES, 1000, None)
    np.testing.assert_allclose(market.sellers[0].usd[0], np.array([1000 + 25 * 4, 1000 + 225 * 4]) / 1e6)
    market = market_of(counts, PRICES, 1000, 1000)
    np.testing.assert_allclose(market.sellers[0].usd[0], [5e-3])
    assert any("tokens as given, not as the counts say" in note for note in market.notes)
    own = prices_of({"a": (1, 4), "b": (10, 40)}, prompt_tokens=[10.0, None], output_tokens=[20.0, None])
    market = market_of(counts, own, 1000, None)
    np.testing.assert_allclose(market.sellers[0].usd[0], [9e-5])
    np.testing.assert_allclose(market.sellers[1].usd[0], np.array([1e4 + 15 * 40, 1e4 + 65 * 40]) / 1e6)


def test_what_some_problems_leave_open_is_the_mean_of_the_others() -> None:
    rows = {**ROWS, "output_tokens": [100.0, None, None, None]}
    with pytest.raises(
        ValueError, match=r"output tokens b takes is unknown: of every problem some sample.s .*missing"
    ):
        market_of(t2fast.read_counts(rows), PRICES, None, None)
    market = market_of(t2fast.read_counts(rows), PRICES, None, None, only=["a"])
    np.testing.assert_allclose(market.sellers[0].usd[0], np.array([100 + 25 * 4, 200 + 25 * 4]) / 1e6)
    assert "problems whose tokens the counts leave open take the others' mean: a (1 of 2)" in market.notes


def test_a_model_without_a_price_costs_what_was_paid() -> None:
    rows = {**ROWS, "usd": [None, None, 0.5, 2.0]}
    prices = prices_of({"a": (1, 4), "b": (None, None)})
    market = market_of(t2fast.read_counts(rows), prices, None, None)
    paid = market.sellers[1]
    np.testing.assert_allclose(paid.usd[1], [0.5, 1.0])
    assert any("paid for a sample: b" in note for note in market.notes)


def test_tokens_are_added_up_from_samples_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = pl.DataFrame(
        [("a", "1", 1, 10, 5), ("a", "1", 0, 10, 25), ("a", "2", 0, 30, 7), ("a", "2", 0, 30, None)],
        schema=["model", "problem", "correct", "prompt_tokens", "output_tokens"],
        orient="row",
    )
    frame = t2fast.read_counts(samples).frame.sort("problem")
    assert frame["prompt_tokens"].to_list() == [20, 60]
    assert frame["output_tokens"].to_list() == [30, None]
    with pytest.raises(
        ValueError, match=r"row 2: output_tokens is 'many', not a finite number of at least 0"
    ):
        t2fast.read_counts({"problem": ["1", "2"], "correct": [1, 0], "output_tokens": ["3", "many"]})
    # Rollouts of one model, and counts of another that say nothing of tokens.
    logged = [
        {
            **{"example_id": i % 3, "reward": int(i % 3 == 0), "model": "a"},
            "usage": {"prompt_tokens": 100 + 10 * (i % 3), "completion_tokens": 50},
        }
        for i in range(12)
    ]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in logged))
    (tmp_path / "b.csv").write_text(
        "model,problem,n_samples,n_correct\n" + "".join(f"b,{i},4,4\n" for i in range(3))
    )
    (tmp_path / "prices.csv").write_text(
        "model,usd_per_million_prompt_tokens,usd_per_million_output_tokens,prompt_tokens,output_tokens\n"
        "a,1,10,,\nb,100,1000,80,60\n"
    )
    files = [str(tmp_path / name) for name in ("a.jsonl", "b.csv")]
    line = ["choose", *files, "--prices", str(tmp_path / "prices.csv"), "--per-query", "1"]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frontier"][0]["model"] == "a"
    assert found["frontier"][0]["usd_per_query"] == pytest.approx((110 * 1 + 50 * 10) / 1e6)
    assert found["model"] == "b"
    assert found["usd_per_query"] == pytest.approx((80 * 100 + 60 * 1000) / 1e6)
    assert any("as the counts say they were used" in note and "a 110 + 50" in note for note in found["notes"])
    assert main([*line, "--output-tokens", "500", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["frontier"][0]["usd_per_query"] == pytest.approx((110 * 1 + 500 * 10) / 1e6)
