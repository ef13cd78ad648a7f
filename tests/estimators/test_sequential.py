"""Estimates from sequential sampling, against exact enumeration of everything that could have come out."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.estimators.sequential import pass_at_k_sequential
from t2fast.fits.passtable import PassTable


def outcomes(p: Fraction, until: int, limit: int) -> Iterator[tuple[int, int, Fraction]]:
    """Every (n, c) that sampling can end in, once for each order of results, with its exact probability."""
    seen = set()
    for results in product((0, 1), repeat=limit):
        n = next((i + 1 for i in range(limit) if sum(results[: i + 1]) == until), limit)
        if results[:n] not in seen:
            seen.add(results[:n])
            c = sum(results[:n])
            yield n, c, p**c * (1 - p) ** (n - c)


@pytest.mark.parametrize("until", [1, 2, 3, 8])
@pytest.mark.parametrize("p", [Fraction(1, 10), Fraction(1, 2), Fraction(5, 6)])
def test_its_expectation_is_pass_at_k(p: Fraction, until: int) -> None:
    limit = 8
    ends = list(outcomes(p, until, limit))
    assert sum(weight for _, _, weight in ends) == 1
    n, c, weights = (np.array(column) for column in zip(*ends, strict=True))
    for k in range(1, limit + 1):
        estimates = pass_at_k_sequential(n, c, k, until, limit)
        mean = float(np.dot(estimates, weights.astype(float)))
        assert mean == pytest.approx(float(1 - (1 - p) ** k), rel=1e-13)


def test_at_one_it_is_the_estimator_of_a_negative_binomial() -> None:
    n = np.arange(2, 40)
    found = pass_at_k_sequential(n, 2, 1, 2, 64)
    np.testing.assert_allclose(found, 1 / (n - 1), rtol=1e-13)
    assert pass_at_k_sequential(1, 1, 1, 1, 64) == 1


def test_beyond_the_limit_there_is_none() -> None:
    found = pass_at_k_sequential([3, 8, 8], [1, 0, 1], 9, 1, 8)
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("n", "c", "until", "limit", "message"),
    [
        (3, 2, 1, 8, "must not exceed the successes at which sampling ends"),
        (9, 1, 1, 8, "must not exceed the limit of samples"),
        (3, 0, 1, 8, "below the limit although sampling did not reach its successes"),
        (3, 1, 0, 8, "until must be at least 1"),
    ],
)
def test_what_no_such_sampling_leaves_behind_is_refused(
    n: int, c: int, until: int, limit: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k_sequential(n, c, 1, until, limit)


COLUMNS = {
    "n_params": [1e6, 1e6, 1e7],
    "n_tokens": [1e9, 1e9, 1e9],
    "problem": ["a", "b", "a"],
    "n_samples": [3, 8, 1],
    "n_correct": [1, 0, 1],
}


def test_tables_carry_how_sampling_ended_to_estimates_and_fits() -> None:
    counts = t2fast.read_counts({**COLUMNS, "until_successes": [1, 1, 1], "max_samples": [8, 8, 8]})
    measured = PassTable.of(counts)
    assert measured.ks.tolist() == [1, 2, 4, 8]
    np.testing.assert_array_equal(measured.mean(), [[0, 0, 0.5, 0.5], [1, 1, 1, 1]])
    curve = t2fast.estimate(counts.n, counts.c, [1, 4, 9], sequential=counts.sequential)
    np.testing.assert_array_equal(curve.mean, [1 / 3, 2 / 3, np.nan])
    assert curve.notes[2] == "0 of 3 problems have 9 samples: NaN, and bounds on the mean over all"


def test_half_a_record_of_how_sampling_ended_is_refused() -> None:
    with pytest.raises(ValueError, match="max_samples"):
        t2fast.read_counts({**COLUMNS, "until_successes": [1, 1, 1]})
    table = pl.DataFrame({**COLUMNS, "until_successes": [1, 1, 1], "max_samples": [8, 8, 8]})
    with pytest.raises(ValueError, match="row"):
        t2fast.read_counts(pl.concat([table, table]), duplicates="sum")
