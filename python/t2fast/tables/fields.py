"""What a column must hold, and by which names it goes.

A `Field` turns a column of any type into its canonical one, with null wherever the value is not what the
field wants.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from t2fast.tables.nested import column_of
from t2fast.text import nearest

LISTED = 10  # rows that one error names
WANTED = " wanted"  # whether the caller wants a row; no column of a table is called so

Convert = Callable[[pl.Expr, pl.DataType], pl.Expr]

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_INT64_END = 2.0**63


@dataclass(frozen=True)
class Field:
    """A canonical column. `want` completes "x is …, not"; `convert(column, dtype)` is null elsewhere.

    Cells may be empty, which stays null, if it is `optional`.
    """

    name: str
    want: str
    convert: Convert
    aliases: tuple[str, ...] = ()
    optional: bool = False

    def or_empty(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """`convert`, with NaN for a number's cell that is empty and may be."""
        converted = self.convert(column, dtype)
        if not self.optional:
            return converted
        empty = column.is_null()
        if _is_text(dtype):
            empty |= column.cast(pl.String).str.strip_chars() == ""
        return pl.when(empty).then(math.nan).otherwise(converted)


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, _TEXT)


def _text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Text but "", or whole numbers, which stay integers here: they become text once rows are counted up."""
    if _is_text(dtype):
        column = column.cast(pl.String)
        return pl.when(column != "").then(column)
    if dtype.is_integer():
        return column
    return _integer(column, dtype)


def _number(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Finite Float64."""
    if _is_text(dtype):
        column = column.cast(pl.String).str.strip_chars()
    elif not dtype.is_numeric():
        return pl.lit(None, dtype=pl.Float64)
    column = column.cast(pl.Float64, strict=False)
    return pl.when(column.is_finite()).then(column)


def _integer(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Int64, also from "1.6e8" and 128.0; exact for every integer that is written as one."""
    if dtype.is_integer():
        return column.cast(pl.Int64, strict=False)
    number = _number(column, dtype)
    whole = (number == number.floor()) & (number >= -_INT64_END) & (number < _INT64_END)
    by_float = pl.when(whole).then(number).cast(pl.Int64, strict=False)
    if _is_text(dtype):
        exact = column.cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False)
        return pl.coalesce(exact, by_float)
    if dtype.is_decimal():
        return pl.when(whole).then(column).cast(pl.Int64, strict=False)
    return by_float


def _truth(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Boolean, from true/false and words that say the same in any case, or from 0 and 1."""
    if isinstance(dtype, pl.Boolean):
        return column
    if _is_text(dtype):
        text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
        return (
            pl.when(text.is_in(["1", "true", "1.0", "yes", "pass", "passed", "correct"]))
            .then(pl.lit(True))
            .when(text.is_in(["0", "false", "0.0", "no", "fail", "failed", "incorrect"]))
            .then(pl.lit(False))
        )
    number = _number(column, dtype)
    return pl.when((number == 0) | (number == 1)).then(number == 1)


def _where(convert: Convert, holds: Callable[[pl.Expr], pl.Expr]) -> Convert:
    def converted(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        value = convert(column, dtype)
        return pl.when(holds(value)).then(value)

    return converted


_POSITIVE = _where(_number, lambda x: x > 0)


def _size(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A number above 0, also one such as 160M or 1.2B."""
    plain = _POSITIVE(column, dtype)
    if not _is_text(dtype):
        return plain
    text = column.cast(pl.String).str.strip_chars()
    factor = (
        text.str.slice(-1)
        .str.to_uppercase()
        .replace_strict(["K", "M", "B", "T"], [1e3, 1e6, 1e9, 1e12], default=None, return_dtype=pl.Float64)
    )
    scaled = text.str.head(-1).str.strip_chars().cast(pl.Float64, strict=False) * factor
    return pl.coalesce(plain, pl.when(scaled.is_finite() & (scaled > 0)).then(scaled))


MODEL = Field("model", "text or a whole number", _text)
STAGE = Field("stage", "text or a whole number", _text)
TASK = Field(
    "task",
    "text or a whole number",
    _text,
    (
        *("task_name", "benchmark", "bench", "eval", "eval_name", "evaluation", "evaluation_name"),
        *("eval_set", "eval_dataset", "evaluation_set", "test_set"),
    ),
)
PROBLEM = Field("problem", "text or a whole number", _text, ("problem_id", "question_id"))
N_PARAMS = Field("n_params", "a finite number above 0", _size, ("num_params",))
N_TOKENS = Field("n_tokens", "a finite number above 0", _size, ("train_tokens", "training_tokens"))
N_SAMPLES = Field(
    "n_samples", "a whole number of at least 1", _where(_integer, lambda x: x >= 1), ("num_samples",)
)
N_CORRECT = Field(
    "n_correct", "a whole number of at least 0", _where(_integer, lambda x: x >= 0), ("num_correct",)
)
CORRECT = Field(
    "correct",
    "0, 1, true or false (a score is correct from correct_at= on)",
    _truth,
    ("is_correct", "passed"),
)


def correct_from(least: float) -> Field:
    """`CORRECT` for a column of scores, which are correct from `least` on."""

    def converted(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        score = column.cast(pl.Float64) if isinstance(dtype, pl.Boolean) else _number(column, dtype)
        return score >= least

    return replace(CORRECT, want="a number, which correct_at= needs", convert=converted)


UNTIL_SUCCESSES = Field("until_successes", "a whole number of at least 1", _where(_integer, lambda x: x >= 1))
MAX_SAMPLES = Field("max_samples", "a whole number of at least 1", _where(_integer, lambda x: x >= 1))
P = Field("p", "a probability in (0, 1]", _where(_number, lambda x: (x > 0) & (x <= 1)), ("probability",))
LOG_LIKELIHOOD = Field(
    "log_likelihood", "a finite number of at most 0", _where(_number, lambda x: x <= 0), ("loglikelihood",)
)
TRAIN_SET = Field(
    "train_set",
    "text or a whole number",
    _text,
    (
        *("trainset", "training_set", "train_dataset", "training_dataset", "train_data", "training_data"),
        *("pretrain_set", "pretraining_set", "pretrain_dataset", "pretraining_dataset", "pretrain_data"),
        *("pretraining_data", "train_corpus", "training_corpus", "pretraining_corpus", "corpus"),
        *("data_mix", "data_mixture", "mixture"),
    ),
)
# Trained on or asked from: a source that has it does not say, and neither may be pooled.
DATASET = Field("dataset", "text or a whole number", _text, ("dataset_name", "data_set", "data"))
# Names as OpenAI's and Anthropic's interfaces give them, and with the unit.
USAGE = tuple(
    Field(name, "a finite number of at least 0", _where(_number, lambda x: x >= 0), aliases, optional=True)
    for name, aliases in (
        ("prompt_tokens", ("input_tokens",)),
        ("output_tokens", ("completion_tokens",)),
        ("wall_seconds", ("latency_s", "duration_s", "latency_seconds", "duration_seconds")),
        ("usd", ("cost_usd", "total_cost_usd")),
    )
)
_MILLIONS = ("million", "million_tokens", "1m", "1m_tokens", "mtok")
LOSS = Field("loss", "a finite number above 0", _POSITIVE)
ACCURACY = Field("accuracy", "a share in [0, 1]", _where(_number, lambda x: (x >= 0) & (x <= 1)), ("acc",))
CHANCE = Field("chance", "a share in [0, 1)", _where(_number, lambda x: (x >= 0) & (x < 1)))
WEIGHT = Field("weight", "a finite number above 0", _POSITIVE)
COST = Field("cost", "a finite number above 0", _POSITIVE)
ACTIVE_PARAMS = Field("active_params", "a finite number above 0", _POSITIVE)
# Other names that say the unit too; `input_price` does not, and is asked about.
USD_PER_MILLION = tuple(
    Field(
        f"usd_per_million_{side}_tokens",
        "a finite number of at least 0",
        _where(_number, lambda x: x >= 0),
        tuple(
            name
            for word in words
            for name in (
                *(f"usd_per_{million}_{word}_tokens" for million in ("million", "1m", "m", "mtok")),
                *(f"{word}_{price}_per_{million}" for price in ("usd", "price_usd") for million in _MILLIONS),
            )
            if name != f"usd_per_million_{side}_tokens"
        ),
    )
    for side, words in (("prompt", ("prompt", "input")), ("output", ("output", "completion")))
)
CACHE_BYTES = Field("cache_bytes", "a finite number of at least 0", _where(_number, lambda x: x >= 0))
PROMPT_TOKENS = Field("prompt_tokens", "a finite number above 0", _POSITIVE)
OUTPUT_TOKENS = Field("output_tokens", "a finite number above 0", _POSITIVE)
FIRST_TOKEN_SECONDS = Field(
    "first_token_seconds", "a finite number of at least 0", _where(_number, lambda x: x >= 0)
)
OUTPUT_TOKENS_PER_SECOND = Field("output_tokens_per_second", "a finite number above 0", _POSITIVE)


def listed(items: Sequence[str]) -> str:
    """The first ten of `items`, none longer than a line, and how many more there are."""
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(_cut(item) for item in items[:LISTED]) + more


def find_columns(
    source: str, present: Sequence[str], fields: Sequence[Field], mapping: Mapping[str, str]
) -> dict[str, str]:
    """Which column of the source holds each field: canonical name -> source name, for those that are there.

    The caller's `mapping` comes first, then the canonical name, then the field's aliases if exactly one is
    present, then either in other letters: `Train Set` for train_set. What the mapping gives to one field is
    no other's. Errors: `ValueError` for a mapping that names an unknown field or an absent column, and for
    two candidates.
    """
    known = {entry.name for entry in fields}
    for canonical, name in mapping.items():
        if canonical not in known:
            hint = nearest(canonical, known)
            raise ValueError(
                f"columns= {canonical!r} is no column of such a table; those are {', '.join(sorted(known))}"
                + (f" (did you mean {hint!r}?)" if hint else "")
            )
        if column_of(name, present)[0] not in present:
            hint = nearest(name, present)
            raise ValueError(
                f"columns={{{canonical!r}: {name!r}}}: {source} has no column {name!r} (for {canonical}); "
                f"it has {listed(present)}" + (f" (did you mean {hint!r}?)" if hint else "")
            )
    found: dict[str, str] = {}
    for entry in fields:
        if entry.name in mapping:
            names = [mapping[entry.name]]
        else:
            names = _candidates(entry, [name for name in present if name not in mapping.values()])
        names += [f"{name}_duplicated_0" for name in names if f"{name}_duplicated_0" in present]
        if len(names) > 1:
            raise ValueError(
                f"{source} has more than one column for {entry.name}: {', '.join(names)}; "
                f"choose one by columns={{{entry.name!r}: …}}, or rename the others"
            )
        if names:
            found[entry.name] = names[0]
    return found


def _candidates(entry: Field, present: Sequence[str]) -> list[str]:
    """Columns that may hold a field, all of the first kind that there is."""
    if entry.name in present:
        return [entry.name]
    return [name for name in entry.aliases if name in present] or [
        name for name in present if spelt(name) in (entry.name, *entry.aliases)
    ]


def spelt(name: str) -> str:
    """A column's name in small letters, what is no letter or digit as an underscore."""
    return re.sub(r"\W+", "_", name.strip().lower())


#: Names that columns often go by, which are too many things to be read without being asked.
_OFTEN = {
    "problem": ("task_id", "example_id", "instance_id", "doc_id", "item", "question", "id", "idx", "index"),
    "n_samples": ("n", "total", "attempts", "trials", "n_attempts", "n_trials", "num_generations"),
    "n_correct": ("c", "successes", "n_success", "n_successes", "n_passed", "num_passed"),
    "correct": (
        *("score", "reward", "success", "solved", "resolved", "pass", "result", "results", "verdicts"),
        *("status", "acc", "exact_match"),
    ),
    "model": ("name", "model_name", "model_id"),
    "n_params": ("params", "parameters", "n_parameters"),
    "n_tokens": ("tokens",),
    **{
        f"usd_per_million_{side}_tokens": tuple(
            name
            for word in words
            for price in ("price", "cost", "usd", "rate")
            for name in (
                *(f"{word}_{price}", f"{price}_{word}", f"{price}_per_{word}_token"),
                *(f"{word}_{price}_per_{unit}" for unit in ("token", "1k", "1k_tokens", *_MILLIONS)),
                *(f"{word}_tokens_{price}", f"{price}_per_million_{word}_tokens", f"{price}_per_1m_{word}"),
            )
        )
        for side, words in (("prompt", ("prompt", "input")), ("output", ("output", "completion")))
    },
}

_USUAL = {
    *_OFTEN,
    *(name for names in _OFTEN.values() for name in names),
    *(
        name
        for field in (
            *(MODEL, STAGE, TASK, PROBLEM, N_PARAMS, N_TOKENS, N_SAMPLES, N_CORRECT, CORRECT, P, LOSS),
            *(LOG_LIKELIHOOD, ACCURACY, TRAIN_SET, DATASET, *USAGE),
        )
        for name in (field.name, *field.aliases)
    ),
}


def is_usual(name: str) -> bool:
    """Whether columns of measurements often go by this name."""
    return spelt(name) in _USUAL


def likely(name: str, present: Sequence[str]) -> str | None:
    """The column that is most likely meant by a field that is not there by its name."""
    spellings = {spelt(own): own for own in reversed(present)}
    often = next((spellings[other] for other in _OFTEN.get(name, ()) if other in spellings), None)
    others = {*_OFTEN, *(other for names in _OFTEN.values() for other in names)}
    return often or nearest(name, [own for own in present if spelt(own) not in others])


def missing_columns(
    source: str, present: Sequence[str], missing: Sequence[str], how: str = "", prefix: str = ""
) -> ValueError:
    """The error for columns that are not there: names those that are, and the likeliest of them.

    `prefix` is what `columns` calls a field of this source by, before its name.
    """
    hints = {name: likely(name, present) for name in missing}
    mapping = ", ".join(f"{prefix + name!r}: {hint or '…'!r}" for name, hint in hints.items())
    only = present[0] if len(present) == 1 else ""
    separator = next((mark for mark in (";", "\t", "|", ",") if mark in only), None)
    if separator:
        return ValueError(
            f"{source} has a single column, {shown(only)}: its fields seem to be separated by {separator!r}. "
            "Separate them by ',' in a file called .csv, or by tabs in one called .tsv"
        )
    return ValueError(
        f"{source} has no column {' and no column '.join(missing)}; "
        f"it has {listed(present) or 'no columns at all'}. "
        f"If it goes by another name, say columns={{{mapping}}}" + (f". {how}" if how else "")
    )


def shown(value: object) -> str:
    """A value as messages print it: quoted if text, and never longer than a line."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}… ({len(text)} characters)"
