"""Means of pass@k over problems and their reweighting, against loops."""

import mpmath
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.estimators.passk import pass_at_k
from t2fast.fits.passtable import PassTable
from t2fast.tables import read_counts, read_likelihoods


def counts_of(rows):
    names = ["n_params", "n_tokens", "problem", "n_samples", "n_correct"]
    return read_counts(pl.DataFrame(rows, schema=names, orient="row"))


ROWS = [
    (2e8, 1e9, "b", 4, 4),
    (1e8, 1e9, "a", 8, 2),
    (2e8, 1e9, "a", 16, 0),
    (1e8, 1e9, "b", 2, 1),
    (1e8, 1e9, "c", 8, 8),
]


def test_means_are_over_the_problems_with_enough_samples():
    table = PassTable.of(counts_of(ROWS), ks=[1, 4, 8, 16])
    assert table.n_params.tolist() == [1e8, 2e8]
    expected = [
        [np.mean([0.25, 0.5, 1.0]), np.mean([pass_at_k(8, 2, 4), 1.0]), np.mean([1.0, 1.0]), np.nan],
        [0.5, 0.5, 0.0, 0.0],
    ]
    np.testing.assert_allclose(table.mean(), expected, rtol=1e-14)
    assert table.problems_behind().tolist() == [[3, 2, 2, 0], [2, 2, 1, 1]]


def test_problem_weights_follow_the_problem_across_checkpoints():
    table = PassTable.of(counts_of(ROWS), ks=[1])
    code = {name: table.problem[i] for i, name in enumerate("abc")}  # checkpoint 1e8 lists a, b, c
    weights = np.zeros(3)
    weights[code["a"]], weights[code["b"]] = 3, 1
    np.testing.assert_allclose(
        table.means(weights[None])[0].ravel(), [(3 * 0.25 + 0.5) / 4, 1 / 4], rtol=1e-14
    )


def test_mean_log_is_infinite_only_where_an_unsolved_problem_counts():
    table = PassTable.of(counts_of(ROWS), ks=[1])
    assert table.mean_logs(np.ones((1, table.problems))).ravel().tolist() == [
        pytest.approx(np.mean([np.log(4), np.log(2), 0])),
        np.inf,
    ]
    unsolved = table.problem[0]  # a
    weights = np.ones(3)
    weights[unsolved] = 0
    np.testing.assert_allclose(table.mean_logs(weights[None]).ravel(), [np.log(2) / 2, 0], rtol=1e-14)


@given(st.lists(st.floats(-700, -1e-18), min_size=1, max_size=6), st.floats(0.1, 1e6))
@settings(deadline=None)
def test_likelihoods_become_one_minus_the_chance_of_k_failures(logs, k):
    columns = {"n_params": [1e8] * len(logs), "n_tokens": [1e9] * len(logs), "log_likelihood": logs}
    table = read_likelihoods(pl.DataFrame(columns | {"problem": [str(i) for i in range(len(logs))]}))
    with mpmath.workdps(340):
        exact = [float(1 - (1 - mpmath.exp(v)) ** mpmath.mpf(k)) for v in logs]
    np.testing.assert_allclose(PassTable.of(table, [k]).values.ravel(), exact, rtol=1e-13)


def test_default_ks_are_powers_of_two_that_all_problems_allow():
    assert PassTable.of(counts_of(ROWS)).ks.tolist() == [1, 2]
    assert PassTable.of(counts_of(ROWS[1:2])).ks.tolist() == [1, 2, 4, 8]
    assert PassTable.of(counts_of([(1e8, 1e9, "a", 10**6, 3)])).ks.tolist() == (2.0 ** np.arange(8)).tolist()


def test_resampled_problems_keep_their_number():
    table = PassTable.of(counts_of(ROWS))
    weights = table.resampled_problems(np.random.default_rng(0), 50)
    assert weights.shape == (50, 3)
    assert (weights.sum(axis=1) == 3).all()


def test_a_table_of_values_is_taken_at_the_k_asked_for():
    table = PassTable.of(counts_of(ROWS), ks=[1, 2, 4])
    part = PassTable.of(table, ks=[4, 1])
    assert part.ks.tolist() == [4.0, 1.0]
    np.testing.assert_array_equal(part.values, table.values[:, [2, 0]])
    with pytest.raises(ValueError, match="no values at k = 8, but at 1, 2, 4"):
        PassTable.of(table, ks=[8])


def test_several_tasks_are_no_one_table():
    counts = counts_of(ROWS)
    two = counts.frame.with_columns(pl.Series("task", ["s", "t"] * 2 + ["s"]))
    with pytest.raises(
        ValueError, match=r"has 2 tasks, which no law has in common: 's', 't'\. Choose one by"
    ):
        PassTable.of(read_counts(two))
    parts = read_counts(two).groups("task")
    assert {name: len(part) for name, part in parts.items()} == {"s": 3, "t": 2}
