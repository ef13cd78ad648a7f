"""What models cost: prices a token as sold, sizes, and tokens and speeds where they were measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from t2fast.tables import fields as v
from t2fast.tables.sources import TableSource, open_source

PRICES = ("usd_per_million_prompt_tokens", "usd_per_million_output_tokens")

_FIELDS = (
    v.MODEL,
    v.N_PARAMS,
    v.ACTIVE_PARAMS,
    v.CACHE_BYTES,
    *v.USD_PER_MILLION,
    v.PROMPT_TOKENS,
    v.OUTPUT_TOKENS,
    v.FIRST_TOKEN_SECONDS,
    v.OUTPUT_TOKENS_PER_SECOND,
)


@dataclass(frozen=True, eq=False)
class Prices:
    """One row a model.

    `frame` has model and, Float64 with null where the table is silent, n_params, active_params,
    cache_bytes (of a token's keys and values), usd_per_million_prompt_tokens, usd_per_million_output_tokens,
    prompt_tokens and output_tokens (means a sample that were measured for this model), first_token_seconds
    and output_tokens_per_second.
    """

    frame: pl.DataFrame
    source: str = "the prices"
    ignored_columns: tuple[str, ...] = ()

    def of(self, model: str) -> Mapping[str, float | None]:
        """The row of a model, every value None if the table lacks it."""
        rows = self.frame.filter(pl.col("model") == model).to_dicts()
        return rows[0] if rows else dict.fromkeys(self.frame.columns)


def read_prices(source: TableSource, *, columns: Mapping[str, str] | None = None) -> Prices:
    """Read a table of models and their prices from a file or a dataframe, as `read_counts` reads counts.

    The source has `model` and any of the columns of `Prices`. An empty cell says that nothing is known, such
    as the price of a model that is not sold by the token.

    Args:
        source: as for `read_counts`.
        columns: canonical name -> the source's name.

    Returns:
        The prices, a row a model.

    Raises:
        ValueError: one error lists the rows that cannot be used, by number, column and value; one names
            models that are there twice.
    """
    opened = open_source(source, "the prices")
    names = v.find_columns(opened.name, opened.columns, _FIELDS, columns or {})
    if "model" not in names:
        raise v.missing_columns(opened.name, opened.columns, ["model"])
    fields = [field for field in _FIELDS if field.name in names]
    batch = pl.concat(list(opened.batches(names))).with_row_index("row", offset=1)
    if opened.blank_rows:
        batch = batch.filter(~pl.all_horizontal(pl.exclude("row").is_null()))
    if not batch.height:
        raise ValueError(f"{opened.name} has columns but no rows")
    schema = batch.schema
    converted = batch.select(
        "row", *(field.convert(pl.col(field.name), schema[field.name]).alias(field.name) for field in fields)
    )
    lines = []
    for place, field in enumerate(fields):
        given = batch[field.name].cast(pl.String)
        empty = given.is_null() | (given.str.strip_chars() == "")
        silent = empty if field.name != "model" else pl.repeat(False, batch.height, eager=True)
        for i in (converted[field.name].is_null() & ~silent).arg_true().to_list():
            shown = v.shown(batch[field.name][i])
            lines.append((i, place, f"row {batch['row'][i]}: {field.name} is {shown}, not {field.want}"))
    if lines:
        more = f"\n  … and {len(lines) - v.LISTED} more" if len(lines) > v.LISTED else ""
        listed = "\n  ".join(line for *_, line in sorted(lines)[: v.LISTED])
        raise ValueError(
            f"{len(lines)} values of {opened.name} cannot be used:\n  {listed}{more}\n"
            "Rows are counted from 1, a header not among them. Leave a cell empty where nothing is known."
        )
    frame = converted.with_columns(pl.col("model").cast(pl.String)).drop("row")
    twice = frame.filter(frame["model"].is_duplicated())["model"].unique(maintain_order=True).to_list()
    if twice:
        raise ValueError(f"{opened.name} has more than one row for {v.listed([v.shown(m) for m in twice])}")
    absent = [field.name for field in _FIELDS if field.name not in names]
    frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in absent)
    ignored = tuple(name for name in opened.columns if name not in set(names.values()))
    return Prices(frame.select(field.name for field in _FIELDS), opened.name, ignored)
