"""`t2fast choose`: a model that exists and a number of samples, by price and target."""

from __future__ import annotations

import argparse
from typing import Any

from t2fast.choices import choose
from t2fast.cli import results
from t2fast.cli.options import command, mapping, show
from t2fast.tables import read_prices
from t2fast.tables.counts import joined_counts


def add_parser(commands: Any) -> None:
    """Add the command `choose`."""
    parser = command(
        commands,
        "choose",
        run,
        "choose among models that exist and their numbers of samples, by what was measured and what it costs",
        "  t2fast choose counts.csv --prices models.csv --prompt-tokens 500 --output-tokens 400 \\\n"
        "      --target 0.9\n"
        "  t2fast choose counts.csv --prices models.csv --prompt-tokens 500 --output-tokens 400 \\\n"
        "      --budget 0.01 --json\n"
        "\nCOUNTS are tables of model, problem, n_samples and n_correct, or results of other tools.\n"
        "--prices has model, usd_per_million_prompt_tokens and usd_per_million_output_tokens, and may\n"
        "have prompt_tokens and output_tokens where they were measured, first_token_seconds and\n"
        "output_tokens_per_second. Without --target, --budget and --latency: least cost a solved query.",
    )
    parser.add_argument(
        "files", metavar="COUNTS", nargs="+", help="counts of several models on the same problems"
    )
    parser.add_argument("--prices", required=True, metavar="FILE", help="what the models cost")
    parser.add_argument("--prompt-tokens", type=float, metavar="P", help="of a query")
    parser.add_argument("--output-tokens", type=float, metavar="T", help="of a sample")
    parser.add_argument("--target", type=float, metavar="X", help="pass@k to reach at least cost")
    parser.add_argument("--budget", type=float, metavar="USD", help="US dollars a query at most")
    parser.add_argument("--latency", type=float, metavar="S", help="seconds a query at most")
    parser.add_argument(
        "--confidence", type=float, default=0.95, help="with which the target is to be met (default: 0.95)"
    )
    parser.add_argument(
        "--new-problems",
        type=float,
        metavar="M",
        help="on which to meet it; inf: the population's mean (default: as many as measured)",
    )
    parser.add_argument(
        "--prompt-once",
        action="store_true",
        help="k samples are one request that pays for its prompt once (default: k requests)",
    )
    parser.add_argument("--only", type=_names, metavar="MODEL,...", help="choose among these alone")
    parser.add_argument("--max-k", type=int, metavar="K", help="no more samples than this")
    parser.add_argument("--columns", type=mapping, metavar="NAME=COLUMN,...", help="names that columns go by")
    parser.add_argument("--task", help="this task alone")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the frontier (needs t2fast[plot])")
    results.add_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    tables = [
        results.read(arguments, file, columns=arguments.columns, task=arguments.task)
        for file in arguments.files
    ]
    chosen = choose(
        joined_counts(tables),
        read_prices(arguments.prices),
        prompt_tokens=arguments.prompt_tokens,
        output_tokens=arguments.output_tokens,
        target=arguments.target,
        usd_per_query=arguments.budget,
        seconds=arguments.latency,
        confidence=arguments.confidence,
        new_problems=arguments.new_problems,
        prompt_once=arguments.prompt_once,
        models=arguments.only,
        k_max=arguments.max_k,
        seed=arguments.seed,
    )
    if arguments.plot:
        from t2fast.cli.plotting import plot_choice, save

        save(plot_choice(chosen), arguments.plot)
    show(arguments, chosen.to_dict(), lambda: chosen)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
