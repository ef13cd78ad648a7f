"""Hand-made markets: counts and prices of a few models."""

from __future__ import annotations

import polars as pl
import t2fast

TOKENS = {"prompt_tokens": 1000, "output_tokens": 1000}


def counts_of(models: dict[str, list[tuple[int, int]]]) -> t2fast.Counts:
    rows = [(m, f"q{i}", n, c) for m, pairs in models.items() for i, (n, c) in enumerate(pairs)]
    return t2fast.read_counts(
        pl.DataFrame(rows, schema=["model", "problem", "n_samples", "n_correct"], orient="row")
    )


def prices_of(
    models: dict[str, tuple[float | None, float | None]], **columns: list[float | None]
) -> t2fast.Prices:
    return t2fast.read_prices(
        {
            "model": list(models),
            "usd_per_million_prompt_tokens": [p for p, _ in models.values()],
            "usd_per_million_output_tokens": [p for _, p in models.values()],
            **columns,
        }
    )


SOLVES = {"cheap": [(50, 5)] * 40, "dear": [(50, 45)] * 40}
