"""The parser of the command line: argparse's, which also says what may have been meant."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from t2fast.text import nearest

_CHOICE = re.compile(r"invalid choice: '(?P<given>[^']*)' \(choose from (?P<known>.*)\)", re.DOTALL)
_UNKNOWN = re.compile(r"unrecognized arguments: (?P<given>--[\w-]+)")


class Parser(argparse.ArgumentParser):
    """A parser whose errors name the nearest of what there is, and never a type of Python's."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register("type", int, _whole)
        self.register("type", float, _number)

    def error(self, message: str) -> NoReturn:
        """End with the message and what may have been meant, and not with all options there are."""
        self.exit(2, f"{self.prog}: error: {message}{self._hint(message)}\nsee {self.prog} --help\n")

    def _hint(self, message: str) -> str:
        if found := _CHOICE.search(message):
            meant = nearest(found["given"], re.findall(r"[\w./-]+", found["known"]))
        elif found := _UNKNOWN.search(message):
            meant = nearest(found["given"], self._options())
        else:
            return ""
        return f" - did you mean {meant!r}?" if meant else ""

    def _options(self) -> list[str]:
        """The options of this parser and of its commands, of which one alone was loaded."""
        found = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [
                    option for command in action.choices.values() for option in command._option_string_actions
                ]
        return found


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
