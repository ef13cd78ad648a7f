"""`t2fast simulate`: counts drawn from a law."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from rich.console import Console

from t2fast import atomic
from t2fast.cli.laws import add_law
from t2fast.cli.options import command, numbers, seed
from t2fast.laws import ForecastLaw, Law, find_law, simulate_counts


def add_parser(commands: Any) -> None:
    """Add the command `simulate`."""
    parser = command(
        commands,
        "simulate",
        run,
        "draw a counts table from a law, as if it were true",
        "  t2fast simulate -o counts.csv\n"
        "  t2fast simulate --law law.json --n-params 1e8,1e9 --n-tokens 1e10,1e11 --samples 1024 --seed 7",
    )
    add_law(parser)
    parser.add_argument("--n-params", type=numbers, metavar="N,N,...", help="default: within the law's data")
    parser.add_argument("--n-tokens", type=numbers, metavar="D,D,...", help="default: within the law's data")
    parser.add_argument("--problems", type=int, default=128, help="default: 128")
    parser.add_argument("--samples", type=int, default=256, help="per problem (default: 256)")
    parser.add_argument("--seed", type=seed, default=0, help="default: 0")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=".csv, .parquet or .jsonl (default: CSV on stdout, with --json one JSON object a line)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if arguments.output is not None:
        atomic.check(arguments.output)
    law = find_law(arguments.law)
    if isinstance(law, ForecastLaw):
        raise ValueError(
            f"{arguments.law} is a forecast law, which says nothing of single problems: fit another"
        )
    n_params = arguments.n_params or _grid(law, "n_params", 5)
    n_tokens = arguments.n_tokens or _grid(law, "n_tokens", 5)
    counts = simulate_counts(
        law,
        n_params,
        n_tokens,
        problems=arguments.problems,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    if arguments.output is not None:
        counts.write(arguments.output)
        Console(stderr=True).print(f"{len(counts)} rows in {arguments.output}", markup=False, soft_wrap=True)
    elif arguments.json:
        sys.stdout.write(counts.frame.write_ndjson())
    else:
        sys.stdout.write(counts.frame.write_csv())


def _grid(law: Law, name: str, points: int) -> list[float]:
    if name not in law.domain:
        raise ValueError(
            f"the law does not say what {name} it was fitted on: give --{name.replace('_', '-')}"
        )
    return [float(f"{v:.3g}") for v in np.geomspace(*law.domain[name], points)]
