"""Stages: read one by one, never mixed, and compared by the laws of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.laws import Law, default_law
from t2fast.stages import compare_stages, read_stages

SIZES = [1e8, 3e8, 1e9, 3e9]
TOKENS = [1e10, 1e11, 1e12]


@pytest.fixture(scope="module")
def both() -> pl.DataFrame:
    """Base, and a stage whose capability grows slower with tokens and faster with parameters."""
    base = default_law()
    params = dict(base.params)
    params["beta"] *= 0.8
    tuned = Law(base.name, params, None, base.domain, "made for this test", None)
    frames = [
        t2fast.simulate_counts(law, SIZES, TOKENS, problems=100, samples=400, seed=seed).frame.with_columns(
            pl.lit(stage).alias("stage")
        )
        for stage, law, seed in (("base", base, 1), ("sft", tuned, 2))
    ]
    return pl.concat(frames)


def test_several_stages_are_never_mixed(both: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"several stages.*'base', 'sft'.*stage="):
        t2fast.read_counts(both)
    sft = t2fast.read_counts(both, stage="sft")
    assert sft.frame["stage"].unique().to_list() == ["sft"]
    assert sft.left_out[0].reason == "stage other than 'sft'"
    with pytest.raises(ValueError, match="no stage 'rl'; it has 'base', 'sft'"):
        t2fast.read_counts(both, stage="rl")
    named = t2fast.read_counts(both.filter(pl.col("stage") == "sft").drop("stage"), stage="sft")
    assert named.frame["stage"].unique().to_list() == ["sft"]


def test_stages_are_read_in_their_order(both: pl.DataFrame) -> None:
    tables = read_stages(both.reverse().rename({"stage": "phase"}), columns={"stage": "phase"})
    assert list(tables) == ["sft", "base"]
    assert len(tables["base"]) == len(tables["sft"]) == both.height / 2
    with pytest.raises(ValueError, match="no column 'stage'"):
        read_stages(both.drop("stage"))
    likelihoods = both.select("problem", "stage", p=pl.lit(0.5)).unique(["problem", "stage"])
    assert set(read_stages(likelihoods, t2fast.read_likelihoods)) == {"base", "sft"}


def test_each_stage_gets_the_law_and_plan_of_its_own_counts(both: pl.DataFrame) -> None:
    tables = read_stages(both)
    found = compare_stages(tables, 2.56e21, 2e10, draws=20)
    assert found.plans["stage"].to_list() == ["base", "sft"]
    for row in found.plans.iter_rows(named=True):
        alone = t2fast.fit_accuracy(tables[row["stage"]], draws=20)
        assert alone.params == found.laws[row["stage"]].params
        best = t2fast.plan(alone, 2.56e21, 2e10)
        assert row["tokens_per_param"] == best.tokens_per_param
        assert row["low"] <= row["high"]
    ratio = found.plans["overtraining"].to_numpy()
    assert ratio[0] == 1
    assert ratio[1] == found.plans["tokens_per_param"][1] / found.plans["tokens_per_param"][0]


def test_tokens_that_matter_less_call_for_fewer_of_them(both: pl.DataFrame) -> None:
    plans = compare_stages(read_stages(both), 2.56e21, 2e10, draws=0).plans
    assert plans["overtraining"][1] < 1
    assert plans["low"].null_count() == 2


@pytest.mark.parametrize("fit", [t2fast.fit_counts, t2fast.fit_loss])
def test_any_fit_will_do(both: pl.DataFrame, fit: Callable[..., Law]) -> None:
    found = compare_stages(read_stages(both), 2.56e21, 2e10, fit=fit, draws=0)
    assert np.isfinite(found.plans["tokens_per_param"].to_numpy()).all()


def test_faults_name_the_stage(both: pl.DataFrame) -> None:
    tables = read_stages(both)
    with pytest.raises(ValueError, match="1 stage given, two are needed"):
        compare_stages({"base": tables["base"]}, 1e21, 1e10)
    few = t2fast.read_counts(both.filter((pl.col("stage") == "sft") & (pl.col("n_params") > 2e9)))
    with pytest.raises(ValueError, match=r"^stage sft: .*checkpoints"):
        compare_stages({"base": tables["base"], "sft": few}, 1e21, 1e10, draws=0)
