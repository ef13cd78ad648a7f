"""Results of other tools as counts: lm-eval, inspect-ai, evalplus, HELM and a dozen more.

A file is known by its content. Each tool has a module here, which says what its files hold in which version,
and what they do not. None of them stores the tokens a model was trained on, and only lm-eval its parameters:
a table of models supplies them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, Literal

import polars as pl

from t2fast.readers import (
    bigcodebench,
    code_eval,
    evalplus,
    every_eval_ever,
    helm,
    human_eval,
    inspect_ai,
    large_language_monkeys,
    lighteval,
    livecodebench,
    lm_eval,
    means,
    rollouts,
    simple_evals,
    traces,
)
from t2fast.readers.archive import Archive
from t2fast.readers.choices import Answer, Choices, Errors
from t2fast.readers.documents import first_object
from t2fast.readers.measured import Measured
from t2fast.tables import Counts, read_counts
from t2fast.tables import fields as v
from t2fast.tables.containers import opened, require_file
from t2fast.tables.json_columns import rows_of_object
from t2fast.tables.models import with_sizes
from t2fast.tables.reading import KEYS, LeftOut, in_order
from t2fast.tables.sources import TableSource

__all__ = ["TOOLS", "Answer", "Choices", "Errors", "read_results"]

# The first that recognises a file reads it.
_TOOLS = (
    every_eval_ever,
    bigcodebench,
    human_eval,
    evalplus,
    lm_eval,
    inspect_ai,
    livecodebench,
    helm,
    lighteval,
    simple_evals,
    traces,
    rollouts,
    code_eval,
    means,
)
_READ = tuple(tool for tool in (*_TOOLS, large_language_monkeys) if tool is not means)
TOOLS = tuple(sorted((tool.NAME for tool in _READ), key=str.lower))
"""The tools whose results are read."""

_OWN: dict[ModuleType, set[str]] = {
    evalplus: {"nfiles", "base", "plus", "base_status", "plus_status"},
    bigcodebench: {"status"},
}
"""What samples of tools have alone whose documents have keys in common."""

_SUFFIXES = (
    *(".eval", ".parquet", ".arrow", ".feather", ".yaml", ".yml"),
    *(f".{kind}{ending}" for kind in ("json", "jsonl", "csv", "tsv") for ending in ("", ".gz", ".zst")),
)
_HEAD = 4096
_COLUMNS = {name for field in (v.PROBLEM, v.N_SAMPLES, v.CORRECT) for name in (field.name, *field.aliases)}
# Files that lie beside results and hold none.
_BESIDE = helm.BESIDE | rollouts.BESIDE


def read_results(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
    stage: str | None = None,
    where: Mapping[str, str] | None = None,
    duplicates: Literal["error", "sum"] = "error",
    model: str | None = None,
    scorer: str | None = None,
    metric: str | None = None,
    filter: str | None = None,
    answer: Answer | None = None,
    correct_at: float | None = None,
    errors: Errors = "count",
) -> Counts:
    """Read counts out of what an evaluation tool wrote, or out of any table.

    Samples that were not run or not scored are not in the counts: `left_out` says how many and why. `notes`
    say which layout was seen, and how many samples ended in an error.

    Args:
        source: a file that one of `TOOLS` wrote, a folder with results of one of them (below it, too), or a
            list of such files; otherwise what `t2fast.read_counts` takes, which is asked at once where
            `columns` is given.
        columns: as for `t2fast.read_counts`.
        models: as for `t2fast.read_counts`.
        task: as for `t2fast.read_counts`.
        stage: as for `t2fast.read_counts`.
        where: as for `t2fast.read_counts`.
        duplicates: as for `t2fast.read_counts`. Two runs of one model on one task are duplicates: `"sum"`
            joins them, as samples of the same problems.
        model: a name for the model, where the tool does not store it or another name is wanted.
        scorer: inspect-ai's scorer.
        metric: as `t2fast.readers.Choices` says, like the next four, which results of a tool leave to the
            caller.
        filter: lm-eval's filter.
        answer: a pattern, or a function, that scores lm-eval's responses anew.
        correct_at: the score from which on a sample counts as correct.
        errors: what a sample is that ended in an error.

    Returns:
        The counts, a row a problem of a checkpoint.

    Raises:
        ValueError: for a file that is damaged or not as its tool writes it, naming file, row and field; for a
            choice that is left open, naming what there is; and for a choice that these results do not leave.
    """
    chosen = Choices(task, model, scorer, metric, filter, answer, correct_at, errors)
    if isinstance(source, list | tuple) and not source:
        raise ValueError("the list of files is empty: give at least one")
    files = _paths(source)
    found = _find(files, chosen) if files and columns is None else None
    scored = None
    if found is None:
        if len(files) > 1:
            raise ValueError("several tables: give them one by one, or join them")
        chosen.refuse_others(files[0] if files else "the table", "no known tool", ("correct_at",))
        scored = correct_at
        found = Measured(source[0] if isinstance(source, list | tuple) else source, columns or {})
    joined = models if model is None else None  # a new name has to be there before the join
    counts = read_counts(
        found.source,
        columns=found.columns,
        models=joined,
        task=task,
        stage=stage,
        where=where,
        duplicates=duplicates,
        correct_at=scored,
    )
    if model is not None:
        counts = _named(counts, model, models)
    return replace(
        counts,
        left_out=(*found.left_out, *counts.left_out),
        notes=(*found.notes, *counts.notes),
        errored=found.errored,
    )


def tool_of(path: str) -> str | None:
    """The tool whose results a file holds, by its content; None for a file of no known kind."""
    recognised = _recognise(path)
    return recognised[0].NAME if recognised else None


def _paths(source: TableSource) -> list[str]:
    """The paths that `source` is, none if it is a table."""
    if isinstance(source, list | tuple):
        return [os.fsdecode(path) for path in source if isinstance(path, (str, os.PathLike))]
    return [os.fsdecode(source)] if isinstance(source, (str, os.PathLike)) else []


def _find(paths: list[str], choices: Choices) -> Measured | None:
    """What the tool that wrote `paths` left there; None for a single file that may be a table."""
    if len(paths) == 1 and not os.path.isdir(paths[0]):
        recognised = _recognise(paths[0])
        if recognised is None:
            _refuse_unknown(paths[0])
            return None
        measured: Measured = recognised[0].read(recognised[1], choices)
        return measured
    where = paths[0] if len(paths) == 1 else f"{len(paths)} paths"
    tools: dict[ModuleType, dict[str, None]] = {}
    unknown = []
    each = [file for path in paths for file in (_files(path) if os.path.isdir(path) else [path])]
    for file in {os.path.realpath(file): file for file in each}.values():
        recognised = _recognise(file)
        if recognised:
            tools.setdefault(recognised[0], {}).update(dict.fromkeys(recognised[1]))
        else:
            unknown.append(os.path.relpath(file, paths[0]) if len(paths) == 1 else file)
    if len(tools) > 1:
        tools.pop(means, None)  # summaries beside the samples
    if len(tools) != 1:
        raise ValueError(
            f"{where} holds results of {' and '.join(tool.NAME for tool in tools)}: read them one by one"
            if tools
            else f"{where} holds no results of {', '.join(TOOLS)}"
            + (f". If these are tables, name each: {v.listed(unknown)}" if unknown else "; name a file")
        )
    (tool, files), *_ = tools.items()
    found: Measured = tool.read(list(files), choices)
    if unknown:
        passed_over = LeftOut(0, f"files of no known kind: {v.listed(unknown)}")
        found = replace(found, left_out=(*found.left_out, passed_over))
    return found


def _files(folder: str) -> list[str]:
    found = (
        os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name not in _BESIDE
    )
    return sorted(file for file in found if file.lower().endswith(_SUFFIXES) and os.path.isfile(file))


def _recognise(path: str) -> tuple[ModuleType, list[str]] | None:
    """The reader for a file, and the files that hold its samples."""
    require_file(path)
    if Archive.recognises(path):
        return inspect_ai, [path]
    with opened(path) as file:
        head = file.read(_HEAD)
    if head.startswith(b"PAR1"):
        return (lighteval, [path]) if lighteval.recognises_parquet(path) else None
    if large_language_monkeys.recognises_text(head):
        return large_language_monkeys, [path]
    return _recognise_json(path) if head.lstrip()[:1] in (b"{", b"[") else None


def _recognise_json(path: str) -> tuple[ModuleType, list[str]] | None:
    first, _ = first_object(path)
    if os.path.basename(path) in helm.BESIDE:
        beside = os.path.join(os.path.dirname(path), helm.FILE)
        if os.path.exists(beside):
            return helm, [beside]
    if lm_eval.recognises_results(first):
        return lm_eval, lm_eval.samples_beside(path)
    return next(((tool, [path]) for tool in _TOOLS if tool.recognises(first)), None)


def _refuse_unknown(path: str) -> None:
    """`ValueError` for JSON that can be no table, with what it is nearest to."""
    with opened(path) as file:
        if file.read(_HEAD).lstrip()[:1] not in (b"{", b"["):
            return
    first, whole = first_object(path)
    there = first.keys()
    flat = not any(isinstance(value, dict | list) for value in first.values())
    # A table of one row is one object, too.
    if len(there & _COLUMNS) > 1 or (not whole and (there & _COLUMNS or flat)):
        return
    if whole and rows_of_object(path) is not None:
        return
    within = _keys_within(first)
    nearest = max(
        _READ,
        key=lambda tool: (bool(within & _OWN.get(tool, set())), len(tool.KEYS & there) / len(tool.KEYS)),
    )
    shared = nearest.KEYS & there
    raise ValueError(
        f"{path} is neither a table nor of a layout that is known: "
        + (
            f"it is nearest to {nearest.NAME}, of which it has {', '.join(sorted(shared))} but not "
            f"{', '.join(sorted(nearest.KEYS - there)) or 'what these should hold'}. "
            if shared
            else ""
        )
        + f"It has {v.listed(sorted(there)) or 'no key'}. Known are {', '.join(TOOLS)}; a table has problem, "
        "and n_samples and n_correct, or correct, by these names or by columns="
    )


def _keys_within(first: Mapping[str, Any]) -> set[str]:
    """The keys of what `first` has of its first task, or of that task's first sample."""
    inside = [value for value in first.values() if isinstance(value, dict)]
    tasks = [next(iter(value.values()), None) for value in inside]
    samples = [task[0] if isinstance(task, list) and task else task for task in tasks]
    return {key for sample in samples if isinstance(sample, dict) for key in sample}


def _named(counts: Counts, model: str, models: TableSource | None) -> Counts:
    """`counts` with another name for its one model, joined to its sizes by that."""
    if "model" in counts.frame.columns and counts.frame["model"].n_unique() > 1:
        names = [v.shown(name) for name in counts.frame["model"].unique().sort()]
        raise ValueError(
            f"{counts.source} has {len(names)} models, {v.listed(names)}: model= {model!r} can name one alone"
        )
    frame = with_sizes(counts.frame.with_columns(pl.lit(model).alias("model")), counts.source, models)
    return replace(counts, frame=frame.select(*in_order(frame, KEYS), pl.exclude(*KEYS)))
