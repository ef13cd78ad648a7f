"""Options of the commands that take results of other tools."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from rich.console import Console

from t2fast.readers import TOOLS, inspect_ai, read_results, tool_of
from t2fast.tables import Counts
from t2fast.tables.counts import joined_counts
from t2fast.text import clean

OPTIONS: dict[str, str | None] = {
    **dict.fromkeys(("model", "scorer", "metric", "filter", "answer", "correct_at")),
    "duplicates": "error",
    "errors": "count",
}


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what `t2fast.readers.read_results` leaves to the caller."""
    group = command.add_argument_group(
        "results of other tools",
        f"FILE may be what {', '.join(TOOLS)} wrote, a folder of it, or the folder of a run of t2fast.",
    )
    group.add_argument("--model", metavar="NAME", help="the model's name, where the results do not say it")
    group.add_argument("--scorer", metavar="NAME", help="which scorer (inspect-ai)")
    group.add_argument(
        "--metric",
        metavar="NAME",
        help="which metric (lm-eval, HELM, lighteval), base or plus tests (evalplus), or entry of a score "
        "(inspect-ai) or rollout",
    )
    group.add_argument("--filter", metavar="NAME", help="which filter (lm-eval)")
    group.add_argument(
        "--answer", metavar="REGEX", help="score responses anew: its last match must be the target (lm-eval)"
    )
    group.add_argument(
        "--correct-at",
        type=float,
        metavar="X",
        help="the score from which on a sample is correct (default: scores must be 0 or 1)",
    )
    group.add_argument(
        "--errors",
        choices=("count", "drop", "fail"),
        default="count",
        help="samples that ended in an error: count them as their tool does, by their score, "
        "drop them, or take them for failed (default: count)",
    )
    group.add_argument(
        "--duplicates",
        choices=("error", "sum"),
        default="error",
        help="two runs of one model on one task: refuse them or join them (default: error)",
    )


def read(arguments: argparse.Namespace, file: str | list[str], **reading: Any) -> Counts:
    """The counts of `file`; what was left out of them, and how they were read, goes to stderr."""
    choices = {name: getattr(arguments, name) for name in OPTIONS}
    if isinstance(file, str) and os.path.isfile(os.path.join(file, "manifest.json")):
        # Runs bring tasks and the engine along, which take a while to import.
        from t2fast.runs import Run

        run = Run.open(file)
        counts = read_results(run.counts(partial=True).frame, **reading, **choices)
        notes = (f"the run is not complete: {run.missing:,} samples are missing",) if run.missing else ()
        counts = replace(counts, source=file, notes=(*notes, *counts.notes))
    else:
        counts = read_results(file, **reading, **choices)
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    for words in counts.notes:
        stderr.print(clean(words), markup=False)
    for part in counts.left_out:
        rows = f"{part.rows} x " if part.rows else ""
        stderr.print(clean(f"left out: {rows}{part.reason}"), markup=False)
    return counts


def refuse_twice(files: Sequence[str]) -> None:
    """`ValueError` that names a file which is there twice, by whatever path."""
    places = [os.path.realpath(file) for file in files]
    for i, file in enumerate(files):
        if places[i] in places[:i]:
            raise ValueError(f"{file} is given twice")


def read_all(arguments: argparse.Namespace, files: Sequence[str], **reading: Any) -> Counts:
    """The counts of all files as one table; where a file names no model, its own name stands for that."""
    refuse_twice(files)
    # Of logs some may be earlier tries of others, which shows when they are read together.
    logs = [file for file in files if os.path.isfile(file) and tool_of(file) == inspect_ai.NAME]
    if len(logs) < 2:
        logs = []
    others = [file for file in files if file not in logs]
    named = [read(arguments, logs, **reading)] if logs else []
    for file in others:
        table = read(arguments, file, **reading)
        if "model" not in table.frame.columns and len(files) > 1:
            table = replace(table, frame=table.frame.with_columns(model=pl.lit(label(file, files))))
        named.append(table)
    return joined_counts(named, duplicates=arguments.duplicates)


def label(file: str, files: Sequence[str]) -> str:
    """A file's own name, or its path where several share that."""
    stem = os.path.basename(os.path.normpath(file))
    alike = sum(os.path.basename(os.path.normpath(other)) == stem for other in files)
    return file if alike > 1 else stem


def refuse_options(arguments: argparse.Namespace) -> None:
    """`ValueError` for options that choose among results where a table of another kind is read."""
    for name, default in OPTIONS.items():
        if getattr(arguments, name) != default:
            raise ValueError(f"--{name.replace('_', '-')} goes with counts, not with likelihoods or losses")
