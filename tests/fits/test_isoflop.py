"""Groups of equal training compute."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from t2fast.fits.isoflop import isoflop_groups, isoflop_weights

MILLIONTHS = 1e-6
# Steps in ln C: some far apart, some of a few percent, some all alike.
STEPS = st.lists(
    st.one_of(
        st.integers(0, 300_000).map(lambda i: i * MILLIONTHS),
        st.integers(0, 30_000).map(lambda i: i * MILLIONTHS),
        st.just(np.log(1.05)),
    ),
    max_size=40,
)
PROFILE = st.tuples(st.floats(0.2, 3), st.lists(st.floats(-0.04, 0.04), min_size=1, max_size=6))


def chained(steps):
    return 1e18 * np.exp(np.cumsum([0.0, *steps]))


def spans(flops, groups):
    """Of each group, and of each with the next: the dearest over the cheapest."""
    inside = [flops[groups == g] for g in range(groups.max() + 1)]
    alone = [f.max() / f.min() for f in inside]
    return alone, [b.max() / a.min() for a, b in pairwise(inside)]


@given(STEPS)
def test_groups_are_no_wider_than_a_tenth_and_as_few_as_neighbours_allow(steps):
    flops = chained(steps)
    groups = isoflop_groups(flops)
    assert (np.diff(groups) >= 0).all()
    alone, joined = spans(flops, groups)
    assert max(alone) <= 1.1 * (1 + 1e-8)
    assert min(joined, default=np.inf) >= 1.1 * (1 - 1e-8)


@given(STEPS, st.randoms(use_true_random=False), st.floats(-10, 10))
def test_groups_depend_neither_on_order_nor_on_scale(steps, random, exponent):
    flops = chained(steps)
    groups = isoflop_groups(flops)
    order = list(range(len(flops)))
    random.shuffle(order)
    np.testing.assert_array_equal(isoflop_groups(flops[order] * 10**exponent), groups[order])


@given(st.lists(PROFILE, min_size=1))
def test_profiles_that_stand_apart_are_the_groups(profiles):
    # In ln C a profile spans 0.08 at most, and the next begins 0.12 further on; a tenth is 0.095.
    centres = np.cumsum([step for step, _ in profiles])
    expected = np.repeat(np.arange(len(profiles)), [len(runs) for _, runs in profiles])
    logs = np.concatenate([c + np.array(runs) for c, (_, runs) in zip(centres, profiles, strict=True)])
    np.testing.assert_array_equal(isoflop_groups(1e18 * np.exp(logs)), expected)


def test_a_chain_of_small_steps_is_not_one_group():
    # From 1e18 to 1.8e19 by 5%: two steps are 10.25%.
    groups = isoflop_groups(1e18 * 1.05 ** np.arange(60))
    np.testing.assert_array_equal(groups, np.arange(60) // 2)


def test_weights_are_inverse_variances():
    n = np.array([1e8, 2e8, 4e8, 1e9, 1e9, 3e9])
    d = np.array([4e10, 2e10, 1e10, 1e11, 1e11, 1e9])
    loss = np.array([3.0, 3.1, 3.2, 2.0, 2.4, 5.0])
    w = isoflop_weights(n, d, loss)
    assert w[0] == w[1] == w[2]
    assert w[3] == w[4]
    assert w[0] / w[3] == pytest.approx(np.var([2.0, 2.4], ddof=1) / np.var([3.0, 3.1, 3.2], ddof=1))
    assert w[5] == pytest.approx(np.median([w[0]] * 3 + [w[3]] * 2))  # alone in its group
    assert w.mean() == pytest.approx(1)


@pytest.mark.parametrize("centre", [1e18, 3.3e18, 7e19, 1.05e20])
def test_runs_of_nearly_equal_compute_are_one_group(centre):
    # 1.00e18 and 1.02e18 belong together wherever bins would have their edges; 1.5e18 does not.
    flops = centre * np.array([1.0, 1.02, 1.0, 1.5, 1.5])
    np.testing.assert_array_equal(isoflop_groups(flops), [0, 0, 0, 1, 1])
