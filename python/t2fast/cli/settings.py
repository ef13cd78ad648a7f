"""Defaults of the command line from a file, `t2fast.toml`: a table a command, above them what all share.

    seed = 1                # of every command that has --seed

    [plan]
    gpu = "H100"
    usd-per-hour = 2.5

The file of the working directory counts, otherwise that of the user. What the line says goes first.
"""

from __future__ import annotations

import argparse
import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2fast.text import nearest

NAME = "t2fast.toml"
# A file that lies in a folder somebody else made must not decide what is written where.
_LINE_ALONE = ("output", "plot")


@dataclass(frozen=True)
class Settings:
    """What a file sets.

    Attributes:
        path: the file; None where there is none.
        shared: option -> value, for all commands.
        own: command -> option -> value.
    """

    path: Path | None
    shared: dict[str, Any]
    own: dict[str, dict[str, Any]]

    def of(self, command: str, parser: argparse.ArgumentParser) -> dict[str, Any]:
        """Option -> value as it goes to `parser`, that of `command`.

        Raises:
            ValueError: naming the file, the option and the value, where that is no option of the command or
                nothing it can be.
        """
        given = {name: value for name, value in self.shared.items() if _action(name, parser)}
        return {
            name: _value(f"{self.path}: {name} of {command}", name, value, parser)
            for name, value in {**given, **self.own.get(command, {})}.items()
        }

    def apply(self, command: str, parser: argparse.ArgumentParser) -> None:
        """Make them the defaults of the command's parser; raises as `of`."""
        for name, value in self.of(command, parser).items():
            action = _action(name, parser)
            assert action is not None
            action.default, action.required = value, False


def folders() -> tuple[Path, Path]:
    """Where the file is looked for, in this order."""
    user = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(), Path(user).expanduser() / "t2fast"


def read_settings() -> Settings:
    """The first file there is.

    Raises:
        ValueError: for a file that is no TOML, or has more than options and tables of options.
        ImportError: before Python 3.11, which has no reader of TOML, where there is a file.
    """
    path = next((folder / NAME for folder in folders() if (folder / NAME).is_file()), None)
    if path is None:
        return Settings(None, {}, {})
    try:
        tomllib = importlib.import_module("tomllib")
    except ImportError:
        raise ImportError(f"{path} needs Python 3.11 or later, which reads TOML: move it away") from None
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    options = {name.replace("_", "-"): value for name, value in data.items() if not isinstance(value, dict)}
    own = {
        command: {name.replace("_", "-"): value for name, value in table.items()}
        for command, table in data.items()
        if isinstance(table, dict)
    }
    return Settings(path, options, own)


def _action(name: str, parser: argparse.ArgumentParser) -> argparse.Action | None:
    options = parser._option_string_actions
    return options.get(f"--{name}") or (options.get(f"-{name}") if len(name) == 1 else None)


def _value(place: str, name: str, value: Any, parser: argparse.ArgumentParser) -> Any:
    action = _action(name, parser)
    if action is None or action.dest == "help":
        meant = nearest(name, [option.lstrip("-") for option in parser._option_string_actions])
        raise ValueError(f"{place} is no option" + (f" - did you mean {meant!r}?" if meant else ""))
    if action.dest in _LINE_ALONE:
        raise ValueError(f"{place} can be said on the command line alone: it names a file to write")
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ValueError(f"{place} is {value!r}: give true or false")
        return value
    if isinstance(value, bool | dict):
        raise ValueError(f"{place} is {value!r}: give what the option takes")
    every = value if isinstance(value, list) else [value]
    repeated = isinstance(action, argparse._AppendAction)
    texts = [str(one) for one in every] if repeated else [",".join(map(str, every))]
    try:
        found = [parser._get_value(action, text) for text in texts]
        for one in found:
            parser._check_value(action, one)
    except argparse.ArgumentError as error:
        raise ValueError(f"{place}: {error.message}") from None
    return found if repeated else found[0]
