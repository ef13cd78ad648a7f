"""Checks that err: the closed form by simulation of its terms, unbiased estimates by enumeration, the best
k."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.choices.verifier import Verifier, verified_curve
from t2fast.estimators.best_of import best_of_k
from t2fast.estimators.verified import verified_at_k, verified_from_counts

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles.json"

rates = st.sampled_from([Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(9, 10), Fraction(1)])


@given(rates, rates, rates, st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_the_closed_form_is_its_sum(p: Fraction, t: Fraction, f: Fraction, k: int) -> None:
    a = p * t + (1 - p) * f
    right = sum(((1 - a) ** j * p * t for j in range(k)), Fraction(0))
    wrong = sum(((1 - a) ** j * (1 - p) * f for j in range(k)), Fraction(0))
    found = verified_at_k(float(p), k, float(t), float(f))
    assert found[0] == pytest.approx(float(right), rel=1e-13)
    assert found[1] == pytest.approx(float(wrong), rel=1e-13)


def test_the_published_closed_form() -> None:
    # P(correct within k) = (1-(1-a)^k) p t / a, a = p t + (1-p) f, by exact fractions.
    p, t, f, k = Fraction(3, 20), Fraction(9, 10), Fraction(1, 10), 8
    a = p * t + (1 - p) * f
    exact = (1 - (1 - a) ** k) * p * t / a
    assert verified_at_k(0.15, 8, 0.9, 0.1)[0] == pytest.approx(float(exact), rel=1e-14)
    if ORACLES.exists():
        written = json.loads(ORACLES.read_text(encoding="utf-8"))["imperfect_verifier"]["formula"]
        assert written.startswith("P(correct within k) = (1-(1-a)^k) p t / a with a = p t + (1-p) f")


def test_forever_is_precision() -> None:
    right, wrong = verified_at_k([0.2, 0.0], np.inf, 0.9, 0.1)
    assert right.tolist() == pytest.approx([0.18 / 0.26, 0])
    assert wrong.tolist() == pytest.approx([0.08 / 0.26, 1])
    with pytest.raises(ValueError, match=r"false_positive is -0\.1: a rate lies between 0 and 1"):
        Verifier(0.9, -0.1)
    with pytest.raises(ValueError, match="true_positive"):
        verified_at_k(0.5, 1, 1.5, 0)


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), rates, rates)
@settings(max_examples=40, deadline=None)
def test_estimates_are_the_mean_over_every_order(pair: tuple[int, int], t: Fraction, f: Fraction) -> None:
    n, c = pair
    right, wrong = np.zeros(n), np.zeros(n)
    orders = list(itertools.combinations(range(n), c))
    for places in orders:
        rejected = Fraction(1)
        for j in range(n):
            accepted = rejected * (t if j in places else f)
            (right if j in places else wrong)[j:] += float(accepted)
            rejected -= accepted
    found = verified_from_counts(n, c, n, float(t), float(f))
    np.testing.assert_allclose(found[0][:, 0], right / len(orders), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[1][:, 0], wrong / len(orders), rtol=1e-12, atol=1e-15)


def test_a_perfect_check_is_pass_at_k() -> None:
    n, c = np.array([20, 20, 30]), np.array([0, 3, 30])
    right, wrong = verified_from_counts(n, c, 20, 1, 0)
    np.testing.assert_allclose(right, t2fast.pass_at_k(n, c, np.arange(1, 21)[:, None]), rtol=1e-12)
    assert not wrong.any()


def counts_of(pairs: list[tuple[int, int]]) -> t2fast.Counts:
    rows = [(f"q{i}", n, c) for i, (n, c) in enumerate(pairs)]
    return t2fast.read_counts(pl.DataFrame(rows, schema=["problem", "n_samples", "n_correct"], orient="row"))


def test_the_best_k_is_finite_where_wrong_answers_cost() -> None:
    counts = counts_of([(100, 20)] * 5 + [(100, 0)] * 5)
    found = verified_curve(counts, Verifier(0.9, 0.05), harm=1)
    assert 1 < found.best < 100
    assert found.value[found.best - 1] == found.value.max()
    free = verified_curve(counts, Verifier(0.9, 0.05), harm=0)
    assert free.right[free.best - 1] == pytest.approx(free.right[-1])
    assert free.best > found.best
    assert verified_curve(counts, Verifier(0.9, 0.05), harm=50).best == 1
    assert "best at" in str(found)
    # What it says about k = 1 follows by hand.
    assert found.right[0] == pytest.approx(0.5 * 0.2 * 0.9)
    assert found.wrong[0] == pytest.approx(0.5 * 0.8 * 0.05 + 0.5 * 0.05)


def test_estimated_rates_carry_their_uncertainty() -> None:
    counts = counts_of([(60, 12)] * 5 + [(60, 0)] * 5)
    sure, unsure = Verifier.estimated(900, 1000, 50, 1000), Verifier.estimated(9, 10, 1, 20)
    narrow, wide = (verified_curve(counts, verifier, harm=1) for verifier in (sure, unsure))
    assert narrow.best_low <= narrow.best <= narrow.best_high
    assert wide.best_high - wide.best_low > narrow.best_high - narrow.best_low
    with pytest.raises(ValueError, match="11 of 10 right"):
        Verifier.estimated(11, 10, 1, 20)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_best_of_k_is_the_mean_over_subsets(samples: list[tuple[int, bool]]) -> None:
    scores, correct = [float(s) for s, _ in samples], [int(c) for _, c in samples]
    for k in range(1, len(samples) + 1):
        means = []
        for subset in itertools.combinations(samples, k):
            top = max(score for score, _ in subset)
            tied = [right for score, right in subset if score == top]
            means.append(Fraction(sum(tied), len(tied)))
        expected = float(sum(means, Fraction(0)) / len(means))
        assert best_of_k(scores, correct, k) == pytest.approx(expected, rel=1e-12)
    assert np.isnan(best_of_k(scores, correct, len(samples) + 1))


def test_rates_come_from_labelled_samples() -> None:
    rows = [(1, 1)] * 40 + [(1, 0)] * 10 + [(0, 1)] * 3 + [(0, 0)] * 47
    table = pl.DataFrame(rows, schema=["correct", "accepted"], orient="row")
    found = Verifier.from_labels(table, draws=50)
    expected = Verifier.estimated(40, 50, 3, 50, draws=50)
    assert (found.true_positive, found.false_positive) == (0.8, 0.06)
    np.testing.assert_array_equal(found.draws, expected.draws)
    truth = {"correct": [True, False], "accepted": ["true", "0"]}
    assert Verifier.from_labels(truth).true_positive == 1
    with pytest.raises(ValueError, match="row 2: accepted is 'perhaps'"):
        Verifier.from_labels({"correct": ["1", "0"], "accepted": ["1", "perhaps"]})
    with pytest.raises(ValueError, match="has no column 'accepted'"):
        Verifier.from_labels({"correct": [1]})
    with pytest.raises(ValueError, match="label at least one of each"):
        Verifier.from_labels({"correct": [1], "accepted": [1]})
