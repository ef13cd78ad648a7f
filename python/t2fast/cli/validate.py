"""`t2fast validate`: how well a table's forecasts hold on the part that they have not seen."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from t2fast.cli import results
from t2fast.cli.groups import add_groups, check_paths, each, paths, show_each
from t2fast.cli.options import add_table, check_draws, command, integers, left_out, seed
from t2fast.cli.plotting import add_plot, save
from t2fast.cli.tables import add_chance, kind_of, read_table
from t2fast.laws import ForecastLaw, Law
from t2fast.validation import BY, METHODS, Validation, validate
from t2fast.validation.measured import Measured, Table
from t2fast.validation.methods import Request


def add_parser(commands: Any) -> None:
    """Add the command `validate`."""
    parser = command(
        commands,
        "validate",
        run,
        "hold out part of a table, forecast it by every law and say whether to believe them",
        "  t2fast validate counts.csv\n"
        "  t2fast validate counts.csv --by ratio --splits 10 --plot ratio.png\n"
        "  t2fast validate losses.csv --methods forecast,chinchilla --json\n"
        "  t2fast validate accuracies.csv --task arc_easy --chance 0.25\n"
        "  t2fast validate counts.csv -o law.json     fits the law, too, and keeps its figures with it",
    )
    add_table(parser)
    results.add_options(parser)
    add_chance(parser)
    add_groups(parser, "validate")
    parser.add_argument(
        "--by",
        choices=BY,
        default="compute",
        help="what to hold out: all from some training compute, tokens per parameter or size on, a run, or "
        "random checkpoints (default: compute)",
    )
    parser.add_argument("--splits", type=int, default=20, metavar="S", help="at most so many (default: 20)")
    parser.add_argument(
        "--methods",
        type=lambda text: text.split(","),
        metavar="NAME,...",
        help=f"among {', '.join(METHODS)} (default: all that can forecast the table); "
        "the verdict is about the first law",
    )
    parser.add_argument("--ks", type=integers, metavar="K,K,...", help="k to fit and judge by")
    parser.add_argument("--level", type=float, default=0.9, help="confidence of the intervals (default: 0.9)")
    parser.add_argument(
        "--draws", type=int, default=100, help="draws behind the intervals, 0 for none (default: 100)"
    )
    parser.add_argument(
        "--all-intervals", action="store_true", help="intervals of every law, not of the first alone: slower"
    )
    parser.add_argument(
        "--regularise", action="store_true", help="fit the paper's laws under the forecast law's priors"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of draws and random splits (default: 0)")
    add_plot(parser, "the errors")
    parser.add_argument(
        "-o",
        "--output",
        metavar="LAW.json",
        help="fit the law of the verdict to the whole table and keep it with these figures",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check_paths(arguments)
    table = read_table(arguments, kind_of(arguments.file, arguments.columns))
    outputs = paths(arguments.output, table, arguments.group_by)
    plots = paths(arguments.plot, table, arguments.group_by)

    laws: dict[str, Law | ForecastLaw] = {}
    if 0 < arguments.level < 1:
        check_draws(arguments.draws, arguments.level)

    def validated(value: str, part: Table) -> Validation:
        found = validate(
            part,
            by=arguments.by,
            splits=arguments.splits,
            methods=arguments.methods,
            ks=arguments.ks,
            level=arguments.level,
            draws=arguments.draws,
            all_intervals=arguments.all_intervals,
            regularise=arguments.regularise,
            seed=arguments.seed,
        )
        if outputs:
            laws[value] = _law(found, part, arguments)
        return found

    made = each(table, arguments, validated)
    show_each(arguments, made, Validation.to_dict, left_out(table))
    for value, found in made.items():
        if plots:
            save(found.figure(), plots[value], found.notes)
        if outputs:
            laws[value].save(outputs[value])
            Console(stderr=True).print(f"law kept in {outputs[value]}", markup=False, soft_wrap=True)


def _law(found: Validation, table: Table, arguments: argparse.Namespace) -> Law | ForecastLaw:
    """The law that the verdict is about, fitted to the whole table, with what its validation found."""
    fit = METHODS[found.primary].fit
    if fit is None:
        raise ValueError(f"{found.primary} is no law to keep: name one by --methods")
    # As many draws as `t2fast fit` takes: this law is fitted once.
    how = Request(draws=200, seed=arguments.seed, regularise=arguments.regularise)
    law = fit(Measured.of(table, arguments.ks), how)
    return found.keep(law)
