"""The tables that come with the package, and what keeping tables small does to them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.data import Measurements
from t2fast.estimators.passk import likely_pass_at_k
from t2fast.tables import read_counts, read_likelihoods, read_losses


@pytest.fixture(scope="module")
def bed() -> Measurements:
    return t2fast.data.testbed()


def test_a_testbed_comes_with_the_package(bed: Measurements) -> None:
    checkpoints = bed.losses.frame["model"].to_list()
    for table in (bed.counts, bed.likelihoods):
        assert table.checkpoints["model"].unique().sort().to_list() == sorted(checkpoints)
        tasks = table.frame.group_by("model").agg(pl.col("task").n_unique(), pl.len())
        # Each checkpoint was asked every problem of every task.
        assert tasks["task"].n_unique() == tasks["len"].n_unique() == 1
    assert len(checkpoints) >= 12
    assert bed.likelihoods.frame["task"].n_unique() >= 4
    assert ((bed.losses.loss > 0) & (bed.losses.loss < np.log(512))).all()


def test_what_is_shipped_is_small() -> None:
    folder = Path(t2fast.data.__file__).parent
    assert sum(path.stat().st_size for path in (folder / "testbed").iterdir()) < 1_300_000
    assert sum(path.stat().st_size for path in (folder / "laws").iterdir()) < 500_000


def test_kept_likelihoods_move_no_pass_at_k(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nats = np.concatenate([[0.0, -1e-30, -1e4], -np.exp(rng.uniform(-30, 7, 4000)), -rng.uniform(0, 3, 4000)])
    keys = {"model": "m", "n_params": 1e4, "n_tokens": 1e6}
    problems = pl.DataFrame({"problem": [str(i) for i in range(len(nats))]}).with_columns(
        pl.lit(value).alias(name) for name, value in keys.items()
    )
    kept = Measurements(
        read_counts(problems.with_columns(n_samples=3, n_correct=1)),
        read_likelihoods(problems.with_columns(log_likelihood=pl.Series(nats))),
        read_losses(pl.DataFrame({**keys, "loss": 2.5})),
    )
    kept.write(tmp_path)
    again = t2fast.data.testbed(tmp_path)
    found = again.likelihoods.log_likelihood
    for k in (1, 8, 100, 1e4, 1e9):
        moved = likely_pass_at_k(found, k) - likely_pass_at_k(nats, k)
        assert np.abs(moved).max() < 6.2e-5
    # Next to 0, where 1 - p is all that there is to know, they are as near in proportion.
    np.testing.assert_allclose(found[nats > -700], nats[nats > -700], rtol=2.5e-4)
    # Written once more they stay as they are.
    again.write(tmp_path / "more")
    for name in ("counts", "likelihoods", "losses"):
        file = f"{name}.parquet"
        assert (tmp_path / "more" / file).read_bytes() == (tmp_path / file).read_bytes()
