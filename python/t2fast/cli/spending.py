"""`t2fast plan` under one budget, in FLOPs or dollars, for training and all queries together."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Group

from t2fast import charts
from t2fast.cli.hardware import add_hardware, machine, most_chips, refuse_hardware
from t2fast.cli.options import show, size
from t2fast.cli.plotting import save
from t2fast.costs.architectures import read_architectures
from t2fast.estimators import Verifier
from t2fast.laws import AnyLaw
from t2fast.plans import SpendingPlan, Workload, plan_spending
from t2fast.plans.faults import shortened
from t2fast.plans.purse import Models
from t2fast.plans.request import CHINCHILLA_RATIO, positive
from t2fast.plans.spending_frontier import spending_frontier, spending_table
from t2fast.progress import working
from t2fast.text import line, note

OWN = (
    "queries",
    "prompt_tokens",
    "output_tokens",
    "gpu",
    "usd_per_hour",
    "batch",
    "chips",
    "max_chips",
    "cache_bytes",
    "mfu",
    "mbu",
    "accelerators",
    "per_query",
    "latency",
    "architectures",
    "unique_tokens",
)
"""Options that mean something under one budget alone."""


def add_options(parser: Any) -> None:
    """Add what a plan under one budget is asked with."""
    group = parser.add_argument_group(
        "one budget for training and all queries",
        "--usd or --total-flops is spent on training and on --queries; --target spends the least that "
        "reaches it (in dollars with --gpu).",
    )
    group.add_argument("--usd", type=size, metavar="USD", help="dollars for everything (needs --gpu)")
    group.add_argument("--total-flops", type=size, metavar="C", help="FLOPs for everything")
    group.add_argument("--target", type=float, metavar="X", help="pass@k (or loss) to reach at least cost")
    group.add_argument("--queries", type=size, metavar="Q", help="to be answered")
    group.add_argument("--prompt-tokens", type=size, default=500, metavar="P", help="default: 500")
    group.add_argument(
        "--output-tokens", type=size, default=500, metavar="T", help="of a sample (default: 500)"
    )
    add_hardware(group)
    group.add_argument(
        "--per-query", type=size, metavar="X", help="a query may cost, USD with --gpu, else FLOPs"
    )
    group.add_argument("--latency", type=float, metavar="S", help="seconds a query at most (needs --gpu)")
    group.add_argument(
        "--architectures",
        metavar="FILE",
        help="choose among transformers, FLOPs counted layer by layer: layers, width, hidden, vocab, heads, "
        "head_dim, kv_heads, gated, tied",
    )
    group.add_argument(
        "--unique-tokens", type=size, metavar="U", help="text there is; more of it is read again"
    )


def asked(arguments: argparse.Namespace) -> bool:
    """Whether a plan under one budget is wanted."""
    return any(value is not None for value in (arguments.usd, arguments.total_flops, arguments.target))


def refuse(arguments: argparse.Namespace) -> None:
    """`ValueError` where the line gives two budgets and what only one budget heeds."""
    for name in OWN:
        if name in arguments.given:
            raise ValueError(
                f"--{name.replace('_', '-')} goes with one budget for training and all queries: give --usd, "
                "--total-flops or --target in place of --train-flops and --inference-flops, or leave it out"
            )


def run(arguments: argparse.Namespace, law: AnyLaw, verifier: Verifier | None) -> None:
    """Plan under one budget, or for a target, perhaps with a check that errs, and print it."""
    if arguments.profile:
        raise ValueError(
            "--profile is of plans under two budgets, --train-flops and --inference-flops: leave it out, and "
            "see --plot"
        )
    if arguments.frontier and verifier is not None:
        raise ValueError(
            "--frontier is of plans whose check does not err: leave out --frontier or the check's rates"
        )
    if arguments.chinchilla == "law":
        raise ValueError("--chinchilla law is of plans under two budgets: give tokens per parameter here")
    chosen = plan_of(
        arguments,
        law,
        n_params=_models(arguments),
        n_tokens=arguments.tokens or (arguments.min_tokens, arguments.max_tokens),
        k=arguments.k,
        max_k=arguments.max_k,
        integer_k=arguments.integer_k,
        extrapolate=arguments.extrapolate,
        chinchilla=CHINCHILLA_RATIO if arguments.chinchilla is None else arguments.chinchilla,
        verifier=verifier,
        harm=1.0 if arguments.harm is None else arguments.harm,
    )
    if arguments.frontier:
        _frontier(arguments, chosen)
        return
    show(arguments, chosen.to_dict(), lambda: chosen.shown(arguments.verbose))
    if arguments.plot:
        save(chosen.figure(), arguments.plot, chosen.warnings)


def _frontier(arguments: argparse.Namespace, chosen: SpendingPlan) -> None:
    """Print the plans for budgets or targets about those of a plan."""
    with working("planning for other budgets" if chosen.target is None else "planning for other targets"):
        frame = spending_frontier(chosen)
    rows = {
        "unit": chosen.workload.unit,
        "frontier": frame.to_dicts(),
        "warnings": list(chosen.warnings),
        "law": chosen.to_dict()["law"],
    }
    # What is said of the law is true of every row; other warnings are of the plan.
    faults = [f"the law: {caution}" for caution in chosen.law.cautions]
    told = map(note, faults if arguments.verbose else shortened(faults, chosen.law))
    show(arguments, rows, lambda: Group(line(chosen.title), spending_table(frame, chosen), *told))
    if arguments.plot:
        save(charts.frontier(frame, chosen.law.domain, chosen.workload.unit), arguments.plot, chosen.warnings)


def plan_of(arguments: argparse.Namespace, law: AnyLaw, **options: Any) -> SpendingPlan:
    """The plan under the budget, or for the target, that `add_options` was given; `options` as of
    `plan_spending`.
    """
    given = [name for name in ("usd", "total_flops", "target") if getattr(arguments, name) is not None]
    if len(given) > 1:
        raise ValueError(f"--{' and --'.join(given).replace('_', '-')} exclude each other: give one")
    for name in ("train_flops", "inference_flops"):
        if getattr(arguments, name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} is a budget of its own: leave it out with --{given[0]}"
            )
    if arguments.queries is None:
        raise ValueError("--queries is missing: how many will be answered decides what is left for training")
    if given[0] != "target":
        positive(given[0], getattr(arguments, given[0]))
    dollars = _in_dollars(arguments)
    sizes = arguments.queries, arguments.prompt_tokens, arguments.output_tokens
    workload = Workload(*sizes)
    if dollars:
        served = {"rows": arguments.batch, "cache_bytes": arguments.cache_bytes}
        workload = Workload.on(machine(arguments), *sizes, **served)
    with working("planning, for the law and each of its draws"):
        return plan_spending(
            law,
            workload,
            budget=arguments.total_flops if arguments.usd is None else arguments.usd,
            target=arguments.target,
            per_query=arguments.per_query,
            latency=arguments.latency,
            max_chips=most_chips(arguments) if dollars else None,
            unique_tokens=arguments.unique_tokens,
            level=arguments.level,
            **options,
        )


def _in_dollars(arguments: argparse.Namespace) -> bool:
    """Whether costs are dollars on a chip; `ValueError` where the chip and what is asked do not fit."""
    if arguments.total_flops is not None and "gpu" in arguments.given:
        raise ValueError("--total-flops needs no --gpu: give --usd for a budget in dollars")
    if arguments.gpu is not None and arguments.total_flops is None:
        return True
    if arguments.usd is not None:
        raise ValueError("--usd needs --gpu and --usd-per-hour, which say what a FLOP costs")
    if arguments.latency is not None:
        raise ValueError("--latency needs --gpu, which says how long a step takes")
    refuse_hardware(arguments)
    return False


def _models(arguments: argparse.Namespace) -> Models:
    """A range of N, or a list of sizes or architectures."""
    if arguments.sizes is not None and arguments.architectures is not None:
        raise ValueError("--sizes and --architectures exclude each other: give one")
    if arguments.architectures is not None:
        return read_architectures(arguments.architectures)
    return arguments.sizes or (arguments.min_params, arguments.max_params)
