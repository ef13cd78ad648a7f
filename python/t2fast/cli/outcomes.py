"""`t2fast outcomes`: what measured checkpoints alone say of two budgets."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import polars as pl
from rich.console import Group, RenderableType

from t2fast.cli import results
from t2fast.cli.options import add_table, command, filtered, reading, show, size
from t2fast.comparisons import outcomes
from t2fast.text import amount, chance, columns, line, nominal, note, ratio

_SIDES = ("overtrained", "chinchilla")


def add_parser(commands: Any) -> None:
    """Add the command `outcomes`."""
    parser = command(
        commands,
        "outcomes",
        run,
        "set the best overtrained checkpoint beside the Chinchilla-optimal one, under two budgets",
        "  t2fast outcomes counts.csv --train-flops 2.56e19 --inference-flops 2e9\n"
        "  t2fast outcomes counts.csv --train-flops 2.56e19 --inference-flops 2e9 --chinchilla pass@1\n"
        "\nCompared are checkpoints that cost about the training budget, each with the samples that the\n"
        "inference budget pays for.",
    )
    add_table(parser)
    results.add_options(parser)
    parser.add_argument("--train-flops", type=size, required=True, metavar="C", help="training budget 6ND")
    parser.add_argument(
        "--inference-flops", type=size, required=True, metavar="C", help="FLOPs per token served, 2Nk"
    )
    parser.add_argument(
        "--chinchilla",
        type=_rule,
        default=20.0,
        metavar="RATIO|pass@1",
        help="Chinchilla's checkpoint: that of the nearest tokens per parameter, or the best at one sample "
        "(default: 20)",
    )
    parser.add_argument(
        "--within", type=float, default=2.0, metavar="F", help="least cost, as the budget over F (default: 2)"
    )
    parser.add_argument(
        "--level", type=float, default=0.95, help="confidence of the intervals (default: 0.95)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    counts = filtered(results.read(arguments, arguments.file, **reading(arguments)), arguments)
    budgets = arguments.train_flops, arguments.inference_flops
    options = {name: getattr(arguments, name) for name in ("chinchilla", "within", "level")}
    found = outcomes(counts, *budgets, **options)
    data = {"source": counts.source, **options, "rows": found.to_dicts()}
    show(arguments, data, lambda: _shown(found, budgets, arguments.level))


def _shown(found: pl.DataFrame, budgets: tuple[float, float], level: float) -> RenderableType:
    """Two lines a task."""
    tasks = ("task",) if "task" in found.columns else ()
    table = columns(
        *tasks, "", "N", "D", "D/N", "k", "pass@k", f"{nominal(level)} interval", left=(*tasks, "")
    )
    left_out = 0
    for row in found.iter_rows(named=True):
        left_out = max(left_out, row["left_out"])
        for side, label in zip(_SIDES, ("overtrained", "Chinchilla"), strict=True):
            named = (row["task"] if side == _SIDES[0] else "",) if tasks else ()
            table.add_row(*named, label, *_cells(row, side))
    train, inference = budgets
    shown: list[RenderableType] = [
        line(
            f"Measured checkpoints for {train:.3g} training FLOPs, {inference:.3g} inference FLOPs per token"
        ),
        table,
    ]
    if left_out:
        counted = (
            "1 checkpoint of a task is" if left_out == 1 else f"up to {left_out} checkpoints of a task are"
        )
        shown.append(note(f"{counted} left out: k below 1, or beyond what was measured"))
    return Group(*shown)


def _cells(row: Mapping[str, Any], side: str) -> list[str]:
    n, d, k, value, low, high = (
        row[f"{side}_{name}"] for name in ("n_params", "n_tokens", "k", "pass_at_k", "low", "high")
    )
    if n is None:
        return ["-"] * 6
    return [amount(n), amount(d), ratio(d / n), f"{k}", chance(value), f"{chance(low)} to {chance(high)}"]


def _rule(text: str) -> float | str:
    try:
        return "pass@1" if text == "pass@1" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'pass@1' nor a number such as 20") from None
