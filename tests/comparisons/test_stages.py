"""Stages: read one by one, never mixed, and compared by the laws of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl
import pytest
import t2fast
from t2fast.comparisons.stages import compare_stages, read_stages
from t2fast.laws.law import Law

SIZES = [3e8, 1e9, 3e9, 1e10]
TOKENS = [1e10, 5e10, 2.5e11]
BUDGETS = (2.56e20, 2e10)
DOMAIN = {"n_params": (3e8, 1e10), "n_tokens": (1e10, 2.5e11), "k": (1.0, 128.0)}


def law(alpha: float) -> Law:
    """Models of 1e9 parameters are the same under every alpha."""
    params = {"E": 0.05, "A": 0.28 * 1e9**alpha, "B": 500.0, "alpha": alpha, "beta": 0.3}
    link = {"theta0": 0.7, "theta1": 5.0, "theta2": 0.9, "theta3": 1.0, "theta4": 0.1}
    return Law("accuracy", {**params, **link}, None, DOMAIN, "made for this test", None)


TRUTH = {"base": law(0.25), "sft": law(0.7)}


@pytest.fixture(scope="module")
def both() -> pl.DataFrame:
    """Base, and a stage in which small models are far worse and large ones better."""
    frames = [
        t2fast.simulate_counts(truth, SIZES, TOKENS, problems=150, samples=200, seed=seed).frame.with_columns(
            pl.lit(stage).alias("stage")
        )
        for seed, (stage, truth) in enumerate(TRUTH.items())
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
    found = compare_stages(tables, *BUDGETS, fit=partial(t2fast.fit_accuracy, draws=20))
    assert found.plans["stage"].to_list() == ["base", "sft"]
    for row in found.plans.iter_rows(named=True):
        alone = t2fast.fit_accuracy(tables[row["stage"]], draws=20)
        assert alone.params == found.laws[row["stage"]].params
        best = t2fast.plan(alone, *BUDGETS)
        assert row["tokens_per_param"] == best.tokens_per_param
        assert row["low"] <= row["high"]
    ratio = found.plans["overtraining"].to_numpy()
    assert ratio[0] == 1
    assert ratio[1] == found.plans["tokens_per_param"][1] / found.plans["tokens_per_param"][0]


def test_where_size_matters_more_less_overtraining_is_recommended(both: pl.DataFrame) -> None:
    plans = compare_stages(read_stages(both), *BUDGETS, fit=partial(t2fast.fit_accuracy, draws=0)).plans
    true = [t2fast.plan(truth, *BUDGETS).tokens_per_param for truth in TRUTH.values()]
    assert true[1] < true[0] / 20
    assert plans["overtraining"][1] < 0.1
    assert plans["low"].null_count() == 2


@pytest.mark.parametrize("fit", [t2fast.fit_counts, t2fast.fit_loss])
def test_any_fit_will_do(both: pl.DataFrame, fit: Callable[..., Law]) -> None:
    found = compare_stages(read_stages(both), *BUDGETS, fit=partial(fit, draws=0))
    assert np.isfinite(found.plans["tokens_per_param"].to_numpy()).all()


def test_faults_name_the_stage(both: pl.DataFrame) -> None:
    tables = read_stages(both)
    with pytest.raises(ValueError, match="1 stage given, two are needed"):
        compare_stages({"base": tables["base"]}, 1e21, 1e10)
    few = t2fast.read_counts(both.filter((pl.col("stage") == "sft") & (pl.col("n_params") > 5e9)))
    with pytest.raises(ValueError, match=r"^stage sft: .*checkpoints"):
        compare_stages(
            {"base": tables["base"], "sft": few}, 1e21, 1e10, fit=partial(t2fast.fit_accuracy, draws=0)
        )
