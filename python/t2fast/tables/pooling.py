"""Columns that no table reads, but that set samples of one problem apart: they are refused, not pooled.

Settings inside objects (`sampling.temperature`, all of `config`) are looked for, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from t2fast.tables import fields as v
from t2fast.tables import nested
from t2fast.tables.reading import GROUP, KEYS, in_order
from t2fast.tables.rows import Source

_SHOWN = 60  # the longest value that is worth typing
#: How samples were drawn: of two values in one model and task, the mean is of neither.
_DRAWN = frozenset(
    (
        *("temperature", "temp", "sampling_temperature", "top_p", "top_k", "min_p", "typical_p"),
        *("repetition_penalty", "presence_penalty", "frequency_penalty", "sampler", "decoding", "strategy"),
        *("max_tokens", "max_new_tokens", "max_gen_toks", "max_completion_tokens", "token_budget"),
        *(
            "thinking_budget",
            "budget_tokens",
            "reasoning_effort",
            "effort",
            "reasoning_mode",
            "thinking_mode",
        ),
        *("prompt_style", "prompt_format", "prompt_template", "prompt_version", "template", "system_prompt"),
        *("num_fewshot", "num_few_shot", "n_shot", "n_shots", "num_shots", "shots", "few_shot", "fewshot"),
    )
)
#: All that sets samples apart: how they were drawn, by what, and how they were judged.
_SETTINGS = _DRAWN | frozenset(
    (
        *("scaffold", "harness", "agent", "method", "mode", "setting", "settings", "variant", "condition"),
        *("arm", "config", "configuration", "quantization", "quantisation", "quant", "dtype", "precision"),
        *("backend", "engine", "provider", "revision", "version", "checkpoint", "ckpt", "ckpt_step", "step"),
        *("global_step", "training_step", "train_step", "filter", "scorer", "metric", "grader", "judge"),
    )
)
#: What a problem is of: where one name of a problem has two values, it is the name of two problems.
_PARTS = frozenset(
    (
        *("subject", "subset", "category", "subcategory", "split", "level", "difficulty", "domain", "topic"),
        *("section", "subtask", "sub_task", "language", "lang", "programming_language", "question", "prompt"),
    )
)
#: In an object of settings, what differs from sample to sample of one setting.
_OF_SAMPLES = frozenset(
    (
        *("seed", "random_seed", "sampling_seed", "id", "uuid", "run_id", "request_id", "sample_id", "index"),
        *("idx", "sample", "sample_index", "epoch", "repeat", "n", "time", "timestamp", "date", "created"),
    )
)


def refuse_pooled(source: Source, names: Mapping[str, str]) -> None:
    """`ValueError` where unread columns of `source` set rows apart that would be one mean.

    `names` maps the fields that are read, `problem` among them, to the source's columns.
    """
    read = set(names.values())
    unread = [own for own in source.columns if own not in read]
    first = source.first(unread)
    for own in unread:
        spelt = v.spelt(own)
        setting = spelt in _SETTINGS
        inside = nested.paths(first[own].to_list()) if _may_hold_objects(first[own]) else []
        for path in inside:
            last = v.spelt(path[-1])
            if last in _DRAWN or (setting and last not in _OF_SAMPLES):
                _refuse(source, names, ".".join((own, *path)), GROUP)
        if not inside and (setting or spelt in _PARTS):
            _refuse(source, names, own, GROUP if setting else KEYS)


def _may_hold_objects(column: pl.Series) -> bool:
    return isinstance(column.dtype, pl.Struct) or (
        isinstance(column.dtype, pl.String) and bool(column.str.starts_with("{").any())
    )


def _refuse(source: Source, names: Mapping[str, str], own: str, keys: Sequence[str]) -> None:
    """`ValueError` if rows with the same `keys` have several values in the column `own`."""
    there = {key: names[key] for key in keys if key in names}
    column = " column"  # no field is called so
    seen, kinds = pl.DataFrame(), pl.Schema()
    for batch in source.batches({**there, column: own}):
        rows = batch.filter(pl.col(v.WANTED).fill_null(False)) if v.WANTED in batch.columns else batch
        kinds = rows.schema
        rows = rows.select(*there, _value(column)).unique(maintain_order=True)
        seen = pl.concat([seen, rows]).unique(maintain_order=True) if seen.width else rows
    by = in_order(seen, keys)
    several = pl.col(column).n_unique().over(by) if by else pl.col(column).n_unique()
    mixed = seen.filter(several > 1)
    if not mixed.height:
        return
    first = mixed.partition_by(by, maintain_order=True)[0] if by else mixed
    values = sorted(first[column].unique().to_list())
    listed = v.listed([v.shown(value) if value else "none" for value in values])
    some = next(filter(None, values))
    chosen = f"choose one by where={{{own!r}: {some!r}}}" if len(some) <= _SHOWN else "choose one by where="
    if keys == KEYS:
        what = f"samples of problem {v.shown(first['problem'][0])}"
        each, meaning = "task", "so that it may be several problems"
    else:
        what, each, meaning = "samples", "model", "which are not pooled"
    texts = isinstance(kinds[column], pl.String) or kinds[column].is_integer()  # which may be keys
    apart = f", take each by itself by columns={{{each!r}: {own!r}}}" if texts and each not in names else ""
    raise ValueError(
        f"{source.name} has {what} with {len(values)} values of {own!r}, {meaning}: {listed}. "
        f"{chosen[0].upper()}{chosen[1:]}{apart}, or leave the column out if they are one"
    )


def _value(column: str) -> pl.Expr:
    """A column as text, the same for the same number however it is written, "" for what is missing."""
    text = pl.col(column).cast(pl.String).fill_null("").str.strip_chars()
    number = text.cast(pl.Float64, strict=False).cast(pl.String).str.strip_suffix(".0")
    return pl.coalesce(number, text).alias(column)
