"""Files that the tools themselves wrote, of versions that are not installed here: `written/README.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from t2fast.estimators import estimate
from t2fast.readers import read_results

WRITTEN = Path(__file__).parent / "written"


@pytest.mark.parametrize(
    ("file", "choices", "mean", "samples", "layout"),
    [
        # The means are those that the tools printed or wrote beside.
        ("evalplus-0.1.7_eval_results.json", {"metric": "base"}, 0.6428571428571428, 9, "0.1 to 0.2.0"),
        ("evalplus-0.1.7_eval_results.json", {"metric": "plus"}, 0.3214285714285714, 9, "0.1 to 0.2.0"),
        ("evalplus-0.2.0_base_eval_results.json", {}, 0.6428571428571428, 9, "0.1 to 0.2.0"),
        ("evalplus-0.2.1_eval_results.json", {"metric": "base"}, 0.643, 9, "0.2.1 to 0.3"),
        ("evalplus-0.2.1_eval_results.json", {"metric": "plus"}, 0.321, 9, "0.2.1 to 0.3"),
        ("inspect-0.3.2.json", {}, 0.5555555555555556, 9, "spring 2024"),
        ("inspect-0.3.4.json", {}, 0.5555555555555556, 9, "spring 2024"),
        ("helm-0.5.16", {"metric": "exact_match"}, 0.6666666666666666, 6, "HELM 0.2 to 0.5"),
        ("bigcodebench-0.1.0_eval_results.json", {}, 0.5, 6, "BigCodeBench 0.1 to 0.2"),
        ("bigcodebench-0.2.5_eval_results.json", {}, 0.5, 6, "BigCodeBench 0.1 to 0.2"),
        ("lighteval-0.6.2.parquet", {"metric": "math_pass@1:4_samples"}, 0.5, 12, "0.3 to 0.7"),
        ("lighteval-0.7.0.parquet", {"metric": "math_pass@1:4_samples"}, 0.5, 12, "0.3 to 0.7"),
        ("lighteval-0.10.0.parquet", {"metric": "math_pass@1:4_samples"}, 0.5, 12, "0.8 to 0.10"),
        ("lighteval-0.13.0.parquet", {"metric": "avg@n:n=4"}, 0.5, 12, "0.11 to 0.13"),
    ],
)
def test_the_tools_own_means_come_out(
    file: str, choices: dict[str, Any], mean: float, samples: int, layout: str
) -> None:
    counts = read_results(WRITTEN / file, **choices)
    assert counts.frame["n_samples"].sum() == samples
    # 0.643 is printed so.
    tolerance = 5e-4 if len(str(mean)) == 5 else 1e-12
    assert estimate(counts, k=1).frame["pass_at_k"].to_list() == pytest.approx([mean], abs=tolerance)
    assert any(layout in note for note in counts.notes)


def test_inspect_ids_one_and_one_are_two_problems() -> None:
    # inspect-ai 0.3.20 pools them in its own mean, which is 0.5833; the epochs are right in 3, 0 and 2 cases.
    for version in ("0.3.2", "0.3.4", "0.3.20"):
        counts = read_results(WRITTEN / f"inspect-{version}.json")
        rows = counts.frame.select("problem", "n_samples", "n_correct").rows()
        assert rows[:2] == [("1", 3, 3), ('"1"', 3, 0)]
        assert rows[2][:2] == ("x", 3)
        assert counts.notes[0].startswith("ids that are a number and a text alike are two problems")


def test_verifiers_traces() -> None:
    path = WRITTEN / "verifiers-0.4.0_traces.jsonl"
    counts = read_results(path)
    assert counts.frame.select("model", "task").unique().rows() == [("me/small", "sums")]
    assert counts.frame.select("n_samples", "n_correct").rows() == [(3, 2), (2, 0)]
    assert [(part.rows, part.reason) for part in counts.left_out] == [(1, "sample that ended in an error")]
    usage = counts.frame.select("prompt_tokens", "output_tokens", "wall_seconds").rows()
    assert usage == [(15.0, 6.0, 6.0), (10.0, 4.0, 4.0)]
    failed = read_results(path, errors="fail")
    assert failed.frame.select("n_samples", "n_correct").rows() == [(3, 2), (3, 0)]
    # A weight of 0 takes part in no reward, but the reward by itself can be asked for.
    formed = read_results(path, metric="form")
    assert formed.frame.select("n_samples", "n_correct").rows() == [(3, 3), (2, 2)]


def test_bigcodebench_means_point_to_the_samples() -> None:
    with pytest.raises(
        ValueError, match=r"written by BigCodeBench and holds means .*_eval_results\.json beside"
    ):
        read_results(WRITTEN / "bigcodebench-0.2.5_pass_at_k.json")
