"""Outcome tables from counts, by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars as pl
import pytest
import t2fast
from t2fast.cli.main import main
from t2fast.comparisons.checkpoints import outcomes

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles.json"


def counts_of(rows: list[tuple[float, float, str, int, int]]) -> t2fast.Counts:
    names = ["n_params", "n_tokens", "task", "n_samples", "n_correct"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(problem=pl.lit("q"))
    return t2fast.read_counts(frame)


def test_the_best_overtrained_checkpoint_stands_beside_chinchillas() -> None:
    # 6 N D = 1.2e19 for all but the last; k = 4e9/(2 N).
    rows = [
        (1e9, 2e9, "a", 20, 4),  # 2 tokens a parameter, k = 2
        (3.2e8, 6.25e9, "a", 20, 2),  # 19.5: Chinchilla's, k = 6
        (1e8, 2e10, "a", 20, 1),  # 200, k = 20
        (5e7, 4e10, "a", 30, 1),  # 800, k = 40: more than were drawn
        (1e9, 2e11, "a", 20, 20),  # another budget
    ]
    (row,) = outcomes(counts_of(rows), 1.2e19, 4e9).to_dicts()
    assert row["task"] == "a"
    assert (row["chinchilla_n_params"], row["chinchilla_k"]) == (3.2e8, 6)
    assert row["chinchilla_pass_at_k"] == pytest.approx(t2fast.pass_at_k(20, 2, 6))
    assert (row["overtrained_n_params"], row["overtrained_k"]) == (1e8, 20)
    assert row["overtrained_pass_at_k"] == 1
    assert row["left_out"] == 1


def test_the_command_prints_what_the_function_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(n, 2e18 / n, task, 40, c) for n, c in ((1e9, 9), (3.2e8, 5), (1e8, 3)) for task in ("a", "b")]
    counts = counts_of(rows)
    counts.frame.write_csv(tmp_path / "counts.csv")
    command = ["outcomes", str(tmp_path / "counts.csv"), "--train-flops", "1.2e19"]
    assert main([*command, "--inference-flops", "6e9", "--level", "0.8", "--json"]) == 0
    found = outcomes(counts, 1.2e19, 6e9, level=0.8).to_dicts()
    assert json.loads(capsys.readouterr().out)["rows"] == found
    assert main([*command, "--inference-flops", "6e9", "--level", "0.8"]) == 0
    shown = [words.split() for words in capsys.readouterr().out.splitlines()]
    for task in ("a", "b"):
        at = next(i for i, words in enumerate(shown) if words[:2] == [task, "overtrained"])
        assert shown[at][2:6] == ["100M", "20B", "200", "30"]
        assert shown[at + 1][:5] == ["Chinchilla", "320M", "6.25B", "20", "9"]
    # k = 0 for the largest, and more than were drawn for the smallest.
    assert main([*command, "--inference-flops", "1e9"]) == 0
    assert "1 checkpoint of a task is left out" in " ".join(capsys.readouterr().out.split())
    assert main([*command, "--inference-flops", "1e9", "--within", "0.5"]) == 1
    assert "--within is 0.5: give a factor of at least 1" in capsys.readouterr().err


def test_a_budget_without_checkpoints_names_the_nearest() -> None:
    counts = counts_of([(1e9, 2e9, "a", 20, 4)])
    with pytest.raises(ValueError, match=r"nearest costs 1.2e\+19"):
        outcomes(counts, 1e22, 4e9)
    (row,) = outcomes(counts, 1.2e19, 4e9).to_dicts()
    assert row["overtrained_k"] is None
    with pytest.raises(ValueError, match="inference_flops is -1"):
        outcomes(counts, 1.2e19, -1)


def test_an_inference_budget_that_no_checkpoint_has_samples_for_says_how_far_off_it_is() -> None:
    counts = counts_of([(1e9, 2e9, "a", 20, 4), (5e8, 4e9, "a", 30, 4)])
    with pytest.raises(ValueError, match=r"not one sample of the smallest .* takes 1e\+09, 4 times that"):
        outcomes(counts, 1.2e19, 2.5e8)
    # 20 samples of 2e9, 30 of 1e9.
    with pytest.raises(ValueError, match=r"up to 4e\+10, 1/2\.5 of that, there are enough of one"):
        outcomes(counts, 1.2e19, 1e11)
    # What a larger one has is no way out: not one sample of it is paid for.
    larger = counts_of([(1e9, 2e9, "a", 1, 0), (5e7, 4e10, "a", 3, 0)])
    with pytest.raises(ValueError, match=r"up to 3e\+08, 1/5 of that"):
        outcomes(larger, 1.2e19, 1.5e9)
    (row,) = outcomes(counts, 1.2e19, 4e10).to_dicts()
    assert (row["chinchilla_n_params"], row["chinchilla_k"], row["left_out"]) == (1e9, 20, 1)


def test_on_pythia(pythia: t2fast.Counts) -> None:
    table = outcomes(pythia, 2.1e21, 1e11)
    (row,) = table.to_dicts()
    assert row["overtrained_n_tokens"] / row["overtrained_n_params"] > 20
    assert row["overtrained_low"] <= row["overtrained_pass_at_k"] <= row["overtrained_high"]


def test_the_papers_table_from_counts_that_have_its_values() -> None:
    # The paper's counts are not published. These have its pass@k: right at every sample where training alone
    # chooses the model, at one of k where it is overtrained.
    if not ORACLES.exists():
        pytest.skip(f"needs table 1 of the paper in {ORACLES}")
    published = json.loads(ORACLES.read_text(encoding="utf-8"))["paper_table_1"]
    train, inference, tasks = (published[k] for k in ("train_flops", "inference_flops", "pass_at_k_percent"))
    parts = []
    for task, sides in tasks.items():
        for side, (percent, size) in sides.items():
            n = 1e6 * float(size.removesuffix("M"))
            k = math.floor(inference / (2 * n))
            solved = pl.int_range(10_000, eager=True) < round(100 * percent)
            each = k if side == "chinchilla" else 1
            parts.append(
                pl.DataFrame({"n_correct": solved.cast(pl.Int64) * each}).with_columns(
                    problem=pl.int_range(10_000).cast(pl.String),
                    task=pl.lit(task),
                    n_params=pl.lit(n),
                    n_tokens=pl.lit(train / (6 * n)),
                    n_samples=pl.lit(k),
                )
            )
    found = outcomes(t2fast.read_counts(pl.concat(parts)), train, inference, chinchilla="pass@1")
    assert len(found) == len(tasks) == 8
    for row in found.iter_rows(named=True):
        for side, (percent, size) in tasks[row["task"]].items():
            assert f"{row[side + '_n_params'] / 1e6:.0f}M" == size
            assert row[side + "_pass_at_k"] == pytest.approx(percent / 100, abs=1e-12)
    (lambada,) = found.filter(task="LAMBADA OpenAI").to_dicts()
    assert lambada["overtrained_pass_at_k"] == pytest.approx(0.499)
    with pytest.raises(ValueError, match="chinchilla is None"):
        outcomes(t2fast.read_counts(pl.concat(parts)), train, inference, chinchilla=None)  # type: ignore[arg-type]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chinchilla is 'loss'"):
        outcomes(t2fast.read_counts(pl.concat(parts)), train, inference, chinchilla="loss")  # type: ignore[arg-type]
