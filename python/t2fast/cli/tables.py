"""A table of any kind: which kind a file holds, told from its columns, and the table itself."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from t2fast.cli import results
from t2fast.cli.options import filtered, reading
from t2fast.tables import (
    Accuracies,
    Counts,
    Likelihoods,
    Losses,
    read_accuracies,
    read_likelihoods,
    read_losses,
)
from t2fast.tables import fields as v
from t2fast.tables.sources import FORMATS, open_source

_KINDS = {
    "counts": (v.N_CORRECT, v.CORRECT),
    "likelihoods": (v.LOG_LIKELIHOOD, v.P),
    "losses": (v.LOSS,),
    "accuracies": (v.ACCURACY,),
}


def kind_of(path: str, columns: Mapping[str, str] | None) -> str:
    """`counts`, `likelihoods`, `losses` or `accuracies`: the first of them that a column tells.

    Counts where none does: what other tools wrote tells itself when it is read.
    """
    known = path.lower().removesuffix(".gz").removesuffix(".zst").endswith(tuple(FORMATS))
    if not known or not os.path.isfile(path):
        return "counts"
    try:
        there = open_source(path).columns
    except ValueError:  # no table; its reader says what it is
        return "counts"
    # What the caller maps comes before what is there.
    for present in (set(columns or ()), set(map(v.spelt, there))):
        for kind, fields in _KINDS.items():
            if present & {name for field in fields for name in (field.name, *field.aliases)}:
                return kind
    return "counts"


def add_chance(parser: argparse.ArgumentParser) -> None:
    """Add what a table of accuracies needs besides its file."""
    parser.add_argument(
        "--chance", type=float, metavar="P", help="what guessing gets right, where the table holds accuracies"
    )


def refuse_chance(arguments: argparse.Namespace, kind: str) -> None:
    """`ValueError` for `--chance` with a table of another kind than accuracies."""
    if arguments.chance is not None and kind != "accuracies":
        raise ValueError(f"--chance goes with accuracies, and {arguments.file} holds {kind}")


def read_table(arguments: argparse.Namespace, kind: str) -> Counts | Likelihoods | Losses | Accuracies:
    """The table of this kind in `arguments.file`, its rows chosen as the options say.

    `ValueError` for options that go with another kind.
    """
    refuse_chance(arguments, kind)
    how = reading(arguments)
    if kind == "counts":
        counts: Counts = filtered(results.read(arguments, arguments.file, **how), arguments)
        return counts
    results.refuse_options(arguments)
    if kind == "likelihoods":
        likelihoods: Likelihoods = filtered(read_likelihoods(arguments.file, **how), arguments)
        return likelihoods
    if how.pop("stage") is not None:
        raise ValueError(f"--stage chooses among counts or likelihoods; a table of {kind} has no stage")
    if kind == "losses":
        losses: Losses = filtered(read_losses(arguments.file, **how), arguments)
        return losses
    accuracies: Accuracies = filtered(
        read_accuracies(arguments.file, chance=arguments.chance, **how), arguments
    )
    return accuracies
