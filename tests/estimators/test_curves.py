"""pass@k of tables: a curve for every checkpoint, under the table's own stopping rule."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import polars as pl
import pytest
import t2fast
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.estimators import likely_pass_at_k
from t2fast.text import plain

KEYS = ("model", "n_params", "n_tokens", "train_set", "task")


def exact(group: pl.DataFrame, k: int) -> float:
    """Mean of 1 - C(n-c, k)/C(n, k) in rationals."""
    values = [
        1 - Fraction(comb(n - c, k), comb(n, k))
        for n, c in group.select("n_samples", "n_correct").iter_rows()
    ]
    return float(sum(values) / len(values))


def table(seed: int = 0, **columns: list[str]) -> pl.DataFrame:
    """Counts of two models on all combinations of the columns' values, five problems each."""
    rng = np.random.default_rng(seed)
    keys = pl.DataFrame({"model": ["large", "small"], "n_params": [1e9, 1e8], "n_tokens": [2e10, 2e10]})
    for name, values in {**columns, "problem": list("abcde")}.items():
        keys = keys.join(pl.DataFrame({name: values}), how="cross")
    n = rng.integers(8, 20, keys.height)
    return keys.with_columns(n_samples=n, n_correct=rng.integers(0, n + 1)).sample(
        fraction=1, shuffle=True, seed=seed
    )


@given(st.integers(0, 10**6), st.booleans(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_no_two_checkpoints_tasks_or_training_sets_share_a_mean(seed: int, tasks: bool, sets: bool) -> None:
    columns = {}
    if tasks:
        columns["task"] = ["sums", "words"]
    if sets:
        columns["train_set"] = ["pile", "web"]
    counts = t2fast.read_counts(table(seed, **columns))
    found = t2fast.estimate(counts, k=[1, 4, 8])
    keys = [key for key in KEYS if key in counts.frame.columns]
    assert len(found) == len(found.frame) == 3 * 2 * 2**tasks * 2**sets == 3 * len(found.curves)
    assert found.frame["n_params"].is_sorted()
    for (*group, k), rows in found.frame.group_by(*keys, "k"):
        same = pl.all_horizontal(pl.col(key) == value for key, value in zip(keys, group, strict=True))
        own = counts.frame.filter(same)
        assert rows["pass_at_k"].item() == pytest.approx(exact(own, k), rel=1e-13)
        alone = t2fast.estimate(own["n_samples"], own["n_correct"], [1, 4, 8]).frame.filter(pl.col("k") == k)
        assert rows.select("low", "high").equals(alone.select("low", "high"))
        assert rows.select("problems", "of_problems").row(0) == (5, 5)


def test_the_table_says_how_sampling_ended() -> None:
    """c/n of problems that ended at their first success is 0.52 for p = 0.3; the estimate must not be."""
    rng = np.random.default_rng(1)
    first = rng.geometric(0.3, 4000)
    n, c = np.minimum(first, 8), (first <= 8).astype(int)
    frame = {"problem": np.arange(4000), "n_samples": n, "n_correct": c}
    rule = {"until_successes": np.ones(4000, int), "max_samples": np.full(4000, 8)}
    found = t2fast.estimate(t2fast.read_counts({**frame, **rule}), k=[1, 8])
    assert found.frame["pass_at_k"].to_list() == pytest.approx([0.3, 1 - 0.7**8], abs=0.03)
    assert (c / n).mean() == pytest.approx(0.52, abs=0.02)
    by_hand = t2fast.estimate(n, c, [1, 8], sequential=(1, 8))
    np.testing.assert_array_equal(found.frame["pass_at_k"], by_hand.mean)
    with pytest.warns(RuntimeWarning, match="problems of the model with few samples are solved more often"):
        t2fast.estimate(t2fast.read_counts(frame), k=1)


def test_by_default_k_is_what_all_problems_of_a_checkpoint_have() -> None:
    frame = pl.DataFrame({"model": ["a", "a", "b"], "problem": [1, 2, 1], "n_samples": [9, 6, 4]})
    found = t2fast.estimate(t2fast.read_counts(frame.with_columns(n_correct=pl.lit(1))))
    assert found.curves["a"].k.tolist() == [1, 2, 4, 6]
    assert found.curves["b"].k.tolist() == [1, 2, 4]


def test_what_a_table_brings_cannot_be_given_beside_it() -> None:
    counts = t2fast.read_counts(table())
    with pytest.raises(ValueError, match=r"c is part of a table.*k=\[1, 8\]"):
        t2fast.estimate(counts, [1, 8])  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="sequential is part of a table"):
        t2fast.estimate(counts, k=1, sequential=(1, 8))  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="cluster is part of a table"):
        t2fast.estimate(counts, k=1, cluster=np.arange(10))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="or arrays n, c and k"):
        t2fast.estimate(counts.n, counts.c)  # type: ignore[call-overload]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_prints_as_a_table_in_any_width(width: int) -> None:
    counts = t2fast.read_counts(table(task=["sums", "words"]))
    found = t2fast.estimate(counts, k=[1, 16])
    shown = plain(found, width)
    assert max(map(len, shown.splitlines())) <= width
    assert all(
        f"{value:.4f}" in shown for value in found.frame.filter(pl.col("k") == 1)["pass_at_k"].to_list()
    )
    assert "problems have 16 samples" in shown.replace("\n", " ")
    lines = str(found).splitlines()
    assert lines[0].split() == [
        "model", "n_params", "n_tokens", "task", "k", "pass@k", "95%", "interval", "problems"
    ]  # fmt: skip
    assert len([line for line in lines if line.startswith(("small", "large"))]) == len(found) == 8


def test_one_curve_prints_too() -> None:
    curve = t2fast.estimate([10, 4], [5, 1], [1, 8])
    head, first, second, note = str(curve).splitlines()
    assert head.split() == ["k", "pass@k", "95%", "interval", "problems"]
    assert first.split()[:2] == ["1", "0.3750"]
    assert second.split()[1] == "NaN"
    assert second.endswith("1 of 2")
    assert note == "! 1 of 2 problems have 8 samples: NaN, and bounds on the mean over all"


@given(st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=8), st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_likelihoods_have_their_curves(p: list[float], k: int) -> None:
    table = t2fast.read_likelihoods({"problem": list(range(len(p))), "p": p})
    found = t2fast.estimate(table, k=k).frame["pass_at_k"].item()
    expected = float(sum(1 - (1 - Fraction(np.exp(x))) ** k for x in table.log_likelihood) / len(p))
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_probability_that_is_known_keeps_its_digits() -> None:
    # 1 - (1-p)^k is k p to first order for tiny p, and 1 - q^k for p = 1 - q.
    assert likely_pass_at_k(np.log(1e-300), 5) == pytest.approx(5e-300, rel=1e-12)
    assert likely_pass_at_k(-1e-17, 0.5) == pytest.approx(1 - 1e-17**0.5, rel=1e-15)
    assert likely_pass_at_k(0.0, 3) == 1.0
    assert likely_pass_at_k([-np.inf, -800.0], [1, 2]).tolist() == [0.0, 0.0]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="at most 0"):
        likely_pass_at_k(0.1, 1)


def test_every_checkpoint_has_a_name_of_its_own() -> None:
    columns = {
        "model": ["m"] * 4,
        "n_params": [1e9, 1e9, 1.0001e9, 1e9],
        "n_tokens": [1e10, 2e10, 1e10, 1.00001e10],
        "problem": [1] * 4,
        "n_samples": [4] * 4,
        "n_correct": [0, 1, 2, 3],
    }
    counts = t2fast.read_counts(columns)
    parts = counts.by_checkpoint()
    assert len(parts) == 4
    assert sorted(int(part.c[0]) for part in parts.values()) == [0, 1, 2, 3]
    assert "m, D = 20B" in parts
