"""`t2fast compare`: pass@k of two or more models on the same problems."""

from __future__ import annotations

import argparse
from typing import Any

import polars as pl

from t2fast.cli import results
from t2fast.cli.options import add_table, command, filtered, integers, reading, show
from t2fast.cli.plotting import add_plot, check, save
from t2fast.comparisons import compare
from t2fast.tables import Counts

_SIDES = ("model", "n_params", "n_tokens", "train_set", "stage")


def add_parser(commands: Any) -> None:
    """Add the command `compare`."""
    parser = command(
        commands,
        "compare",
        run,
        "compare pass@k of models, checkpoints or settings on the same problems, at every k at once",
        "  t2fast compare base.csv tuned.csv\n"
        "  t2fast compare counts.csv --min-params 1B -k 1,8,64\n"
        "  t2fast compare run-a/ run-b/ --json",
    )
    add_table(parser)
    parser.add_argument(
        "others", nargs="*", metavar="FILE", help="further files; of one, its checkpoints are compared"
    )
    results.add_options(parser)
    parser.add_argument("-k", type=integers, metavar="K,K,...", help="samples (default: all that there are)")
    parser.add_argument("--level", type=float, default=0.95, help="confidence of the band (default: 0.95)")
    parser.add_argument("--draws", type=int, default=4000, help="bootstrap draws (default: 4000)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    add_plot(parser, "the differences")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check(arguments)
    files = [arguments.file, *arguments.others]
    sides: dict[str, Counts] = {}
    for file in files:
        counts = filtered(results.read(arguments, file, **reading(arguments)), arguments)
        for name, part in _sides(counts).items():
            label = name if len(files) == 1 else f"{results.label(file, files)} {name}".strip()
            sides[label] = part
    found = compare(sides, arguments.k, level=arguments.level, draws=arguments.draws, seed=arguments.seed)
    show(arguments, found.to_dict(), lambda: found)
    if arguments.plot:
        save(found.figure(), arguments.plot, found.notes)


def _sides(counts: Counts) -> dict[str, Counts]:
    """The checkpoints of a table by what tells them apart, or the table itself by no name."""
    told = [name for name in _SIDES if name in counts.frame.columns and counts.frame[name].n_unique() > 1]
    if not told:
        return {"": counts}
    if counts.frame.select(told).n_unique() == counts.frame[told[0]].n_unique():
        told = told[:1]
    named = counts.frame.with_columns(
        pl.concat_str(pl.col(told).cast(pl.String), separator=" ").alias("side")
    )
    parts = named.partition_by("side", maintain_order=True)
    return {str(part["side"][0]): Counts(part.drop("side"), counts.source) for part in parts}
