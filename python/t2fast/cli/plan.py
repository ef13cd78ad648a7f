"""`t2fast plan`: N, D and k under two budgets."""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from t2fast import charts
from t2fast.cli import spending
from t2fast.cli.checks import add_check, check_of
from t2fast.cli.laws import add_law
from t2fast.cli.options import command, finite, numbers, show, size
from t2fast.cli.plotting import add_plot, check, save
from t2fast.estimators import Verifier
from t2fast.laws import AnyLaw, find_law
from t2fast.plans import Plan, frontier, plan, plan_checked
from t2fast.plans.frontiers import ending, frontier_table, knee
from t2fast.plans.limits import EXTRAPOLATE
from t2fast.plans.request import positive
from t2fast.progress import working
from t2fast.text import amount, chance, columns, note, ratio, samples

LARGEST_BUDGET = 1e25
"""Where a frontier ends, FLOPs."""


def add_parser(commands: Any) -> None:
    """Add the command `plan`."""
    parser = command(
        commands,
        "plan",
        run,
        "choose parameters N, tokens D and samples k under two budgets, beside Chinchilla's choice",
        "  t2fast plan --train-flops 2.56e19 --inference-flops 2e9\n"
        "  t2fast plan --law law.json --train-flops 1e21 --inference-flops 1e10 --integer-k --json\n"
        "  t2fast plan --law testbed-arithmetic --train-flops 1e12 --inference-flops 1e7\n"
        "  t2fast plan --train-flops 1e20 --inference-flops 2e10 --frontier\n"
        "  t2fast plan --usd 10000 --gpu H100 --usd-per-hour 2.5 --queries 1e6\n"
        "  t2fast plan --train-flops 2.56e19 --true-positive 0.9 --false-positive 0.001\n"
        "\nWithout --law, the law that ships with t2fast is used: fitted to Pythia's GSM8K counts.",
    )
    parser.set_defaults(refuse=parser.error)
    add_law(parser)
    parser.add_argument("--train-flops", type=size, metavar="C", help="training budget 6ND")
    parser.add_argument("--inference-flops", type=size, metavar="C", help="FLOPs per token served, 2Nk")
    parser.add_argument("--min-params", type=size, metavar="N")
    parser.add_argument("--max-params", type=size, metavar="N")
    parser.add_argument("--sizes", type=numbers, metavar="N,N,...", help="choose N from these sizes alone")
    parser.add_argument("--min-tokens", type=size, metavar="D")
    parser.add_argument("--max-tokens", type=size, metavar="D", help="tokens that there are: a data wall")
    parser.add_argument("--tokens", type=numbers, metavar="D,D,...", help="choose D from these alone")
    parser.add_argument(
        "--k", type=numbers, metavar="K,K,...", help="samples, fixed or to choose from (default: free)"
    )
    parser.add_argument("--max-k", type=size, metavar="K", help="most samples a problem")
    parser.add_argument(
        "--extrapolate",
        type=float,
        default=EXTRAPOLATE,
        metavar="F",
        help="how far beyond the N, D and k that the law was fitted on, as a factor; inf: anywhere "
        "(default: %(default)g)",
    )
    parser.add_argument("--integer-k", action="store_true", help="k whole, both budgets kept")
    parser.add_argument(
        "--chinchilla",
        type=_rule,
        metavar="RATIO|law",
        help="Chinchilla's choice: tokens per parameter, or the law's own training optimum",
    )
    parser.add_argument("--level", type=float, default=0.9, help="confidence of the intervals (default: 0.9)")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--frontier",
        action="store_true",
        help="plans from this training budget up to 1e25; of one budget, or a target, for others about it",
    )
    shown.add_argument(
        "--profile", action="store_true", help="what other sizes would give for the same budgets"
    )
    add_plot(parser, "what every size gives for the same budget, or the frontier")
    spending.add_options(parser)
    add_check(
        parser,
        "of the samples that are accepted a random one is the answer. The best plan has the most right "
        "answers less what wrong ones cost; its k is finite, even with --train-flops alone, where sampling "
        "is free. --target is then a share of right answers.",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check(arguments)
    law = find_law(arguments.law)
    listed = "sizes" if arguments.sizes is not None else "architectures"
    if getattr(arguments, listed) is not None and (arguments.min_params or arguments.max_params):
        raise ValueError(f"--{listed} already says which N are allowed: drop --min-params and --max-params")
    if arguments.tokens is not None and (arguments.min_tokens or arguments.max_tokens):
        raise ValueError("--tokens already says which D are allowed: drop --min-tokens and --max-tokens")
    if arguments.k is not None and arguments.max_k is not None:
        raise ValueError("--k already says which samples are allowed: drop --max-k")
    verifier = check_of(arguments)
    if spending.asked(arguments):
        spending.run(arguments, law, verifier)
        return
    spending.refuse(arguments)
    if arguments.train_flops is None:
        arguments.refuse(
            "what is there to spend? Give --train-flops and --inference-flops, or --usd or --total-flops "
            "with --queries, or --target"
        )
    options: dict[str, Any] = {
        "n_params": arguments.sizes or (arguments.min_params, arguments.max_params),
        "n_tokens": arguments.tokens or (arguments.min_tokens, arguments.max_tokens),
        "k": arguments.k,
        "max_k": arguments.max_k,
        "integer_k": arguments.integer_k,
        "extrapolate": arguments.extrapolate,
        "chinchilla": arguments.chinchilla,
        "level": arguments.level,
    }
    if verifier is not None:
        _run_checked(arguments, law, verifier, options)
        return
    if arguments.frontier:
        positive("train_flops", arguments.train_flops)
        decades = max(1, math.ceil(math.log10(LARGEST_BUDGET / arguments.train_flops)))
        if arguments.train_flops >= LARGEST_BUDGET:
            raise ValueError(
                f"--frontier ends at {LARGEST_BUDGET:g} FLOPs: give --train-flops below that, where it begins"
            )
        budgets = np.geomspace(arguments.train_flops, LARGEST_BUDGET, 2 * decades + 1)
        frame = frontier(law, budgets, arguments.inference_flops, **options)
        worth = frame.head(knee(frame))
        ended = ending(frame)
        rows = {"source": law.source, "domain": law.domain, "frontier": worth.to_dicts(), "ended": ended}
        shown = frontier_table(worth, law, arguments.level)
        show(arguments, rows, lambda: shown if ended is None else Group(shown, note(ended)))
        if arguments.plot:
            save(charts.frontier(frame, law.domain), arguments.plot, law.cautions)
        return
    chosen = plan(law, arguments.train_flops, arguments.inference_flops, **options)
    data: dict[str, Any] = {
        **chosen.to_dict(),
        "law": {"law": law.name, "source": law.source, "domain": law.domain},
    }
    if arguments.profile:
        profile = chosen.profile(25)
        names = ("n_params", "n_tokens", "k", "predicted")
        data["profile"] = [
            dict(zip(names, map(finite, row), strict=True))
            for row in zip(*(getattr(profile, name) for name in names), strict=True)
        ]
    show(arguments, data, lambda: _with_profile(chosen, data.get("profile"), arguments.verbose))
    if arguments.plot:
        save(chosen.figure(), arguments.plot, chosen.warnings)


def _run_checked(
    arguments: argparse.Namespace, law: AnyLaw, verifier: Verifier, options: dict[str, Any]
) -> None:
    """Plan with a check that errs, and print it."""
    for name in ("frontier", "profile"):
        if getattr(arguments, name):
            raise ValueError(
                f"--{name} is of plans whose check does not err: leave out --{name} or the check's rates"
            )
    harm = 1.0 if arguments.harm is None else arguments.harm
    with working("planning, for the law and each of its draws"):
        chosen = plan_checked(
            law, verifier, arguments.train_flops, arguments.inference_flops, harm=harm, **options
        )
    data = {**chosen.to_dict(), "law": {"law": law.name, "source": law.source, "domain": law.domain}}
    show(arguments, data, lambda: chosen.shown(arguments.verbose))
    if arguments.plot:
        save(chosen.figure(), arguments.plot, chosen.warnings)


def _with_profile(chosen: Plan, profile: list[dict[str, Any]] | None, details: bool) -> RenderableType:
    if profile is None:
        return chosen.shown(details)
    table = columns("N", "D", "k", "D/N", f"predicted {chosen.metric}")
    for row in profile:
        n, d = row["n_params"], row["n_tokens"]
        table.add_row(amount(n), amount(d), samples(row["k"]), ratio(d / n), chance(row["predicted"]))
    return Group(chosen.shown(details), Text(), table)


def _rule(text: str) -> float | str:
    try:
        return "law" if text == "law" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'law' nor a number such as 20") from None
