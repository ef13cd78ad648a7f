"""From forecasts to figures: errors, coverage and width by split and by method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from t2fast.validation.methods import NEAREST

_KEYS = {
    "split": pl.String,
    "threshold": pl.Float64,
    "seen": pl.Int64,
    "held_out": pl.Int64,
    "method": pl.String,
    "refusal": pl.String,
}


def with_errors(points: pl.DataFrame) -> pl.DataFrame:
    """Forecasts with their relative `error`, null where 0 was measured."""
    off = (pl.col("forecast") - pl.col("measured")).abs() / pl.col("measured")
    return points.with_columns(pl.when(pl.col("measured") > 0).then(off).alias("error"))


def by_split(rows: Sequence[tuple[Any, ...]], points: pl.DataFrame) -> pl.DataFrame:
    """A row a split and method: medians over its held-out points, beside the nearest checkpoint's error.

    rows: (split, threshold, seen, held_out, method, refusal), in the order of the result.
    """
    found = (
        points.filter(pl.col("error").is_not_null())
        .group_by("split", "method")
        .agg(
            pl.col("error").median(),
            pl.col("inside").mean().alias("coverage"),
            (pl.col("high") / pl.col("low")).median().alias("width"),
        )
    )
    frame = pl.DataFrame(list(rows), schema=_KEYS, orient="row").join(
        found, on=["split", "method"], how="left", maintain_order="left"
    )
    nearest = frame.filter(pl.col("method") == NEAREST).select("split", nearest="error")
    frame = frame.join(nearest, on="split", how="left", maintain_order="left")
    return frame.select(
        "split", "threshold", "seen", "held_out", "method", "error", "nearest", "coverage", "width", "refusal"
    )


def by_method(splits: pl.DataFrame, points: pl.DataFrame, level: float) -> pl.DataFrame:
    """A row a method, in the order in which they occur: means over the splits that it forecast."""
    judged = pl.col("error").is_not_null()
    frame = splits.group_by("method", maintain_order=True).agg(
        judged.sum().cast(pl.Int64).alias("splits"),
        pl.col("refusal").is_not_null().sum().cast(pl.Int64).alias("refused"),
        pl.col("refusal").drop_nulls().first(),
        pl.col("error").mean().alias("mean"),
        pl.col("error").median().alias("median"),
        pl.col("nearest").filter(judged).mean(),
        (pl.col("error") > pl.col("nearest")).mean().alias("worse"),
        pl.lit(level).alias("level"),
        pl.col("coverage").mean(),
        # A median, because one interval that reaches down to 0 is infinitely wide.
        pl.col("width").median(),
    )
    frame = frame.with_columns(pl.when(pl.col("width").is_finite()).then("width").alias("width"))
    for k in points["k"].unique().sort():
        at = points.filter(pl.col("k") == k)
        # In order: a sum's last digit depends on it.
        at = at.group_by("split", "method", maintain_order=True).agg(pl.col("error").median())
        mean = at.group_by("method", maintain_order=True).agg(pl.col("error").mean().alias(f"k={k:g}"))
        frame = frame.join(mean, on="method", how="left", maintain_order="left")
    return frame
