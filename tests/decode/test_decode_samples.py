"""Counts of samples say by which rule the sampling stopped."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.decode.request import Sampling
from t2fast.decode.samples import Samples

P, K, PROBLEMS = 0.3, 8, 4000


def samples(until: int | None, interrupted: bool = False) -> Samples:
    """Verdicts at success rate P; with `until`, a problem's samples after its first success are cancelled."""
    right = np.random.default_rng(0).random((PROBLEMS, K)) < P
    after = np.cumsum(right, axis=1) - right > 0
    cancelled = after if until else np.zeros_like(after)
    if interrupted:
        finished = np.where(np.arange(PROBLEMS) < PROBLEMS // 2, K, np.arange(PROBLEMS) % K)
        cancelled = cancelled | (np.arange(K) >= finished[:, None])
    table = pl.DataFrame(
        {
            "problem": np.repeat(np.arange(PROBLEMS), K),
            "sample": np.tile(np.arange(K), PROBLEMS),
            "finish_reason": np.where(cancelled, "cancelled", "length").ravel(),
            "correct": [
                None if c else bool(r) for r, c in zip(right.ravel(), cancelled.ravel(), strict=True)
            ],
        }
    )
    return Samples(table, "m", 1, "float32", "portable", Sampling(), until, interrupted)


def test_counts_to_the_first_success_carry_their_rule():
    counts = samples(1).counts()
    table = t2fast.read_counts(counts)
    naive = float((counts["n_correct"] / counts["n_samples"]).mean())
    assert naive == pytest.approx(0.52, abs=0.02)  # what c/n says, under the rule, of 0.3
    assert table.sequential is not None
    for values, expected in zip(table.sequential, (1, K), strict=True):
        assert set(values.tolist()) == {expected}
    curve = t2fast.estimate(table.n, table.c, [1], sequential=table.sequential)
    assert curve.mean[0] == pytest.approx(P, abs=0.02)


def test_counts_without_a_rule_use_every_sample():
    counts = samples(None).counts()
    assert counts.columns == ["problem", "n_samples", "n_correct"]
    assert set(counts["n_samples"]) == {K}
    assert counts["n_correct"].sum() / (K * PROBLEMS) == pytest.approx(P, abs=0.01)


@pytest.mark.parametrize("until", [1, None])
def test_counts_of_an_interrupted_call_stop_where_it_stopped(until: int | None):
    none = PROBLEMS // 2 // K
    with pytest.warns(RuntimeWarning, match=f"; {none} of {PROBLEMS} problems have none, and no row"):
        counts = samples(until, interrupted=True).counts()
    table = t2fast.read_counts(counts)  # what is written can be read
    assert len(table) == PROBLEMS - none
    assert table.n.min() >= 1
    if until is None:
        return
    open_ones = counts.filter(pl.col("n_correct") == 0, pl.col("n_samples") < K)
    assert open_ones.height > 0
    assert (open_ones["max_samples"] == open_ones["n_samples"]).all()
    assert set(counts.filter(pl.col("n_correct") == 1)["max_samples"]) == {K}
    assert t2fast.estimate(table, k=1).curves["the model"].mean[0] == pytest.approx(P, abs=0.02)
