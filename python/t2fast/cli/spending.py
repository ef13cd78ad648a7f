"""`t2fast plan` under one budget, in FLOPs or dollars, for training and all queries together."""

from __future__ import annotations

import argparse
import math
from typing import Any

from rich.console import Group

from t2fast.cli.hardware import add_hardware, machine
from t2fast.cli.options import show, size
from t2fast.cli.spending_table import comments, comparison, money, origin, to_row, worth
from t2fast.costs.architectures import read_architectures
from t2fast.laws import AnyLaw
from t2fast.plans.compared import compared
from t2fast.plans.lifting import binding, left_unspent, wall
from t2fast.plans.limits import Limits
from t2fast.plans.request import CHINCHILLA_RATIO, positive
from t2fast.plans.spending import Spending, best_spending, cheapest_spending, chinchilla_spending
from t2fast.plans.workload import Limit, Workload
from t2fast.progress import working
from t2fast.text import amount, line, note

_OWN = (
    "queries",
    "gpu",
    "usd_per_hour",
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
    """`ValueError` where two budgets are given with what only one budget heeds."""
    for name in _OWN:
        if getattr(arguments, name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} goes with one budget for training and all queries: give --usd, "
                "--total-flops or --target in place of --train-flops and --inference-flops, or leave it out"
            )


def _check_ranges(arguments: argparse.Namespace) -> None:
    """`ValueError` for an option that one budget does not heed, or a number out of range."""
    for name in ("frontier", "profile", "plot"):
        if getattr(arguments, name):
            raise ValueError(
                f"--{name} is of plans under two budgets, --train-flops and --inference-flops: leave it out"
            )
    if arguments.chinchilla == "law":
        raise ValueError("--chinchilla law is of plans under two budgets: give tokens per parameter here")
    for name in (
        "queries",
        "prompt_tokens",
        "output_tokens",
        "batch",
        "mfu",
        "mbu",
        "usd_per_hour",
        "unique_tokens",
        "per_query",
        "latency",
    ):
        value = getattr(arguments, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"--{name.replace('_', '-')} is {value!r}: it has to be positive and finite")
    for name in ("min_params", "max_params", "min_tokens", "max_tokens", "chinchilla"):
        if getattr(arguments, name) is not None:
            positive(f"--{name.replace('_', '-')}", getattr(arguments, name))
    if not arguments.extrapolate >= 1:
        raise ValueError(
            f"--extrapolate is {arguments.extrapolate!r}: a factor beyond the data is at least 1"
        )
    if arguments.max_k is not None and not arguments.max_k >= 1:
        raise ValueError(f"--max-k is {arguments.max_k!r}: a query gets at least one sample")
    for what in ("params", "tokens"):
        low, high = getattr(arguments, f"min_{what}"), getattr(arguments, f"max_{what}")
        if low is not None and high is not None and low > high:
            raise ValueError(f"--min-{what} {low:g} is above --max-{what} {high:g}")


def run(arguments: argparse.Namespace, law: AnyLaw) -> None:
    """Plan under one budget, or for a target, and print it."""
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
    dollars = arguments.gpu is not None
    unit = "USD" if dollars else "FLOPs"
    if arguments.usd is not None and not dollars:
        raise ValueError("--usd needs --gpu and --usd-per-hour, which say what a FLOP costs")
    if arguments.total_flops is not None and dollars:
        raise ValueError("--total-flops needs no --gpu: give --usd for a budget in dollars")
    _check_ranges(arguments)
    workload = _workload(arguments)
    ranges, ends = _ranges(arguments, law)
    models = _models(arguments, ranges["n_params"])
    options = {
        **ranges,
        "n_params": models,
        "integer_k": arguments.integer_k,
        "unique_tokens": arguments.unique_tokens,
        "limits": _limits(arguments, workload),
        "level": arguments.level,
    }
    with working("planning, for the law and each of its draws"):
        chosen, budget, asked_for = _sought(arguments, law, workload, options)
        rule = CHINCHILLA_RATIO if arguments.chinchilla is None else arguments.chinchilla
        chinchilla = chinchilla_spending(
            law,
            budget,
            workload,
            tokens_per_param=rule,
            n_params=ranges["n_params"],
            k=ranges["k"],
            unique_tokens=arguments.unique_tokens,
            limits=options["limits"],
            level=arguments.level,
        )
        # Of a target, the ratio is at its least cost.
        ours = chosen if arguments.target is None else best_spending(law, budget, workload, **options)
        beside = None
        if chinchilla is not None:
            beside = compared(
                law,
                ours,
                chinchilla,
                ranges["n_params"],
                unique_tokens=arguments.unique_tokens,
                level=arguments.level,
            )

        def again(**changes: Any) -> Spending:
            wider = _sought(arguments, law, workload, {**options, **changes, "level": None})[0]
            # No worse is what is allowed more, but for where the search stops.
            return chosen if arguments.target is not None and wider.cost > chosen.cost else wider

        def same_cost(**changes: Any) -> Spending:
            return best_spending(law, budget, workload, **{**options, **changes, "level": None})

        def aim(plan: Spending) -> str:
            cost = money(plan.cost, unit)
            return worth(plan) if arguments.target is None else f"a cost of {cost}"

        notes = [*binding(chosen, options, ends, again, aim)]
        if arguments.unique_tokens is not None:
            notes.append(wall(chosen, arguments.unique_tokens, same_cost, worth))
    if chinchilla is None:
        low, high = ranges["n_params"]
        notes.append(
            f"this budget buys no model with {rule:g} tokens a parameter and N from {amount(low)} to "
            f"{amount(high)}: nothing to compare with"
        )
    if arguments.target is None and (words := left_unspent(chosen, budget, options["n_tokens"][1])):
        notes.append(words)
    if chosen.reached is not None and chosen.reached < 1:
        notes.append(
            f"{1 - chosen.reached:.0%} of the law's draws reach the target nowhere in these ranges; the "
            "intervals are of the others"
        )
    notes += [f"the law: {caution}" for caution in law.cautions]
    title = f"Best model for {asked_for}, {arguments.queries:.3g} queries of {workload.prompt_tokens:g} + "
    title += f"k x {workload.output_tokens:g} tokens" + (f" on {arguments.gpu}" if dollars else "")
    data = {
        **to_row(chosen),
        "unit": unit,
        "chinchilla": None if chinchilla is None else to_row(chinchilla),
        "ratio": None if beside is None else beside.ratio,
        "ratio_interval": None if beside is None or beside.interval is None else list(beside.interval),
        "no_ratio": None if beside is None else beside.withheld,
        "warnings": notes,
        "law": {"law": law.name, "source": law.source, "domain": law.domain},
    }
    table = comparison(chosen, chinchilla, rule, arguments.level, unit, law.metric)
    lines = comments(chosen, beside, arguments.level)
    shown = Group(line(title), table, *lines, *(note(words) for words in notes), *origin(law))
    show(arguments, data, lambda: shown)


def _sought(
    arguments: argparse.Namespace, law: AnyLaw, workload: Workload, options: dict[str, Any]
) -> tuple[Spending, float, str]:
    """The plan, what it may cost, and what was asked for in words."""
    if arguments.target is None:
        budget = arguments.total_flops if arguments.usd is None else arguments.usd
        asked_for = money(budget, "FLOPs" if arguments.usd is None else "USD")
        return best_spending(law, budget, workload, **options), budget, asked_for
    # A law of -log pass@k is asked for pass@k all the same.
    logged = law.metric == "-log pass@k"
    if logged and not 0 < arguments.target < 1:
        raise ValueError(f"target: pass@k {arguments.target!r} is not between 0 and 1")
    target = -math.log(arguments.target) if logged else arguments.target
    chosen = cheapest_spending(law, target, workload, **options)
    return chosen, chosen.cost, f"{'pass@k' if logged else law.metric} {arguments.target:g} at least cost"


def _workload(arguments: argparse.Namespace) -> Workload:
    sizes = arguments.queries, arguments.prompt_tokens, arguments.output_tokens
    if arguments.gpu is None:
        return Workload(*sizes)
    read, written = machine(arguments).usd_per_flop(arguments.batch)
    return Workload(*sizes, train_price=read, prompt_price=read, sample_price=written)


def _limits(arguments: argparse.Namespace, workload: Workload) -> list[Limit]:
    limits = []
    if arguments.per_query is not None:
        limits.append(Limit.of_cost(workload, arguments.per_query))
    if arguments.latency is not None:
        if arguments.gpu is None:
            raise ValueError("--latency needs --gpu, which says how long a step takes")
        limits.append(Limit.of_latency(machine(arguments), workload, arguments.latency))
    return limits


def _ranges(arguments: argparse.Namespace, law: AnyLaw) -> tuple[dict[str, Any], Limits]:
    """Where the law is believed, narrowed by what was asked for, and which ends are the law's."""
    asked_for = {
        "n_params": (arguments.min_params, arguments.max_params),
        "n_tokens": (arguments.min_tokens, arguments.max_tokens),
        "k": (None, arguments.max_k),
    }
    open_ends = {"n_params": (1e3, 1e15), "n_tokens": (1e3, 1e20), "k": (1.0, 1e9)}
    ranges: dict[str, tuple[float, float]] = {}
    ends: dict[tuple[str, str], tuple[float, float]] = {}
    for name, widest in open_ends.items():
        least, most = law.domain.get(name, widest)
        # Few samples are no extrapolation: every law holds at k = 1.
        low = 1.0 if name == "k" else max(widest[0], least / arguments.extrapolate)
        high = min(widest[1], max(most * arguments.extrapolate, low))
        wanted = asked_for[name][0] or low, asked_for[name][1] or high
        if name in law.domain:
            ends |= {(name, "least"): (low, least)} if low >= wanted[0] else {}
            ends |= {(name, "most"): (high, most)} if high <= wanted[1] else {}
        low, high = max(low, wanted[0]), min(high, wanted[1])
        if low > high:
            raise ValueError(
                f"{name} from {low:.3g} to {high:.3g}: beyond {arguments.extrapolate:g}x what the law was "
                "fitted on; allow more by --extrapolate"
            )
        ranges[name] = (low, high)
    return ranges, Limits(ends, arguments.extrapolate)


def _models(arguments: argparse.Namespace, held: tuple[float, float]) -> Any:
    """A range of N, or a list of sizes or architectures, those beyond what the law is believed for left
    out.
    """
    if arguments.sizes is None and arguments.architectures is None:
        return held
    if arguments.sizes is not None and arguments.architectures is not None:
        raise ValueError("--sizes and --architectures exclude each other: give one")
    listed = read_architectures(arguments.architectures) if arguments.architectures else arguments.sizes
    sizes = [model if isinstance(model, float) else model.n_params() for model in listed]
    kept = [model for model, n in zip(listed, sizes, strict=True) if held[0] <= n <= held[1]]
    if not kept:
        raise ValueError(
            f"none of the sizes {', '.join(map(amount, sizes))} is within {amount(held[0])} to "
            f"{amount(held[1])}, {arguments.extrapolate:g}x what the law was fitted on; allow more by "
            "--extrapolate"
        )
    return kept
