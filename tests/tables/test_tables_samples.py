"""Tables of samples: each a row, counted by problem."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from counts_table import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.tables import read_counts
from t2fast.tables import reading as rows
from t2fast.tables import rows as source_rows


@settings(max_examples=60, deadline=None)
@given(
    samples=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 4), st.booleans()), min_size=1, max_size=60
    ),
    batch=st.integers(1, 7),
    pending=st.integers(1, 20),
)
def test_samples_are_counted(samples: list[tuple[str, int, bool]], batch: int, pending: int) -> None:
    models, problems, correct = (list(column) for column in zip(*samples, strict=True))
    drawn = Counter((model, str(problem)) for model, problem, _ in samples)
    solved = Counter((model, str(problem)) for model, problem, right in samples if right)
    expected = [(*key, drawn[key], solved[key]) for key in sorted(drawn)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_rows, "_BATCH_ROWS", batch)
        patch.setattr(rows, "_PENDING_ROWS", pending)
        for values in (
            correct,
            [int(value) for value in correct],
            [float(value) for value in correct],
            [str(value) for value in correct],
        ):
            counts = read_counts({"model": models, "problem": problems, "correct": values})
            assert counts.frame.columns == ["model", "problem", "n_samples", "n_correct"]
            assert counts.frame.rows() == expected
        assert (
            read_counts(
                {"model": models, "problem": [f"{p}" for p in problems], "correct": correct}
            ).frame.rows()
            == expected
        )


def test_samples_of_a_file_with_sizes_and_tasks(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "completion,task_id,passed,N,D\nx,p1,True,1e6,1e9\ny,p1,false,1000000,1e9\nz,p0,1,2e6,1e9\n"
    )
    counts = read_counts(
        tmp_path / "s.csv", columns={"problem": "task_id", "n_params": "N", "n_tokens": "D"}, task="HumanEval"
    )
    assert counts.frame.rows() == [(1e6, 1e9, "HumanEval", "p1", 2, 1), (2e6, 1e9, "HumanEval", "p0", 1, 1)]
    assert counts.ignored_columns == ("completion",)


def test_bad_samples_are_listed_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_rows, "_BATCH_ROWS", 4)
    table = {"problem": ["p"] * 30, "correct": ["1"] * 5 + ["perhaps"] * 20 + [None] * 5}
    message = refused(table)
    assert message.startswith("25 of 30 rows of the table cannot be used:")
    assert "row 6: correct is 'perhaps', not 0, 1, true or false" in message
    assert "row 15: " in message
    assert "row 16: " not in message
    assert "… and 15 more" in message
