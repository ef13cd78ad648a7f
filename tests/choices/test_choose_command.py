"""`t2fast choose`, on real counts and files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from markets import SOLVES, counts_of, prices_of
from t2fast.cli.main import main


def evalperf(shared: Path) -> list[str]:
    tables = [str(shared / "evalperf_counts.csv"), "--prices", str(shared / "evalperf_models.csv")]
    return ["choose", *tables, "--prompt-tokens", "500", "--output-tokens", "400"]


def test_the_command_on_26_models(
    shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert (
        main([*evalperf(shared_data), "--target", "0.85", "--json", "--plot", str(tmp_path / "f.png")]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (tmp_path / "f.png").stat().st_size > 10_000
    assert found["pass_at_k"] >= 0.85
    assert found["problems"] == 118
    for row in [found, *found["frontier"], found["cascade"], found["until_solved"]]:
        assert {"model", "k", "pass_at_k", "usd_per_query", "probability_best"} <= row.keys()
        assert row["low"] <= row["pass_at_k"] <= row["high"]
        assert 0 <= row["probability_best"] <= 1
        assert row["usd_per_solved"] == pytest.approx(row["usd_per_query"] / row["pass_at_k"])
    frontier = found["frontier"]
    for cheap, dear in itertools.pairwise(frontier):
        assert cheap["usd_per_query"] < dear["usd_per_query"]
        assert cheap["pass_at_k"] < dear["pass_at_k"]
    assert (
        found["cascade"]["usd_per_query"] <= found["until_solved"]["usd_per_query"] <= found["usd_per_query"]
    )
    # The frontier against all options by hand.
    frame = pl.read_csv(shared_data / "evalperf_counts.csv")
    sold = pl.read_csv(shared_data / "evalperf_models.csv").drop_nulls("usd_per_million_prompt_tokens")
    best = []
    for row in sold.iter_rows(named=True):
        mine = frame.filter(pl.col("model") == row["model"])
        if not mine.height:
            continue
        n, c = mine["n_samples"].to_numpy(), mine["n_correct"].to_numpy()
        usd = 500 * row["usd_per_million_prompt_tokens"] + 400 * row["usd_per_million_output_tokens"]
        for k in range(1, int(n.min()) + 1):
            best.append((k * usd / 1e6, -np.mean(t2fast.pass_at_k(n, c, k)), row["model"], k))
    best.sort()
    expected, most = [], -1.0
    for usd, minus, model, k in best:
        if -minus > most + 1e-12:
            expected.append((model, k, usd))
            most = -minus
    assert [(row["model"], row["k"]) for row in frontier] == [(model, k) for model, k, _ in expected]
    assert [row["usd_per_query"] for row in frontier] == pytest.approx([usd for _, _, usd in expected])
    # Every model and k, those of the frontier as there.
    every = {(row["model"], row["k"]): row for row in found["every"]}
    assert every.keys() == {(model, k) for _, _, model, k in best}
    for usd, minus, model, k in best:
        row = every[model, k]
        assert (row["usd_per_query"], row["pass_at_k"]) == (pytest.approx(usd), pytest.approx(-minus))
    assert all(every[row["model"], row["k"]] == row for row in frontier)


def test_a_table_too_narrow_for_numbers_stays_whole(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*evalperf(shared_data), "--per-query", "0.002"]) == 0
    out = capsys.readouterr().out
    assert "Best buy for 0.002 USD a query at most, on 118 problems" in out
    assert "deepseek-chat-v2.5" in out
    assert "QwQ-32B-Preview" in out
    assert main([*evalperf(shared_data), "--target", "0.999"]) == 1
    assert "target: nothing measured reaches" in capsys.readouterr().err


def test_counts_in_several_files_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = counts_of(SOLVES).frame
    for name in SOLVES:
        frame.filter(pl.col("model") == name).write_csv(tmp_path / f"{name}.csv")
    prices = tmp_path / "prices.csv"
    prices_of({"cheap": (1, 1), "dear": (30, 30)}).frame.write_csv(prices)
    files = [str(tmp_path / "cheap.csv"), str(tmp_path / "dear.csv")]
    options = ["--prices", str(prices), "--prompt-tokens", "1000", "--output-tokens", "1000", "--json"]
    assert main(["choose", *files, *options]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == 40
    assert main(["choose", *files, files[0], *options]) == 1
    assert f"{files[0]} is given twice" in capsys.readouterr().err
    again = tmp_path / "again.csv"
    again.write_bytes((tmp_path / "cheap.csv").read_bytes())
    assert main(["choose", *files, str(again), *options]) == 1
    assert f"{again} repeats {files[0]} (model 'cheap', problem " in capsys.readouterr().err


def test_a_check_is_estimated_from_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts, prices, labels = (tmp_path / name for name in ("counts.csv", "prices.csv", "labels.csv"))
    counts_of({"a": [(20, 1), (20, 8), (20, 0)] * 5}).frame.write_csv(counts)
    prices_of({"a": (1, 1)}).frame.write_csv(prices)
    labels.write_text("correct,accepted\n" + "1,1\n" * 18 + "1,0\n" * 2 + "0,1\n" * 3 + "0,0\n" * 17)
    asked = ["choose", str(counts), "--prices", str(prices), "--prompt-tokens", "9", "--output-tokens", "9"]
    assert main([*asked, "--labelled", str(labels), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["verifier"]
    assert found["best_k_low"] <= found["best_k"] <= found["best_k_high"]
    given = ["--true-positive", "0.9", "--false-positive", "0.15", "--json"]
    assert main([*asked, *given]) == 0
    assert json.loads(capsys.readouterr().out)["verifier"]["right"] == pytest.approx(found["right"])
    assert main([*asked, "--labelled", str(labels), *given]) == 1
    assert "--labelled estimates both rates" in capsys.readouterr().err


def test_served_models_are_priced_on_a_users_own_chip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "counts.csv").write_text("model,problem,n_samples,n_correct\na,1,8,4\na,2,8,3\n")
    (tmp_path / "prices.csv").write_text(
        "model,n_params,usd_per_million_prompt_tokens,usd_per_million_output_tokens\na,1e9,,\n"
    )
    (tmp_path / "chips.csv").write_text("name,tflops,tb_per_s,gb\nhere,1,0.1,16\n")
    line = ["choose", str(tmp_path / "counts.csv"), "--prices", str(tmp_path / "prices.csv"), "--json"]
    line += ["--prompt-tokens", "500", "--output-tokens", "400", "--gpu", "here", "--usd-per-hour", "1"]
    line += ["--accelerators", str(tmp_path / "chips.csv"), "--batch", "1e4", "--cache-bytes", "0", "--mfu"]
    costs = []
    for mfu in ("0.25", "0.5"):
        assert main([*line, mfu, "--mbu", "1"]) == 0
        found = json.loads(capsys.readouterr().out)
        costs.append(found["usd_per_query"])
    assert costs[0] == pytest.approx(2 * costs[1])
    # 2 N operations a token of the prompt, read once, and of the samples, at half of 1e12 a second.
    assert costs[1] == pytest.approx(2e9 * (500 + 400 * found["k"]) / 0.5e12 / 3600)
    # With caches: 1e4 samples of 900 tokens of 1 kB are 9 GB beside 2 GB of weights on 16 GB; of 2 kB, 18.
    for cache, chips, most in (("1e3", 1, 15555), ("2e3", 2, 16666)):
        assert main([*line, "0.5", "--mbu", "1", "--cache-bytes", cache]) == 0
        served = json.loads(capsys.readouterr().out)["served"]["a"]
        assert (served["chips"], served["largest_batch"]) == (chips, most)
    line.remove("--json")
    assert main([*line, "0.5", "--mbu", "1", "--cache-bytes", "2e3"]) == 0
    assert "Served on hardware" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "mapping"),
    [
        (["usd_per_million_input_tokens", "usd_per_1m_completion_tokens"], None),
        (["Input USD per million tokens", "completion_usd_per_mtok"], None),
        (["input_price", "price_output"], "input_price,price_output"),
        (["prompt_price", "completion_cost_per_1m"], "prompt_price,completion_cost_per_1m"),
    ],
)
def test_prices_under_other_names(
    names: list[str], mapping: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "counts.csv").write_text("model,problem,n_samples,n_correct\na,1,8,4\na,2,8,3\n")
    (tmp_path / "prices.csv").write_text(f"model,{','.join(names)}\na,2,10\n")
    line = ["choose", str(tmp_path / "counts.csv"), "--prices", str(tmp_path / "prices.csv"), "--json"]
    line += ["--prompt-tokens", "500", "--output-tokens", "400", "--max-k", "1"]
    if mapping is not None:
        # What does not say that it is dollars a million tokens is not taken for it: it is asked about.
        assert main(line) == 1
        hint = ",".join(
            f"usd_per_million_{side}_tokens={name}"
            for side, name in zip(("prompt", "output"), mapping.split(","), strict=True)
        )
        assert f"in US dollars a million tokens, say --price-columns {hint}" in capsys.readouterr().err
        line += ["--price-columns", hint]
    assert main(line) == 0
    assert json.loads(capsys.readouterr().out)["usd_per_query"] == pytest.approx((500 * 2 + 400 * 10) / 1e6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--usd-per-hour", "2"], "--usd-per-hour is of hardware: say which by --gpu"),
        (["--mbu", "0.5"], "--mbu is of hardware: say which by --gpu"),
        (["--confidence", "0.8"], "--confidence is of a target: give --target"),
        (["--new-problems", "8"], "--new-problems is of a target: give --target"),
    ],
)
def test_an_option_that_nothing_would_heed_is_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts_of(SOLVES).frame.write_csv(tmp_path / "counts.csv")
    prices_of({"cheap": (1, 1), "dear": (30, 30)}).frame.write_csv(tmp_path / "prices.csv")
    line = ["choose", str(tmp_path / "counts.csv"), "--prices", str(tmp_path / "prices.csv")]
    line += ["--prompt-tokens", "9", "--output-tokens", "9"]
    assert main([*line, *options]) == 1
    assert message in capsys.readouterr().err
