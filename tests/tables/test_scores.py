"""Words and scores that say which samples are right, other names of columns, and arrays of rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from counts_table import refused
from t2fast.readers import read_results
from t2fast.tables import read_counts


def test_words_for_right_and_wrong() -> None:
    right, wrong = (
        ("PASS", "passed", "Yes", "correct", "TRUE", "1"),
        ("FAIL", "failed", "no", "incorrect", "0"),
    )
    rows = {"problem": ["a"] * (len(right) + len(wrong)), "correct": [*right, *wrong]}
    assert read_counts(rows).frame.rows() == [("a", 11, 6)]
    assert "correct is 'timeout', not 0, 1, true or false" in refused(
        {"problem": ["a"], "correct": ["timeout"]}
    )


@pytest.mark.parametrize("text", [True, False])
def test_a_score_is_correct_from_what_the_caller_says(tmp_path: Path, text: bool) -> None:
    scores = [0.0, 0.49, 0.5, 1.0, 1e9]
    path = tmp_path / "scores.jsonl"
    path.write_text("".join(json.dumps({"problem": "a", "score": score}) + "\n" for score in scores))
    source = path if text else {"problem": ["a"] * 5, "score": scores}
    for read in (read_counts, read_results):
        counts = read(source, columns={"correct": "score"}, correct_at=0.5)
        assert counts.frame.rows() == [("a", 5, 3)]
    assert "a score is correct from correct_at= on" in refused(source, columns={"correct": "score"})
    with pytest.raises(
        ValueError, match=r"no column correct: say which it is by columns={'correct': 'score'}"
    ):
        read_counts(source, correct_at=0.5)
    assert "has no column correct; it has problem, score" in refused(source)
    with pytest.raises(ValueError, match="correct_at= 1 is for a score of every sample"):
        read_counts({"problem": ["a"], "n_samples": [3], "n_correct": [1]}, correct_at=1)
    bad = {"problem": ["a"] * 2, "correct": ["0.5", "NaN"]}
    with pytest.raises(ValueError, match="row 2: correct is 'NaN', not a number"):
        read_counts(bad, correct_at=0.5)


def test_columns_that_often_go_by_other_names_are_proposed() -> None:
    assert "columns={'n_samples': 'n', 'n_correct': 'c'}" in refused({"problem": ["a"], "n": [3], "c": [1]})
    assert "columns={'problem': 'task_id'}" in refused({"task_id": ["a"], "correct": [1]})
    # A size is no number of samples.
    assert "'n_samples': '…'" in refused({"problem": ["a"], "n_params": [1.0], "loss": [2.0]})
    with pytest.raises(ValueError, match=r"columns={'models\.model': 'name'}"):
        read_counts(
            {"model": ["m"], "problem": ["a"], "correct": [1]}, models={"name": ["m"], "params": [1e9]}
        )


def test_an_array_of_rows_is_a_table(tmp_path: Path) -> None:
    rows = [
        {"problem": "a", "n_samples": 4, "n_correct": 2},
        {"problem": "b", "n_samples": 4, "n_correct": 1},
    ]
    path = tmp_path / "counts.json"
    for indent in (None, 1):
        path.write_text(json.dumps(rows, indent=indent))
        assert read_results(path).frame.rows() == [("a", 4, 2), ("b", 4, 1)]
    path.write_text(json.dumps([{**rows[0], "n_correct": 5}]))
    assert "row 1: n_correct is 5, more than n_samples, which is 4" in refused(path)


def test_what_samples_used_goes_by_the_names_of_interfaces() -> None:
    used = {"input_tokens": [5, 7], "completion_tokens": [9, 1], "latency_s": [0.5, 0.25], "cost_usd": [1, 2]}
    counts = read_counts({"problem": ["a", "a"], "correct": [1, 0], **used})
    assert counts.frame.rows() == [("a", 2, 1, 12.0, 10.0, 0.75, 3.0)]
