"""Splits as properties: nothing held out is seen, and each extrapolates in the direction that it names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.tables import read_losses
from t2fast.validation import BY, hold_out
from t2fast.validation.measured import Measured

sizes = st.sampled_from([1e7, 3e7, 1e8, 1.7e8, 4.1e8, 1e9, 2.8e9, 1.2e10])
tokens = st.sampled_from([1e8, 2e9, 6e9, 2e10, 6.1e10, 3e11, 1e12])
grids = st.lists(st.tuples(sizes, tokens), min_size=2, max_size=50, unique=True)

COORDINATE = {"compute": lambda n, d: 6 * n * d, "ratio": lambda n, d: d / n, "size": lambda n, d: n}


def measured(places, models=None) -> Measured:
    n, d = np.array(places).T
    columns = {"n_params": n, "n_tokens": d, "loss": np.linspace(4, 2, len(n))}
    return Measured.of(read_losses(columns if models is None else {"model": models, **columns}))


def splits_of(table, by, count):
    """The splits, or none where the table is refused as too small."""
    try:
        return hold_out(table, by, count)
    except ValueError as error:
        assert "too few different ones to hold any out" in str(error)  # noqa: PT017
        return []


@settings(max_examples=200, deadline=None)
@given(grids, st.sampled_from(sorted(COORDINATE)), st.integers(1, 30))
def test_a_split_by_threshold_extrapolates_in_its_direction(places, by, count):
    table = measured(places)
    at = COORDINATE[by](table.n_params, table.n_tokens)
    found = splits_of(table, by, count)
    assert len(found) <= count
    assert len({split.seen.tobytes() for split in found}) == len(found)
    for split in found:
        assert at[split.seen].max() < split.threshold
        assert at[~split.seen].min() == pytest.approx(split.threshold, rel=1e-5)
        assert at[split.seen].max() < at[~split.seen].min()
        assert split.seen.sum() >= max(6, 0.3 * len(places))
        assert (~split.seen).sum() >= max(2, 0.1 * len(places))


@settings(max_examples=100, deadline=None)
@given(grids, st.sampled_from(BY), st.integers(1, 30))
def test_what_is_held_out_is_not_seen_in_any_row(places, by, count):
    table = measured(places)
    for split in splits_of(table, by, count):
        seen, ahead = table.only(split.seen), table.only(~split.seen)
        pairs = [set(zip(part.n_params, part.n_tokens, strict=True)) for part in (seen, ahead)]
        assert not pairs[0] & pairs[1]
        assert pairs[0] | pairs[1] == set(places)
        for part, kept in zip((seen, ahead), pairs, strict=True):
            rows = part.table.frame.select("n_params", "n_tokens").rows()
            assert set(rows) == kept
            np.testing.assert_array_equal(part.values[:, 0], part.table.checkpoints["loss"].to_numpy())


def test_ten_thresholds_are_spread_over_all_that_are_allowed():
    table = measured([(1e8, 1e9 * 1.1**i) for i in range(60)])
    found = hold_out(table, "compute", 10)
    seen = [int(split.seen.sum()) for split in found]
    assert seen[0] == 18  # 30% of 60
    assert seen[-1] == 54  # all but 10%
    assert set(np.diff(seen)) == {4}


def test_compute_that_differs_by_rounding_is_one_threshold():
    n = np.geomspace(1e8, 1e9, 10)
    places = [(a, c / a) for c in (1e18, 1e19, 1e20) for a in n]
    found = hold_out(measured(places), "compute")
    assert [int(split.seen.sum()) for split in found] == [10, 20]


def test_runs_are_models_or_sizes_where_every_model_is_one_checkpoint():
    places = [(n, d) for n in (1e8, 1e9, 1e10) for d in (1e9, 1e10, 1e11, 1e12, 1e13)]
    models = [f"{n:g}{'ab'[i % 2]}" for i, (n, _) in enumerate(places)]
    found = hold_out(measured(places, models), "run")
    assert sorted(split.name for split in found) == sorted(f"without {model}" for model in set(models))
    for split in found:
        name = split.name.removeprefix("without ")
        assert [m for m, seen in zip(models, split.seen, strict=True) if not seen] == [name] * models.count(
            name
        )
    alone = hold_out(measured(places, [f"m{i}" for i in range(15)]), "run")
    assert [split.name for split in alone] == [f"without N = {n:.3g}" for n in (1e8, 1e9, 1e10)]
    assert all((~split.seen).sum() == 5 for split in alone)
    assert len(hold_out(measured(places, models), "run", 2)) == 2


@pytest.mark.parametrize("count", [5, 20])
def test_random_checkpoints_are_each_held_out_equally_often(count):
    table = measured([(1e8, 1e9 * 1.1**i) for i in range(23)])
    held_out = sum((~split.seen).astype(int) for split in hold_out(table, "checkpoint", count))
    assert (held_out == count // 5).all()
    first, again, other = (hold_out(table, "checkpoint", count, seed)[0].seen for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_impossible_requests_are_refused():
    table = measured([(1e8, 1e9 * 1.1**i) for i in range(7)])
    with pytest.raises(ValueError, match="by = 'date' must be one of compute, ratio"):
        hold_out(table, "date")
    with pytest.raises(ValueError, match="splits = 0 must be at least 1"):
        hold_out(table, "compute", 0)
    with pytest.raises(
        ValueError, match=r"the table has 7 checkpoints, .* by compute: .* 6 that are seen and 2"
    ):
        hold_out(table, "compute")
    with pytest.raises(ValueError, match=r"by run: a split needs 6 that are seen$"):
        hold_out(table, "run")


@pytest.mark.parametrize("by", BY)
def test_three_sizes_at_three_lengths_are_enough_to_hold_something_out(by):
    """The grid that most people have."""
    table = measured([(n, d) for n in (1e8, 1e9, 1e10) for d in (1e10, 1e11, 1e12)])
    assert hold_out(table, by)
