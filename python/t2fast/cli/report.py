"""`t2fast report`: a page of what was measured, fitted and planned."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rich.console import Console

from t2fast import atomic
from t2fast.choices import Choice, choose
from t2fast.cli import results, spending
from t2fast.cli.design import add_wanted, design_of, read_wanted
from t2fast.cli.laws import add_law
from t2fast.cli.options import add_table, command, filtered, print_json, reading, size
from t2fast.cli.tables import add_chance, kind_of, read_table, refuse_chance
from t2fast.costs.architectures import read_architectures
from t2fast.laws import AnyLaw, find_law
from t2fast.plans import Plan, plan
from t2fast.progress import working
from t2fast.tables import Counts, read_prices
from t2fast.tables.counts import joined_counts
from t2fast.validation import Validation, validate

_OF_BOTH = ("prompt_tokens", "output_tokens", "per_query")
"""Options of a choice as well as of a plan under one budget."""
_OF_TABLES = {
    *("validate", "columns", "models", "task", "where", "stage", "chance", *results.OPTIONS),
    *(f"{end}_{of}" for end in ("min", "max") for of in ("params", "tokens", "train_flops")),
}
"""Options of what was measured."""
_FILES = ("law", "prices", "runs", "architectures", "accelerators")


def add_parser(commands: Any) -> None:
    """Add the command `report`."""
    parser = command(
        commands,
        "report",
        run,
        "write a page of what was measured, fitted and planned: one HTML file that needs no network",
        "  t2fast report counts.csv -o report.html\n"
        "  t2fast report counts.csv --law law.json -o report.html\n"
        "  t2fast report counts.csv --law law.json --train-flops 1e21 --inference-flops 1e10 -o plan.html\n"
        "  t2fast report counts.csv --validate 8 -o forecasts.html\n"
        "  t2fast report counts.csv --prices models.csv --prompt-tokens 500 --output-tokens 400 -o buy.html\n"
        "  t2fast report run/ lm-eval-output/ -o models.html\n"
        "  t2fast report --usd 10000 --gpu H100 --usd-per-hour 2.5 --queries 1e6 -o cost.html\n"
        "  t2fast report counts.csv --runs runs.csv --at 2.8B,300B,64 -o next.html\n"
        "\nSeveral files of counts are joined. Where budgets are given without --law, plans are by the law "
        "that ships with t2fast: fitted to Pythia's GSM8K counts.",
    )
    add_table(parser, several=True, least=0)
    results.add_options(parser)
    add_chance(parser)
    add_law(parser)
    parser.add_argument("--train-flops", type=size, metavar="C", help="plan for this training budget, 6ND")
    parser.add_argument(
        "--inference-flops", type=size, metavar="C", help="and this many FLOPs per token, 2Nk"
    )
    parser.add_argument(
        "--validate",
        type=int,
        metavar="SPLITS",
        help="hold parts of the table out so many times and forecast them, as `t2fast validate` does",
    )
    spending.add_options(parser)
    bought = parser.add_argument_group(
        "models that exist",
        "as for `t2fast choose`, with --prompt-tokens, --output-tokens, --target and --per-query",
    )
    bought.add_argument("--prices", metavar="FILE", help="what the models cost")
    add_wanted(parser.add_argument_group("runs to make next", "as for `t2fast design`"))
    parser.add_argument("--title", metavar="WORDS", help="of the page (default: the files)")
    parser.add_argument(
        "--level", type=float, default=0.9, help="confidence of the law's intervals (default: 0.9)"
    )
    parser.add_argument("-o", "--output", metavar="REPORT.html", required=True, help="the file to write")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from t2fast.reports import report  # with all rooms, which take a while to import

    atomic.check(arguments.output)
    _refuse_what_nothing_heeds(arguments)
    spends = arguments.prices is None and spending.asked(arguments)
    wanted = arguments.law is not None or arguments.train_flops is not None or spends
    law: AnyLaw | None = find_law(arguments.law) if wanted else None
    runs = None if arguments.runs is None else read_wanted(arguments)
    tables = _tables(arguments)
    if runs is not None and not tables:
        raise ValueError("--runs needs a table of what was measured so far: give it")
    with working("drawing"):
        found = report(
            *tables,
            *([] if law is None else [law]),
            *_plans(arguments, law),
            *([spending.plan_of(arguments, law, **_listed(arguments))] if law is not None and spends else []),
            *(
                []
                if runs is None
                else [design_of(arguments, runs, table, level=arguments.level) for table in tables]
            ),
            *_validations(arguments, tables),
            *_choices(arguments, tables),
            title=arguments.title,
            level=arguments.level,
            command=["t2fast", *sys.argv[1:]] if sys.argv[1:2] == ["report"] else None,
            files=[*arguments.files, *filter(None, (getattr(arguments, name) for name in _FILES))],
        )
        html = found.html().encode()
    atomic.write(arguments.output, [html])
    if arguments.json:
        print_json(
            {
                "output": arguments.output,
                "bytes": len(html),
                "title": found.title,
                "warnings": list(found.warnings),
                "sections": [section.title for section in found.sections],
            }
        )
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    stderr.print(f"report kept in {arguments.output}", markup=False)


def _refuse_what_nothing_heeds(arguments: argparse.Namespace) -> None:
    """`ValueError` for an option whose section was not asked for, and would be left out in silence."""
    if arguments.inference_flops is not None and arguments.train_flops is None:
        raise ValueError("--inference-flops is half of a plan: give --train-flops too, or leave it out")
    if arguments.target is not None and arguments.prices is None and arguments.queries is None:
        raise ValueError(
            "--target is of a choice among models that exist, or of a plan: give --prices, or --queries"
        )
    of_laws = (arguments.law, arguments.train_flops, arguments.runs)
    if "level" in arguments.given and of_laws == (None, None, None) and not spending.asked(arguments):
        raise ValueError("--level is of a law's intervals: give --law, a budget or --runs, or leave it out")
    of_plans = {"usd", "total_flops", *spending.OWN} - set(_OF_BOTH)
    for name in sorted(arguments.given):
        shown = f"--{name.replace('_', '-')}"
        if name in _OF_TABLES and not arguments.files:
            raise ValueError(f"{shown} is of a table of what was measured: give its file, or leave it out")
        if name in ("at", "budget", "count") and arguments.runs is None:
            raise ValueError(f"{shown} is of runs to make next: give --runs, or leave it out")
        if name in of_plans and arguments.prices is not None:
            raise ValueError(
                f"{shown} is of a plan under one budget, --prices of a choice: leave one of them out"
            )
        if name in (*of_plans, *_OF_BOTH) and arguments.prices is None and not spending.asked(arguments):
            choice = ", or --prices to choose among models that exist" if name in _OF_BOTH else ""
            raise ValueError(
                f"{shown} is of a plan under one budget: give --usd, --total-flops or --target{choice}, or "
                "leave it out"
            )


def _tables(arguments: argparse.Namespace) -> list[Any]:
    """The tables of the files; counts joined, others by themselves."""
    counts, others = [], []
    for file in arguments.files:
        arguments.file = file
        kind = kind_of(file, arguments.columns)
        if kind == "counts":
            refuse_chance(arguments, kind)
            counts.append(results.read(arguments, file, **reading(arguments)))
        else:
            others.append(read_table(arguments, kind))
    if counts:
        joined = joined_counts(counts, duplicates=arguments.duplicates)
        return [filtered(joined, arguments), *others]
    return others


def _validations(arguments: argparse.Namespace, tables: list[Any]) -> list[Validation]:
    if arguments.validate is None:
        return []
    return [validate(table, splits=arguments.validate) for table in tables]


def _choices(arguments: argparse.Namespace, tables: list[Any]) -> list[Choice]:
    if arguments.prices is None:
        return []
    counts = next((table for table in tables if isinstance(table, Counts)), None)
    if counts is None:
        raise ValueError("--prices goes with counts of several models, and no file has counts")
    return [
        choose(
            counts,
            read_prices(arguments.prices),
            prompt_tokens=_if_given(arguments, "prompt_tokens"),
            output_tokens=_if_given(arguments, "output_tokens"),
            target=arguments.target,
            per_query=arguments.per_query,
        )
    ]


def _if_given(arguments: argparse.Namespace, name: str) -> float | None:
    """What a plan has a default for, and a choice reads from the counts."""
    return getattr(arguments, name) if name in arguments.given else None


def _listed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Architectures to choose from, if any."""
    if arguments.architectures is None:
        return {}
    return {"n_params": read_architectures(arguments.architectures)}


def _plans(arguments: argparse.Namespace, law: AnyLaw | None) -> list[Plan]:
    if law is None or arguments.train_flops is None:
        return []
    return [plan(law, arguments.train_flops, arguments.inference_flops, level=arguments.level)]
