"""`--group-by COLUMN`: what a command does to a table, done to the rows of each value by themselves."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any, TypeVar

from rich.console import Group, RenderableType

from t2fast import atomic
from t2fast.cli.options import show
from t2fast.tables.table import Table
from t2fast.text import line

AnyTable = TypeVar("AnyTable", bound=Table)
Made = TypeVar("Made")


def add_groups(parser: Any, what: str) -> None:
    """Add `--group-by`; `what` is made of each group."""
    parser.add_argument(
        "--group-by",
        metavar="COLUMN",
        help=f"{what} for each value of task, train_set, dataset or model by itself; files that are written "
        "then need {} in their names, which becomes the value",
    )


def each(
    table: AnyTable, arguments: argparse.Namespace, make: Callable[[str, AnyTable], Made]
) -> dict[str, Made]:
    """What `make` makes of the table, by "", or of each of its groups, by their values.

    `ValueError` names the group that cannot be used.
    """
    column = arguments.group_by
    if column is None:
        return {"": make("", table)}
    made = {}
    for value, part in table.groups(column).items():
        try:
            made[value] = make(value, part)
        except ValueError as error:
            raise ValueError(f"{column} {value!r}: {error}") from error
    return made


def check_paths(arguments: argparse.Namespace) -> None:
    """Refuse `--output` and `--plot` that cannot be written, before anything is read.

    Errors: `ValueError` for a name without {} where there are groups; those of the system for its folder.
    """
    for path in filter(None, (arguments.output, arguments.plot)):
        if arguments.group_by is not None and "{}" not in path:
            raise ValueError(
                f"--group-by makes several files: put {{}} into {path!r}, for the {arguments.group_by}"
            )
        atomic.check(path)


def paths(path: str | None, table: Table, column: str | None) -> dict[str, str]:
    """Where the file of each group goes, by its value; none for no path. `ValueError` if two go to one."""
    if path is None:
        return {}
    values = [""] if column is None else table.groups(column)
    found = {value: path.replace("{}", _file_name(value)) if column else path for value in values}
    if len(set(found.values())) < len(found):
        raise ValueError(f"the values of {column} make the same file names: {', '.join(found)}")
    return found


def show_each(
    arguments: argparse.Namespace, made: dict[str, Any], data: Callable[[Any], dict[str, Any]], more: Any
) -> None:
    """Show what was made: as it is, or each group's under its name; `more` is about the whole table."""
    column = arguments.group_by
    if column is None:
        show(arguments, {**data(made[""]), **more}, lambda: made[""])
        return
    groups = [{"group": value, **data(one)} for value, one in made.items()]

    def shown() -> RenderableType:
        parts: list[RenderableType] = []
        for value, one in made.items():
            parts += [line(""), line(f"{column} {value}", "bold"), one]
        return Group(*parts[1:])

    show(arguments, {"group_by": column, "groups": groups, **more}, shown)


def _file_name(value: str) -> str:
    return re.sub(r"[^\w.-]+", "-", value)
