"""What commands share: how a table is named and filtered, how values are typed, how results are shown."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console, RenderableType

from t2fast.tables.table import Table
from t2fast.text import plain


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], says: str, example: str
) -> Any:
    """A command's parser: its one-line description, examples, `--json` and the function that runs it."""
    parser = commands.add_parser(
        name,
        help=says,
        description=says[0].upper() + says[1:] + ".",
        epilog=f"examples:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def add_table(command: Any) -> None:
    """Add the table that a command reads, and what chooses among its rows."""
    command.add_argument(
        "file",
        metavar="FILE",
        help=".csv, .tsv, .parquet or .jsonl, or results of another tool",
    )
    command.add_argument(
        "--columns", type=mapping, metavar="NAME=COLUMN,...", help="names that columns go by"
    )
    command.add_argument("--models", metavar="FILE", help="model, n_params and n_tokens, to join")
    command.add_argument("--task", help="this task alone")
    command.add_argument("--stage", help="this stage of training alone")
    for name, says in (("params", "N"), ("tokens", "D"), ("train-flops", "6ND")):
        for end in ("min", "max"):
            command.add_argument(
                f"--{end}-{name}",
                type=float,
                metavar=says,
                help=argparse.SUPPRESS
                if end == "max"
                else f"only checkpoints with {says} at least this; also --max-{name}",
            )


def reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """How the table is to be read."""
    return {name: getattr(arguments, name) for name in ("columns", "models", "task", "stage")}


def filtered(table: Any, arguments: argparse.Namespace) -> Any:
    """The rows within the bounds that were given."""
    bounds = ("min_params", "max_params", "min_tokens", "max_tokens", "min_train_flops", "max_train_flops")
    return table.filter(**{name: getattr(arguments, name) for name in bounds})


def left_out(table: Table) -> dict[str, Any]:
    """What a choice kept out, JSON-ready."""
    return {"left_out": [{"rows": part.rows, "reason": part.reason} for part in table.left_out]}


def show(arguments: argparse.Namespace, data: Any, shown: Callable[[], RenderableType]) -> None:
    """Print the result on stdout: JSON if asked for, otherwise as a person reads it."""
    if arguments.json:
        json.dump(data, sys.stdout, indent=1, allow_nan=False)
        sys.stdout.write("\n")
    elif sys.stdout.isatty():
        Console(highlight=False).print(shown())
    else:
        sys.stdout.write(plain(shown()) + "\n")


def finite(value: float) -> float | None:
    """The number, or None where JSON has none."""
    return float(value) if math.isfinite(value) else None


def numbers(text: str) -> list[float]:
    """1e8,1e9."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1e8,1e9") from None


def integers(text: str) -> list[int]:
    """1,8,64."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,8,64") from None


def mapping(text: str) -> dict[str, str]:
    """problem=task_id,correct=passed."""
    pairs = [part.split("=", 1) for part in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form problem=task_id,correct=passed")
    return {pair[0]: pair[1] for pair in pairs}
