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


def reached(until: int, limit: int) -> set[tuple[int, int]]:
    """Every (n, c) at which sampling can have ended, by walking all ways it can go."""
    ends, open_ones = set(), {(0, 0)}
    while open_ones:
        n, c = open_ones.pop()
        for step in ((n + 1, c), (n + 1, c + 1)):
            (ends if step[0] == limit or step[1] == until else open_ones).add(step)
    return ends


@pytest.mark.parametrize(("until", "limit"), [(1, 1), (1, 4), (2, 4), (3, 4), (4, 4), (6, 4)])
def test_a_table_takes_what_the_rule_can_leave_behind_and_nothing_else(until: int, limit: int) -> None:
    possible = reached(until, limit)
    for n in range(1, 7):
        for c in range(n + 1):
            row = {"problem": ["a", "b"], "n_samples": [limit, n], "n_correct": [0, c]}
            rule = {"until_successes": [until] * 2, "max_samples": [limit] * 2}
            if (n, c) in possible:
                assert len(t2fast.read_counts({**row, **rule})) == 2
            else:
                with pytest.raises(ValueError, match=r"1 of 2 rows .*\n  row 2: n_") as refused:
                    t2fast.read_counts({**row, **rule})
                assert f"is {n}" in str(refused.value) or f"is {c}" in str(refused.value)


def test_impossible_rules_name_their_columns_rows_and_values() -> None:
    columns = {"problem": [1, 2, 3, 4], "n": [8, 9, 8, 3], "c": [0, 1, 3, 0]}
    rule = {"until_successes": [1] * 4, "max_samples": [8] * 4}
    with pytest.raises(ValueError, match="3 of 4 rows") as refused:
        t2fast.read_counts({**columns, **rule}, columns={"n_samples": "n", "n_correct": "c"})
    lines = str(refused.value).splitlines()
    assert lines[1] == (
        "  row 2: n_samples (column 'n') is 9, more than max_samples, which is 8: sampling had ended by then"
    )
    assert lines[2].startswith("  row 3: n_correct (column 'c') is 3, more than until_successes, which is 1")
    assert lines[3].startswith("  row 4: n_samples (column 'n') is 3, but sampling goes on to max_samples")
    assert lines[3].endswith("max_samples is 3")


def test_a_rule_of_problems_among_rows_of_samples_is_refused() -> None:
    """It was ignored before, and c/n taken for unbiased."""
    rows = {"problem": [1, 1, 2], "correct": [0, 1, 1], "until_successes": [1] * 3, "max_samples": [8] * 3}
    with pytest.raises(ValueError, match=r"one row a sample and 'until_successes'.*count the samples first"):
        t2fast.read_counts(rows)
