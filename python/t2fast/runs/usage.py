"""What requests to a server took, in tokens, seconds and USD."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from t2fast.runs.part import Part

_ROW = {
    "problem": pl.String,
    "prompt_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "seconds": pl.Float64,
    "retries": pl.Int64,
}
_TOKENS = ("prompt_tokens", "output_tokens")


def by_problem(part: Part) -> pl.DataFrame:
    """Tokens, seconds and USD of each problem's requests; no rows where the server did not say it of all."""
    rows = _rows(part)
    if rows.select(pl.any_horizontal(pl.col(*_TOKENS).is_null().any())).item():
        rows = rows.clear()
    sums = rows.group_by("problem", maintain_order=True).agg(
        pl.col(*_TOKENS).sum().cast(pl.Float64), wall_seconds=pl.col("seconds").sum()
    )
    usd = _usd(part)
    return sums if usd is None else sums.with_columns(usd=usd)


def summary(parts: Iterable[Part]) -> pl.DataFrame:
    """A row a model and task that a server was asked for."""
    found: list[pl.DataFrame] = []
    for part in parts:
        rows = _rows(part) if part.kind == "samples" else pl.DataFrame()
        if rows.is_empty():
            continue
        usd = _usd(part)
        found.append(
            rows.select(
                pl.lit(part.model.name).alias("model"),
                pl.lit(part.task.name).alias("task"),
                requests=pl.len().cast(pl.Int64),
                retries=pl.col("retries").sum(),
                silent=pl.any_horizontal(pl.col(*_TOKENS).is_null()).sum().cast(pl.Int64),
                prompt_tokens=pl.col("prompt_tokens").sum(),
                output_tokens=pl.col("output_tokens").sum(),
                wall_seconds=pl.col("seconds").sum(),
            ).with_columns(usd=pl.lit(None, dtype=pl.Float64) if usd is None else usd)
        )
    return pl.concat(found) if found else pl.DataFrame(schema=_SUMMARY)


_SUMMARY = {
    "model": pl.String,
    "task": pl.String,
    **dict.fromkeys(("requests", "retries", "silent", *_TOKENS), pl.Int64),
    "wall_seconds": pl.Float64,
    "usd": pl.Float64,
}


def _rows(part: Part) -> pl.DataFrame:
    rows: Sequence[dict[str, object]] = [{name: row[name] for name in _ROW} for row in part.spent.rows()]
    return pl.DataFrame(rows, schema=_ROW)


def _usd(part: Part) -> pl.Expr | None:
    """The price of a row's tokens; None where the model has no prices."""
    prices = part.model.per_million_prompt_tokens, part.model.per_million_output_tokens
    if prices[0] is None or prices[1] is None:
        return None
    return (pl.col("prompt_tokens") * prices[0] + pl.col("output_tokens") * prices[1]) / 1e6
