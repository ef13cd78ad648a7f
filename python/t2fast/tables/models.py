"""The table of models: the sizes N and D by a model's name, and how other tables get them from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from t2fast.tables import fields as v
from t2fast.tables.reading import SIZES, Reading
from t2fast.tables.sources import TableSource, open_source
from t2fast.text import nearest

_NAME = "the models table"
_PREFIX = "models."


def of_source(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Those of the caller's names for columns that are not for the models table; see `with_sizes`."""
    return {key: own for key, own in (columns or {}).items() if not key.startswith(_PREFIX)}


def read_sizes(
    models: TableSource,
    wanted: Iterable[str],
    asker: str,
    *,
    sizes: Sequence[str] = SIZES,
    required: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    prefix: str = "",
) -> pl.DataFrame:
    """A row a model of the models table: `model` and those of `sizes` that are there.

    `prefix` is what the caller's `columns` call these by, before the name.

    Errors: `ValueError` if none of `sizes` or one of `required` is not there, if a model that `asker` has is
    not, or if one is there twice.
    """
    opened = open_source(models, _NAME)
    fields = [v.MODEL, *(field for field in (v.N_PARAMS, v.N_TOKENS) if field.name in sizes)]
    reading = Reading(opened, v.find_columns(opened.name, opened.columns, fields, columns or {}), fields)
    reading.require(["model", *required], prefix=prefix)
    if not any(size in reading.names for size in sizes):
        reading.require(sizes, prefix=prefix)
    found = reading.without_duplicates(reading.rows(), keys=["model"]).drop("row")
    unknown = sorted(set(wanted) - set(found["model"]))
    if unknown:
        hint = nearest(unknown[0], found["model"].to_list())
        raise ValueError(
            f"{opened.name} lacks {len(unknown)} of the models of {asker}: "
            + v.listed([v.shown(model) for model in unknown])
            + (f". Is {unknown[0]!r} there as {hint!r}?" if hint else "")
        )
    return found


def with_sizes(
    frame: pl.DataFrame, name: str, models: TableSource | None, columns: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """`frame` of the source `name` with those of N and D that it lacks, as far as the models table has them.

    The models table's columns go by other names where `columns` says so: `models.n_params` -> name.

    Errors: `ValueError` if nothing is lacking, and as `read_sizes`.
    """
    if models is None:
        return frame
    lacking = [size for size in SIZES if size not in frame.columns]
    if not lacking:
        raise ValueError(
            f"{name} has n_params and n_tokens of its own: leave models= out, or drop those columns"
        )
    if "model" not in frame.columns:
        raise ValueError(
            f"{name} has no column 'model' by which to look up {' and '.join(lacking)} in {_NAME}"
        )
    named = {
        key.removeprefix(_PREFIX): own for key, own in (columns or {}).items() if key.startswith(_PREFIX)
    }
    sizes = read_sizes(models, frame["model"].unique(), name, sizes=lacking, columns=named, prefix=_PREFIX)
    return frame.join(sizes, on="model", how="left", maintain_order="left")
