"""`t2fast choose`: a model that exists and a number of samples, by price and target."""

from __future__ import annotations

import argparse
from typing import Any

from t2fast.choices import choose
from t2fast.choices.market import Host
from t2fast.cli import results
from t2fast.cli.checks import add_check, check_of
from t2fast.cli.hardware import add_hardware, machine, most_chips, refuse_hardware
from t2fast.cli.options import add_where, command, mapping, show, size, where
from t2fast.cli.plotting import add_plot, check, save
from t2fast.progress import working
from t2fast.tables import read_prices


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
        "      --per-query 0.01 --json\n"
        "\nCOUNTS are tables of model, problem, n_samples and n_correct, or results of other tools.\n"
        "--prices has model, usd_per_million_prompt_tokens and usd_per_million_output_tokens, and may\n"
        "have prompt_tokens and output_tokens where they were measured, first_token_seconds and\n"
        "output_tokens_per_second. Without --target, --per-query and --latency: least cost a solved query.",
    )
    parser.add_argument(
        "files", metavar="COUNTS", nargs="+", help="counts of several models on the same problems"
    )
    parser.add_argument("--prices", required=True, metavar="FILE", help="what the models cost")
    parser.add_argument(
        "--price-columns",
        type=mapping,
        metavar="NAME=COLUMN,...",
        help="names that its columns go by",
    )
    parser.add_argument("--prompt-tokens", type=size, metavar="P", help="of a query")
    parser.add_argument("--output-tokens", type=size, metavar="T", help="of a sample")
    parser.add_argument("--target", type=float, metavar="X", help="pass@k to reach at least cost")
    parser.add_argument("--per-query", type=size, metavar="USD", help="US dollars a query at most")
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
    add_check(
        parser,
        "pass@k takes for granted that a right sample is recognised. With these rates the first sample that "
        "is accepted is the answer: chosen is by right answers, less what wrong ones cost, and the k worth "
        "drawing is shown.",
    )
    served = parser.add_argument_group(
        "models that are not sold by the token",
        "served on hardware, they cost what the roofline says; --prices needs their n_params, and "
        "active_params of mixtures, and may have cache_bytes, of a token's keys and values.",
    )
    add_hardware(served)
    parser.add_argument("--only", type=_names, metavar="MODEL,...", help="choose among these alone")
    parser.add_argument("--max-k", type=int, metavar="K", help="no more samples than this")
    parser.add_argument("--columns", type=mapping, metavar="NAME=COLUMN,...", help="names that columns go by")
    add_where(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    add_plot(parser, "the frontier")
    results.add_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check(arguments)
    for name in ("confidence", "new_problems"):
        if name in arguments.given and arguments.target is None:
            raise ValueError(f"--{name.replace('_', '-')} is of a target: give --target, or leave it out")
    reading = {"columns": arguments.columns, "task": arguments.task, "where": where(arguments)}
    counts = results.read_all(arguments, arguments.files, **reading)
    try:
        prices = read_prices(arguments.prices, columns=arguments.price_columns)
    except ValueError as error:
        raise ValueError(str(error).replace("columns=", "price_columns=")) from error
    host, verifier = _host(arguments), check_of(arguments)
    with working("choosing, problems resampled"):
        chosen = choose(
            counts,
            prices,
            prompt_tokens=arguments.prompt_tokens,
            output_tokens=arguments.output_tokens,
            target=arguments.target,
            per_query=arguments.per_query,
            latency=arguments.latency,
            confidence=arguments.confidence,
            new_problems=arguments.new_problems,
            prompt_once=arguments.prompt_once,
            only=arguments.only,
            max_k=arguments.max_k,
            host=host,
            verifier=verifier,
            harm=1.0 if arguments.harm is None else arguments.harm,
            seed=arguments.seed,
        )
    show(arguments, chosen.to_dict(), lambda: chosen)
    if arguments.plot:
        save(chosen.figure(), arguments.plot, chosen.notes)


def _host(arguments: argparse.Namespace) -> Host | None:
    """The hardware, if any is given."""
    if arguments.gpu is None:
        refuse_hardware(arguments)
        return None
    on, most = machine(arguments), most_chips(arguments)
    if most is None:
        return Host(on, arguments.batch, arguments.cache_bytes)
    return Host(on, arguments.batch, arguments.cache_bytes, arguments.latency, most)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no model")
    return names
