"""Samples spread by difficulty: allocations against brute force, policies against closed forms, replays by
hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import t2fast
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.choices.allocation import allocate
from t2fast.choices.policies import History, PosteriorIndex
from t2fast.choices.replays import first_successes, replay, replay_policy


def solved(p: np.ndarray, k: np.ndarray) -> float:
    return float(np.sum(1 - (1 - p) ** k))


def test_the_published_allocation() -> None:
    p = np.array([0.5, 0.1, 0.02, 0.001])
    k = allocate(p, 40)
    assert k.tolist() == [6, 19, 15, 0]
    assert solved(p, k) == pytest.approx(2.110720725587, rel=1e-11)
    assert solved(p, np.full(4, 10)) == pytest.approx(1.843227310303, rel=1e-11)


@given(
    st.lists(st.sampled_from([0.0, 1e-9, 0.01, 0.2, 0.5, 0.93, 1.0]), min_size=1, max_size=3),
    st.integers(0, 7),
)
@settings(max_examples=60, deadline=None)
def test_no_other_allocation_solves_more(p: list[float], total: int) -> None:
    found = allocate(p, total)
    chances = np.array(p)
    best = max(
        solved(chances, np.array(k))
        for k in itertools.product(range(total + 1), repeat=len(p))
        if sum(k) <= total
    )
    assert found.sum() <= total
    assert solved(chances, found) == pytest.approx(best, rel=1e-12, abs=1e-12)


def test_large_totals_end_level() -> None:
    p = np.random.default_rng(0).beta(0.3, 3, 5000)
    k = allocate(p, 1_000_000)
    assert k.sum() == 1_000_000
    gain = np.log(p) + k * np.log1p(-p)
    last = np.log(p) + (k - 1) * np.log1p(-p)
    # Nobody's next sample is worth more than anybody's last.
    assert gain.max() <= last[k > 0].min() + 1e-9


@pytest.mark.parametrize(("p", "total", "message"), [([0.5, 1.5], 3, r"p\[1\] is"), ([0.5], -1, "negative")])
def test_bad_allocations_are_refused(p: list[float], total: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        allocate(p, total)


def test_bad_policies_are_refused() -> None:
    for a, b, worth, message in (
        (0, 1, 0, "a is 0"),
        (1, math.nan, 0, "b is nan"),
        ([1, -1], 1, 0, "a Beta prior has positive, finite numbers"),
        (1, 1, math.nan, "worth is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            PosteriorIndex(np.array(a) if isinstance(a, list) else a, b, worth=worth)
    with pytest.raises(ValueError, match="there are 2 priors and 3 queries"):
        PosteriorIndex(np.array([1.0, 2.0]), 1.0).next(History.empty(3))
    with pytest.raises(ValueError, match="query is 3: there are 3"):
        History.empty(3).after(3, True)
    with pytest.raises(ValueError, match=r"total is 2.5: give a whole number"):
        allocate([0.5], 2.5)  # type: ignore[arg-type]
    for total in (math.nan, math.inf, "x"):
        with pytest.raises(ValueError, match="give a whole number"):
            allocate([0.5], total)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="p must be a number"):
        allocate(["a"], 2)  # type: ignore[list-item]
    for total in (-1, math.nan):
        with pytest.raises(ValueError, match="samples to spend cannot be negative"):
            PosteriorIndex(1, 1, total=total)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give one number of each a problem"):
        replay([], [], 2)


def test_a_history_is_taken_from_lists_and_held_to_what_it_says() -> None:
    policy = PosteriorIndex(0.5, 2.0)
    assert policy.next(History([3, 0, 5], [False, True, False])) == 0  # type: ignore[arg-type]
    assert policy.next(History.empty(0)) is None
    for failures, solved, message in (
        ([1, 2], [False], "give one of each a query"),
        ([1.5], [False], "give whole numbers"),
        ([-1], [False], "give whole numbers"),
        ([1], [0], "give True or False"),
    ):
        with pytest.raises(ValueError, match=message):
            History(failures, solved)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a policy takes History, not a dict"):
        policy.next({"q1": 3})  # type: ignore[arg-type]


def test_a_policy_goes_round_the_unsolved_and_favours_the_easy() -> None:
    even = PosteriorIndex(0.35, 3.5, total=7)
    history, asked = History.empty(3), []
    while (query := even.next(history)) is not None:
        asked.append(query)
        history = history.after(query, query == 1)
    assert asked == [0, 1, 2, 0, 2, 0, 2]
    assert history.drawn == 7
    easy = PosteriorIndex(np.array([2.0, 0.1]), np.array([2.0, 5.0]), total=9)
    assert easy.next(History.empty(2)) == 0
    # 2/(4 + f) falls below 0.1/5.1 only after 98 failures.
    assert easy.next(History(np.array([8, 0]), np.zeros(2, bool))) == 0
    assert easy.next(History(np.array([99, 0]), np.zeros(2, bool))) is None
    unlimited = PosteriorIndex(np.array([2.0, 0.1]), np.array([2.0, 5.0]))
    assert unlimited.next(History(np.array([99, 0]), np.zeros(2, bool))) == 1
    assert unlimited.next(History(np.zeros(2, np.int64), np.ones(2, bool))) is None


def test_expected_samples_are_the_closed_form_and_the_simulation() -> None:
    # a/(a + b + f) >= worth up to f = 9 failures: ten samples at most.
    policy = PosteriorIndex(0.35, 3.5, worth=0.35 / (0.35 + 3.5 + 9.5))
    assert policy.most == 10
    assert policy.expected_samples() == pytest.approx(7.64351264849, rel=1e-11)
    rng = np.random.default_rng(1)
    queries = 1000
    p, history = rng.beta(0.35, 3.5, queries), History.empty(queries)
    drawn = 0
    while (query := policy.next(history)) is not None:
        history = history.after(query, bool(rng.random() < p[query]))
        drawn += 1
    assert drawn / queries == pytest.approx(7.6435, abs=4 * 3.6 / np.sqrt(queries))
    assert PosteriorIndex(0.35, 3.5, worth=0.5).expected_samples() == 0


def test_first_successes_have_their_exact_distribution() -> None:
    n, c = np.array([6, 5, 4]), np.array([2, 0, 4])
    first = first_successes(n, c, 40_000, seed=0)
    assert (first[:, 1] == 6).all()
    assert (first[:, 2] == 1).all()
    for k in range(1, 6):
        expected = t2fast.pass_at_k(6, 2, k)
        assert np.mean(first[:, 0] <= k) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 40_000))


def test_a_replay_by_hand() -> None:
    # One problem always solved, one never: two rounds cost 2 + 1 ... of the 6 samples 1 goes to the first.
    found = replay([3, 9], [3, 0], 3, runs=5)
    assert found.uniform == found.until_solved == 0.5
    assert found.known == 0.5
    # Problems alike: solving early leaves samples to the others.
    n, c = np.full(200, 50), np.full(200, 5)
    found = replay(n, c, 8, runs=50)
    assert found.uniform == pytest.approx(t2fast.pass_at_k(50, 5, 8))
    assert found.until_solved > found.uniform + 0.1
    assert found.samples_ratio is not None
    assert found.samples_ratio > 1.3
    with pytest.raises(ValueError, match="between 1 and 50"):
        replay(n, c, 51)


def test_a_policy_replayed_agrees_with_the_fast_replay() -> None:
    n = np.full(60, 40)
    c = np.random.default_rng(0).binomial(40, np.random.default_rng(1).beta(0.5, 2, 60))
    shares = []
    for seed in range(40):
        history, asked = replay_policy(PosteriorIndex(0.5, 2, total=5 * 60), n, c, seed=seed)
        assert len(asked) == history.drawn == 300 or history.solved.all()
        shares.append(history.solved.mean())
    fast = replay(n, c, 5, runs=2000)
    assert np.mean(shares) == pytest.approx(fast.until_solved, abs=4 * np.std(shares) / np.sqrt(40))
