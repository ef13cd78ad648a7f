"""What a validation found, in words. Only part of all tasks can be forecast: abstaining is an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from t2fast.text import amount, percent
from t2fast.validation.methods import METHODS, NEAREST

HOPELESS = 0.5
"""Mean error from which on a forecast is not worth having, whatever it is better than."""

_LEAST_SPLITS = 3  # that a claim about a region rests on
_NONE = "no method here beats the nearest checkpoint on average and in half of the splits"

Row = dict[str, Any]


def better(row: Row) -> bool:
    """Whether a method, by its row of `Validation.methods`, beats the nearest checkpoint: on average, and in
    at least half of the splits.
    """
    known = row["method"] != NEAREST and row["mean"] is not None
    return known and row["mean"] < row["nearest"] and row["worse"] <= 0.5


def forecastable(row: Row) -> bool:
    """Whether a method's forecasts are worth having: better than the nearest checkpoint, and not hopeless."""
    return better(row) and row["mean"] < HOPELESS


def words(methods: pl.DataFrame, splits: pl.DataFrame, by: str, method: str) -> str:
    """The verdict on one method.

    Args:
        methods: a row a method, as `Validation.methods` has them.
        splits: a row a split and method, as `Validation.splits` has them.
        by: what was held out.
        method: the one to be judged.
    """
    rows = list(methods.iter_rows(named=True))
    row = next(row for row in rows if row["method"] == method)
    if row["mean"] is None:
        return f"no verdict: {named(method)} refused every split: {row['refusal']}"
    nearest = f"nearest checkpoint {percent(row['nearest'])}"
    off = f"forecasts of this table were off by {percent(row['mean'])} on average, {nearest}"
    winners = [other for other in rows if better(other)]
    if not winners:
        verdict = f"not forecastable: {_nowhere(splits, by)}; {off}"
    elif not better(row):
        best = min(winners, key=lambda other: float(other["mean"] / other["nearest"]))
        verdict = (
            f"not forecastable by {named(method)}: {off}; {named(best['method'])} did better, off by "
            f"{percent(best['mean'])}"
        )
    elif not forecastable(row):
        verdict = f"not forecastable: {off}"
    else:
        verdict = off
        lost = next((place for place, found, here in _regions(splits, by) if not found and not here), None)
        if lost is not None:
            verdict += f"; beyond {lost} {_NONE}"
    if row["coverage"] is not None:
        verdict += f"; {percent(row['level'])} intervals held {percent(row['coverage'])} of what was held out"
        verdict += "" if row["width"] is None else f", their ends a factor of {row['width']:.2g} apart"
    tried = splits.filter(pl.col("method") == method, pl.col("error").is_not_null()).height
    if tried < _LEAST_SPLITS:
        verdict += f"; {'one split' if tried == 1 else f'{tried} splits'} alone: little to go by"
    return verdict


def named(method: str) -> str:
    """A method as a sentence names it."""
    return f"the {method} law" if METHODS[method].fit is not None else method


def _nowhere(splits: pl.DataFrame, by: str) -> str:
    """That no method beats the nearest checkpoint, and from where on one does after all."""
    regions = list(_regions(splits, by))
    for place, found, here in regions:
        for row in (row for name, row in found.items() if name in here):
            return (
                f"{_NONE}; only beyond {place} does "
                f"{named(row['method'])}, off by {percent(row['mean'])} there, nearest "
                f"{percent(row['nearest'])}"
            )
    where = f"beyond {regions[0][0]} " if regions else ""
    return f"{where}{_NONE}"


def _regions(splits: pl.DataFrame, by: str) -> Iterator[tuple[str, dict[str, Row], dict[str, Row]]]:
    """Every threshold in words, the methods that beat the nearest checkpoint from there on, best first, and
    those that do in this very split; as far as three splits lie beyond it.
    """
    thresholds = splits["threshold"].drop_nulls().unique().sort().to_list()
    for threshold in thresholds[: max(0, len(thresholds) - _LEAST_SPLITS + 1)]:
        ahead = splits.filter(pl.col("threshold") >= threshold)
        yield _place(by, threshold), _winners(ahead), _winners(ahead.filter(pl.col("threshold") == threshold))


def _winners(splits: pl.DataFrame) -> dict[str, Row]:
    """The methods that beat the nearest checkpoint on these splits, the least error first."""
    means = splits.filter(pl.col("error").is_not_null()).group_by("method", maintain_order=True)
    rows = means.agg(
        pl.col("error").mean().alias("mean"),
        pl.col("nearest").mean(),
        (pl.col("error") > pl.col("nearest")).mean().alias("worse"),
    )
    return {row["method"]: row for row in rows.sort("mean").iter_rows(named=True) if better(row)}


def _place(by: str, threshold: float) -> str:
    if by == "compute":
        return f"{threshold:.2g} training FLOPs"
    return f"{threshold:.3g} tokens a parameter" if by == "ratio" else f"{amount(threshold)} parameters"
