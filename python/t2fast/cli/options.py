"""What commands share: how a table is named and filtered, how values are typed, how results are shown."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console, RenderableType

from t2fast.estimators import PassCurves
from t2fast.laws.ends import draws_needed
from t2fast.tables import Accuracies, Counts, Likelihoods, Losses
from t2fast.tables.reading import GROUP
from t2fast.text import nominal, plain, with_unit


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], says: str, example: str
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


def add_table(command: Any, several: bool = False, least: int = 1) -> None:
    """Add the table that a command reads, or several of them, and what chooses among their rows."""
    files: dict[str, Any] = {"dest": "files", "nargs": "+" if least else "*"} if several else {"dest": "file"}
    command.add_argument(
        **files,
        metavar="FILE",
        help=".csv, .tsv, .parquet or .jsonl, or results of another tool",
    )
    command.add_argument(
        "--columns",
        type=mapping,
        metavar="NAME=COLUMN,...",
        help="names that columns go by; models.NAME=COLUMN for those of --models",
    )
    command.add_argument("--models", metavar="FILE", help="model, n_params and n_tokens, to join")
    add_where(command)
    command.add_argument("--stage", help="this stage of training alone")
    for name, says in (("params", "N"), ("tokens", "D"), ("train-flops", "6ND")):
        for end in ("min", "max"):
            command.add_argument(
                f"--{end}-{name}",
                type=size,
                metavar=says,
                help=argparse.SUPPRESS
                if end == "max"
                else f"only checkpoints with {says} at least this; also --max-{name}",
            )


def add_where(command: Any) -> None:
    """Add which rows of a table are meant."""
    command.add_argument("--task", help="this task alone")
    command.add_argument(
        "--where",
        type=chosen,
        action="append",
        metavar="COLUMN=VALUE",
        help="only rows that have this value in a column of the file; repeatable",
    )


def where(arguments: argparse.Namespace) -> dict[str, str] | None:
    """The values of columns that rows must have."""
    wanted: dict[str, str] = {}
    for pairs in arguments.where or []:
        wanted |= pairs
    return wanted or None


def reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """How the table is to be read."""
    named = {name: getattr(arguments, name) for name in ("columns", "models", "task", "stage")}
    return {**named, "where": where(arguments)}


def filtered(table: Any, arguments: argparse.Namespace) -> Any:
    """The rows within the bounds that were given."""
    bounds = ("min_params", "max_params", "min_tokens", "max_tokens", "min_train_flops", "max_train_flops")
    return table.filter(**{name: getattr(arguments, name) for name in bounds})


def left_out(table: Counts | Likelihoods | Losses | Accuracies) -> dict[str, Any]:
    """What a choice kept out, and what else to know of a table, JSON-ready."""
    parts = [{"rows": part.rows, "reason": part.reason} for part in table.left_out]
    return {"left_out": parts, "notes": list(table.notes)}


def curve_rows(curves: PassCurves) -> list[dict[str, Any]]:
    """pass@k of every checkpoint and k, JSON-ready: all keys of a group, null where the table has none."""
    rows = curves.frame.drop("checkpoint").iter_rows(named=True)
    return [{**dict.fromkeys(GROUP), **row} for row in rows]


def show(arguments: argparse.Namespace, data: Any, shown: Callable[[], RenderableType]) -> None:
    """Print the result on stdout: JSON if asked for, otherwise as a person reads it."""
    if arguments.json:
        print_json(data)
    elif sys.stdout.isatty():
        Console(highlight=False, markup=False).print(shown())
    else:
        sys.stdout.write(plain(shown(), encoding=sys.stdout.encoding) + "\n")


def print_json(data: Any) -> None:
    """Print JSON on stdout, with null for the numbers that JSON has not."""
    json.dump(_valid(data), sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def _valid(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _valid(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_valid(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def finite(value: float) -> float | None:
    """The number, or None where JSON has none."""
    return float(value) if math.isfinite(value) else None


def numbers(text: str) -> list[float]:
    """1e8,1e9 or 160M,1.2B."""
    try:
        return [with_unit(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1e8,1.2B") from None


def size(text: str) -> float:
    """1e9 or 1.2B."""
    try:
        return with_unit(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 1e9, 160M or 1.2B") from None


def check_draws(draws: int, level: float) -> None:
    """`ValueError` for `--draws` too few for intervals."""
    least = draws_needed(level)
    if draws < 0 or 0 < draws < least:
        raise ValueError(
            f"--draws {draws} must be 0, or at least {least}: fewer say nothing about {nominal(level)} "
            "intervals"
        )


def seed(text: str) -> int:
    """Of a generator: a whole number of 64 bits."""
    if not text.isdecimal() or int(text) >= 2**64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^64 - 1")
    return int(text)


def integers(text: str) -> list[int]:
    """1,8,64."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,8,64") from None


def chosen(text: str) -> dict[str, str]:
    """split=test, or several such; a comma that no COLUMN= follows is part of a value."""
    pairs: dict[str, str] = {}
    for part in text.split(","):
        column, equals, value = part.partition("=")
        if equals and column:
            pairs[column] = value
        elif pairs:
            pairs[next(reversed(pairs))] += f",{part}"
        else:
            break
    if not pairs or not all(pairs.values()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form COLUMN=VALUE, such as split=test")
    return pairs


def mapping(text: str) -> dict[str, str]:
    """problem=task_id,correct=passed."""
    pairs = [part.split("=", 1) for part in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form problem=task_id,correct=passed")
    return {pair[0]: pair[1] for pair in pairs}
