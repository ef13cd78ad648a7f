"""Columns that set samples of one problem apart are refused where they would be pooled."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from counts_table import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.tables import read_counts
from t2fast.tables import rows as source_rows


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["m", "n"]), st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", None])
        ),
        min_size=1,
        max_size=6,
    ),
    batch=st.integers(1, 4),
)
@pytest.mark.parametrize(("column", "of_problem"), [("Temperature", False), ("subject", True)])
def test_a_mean_of_two_settings_or_problems_is_refused(
    column: str, of_problem: bool, rows: list[tuple[str, str, str | None]], batch: int
) -> None:
    there: dict[tuple[str, ...], set[str | None]] = defaultdict(set)
    for model, problem, value in rows:
        there[(model, problem) if of_problem else (model,)].add(value)
    models, problems, values = (list(one) for one in zip(*rows, strict=True))
    table: dict[str, Any] = {"model": models, "problem": problems, "correct": [1] * len(rows), column: values}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_rows, "_BATCH_ROWS", batch)
        if max(map(len, there.values())) > 1:
            assert f"values of {column!r}" in refused(table)
        else:
            assert read_counts(table).frame["n_samples"].sum() == len(rows)


def test_one_setting_is_chosen_or_each_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    path.write_text("problem,correct,temperature\na,1,0.2\na,0,0.8\nb,1,.20\nb,0,0.8\n")
    message = refused(path)
    assert "has samples with 2 values of 'temperature'" in message
    assert "'0.2', '0.8'. Choose one by where={'temperature': '0.2'}" in message
    assert read_counts(path, where={"temperature": "0.2"}).frame.rows() == [("a", 1, 1), ("b", 1, 1)]
    taken = read_counts(path, where={"temperature": "0.8"}, columns={"model": "temperature"})
    assert taken.frame.rows() == [("0.8", "a", 1, 0), ("0.8", "b", 1, 0)]


def test_a_setting_of_every_model_is_no_mixture() -> None:
    rows = {"model": ["m", "n"], "problem": ["a", "a"], "correct": [1, 0], "temperature": [0.2, 0.8]}
    assert len(read_counts(rows)) == 2


def test_counts_that_are_added_up_are_of_one_setting() -> None:
    rows = {"problem": ["a", "a"], "n_samples": [4, 4], "n_correct": [1, 2], "top_p": [0.9, 1]}
    with pytest.raises(ValueError, match=r"2 values of 'top_p'.*'0.9', '1'\. Choose"):
        read_counts(rows, duplicates="sum")


def test_settings_of_json_lines_are_told_apart_too(tmp_path: Path) -> None:
    rows = [{"problem": "a", "correct": True, "Reasoning Effort": effort} for effort in ("low", "high")]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"problem": "b", "correct": False}]))
    assert "3 values of 'Reasoning Effort'" in refused(path)
    assert "none, 'high', 'low'. Choose one by where={'Reasoning Effort': 'high'}" in refused(path)


@pytest.mark.parametrize("name", ["eval", "Eval Name", "bench", "evaluation"])
def test_evaluations_are_tasks(name: str) -> None:
    counts = read_counts({"problem": ["a", "a"], "correct": [1, 0], name: ["x", "y"]})
    assert counts.frame.rows() == [("x", "a", 1, 1), ("y", "a", 1, 0)]


def test_a_problem_that_is_not_named_is_what_is_missing() -> None:
    assert "has no column problem" in refused({"question": ["a", "b"], "correct": [1, 0]})


def test_settings_inside_objects_are_settings(tmp_path: Path) -> None:
    rows = [
        {
            "problem": "a",
            "correct": i,
            "sampling": {"temperature": t, "top_p": 1},
            "config": {"seed": i},
        }
        for i, t in enumerate((0.2, 0.8))
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "samples.parquet")
    cells = pl.DataFrame([{key: json.dumps(value) for key, value in row.items()} for row in rows])
    cells.with_columns(pl.col("problem").str.strip_chars('"')).write_csv(tmp_path / "samples.csv")
    for source in (path, frame, tmp_path / "samples.parquet", tmp_path / "samples.csv"):
        message = refused(source)
        assert "has samples with 2 values of 'sampling.temperature'" in message
        assert "Choose one by where={'sampling.temperature': '0.2'}" in message
        assert read_counts(source, where={"sampling.temperature": ".80"}).frame.rows() == [("a", 1, 1)]
        # A seed differs from sample to sample, and a path is a column, too.
        by_seed = read_counts(
            source, columns={"problem": "config.seed"}, where={"sampling.temperature": "0.2"}
        )
        assert by_seed.frame.rows() == [("0", 1, 0)]


def test_all_of_a_setting_but_seeds_is_one(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"

    def written(*configs: dict[str, Any]) -> Path:
        rows = [{"problem": "a", "correct": 1, "config": config} for config in configs]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    seeds = [{"agent": {"name": "x"}, "seed": i, "run_id": f"r{i}"} for i in range(3)]
    assert read_counts(written(*seeds)).frame.rows() == [("a", 3, 3)]
    message = refused(written(*seeds, {"agent": {"name": "y"}, "seed": 4}))
    assert "2 values of 'config.agent.name'" in message


def test_two_prompts_of_one_problem_may_be_two_problems() -> None:
    table = {"problem": ["a", "a", "b"], "correct": [1, 0, 0], "prompt": ["one", "two" * 50, "three"]}
    message = refused(table)
    assert "has samples of problem 'a' with 2 values of 'prompt'" in message
    assert len(message) < 500
    assert len(read_counts({**table, "prompt": ["one", "one", "three"]})) == 2


def test_what_cannot_be_a_name_is_not_proposed_as_one() -> None:
    message = refused({"problem": ["a", "a"], "correct": [1, 0], "temperature": [0.2, 0.8]})
    assert "where={'temperature': '0.2'}, or leave the column out" in message
