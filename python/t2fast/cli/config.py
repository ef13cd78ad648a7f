"""`t2fast config`: which defaults a file sets, and where it lies."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Group

from t2fast.cli.options import command, show
from t2fast.cli.settings import NAME, folders, read_settings
from t2fast.text import columns, line, nearest

_EXAMPLES = """  t2fast config
  t2fast config --json

t2fast.toml, in the working directory or in ~/.config/t2fast, sets defaults of options:

  seed = 1                 # of every command that has --seed

  [plan]
  gpu = "H100"
  usd-per-hour = 2.5"""


def add_parser(commands: Any) -> None:
    """Add the command `config`."""
    command(commands, "config", run, f"show the defaults that {NAME} sets", _EXAMPLES)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    settings, (_, parsers) = read_settings(), arguments.whole()
    for name in settings.own:
        if name not in parsers:
            meant = nearest(name, parsers)
            hint = f" - did you mean {meant!r}?" if meant else ""
            raise ValueError(f"{settings.path}: [{name}] is no command{hint}")
    set_ = {name: settings.of(name, parser) for name, parser in parsers.items()}
    for name in settings.shared:
        if not any(name in options for options in set_.values()):
            raise ValueError(f"{settings.path}: {name} is an option of no command")
    set_ = {name: options for name, options in set_.items() if options}

    def shown() -> Group:
        if settings.path is None:
            places = " or ".join(str(folder / NAME) for folder in folders())
            return Group(line(f"no file: {places} would be read; t2fast config --help has an example"))
        table = columns("command", "option", "value", left=("command", "option", "value"))
        for name, options in set_.items():
            for option, value in options.items():
                table.add_row(name, f"--{option}", str(value))
        return Group(line(f"{settings.path} sets"), table)

    data = {"file": None if settings.path is None else str(settings.path), "commands": set_}
    show(arguments, data, shown)
