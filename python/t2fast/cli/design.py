"""`t2fast design`: which runs to make next, so that a target becomes known at least cost."""

from __future__ import annotations

import argparse
from typing import Any

import polars as pl

from t2fast.cli import results
from t2fast.cli.options import add_table, command, left_out, numbers, seed, show, size
from t2fast.cli.plotting import add_plot, check, save
from t2fast.cli.tables import add_chance, kind_of, read_table
from t2fast.designs import Design, design, read_candidates
from t2fast.fits import fit_forecast

_DRAWS = 400

_EXAMPLES = """  t2fast design losses.csv --runs runs.csv --at 7B,2T --budget 1e21
  t2fast design counts.csv --runs runs.csv --at 2.8B,300B,64
  t2fast design counts.csv --runs runs.csv --train-flops 1e22 --inference-flops 2e10
  t2fast design counts.csv --runs runs.csv --at 2.8B,300B,64 --plot runs.svg

The table holds what was measured so far; the forecast law is fitted to it. RUNS has n_params and n_tokens of
the runs that could be made and, if costs are not 6 N D, cost (or else --columns runs.n_params=size,...). Make
some of the runs, add them to the table, and ask again: in rounds that each double what is spent, say."""
_RUNS = "runs."
"""What `--columns` calls the columns of RUNS by, before their names."""


def add_parser(commands: Any) -> None:
    """Add the command `design`."""
    says = "choose the runs that tell most about a target for their cost"
    parser = command(commands, "design", run, says, _EXAMPLES)
    add_table(parser)
    results.add_options(parser)
    add_chance(parser)
    add_wanted(parser, required=True)
    add = parser.add_argument
    add("--train-flops", type=size, metavar="C", help="target: the N of the plan for so much training")
    add("--inference-flops", type=size, metavar="C", help="and for so many FLOPs per token served")
    add("--draws", type=int, default=_DRAWS, help="of the law (default: %(default)s)")
    add("--seed", type=seed, default=0, help="of the draws (default: %(default)s)")
    add_plot(parser, "what the runs leave open over what they cost, and where they lie")


def add_wanted(group: Any, required: bool = False) -> None:
    """Add the runs that could be made, what is wanted of them, and what they may cost."""
    add = group.add_argument
    add("--runs", required=required, metavar="RUNS", help="table of the runs that could be made")
    add(
        "--at",
        type=numbers,
        action="append",
        default=[],
        metavar="N,D[,k]",
        help="target: the law's value there; repeatable",
    )
    add("--budget", type=size, metavar="COST", help="most that the runs may cost together")
    add("--count", type=int, default=8, help="most runs (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check(arguments)
    runs = read_wanted(arguments)
    table = read_table(arguments, kind_of(arguments.file, arguments.columns))
    found = design_of(arguments, runs, table, draws=arguments.draws, seed=arguments.seed)
    show(arguments, {**left_out(table), **found.to_dict()}, lambda: found)
    if arguments.plot:
        save(found.figure(), arguments.plot, found.warnings)


def read_wanted(arguments: argparse.Namespace) -> pl.DataFrame:
    """The runs that could be made, their names taken out of `--columns`; `ValueError` where nothing is wanted
    of them, or what is wanted is no place.
    """
    for place in arguments.at:
        if len(place) not in (2, 3):
            raise ValueError(f"--at takes N,D or N,D,k, not {len(place)} numbers")
    if not arguments.at and arguments.train_flops is None:
        raise ValueError("nothing is wanted: give --at N,D (or N,D,k), or --train-flops")
    if arguments.inference_flops is not None and arguments.train_flops is None:
        raise ValueError("--inference-flops goes with --train-flops")
    named = arguments.columns or {}
    arguments.columns = {key: own for key, own in named.items() if not key.startswith(_RUNS)} or None
    its = {key.removeprefix(_RUNS): own for key, own in named.items() if key.startswith(_RUNS)}
    return read_candidates(arguments.runs, columns=its, prefix=_RUNS)


def design_of(
    arguments: argparse.Namespace,
    runs: pl.DataFrame,
    table: Any,
    *,
    draws: int = _DRAWS,
    seed: int = 0,
    level: float = 0.9,
) -> Design:
    """The runs to make next, by the forecast law of a table."""
    train = arguments.train_flops
    return design(
        fit_forecast(table, draws=draws, seed=seed),
        runs,
        at=[tuple(place) for place in arguments.at],
        plan_for=None if train is None else (train, arguments.inference_flops),
        budget=arguments.budget,
        count=arguments.count,
        level=level,
    )
