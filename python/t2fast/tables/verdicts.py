"""Cells that hold a verdict a sample: [true, false, true] stands for three samples, two of them correct."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from t2fast.tables.fields import N_CORRECT, N_SAMPLES, Convert, Field
from t2fast.tables.rows import Source


def in_lists(source: Source, column: str) -> bool:
    """Whether the cells of a column are lists, or text that is: all of the first thousand that are there."""
    if column not in source.columns:
        return False
    cells = source.first([column])[column]
    if isinstance(cells.dtype, pl.List | pl.Array):
        return True
    if not isinstance(cells.dtype, pl.String):
        return False
    texts = cells.drop_nulls().str.strip_chars_start()
    return bool(len(texts) and texts.str.starts_with("[").all())


def counts_of(correct: Field) -> tuple[Field, Field]:
    """`N_SAMPLES` and `N_CORRECT` of a column whose cells are lists of what `correct` wants.

    A cell that is no such list is a fault of n_correct alone, so that it is named once.
    """

    def how_many(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        return _listed(column, dtype, correct.convert).list.len().cast(pl.Int64).clip(1).fill_null(1)

    def how_many_right(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        found = _listed(column, dtype, correct.convert)
        whole = (found.list.len() > 0) & (found.list.drop_nulls().list.len() == found.list.len())
        return pl.when(whole).then(found.list.sum().cast(pl.Int64))

    want = f"a list, not empty, each of it {correct.want}"
    return (
        replace(N_SAMPLES, want=want, convert=how_many),
        replace(N_CORRECT, want=want, convert=how_many_right),
    )


def _listed(column: pl.Expr, dtype: pl.DataType, convert: Convert) -> pl.Expr:
    """The verdicts of each cell, null where one is none; null for a cell that is no list."""
    if isinstance(dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(dtype, pl.List | pl.Array):
        return column.list.eval(convert(pl.element(), dtype.inner))  # type: ignore[arg-type]
    if not isinstance(dtype, pl.String):
        return pl.lit(None, dtype=pl.List(pl.Boolean))
    # As JSON and Python write a list, and as NumPy does, with spaces between.
    inner = column.str.extract(r"^\s*\[\s*([^\[\]]*?)\s*\]\s*$", 1)
    elements = inner.str.replace_all(r"\s*,\s*|\s+", ",").str.split(",")
    return elements.list.eval(convert(pl.element().str.strip_chars("\"'"), pl.String()))
