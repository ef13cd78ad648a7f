"""Estimates from sequential sampling, against exact enumeration of everything that could have come out."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.estimators.sequential import mean_variance, pass_at_k_sequential
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


@pytest.mark.parametrize("until", [1, 2, 3, 8])
@pytest.mark.parametrize("p", [Fraction(1, 10), Fraction(1, 2), Fraction(5, 6)])
def test_its_variance_is_estimated_without_bias_and_beyond_half_the_limit_from_above(
    p: Fraction, until: int
) -> None:
    limit = 8
    n, c, weights = (np.array(column) for column in zip(*outcomes(p, until, limit), strict=True))
    weights = weights.astype(float)
    ks = np.arange(1, limit + 1)
    rows = [mean_variance([i], [j], ks, (until, limit)) for i, j in zip(n, c, strict=True)]
    found = weights @ np.array(rows)
    for k, told in zip(ks, found, strict=True):
        estimates = pass_at_k_sequential(n, c, k, until, limit)
        truth = float(weights @ estimates**2 - (weights @ estimates) ** 2)
        if 2 * k <= limit:
            assert told == pytest.approx(truth, rel=1e-12, abs=1e-15)
    # A problem by itself has no mean to take a power of; many problems have.
    many = np.random.default_rng(0).choice(len(n), size=(40, 500), p=weights)
    for k in ks[2 * ks > limit]:
        told = np.mean([mean_variance(n[i], c[i], [k], (until, limit))[0] for i in many])
        estimates = pass_at_k_sequential(n, c, k, until, limit)
        truth = float(weights @ estimates**2 - (weights @ estimates) ** 2)
        assert told * 500 == pytest.approx(truth, rel=0.1, abs=1e-3)


def test_the_forecast_law_is_told_the_noise_that_stopping_leaves() -> None:
    rng, problems, limit, tables = np.random.default_rng(3), 100, 128, 40
    sizes = [(n, d) for n in (1e8, 4e8, 1.6e9) for d in (4e9, 4e10)]
    p = [rng.beta(0.3 * (n / 1e8) ** 0.4, 3, problems) for n, _ in sizes]
    z, told = [], []
    for _ in range(tables):
        first = [rng.geometric(np.maximum(of, 1e-9)) for of in p]
        rows = [
            {
                "n_params": n,
                "n_tokens": d,
                "problem": q,
                "n_samples": min(g, limit),
                "n_correct": int(g <= limit),
                "until_successes": 1,
                "max_samples": limit,
            }
            for (n, d), one in zip(sizes, first, strict=True)
            for q, g in enumerate(one.tolist())
        ]
        law = t2fast.fit_forecast(t2fast.read_counts(pl.DataFrame(rows)), ks=[1, 8], draws=0)
        z.append(law.measured.z)
        told.append(law.measured.variance)
    ratio = np.sqrt(np.mean(told, axis=0)) / np.std(z, axis=0)
    # Forty tables know a standard deviation to 11%; told by c/n it was 0.4 to 0.6 of it at k = 1.
    assert ((ratio > 0.75) & (ratio < 1.35)).all(), ratio


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


def test_of_few_problems_no_forecast_is_told_that_there_was_no_noise() -> None:
    rng, problems, limit = np.random.default_rng(5), 12, 32
    for _ in range(10):
        rows = [
            {
                "n_params": n,
                "n_tokens": 1e10,
                "problem": q,
                "n_samples": min(g, limit),
                "n_correct": int(g <= limit),
                "until_successes": 1,
                "max_samples": limit,
            }
            for n in (1e8, 2e8, 4e8, 8e8, 16e8, 32e8)
            for q, g in enumerate(rng.geometric(rng.beta(0.6, 3, problems)).tolist())
        ]
        law = t2fast.fit_forecast(t2fast.read_counts(pl.DataFrame(rows)), ks=[1, 4, 8], draws=0)
        y = -np.expm1(-np.exp(law.measured.z))
        error = np.sqrt(law.measured.variance) * (1 - y) * np.exp(law.measured.z)
        among = (y > 0.5 / problems) & (y < 1 - 0.5 / problems)
        # A fifth of what is told of all checkpoints, and that is no less than one problem's.
        assert (error[among] > 0.05 * np.sqrt(y * (1 - y) / problems)[among]).all()
