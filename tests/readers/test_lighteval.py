"""What lighteval writes, by hand: details in Parquet, from one score a document to text in every column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from made_results import by_problem
from t2fast.readers import read_results


@pytest.mark.parametrize(
    ("metric", "value", "samples", "n", "c"),
    [
        ("avg@n:n=4", 0.75, 16, 4, 3),
        ("avg@n:n=16", 0.75, 16, 16, 12),
        ("avg@4", 0.75, 16, 4, 3),
        ("avg@n:n=4", 1.0, 0, 4, 4),  # responses that were not kept
        ("pass@k:k=1&n=4", 0.25, 16, 4, 1),
        ("pass@k:n=4&k=1", 0.25, 16, 4, 1),
        ("pass@k:k=1", 0.25, 8, 8, 2),
        ("math_pass@1:4_samples", 0.5, 64, 4, 2),
        ("math_pass@1:1_samples", 1.0, 64, 1, 1),
        ("codegen_pass@1:16", 0.5, 16, 16, 8),
        ("extractive_match", 1.0, 1, 1, 1),
    ],
)
def test_lighteval_means_are_of_as_many_samples_as_they_say(
    tmp_path: Path, metric: str, value: float, samples: int, n: int, c: int
) -> None:
    def frame(metric: str, samples: int, ids: tuple[str, ...] = ("q",)) -> Path:
        row = {metric: value, "other": 0.0}
        columns = {
            "doc": [{"id": name, "query": "?"} for name in ids],
            "metric": [row for _ in ids],
            "model_response": [{"text": ["x"] * samples} for _ in ids],
        }
        pl.DataFrame(columns).write_parquet(tmp_path / "x.parquet")
        return tmp_path / "x.parquet"

    counts = read_results(frame(metric, samples), metric=metric)
    assert by_problem(counts) == {"q": (n, c)}
    assert [part.rows for part in counts.left_out] == ([samples - n] if samples > n else [])
    with pytest.raises(ValueError, match=r"row 2 of .* repeats the document q"):
        read_results(frame(metric, samples, ("q", "q")), metric=metric)
    for others in ("pass@k:k=8&n=16", "g-pass@k:k=1&n=16", "maj@n:n=16", "pass@10"):
        with pytest.raises(ValueError, match="is one score for 16 samples"):
            read_results(frame(others, 16), metric=others)
    with pytest.raises(ValueError, match="is a mean of 32 samples, of which 16 are there"):
        read_results(frame("avg@n:n=32", 16), metric="avg@n:n=32")


@pytest.mark.parametrize("scores", ["metric", "metrics"])
def test_lighteval(tmp_path: Path, scores: str) -> None:
    frame = pl.DataFrame(
        {
            "doc": [{"id": "q1", "query": "?"}, {"id": "q2", "query": "!"}],
            scores: [{"avg@4": 0.75, "em": 1.0}, {"avg@4": 0.0, "em": 0.0}],
            "model_response": [{"text": ["a"] * 4}, {"text": ["b"] * 4}],
        }
    )
    path = (
        tmp_path
        / "details"
        / "me"
        / "small"
        / "2025-01-01T00-00-00"
        / "details_gsm8k_2025-01-01T00-00-00.parquet"
    )
    path.parent.mkdir(parents=True)
    frame.write_parquet(path)
    counts = read_results(tmp_path, metric="avg@4")
    assert counts.frame.rows() == [("me/small", "gsm8k", "q1", 4, 3), ("me/small", "gsm8k", "q2", 4, 0)]
    with pytest.raises(ValueError, match="is one score for 4 samples"):
        read_results(path, metric="em")


def test_lighteval_up_to_07_prints_what_it_keeps(tmp_path: Path) -> None:
    # evaluation_tracker.py of 0.5 to 0.7 makes text of every column by str().
    scores = [{"em": 1, "math_pass@1:4_samples": 0.75}, {"em": np.float64(0.0), "math_pass@1:4_samples": 0.0}]
    columns = {
        "example": ["1", "2"],
        "full_prompt": ["1", "2"],
        "predictions": [str(["it's", '"2"', "np.float64(3)", "nan"])] * 2,
        "metrics": [str(scores[0]), str(scores[1])],
    }
    path = tmp_path / "details" / "me" / "small" / "t" / "details_sums_2024-11-01T00-00-00.000001.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame(columns).write_parquet(path)
    counts = read_results(path, metric="math_pass@1:4_samples")
    assert counts.frame.rows() == [("me/small", "sums", "0", 4, 3), ("me/small", "sums", "1", 4, 0)]
    assert counts.notes == ("read as lighteval 0.3 to 0.7, of text",)
    with pytest.raises(ValueError, match=r"em in row 1 of .* is one score for 4 samples"):
        read_results(path, metric="em")
    for bad in ("{'em': __import__('os')}", "[" * 5000, "{'em': 1", "[1]", "", None):
        pl.DataFrame(
            {**columns, "metrics": [bad] * 2}, schema_overrides={"metrics": pl.String}
        ).write_parquet(path)
        with pytest.raises(ValueError, match="metrics in row 1 of "):
            read_results(path)
    options = {**columns, "predictions": [str([(-1.5, True), (-2.0, False)])] * 2}
    pl.DataFrame(options).write_parquet(path)
    with pytest.raises(ValueError, match="log-probabilities of given answers, not samples"):
        read_results(path, metric="em")
