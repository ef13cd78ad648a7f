"""Stages of training compared: does post-training change what the law recommends?

The T² paper's third question (Roberts et al. 2026, arXiv 2604.01411): it fits each stage by itself, base,
fine-tuned and SFT, and finds that fine-tuned checkpoints want a little less overtraining than base ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import polars as pl

from t2fast.arguments import require_kind
from t2fast.fits import fit_accuracy
from t2fast.laws.law import Law
from t2fast.plans import plan
from t2fast.tables import Counts, Likelihoods, read_counts
from t2fast.tables import fields as v
from t2fast.tables.sources import TableSource, open_source

Table = TypeVar("Table", Counts, Likelihoods)


@dataclass(frozen=True)
class StageComparison:
    """One law a stage, and what each recommends for the same budgets.

    `plans` has a row a stage: `stage`, `n_params`, `n_tokens`, `k`, `tokens_per_param` with `low` and `high`
    (over the law's bootstrap draws; null without them), `predicted`, `overtraining` (its tokens per parameter
    over those of the first stage) and `warnings` (how many the plan gives; see `plan` of the law).
    """

    laws: Mapping[str, Law]
    plans: pl.DataFrame


def read_stages(
    source: TableSource,
    read: Callable[..., Table] = read_counts,  # type: ignore[assignment]
    *,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Table]:
    """The table of every stage in a source that tells stages apart, in the order in which they occur.

    Args:
        source: what `read` takes, with a column `stage`.
        read: `read_counts` or `read_likelihoods`, or either with further arguments: `functools.partial`.
        columns: canonical name -> the source's name, as for `read`.

    Returns:
        Stage -> its table.

    Raises:
        ValueError: without a column `stage`, for rows without a stage, and as `read` raises.
    """
    opened = open_source(source)
    names = v.find_columns(opened.name, opened.columns, (v.STAGE,), _only_stage(columns))
    if "stage" not in names:
        raise ValueError(f"{opened.name} has no column 'stage' to tell its stages apart")
    stages = pl.concat(opened.batches(names))["stage"].cast(pl.String).unique(maintain_order=True)
    if stages.null_count():
        raise ValueError(f"{opened.name} has rows without a stage: give each one")
    return {stage: read(source, columns=columns, stage=stage) for stage in stages}


def compare_stages(
    tables: Mapping[str, Counts | Likelihoods],
    train_flops: float,
    inference_flops: float,
    *,
    fit: Callable[..., Law] = fit_accuracy,
    level: float = 0.9,
) -> StageComparison:
    """Fit a law to each stage by itself, and plan by each of them under the same budgets.

    Args:
        tables: stage -> its counts or likelihoods, as `read_stages` gives them.
        train_flops: C_train, FLOPs, as for `plan`.
        inference_flops: C_inf, FLOPs per token served, as for `plan`.
        fit: any of `fit_accuracy`, `fit_counts`, `fit_loss`, or one with further arguments:
            `functools.partial(fit_loss, draws=0)`.
        level: of the plans' intervals.

    Returns:
        The law and the plan of each stage.

    Raises:
        ValueError: for fewer than two stages, and as the fits and plans raise, naming the stage.
    """
    require_kind("compare_stages", tables, (Mapping,), "see t2fast.read_stages")
    if len(tables) < 2:
        raise ValueError(f"there is nothing to compare: {len(tables)} stage given, two are needed")
    laws: dict[str, Law] = {}
    rows: list[dict[str, Any]] = []
    for stage, table in tables.items():
        try:
            laws[stage] = fit(table)
            best = plan(laws[stage], train_flops, inference_flops, level=level)
        except ValueError as error:
            raise ValueError(f"stage {stage}: {error}") from error
        low, high = best.intervals.get("tokens_per_param", (None, None))
        rows.append(
            {
                "stage": stage,
                "n_params": best.n_params,
                "n_tokens": best.n_tokens,
                "k": best.k,
                "tokens_per_param": best.tokens_per_param,
                "low": low,
                "high": high,
                "predicted": best.predicted,
                "overtraining": best.tokens_per_param
                / (rows[0]["tokens_per_param"] if rows else best.tokens_per_param),
                "warnings": len(best.warnings),
            }
        )
    return StageComparison(laws, pl.DataFrame(rows, schema_overrides={"low": pl.Float64, "high": pl.Float64}))


def _only_stage(columns: Mapping[str, str] | None) -> dict[str, str]:
    return {"stage": columns["stage"]} if columns and "stage" in columns else {}
