"""`t2fast compare`: pass@k of two or more models on the same problems."""

from __future__ import annotations

import argparse
from typing import Any

import polars as pl

from t2fast.cli import results
from t2fast.cli.options import add_table, command, filtered, integers, reading, seed, show
from t2fast.cli.plotting import add_plot, check, save
from t2fast.comparisons import compare
from t2fast.tables import Counts
from t2fast.text import amount

_SYMBOLS = {"n_params": "N", "n_tokens": "D"}
_SIDES = ("model", "n_params", "n_tokens", "train_set", "dataset", "stage")


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
    parser.add_argument("--seed", type=seed, default=0, help="of the draws (default: 0)")
    add_plot(parser, "the differences")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check(arguments)
    files = [arguments.file, *arguments.others]
    results.refuse_twice(files)
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
    for name in reversed(told):
        rest = [other for other in told if other != name]
        if rest and counts.frame.select(rest).n_unique() == counts.frame.select(told).n_unique():
            told = rest
    shown = {name: _shown(name, counts.frame[name]) for name in told}
    return {
        " ".join(shown[name][part[name][0]] for name in told): Counts(part, counts.source)
        for part in counts.frame.partition_by(told, maintain_order=True)
    }


def _shown(name: str, column: pl.Series) -> dict[Any, str]:
    """What the values of a column are called, no two alike."""
    values = column.unique().to_list()
    if name not in _SYMBOLS:
        return {value: str(value) for value in values}
    short = {value: f"{_SYMBOLS[name]} = {amount(value)}" for value in values}
    if len(set(short.values())) == len(values):
        return short
    return {value: f"{_SYMBOLS[name]} = {value!r}" for value in values}
