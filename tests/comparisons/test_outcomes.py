"""Outcome tables from counts, by hand."""

from __future__ import annotations

import polars as pl
import pytest
import t2fast
from t2fast.comparisons.checkpoints import outcomes


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


def test_a_budget_without_checkpoints_names_the_nearest() -> None:
    counts = counts_of([(1e9, 2e9, "a", 20, 4)])
    with pytest.raises(ValueError, match=r"nearest costs 1.2e\+19"):
        outcomes(counts, 1e22, 4e9)
    (row,) = outcomes(counts, 1.2e19, 4e9).to_dicts()
    assert row["overtrained_k"] is None
    with pytest.raises(ValueError, match="inference_flops is -1"):
        outcomes(counts, 1.2e19, -1)


def test_on_pythia(pythia: t2fast.Counts) -> None:
    table = outcomes(pythia, 2.1e21, 1e11)
    (row,) = table.to_dicts()
    assert row["overtrained_n_tokens"] / row["overtrained_n_params"] > 20
    assert row["overtrained_low"] <= row["overtrained_pass_at_k"] <= row["overtrained_high"]
