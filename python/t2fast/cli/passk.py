"""`t2fast passk`: pass@k from counts."""

from __future__ import annotations

import argparse
from typing import Any

from t2fast.cli import results
from t2fast.cli.options import add_table, command, curve_rows, filtered, integers, left_out, reading, show
from t2fast.cli.plotting import add_plot, check, save
from t2fast.estimators import estimate


def add_parser(commands: Any) -> None:
    """Add the command `passk`."""
    parser = command(
        commands,
        "passk",
        run,
        "estimate pass@k from counts, without bias, with an interval clustered by problem",
        "  t2fast passk counts.csv -k 1,8,64\n"
        "  t2fast passk samples.jsonl -k 1,10 --columns problem=question,correct=solved --json\n"
        "  t2fast passk HumanEval_results.jsonl -k 1,10,100\n"
        "  t2fast passk lm-eval-output/ -k 1,16 --filter strict-match --duplicates sum\n"
        "  t2fast passk run/ -k 1,1000 --missing extrapolate\n"
        "  t2fast passk one_results.jsonl other_results.jsonl -k 1,10\n"
        "\nSeveral files make one table; where one names no model, it goes by the file's name.",
    )
    add_table(parser, several=True)
    results.add_options(parser)
    parser.add_argument("-k", type=integers, default=[1], metavar="K,K,...", help="samples (default: 1)")
    parser.add_argument(
        "--level", type=float, default=0.95, help="confidence of the interval (default: 0.95)"
    )
    parser.add_argument(
        "--missing",
        choices=("bounds", "drop", "extrapolate"),
        default="bounds",
        help="where problems have fewer than k samples: NaN with bounds on the mean over all, the mean over "
        "the others alone, or fitted spreads of difficulty (default: bounds)",
    )
    add_plot(parser, "the curves")
    parser.add_argument(
        "--likelihood",
        action="store_true",
        help="every k by fitted spreads of difficulty: unbiased where sampling ended at successes",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check(arguments)
    counts = filtered(results.read_all(arguments, arguments.files, **reading(arguments)), arguments)
    curves = estimate(
        counts,
        k=arguments.k,
        level=arguments.level,
        missing=arguments.missing,
        likelihood=arguments.likelihood,
    )
    data = {"source": counts.source, "level": arguments.level, "rows": curve_rows(curves), **left_out(counts)}
    show(arguments, data, lambda: curves)
    if arguments.plot:
        from t2fast.reports.measured import warnings  # with all rooms, which take a while to import

        save(curves.figure(), arguments.plot, list(warnings(counts)))
