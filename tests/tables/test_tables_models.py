"""What a table of counts is of: models and their sizes, tasks, duplicates, and what a filter keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from counts_table import GOOD, good, refused, without
from polars.testing import assert_frame_equal
from t2fast.tables import LeftOut, read_counts, read_losses

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no measurements at {DATA}")


def test_models_table_gives_sizes(tmp_path: Path) -> None:
    (tmp_path / "models.csv").write_text(
        "model,n_params,n_tokens,licence\nb,2e6,2e9,x\na,1e6,1e9,y\nunused,1,1,z\n"
    )
    bare = without("n_params", "n_tokens")
    assert_frame_equal(read_counts(bare, models=tmp_path / "models.csv").frame, pl.DataFrame(GOOD))
    half = read_counts(
        without("n_tokens"), models={"model": ["a", "b"], "n_tokens": [1e9, 2e9], "n_params": [7, 7]}
    )
    assert_frame_equal(half.frame, pl.DataFrame(GOOD))
    losses = read_losses({"model": ["b"], "loss": [2.5]}, models=tmp_path / "models.csv")
    assert losses.frame.rows() == [("b", 2e6, 2e9, 2.5)]


@pytest.mark.parametrize(
    ("table", "models", "words"),
    [
        (
            without("n_params", "n_tokens"),
            {"model": ["A"], "n_params": [1], "n_tokens": [1]},
            ["lacks 2 of the models", "'a', 'b'"],
        ),
        (
            without("n_params", "n_tokens"),
            {"model": ["a", "b"], "size": [1, 1]},
            ["the models table has no column n_params and no column n_tokens"],
        ),
        (
            without("n_params", "n_tokens"),
            {"model": ["a", "b", "a"], "n_params": [1, 1, 2], "n_tokens": [1, 1, 1]},
            ["1 of 3 rows of the models table", "row 3 repeats row 1 (model 'a')"],
        ),
        (
            without("n_params", "n_tokens"),
            {"model": ["a", "b"], "n_params": [1, -1], "n_tokens": [1, 1]},
            ["row 2: n_params is -1, not a finite number above 0"],
        ),
        (
            without("model", "n_tokens"),
            {"model": ["a"], "n_tokens": [1]},
            ["has no column 'model' by which to look up n_tokens"],
        ),
        (GOOD, {"model": ["a"], "n_params": [1], "n_tokens": [1]}, ["has n_params and n_tokens of its own"]),
    ],
)
def test_models_table_faults(table: Any, models: Any, words: list[str]) -> None:
    message = refused(table, models=models)
    assert all(word in message for word in words), message


def test_sizes_are_optional_until_required() -> None:
    counts = read_counts({"problem": ["x", "y"], "n_samples": [4, 4], "n_correct": [1, 0]})
    assert not counts.has_sizes
    assert counts.checkpoints.rows() == [(2, 1, 8, 1)]
    assert counts.checkpoint_index.tolist() == [0, 0]
    for use, why in (
        (counts.require_sizes, "which a law needs"),
        (lambda: counts.n_params, "which a law needs"),
        (lambda: counts.filter(min_tokens=1), "by which rows were to be chosen"),
    ):
        with pytest.raises(ValueError, match=rf"no n_params and no n_tokens, {why}\. Give .* models="):
            use()
    assert read_counts(GOOD).require_sizes().has_sizes


def test_checkpoints_without_model_are_sizes() -> None:
    counts = read_counts(good(n_params=[3.0, 1.0, 1.0], n_tokens=[1.0, 5.0, 2.0]) | {"model": ["a"] * 3})
    assert counts.checkpoint_index.tolist() == [2, 1, 0]
    nameless = read_counts(counts.frame.drop("model"))
    assert nameless.checkpoints.columns[:2] == ["n_params", "n_tokens"]
    assert nameless.checkpoint_index.tolist() == [2, 1, 0]


def test_task_selects_or_names() -> None:
    two = good(task=["t", "u", "t"])
    chosen = read_counts(two, task="t")
    assert chosen.frame["problem"].to_list() == ["x", "x"]
    assert chosen.left_out == (LeftOut(1, "task other than 't'"),)
    assert "has no task 'v'; it has 't', 'u'" in refused(two, task="v")
    assert read_counts(without("task"), task="v").frame["task"].unique().to_list() == ["v"]


def test_duplicates() -> None:
    twice = good(model=["a"] * 3, n_params=[1e6] * 3, n_tokens=[1e9] * 3)
    message = refused(twice)
    assert "1 of 3 rows" in message
    assert (
        "row 3 repeats row 1 (model 'a', n_params 1000000.0, n_tokens 1000000000.0, task 't', problem 'x')"
        in message
    )
    assert "duplicates='sum'" in message
    added = read_counts(twice, duplicates="sum")
    assert added.frame.select("problem", "n_samples", "n_correct").rows() == [("x", 24, 3), ("y", 8, 8)]
    assert "duplicates is 'first'" in refused(GOOD, duplicates="first")
    huge = {"problem": ["x", "x"], "n_samples": [2**62, 2**62], "n_correct": [0, 0]}
    assert "add up to more than a 64-bit integer holds" in refused(huge, duplicates="sum")
    many = {"problem": ["x"] * 50, "n_samples": [1] * 50, "n_correct": [0] * 50}
    assert "49 of 50 rows" in refused(many)
    assert "… and 39 more" in refused(many)


def test_counts_that_ended_at_a_success_are_not_added_up() -> None:
    stopped = {"problem": ["a", "a"], "n_samples": [3, 5], "n_correct": [1, 1]}
    stopped |= {"until_successes": [1, 1], "max_samples": [8, 8]}
    for how in ("error", "sum"):
        message = refused(stopped, duplicates=how)
        assert "row 2 repeats row 1 (problem 'a')" in message
        assert "duplicates='sum'" not in message
        assert "cannot be added up: two runs that ended at a success are not one that did" in message


def test_filter_notes_what_goes() -> None:
    counts = read_counts(GOOD)
    small = counts.filter(max_params=1e6, min_tokens=1e9)
    assert (len(small), small.left_out) == (2, (LeftOut(1, "n_params above 1e+06"),))
    assert (
        len(
            counts.filter(
                min_params=1e6, max_tokens=2e9, min_train_flops=6e15, max_train_flops=2.4e16, task="t"
            )
        )
        == 3
    )
    both = counts.filter(min_train_flops=6.1e15).filter(max_tokens=2e9)
    assert (both.frame["model"].to_list(), both.left_out) == (
        ["b"],
        (LeftOut(2, "train_flops below 6.1e+15"),),
    )
    assert small.checkpoints.height == 1
    with pytest.raises(ValueError, match="no row of the table is left: all 3 have n_params below 1e\\+07"):
        counts.filter(min_params=1e7)
    with pytest.raises(ValueError, match="no column 'task'"):
        read_counts(without("task")).filter(task="t")
