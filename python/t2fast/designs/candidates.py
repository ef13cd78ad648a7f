"""Runs that could be made next, and what each would cost."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from t2fast.compute import train_flops
from t2fast.tables import fields as v
from t2fast.tables.reading import SIZES, Reading
from t2fast.tables.sources import TableSource, open_source


def read_candidates(
    source: TableSource, *, columns: Mapping[str, str] | None = None, prefix: str = ""
) -> pl.DataFrame:
    """Read the runs to choose from.

    Args:
        source: a file or a dataframe with `n_params`, `n_tokens` and, if costs are not 6 N D, `cost`.
        columns: canonical name -> the source's name.
        prefix: what the caller calls a canonical name by, before it; errors say so.

    Returns:
        Columns `n_params`, `n_tokens` and `cost`, Float64, a row a run.

    Raises:
        ValueError: for rows that cannot be used, by number, column and value.
    """
    opened = open_source(source, "the runs")
    fields = (v.N_PARAMS, v.N_TOKENS, v.COST)
    reading = Reading(opened, v.find_columns(opened.name, opened.columns, fields, columns or {}), fields)
    reading.require(SIZES, prefix=prefix)
    frame = reading.rows()
    if "cost" not in frame.columns:
        frame = frame.with_columns(cost=train_flops(pl.col("n_params"), pl.col("n_tokens")))
    return frame.select("n_params", "n_tokens", "cost")
