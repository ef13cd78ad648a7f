"""`t2fast explore`: a page on which budgets move and plans follow."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from t2fast import atomic
from t2fast.cli.laws import add_law
from t2fast.cli.options import command, print_json, size
from t2fast.laws import find_law


def add_parser(commands: Any) -> None:
    """Add the command `explore`."""
    parser = command(
        commands,
        "explore",
        run,
        "write a page on which budgets, prices and targets move and plans follow: one HTML file that needs "
        "no network",
        "  t2fast explore law.json -o explorer.html\n"
        "  t2fast explore law.json --train-flops 1e21 --inference-flops 1e10 -o explorer.html\n"
        "\nWithout a law, the one that ships with t2fast is used: fitted to Pythia's GSM8K counts.",
    )
    law = parser.add_mutually_exclusive_group()
    add_law(law, "law", nargs="?")
    add_law(law, dest="named")  # as the other commands have it
    parser.add_argument("--train-flops", type=size, metavar="C", help="training budget 6ND to begin with")
    parser.add_argument(
        "--inference-flops", type=size, metavar="C", help="FLOPs per token served, 2Nk, to begin with"
    )
    parser.add_argument(
        "--level", type=float, default=0.9, help="confidence of the intervals to begin with (default: 0.9)"
    )
    parser.add_argument("--title", metavar="WORDS", help="of the page")
    parser.add_argument("-o", "--output", metavar="PAGE.html", required=True, help="the file to write")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from t2fast.reports import explore  # with all rooms, which take a while to import

    atomic.check(arguments.output)
    law = find_law(arguments.law or arguments.named)
    page = explore(
        law,
        arguments.train_flops,
        arguments.inference_flops,
        title=arguments.title,
        level=arguments.level,
    )
    html = page.html().encode()
    atomic.write(arguments.output, [html])
    if arguments.json:
        print_json(
            {
                "output": arguments.output,
                "bytes": len(html),
                "title": page.title,
                "law": law.name,
                "train_flops": page.train_flops,
                "inference_flops": page.inference_flops,
            }
        )
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    stderr.print(f"explorer kept in {arguments.output}", markup=False)
