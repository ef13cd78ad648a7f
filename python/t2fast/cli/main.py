"""The command ``t2fast``: data on stdout, everything else on stderr.

Exit codes: 0 done, 1 the data or the request cannot be used (the message says why), 2 the command line
itself is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from t2fast import _core
from t2fast.cli.parser import Parser
from t2fast.cli.settings import Settings, read_settings
from t2fast.cli.wording import own_words
from t2fast.text import clean

_COMMANDS = (
    "passk",
    "compare",
    "outcomes",
    "fit",
    "validate",
    "plan",
    "choose",
    "design",
    "report",
    "explore",
    "simulate",
    "sample",
    "chat",
    "evaluate",
    "train",
    "testbed",
    "bench-model",
    "doctor",
    "config",
    "completion",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        return 130


def _run(argv: Sequence[str] | None) -> int:
    _prepare_streams()
    argv = sys.argv[1:] if argv is None else argv
    # A command loads its own rooms alone; help, and a line without a command, need them all.
    parser, commands = _parser(argv[:1] if argv and argv[0] in _COMMANDS else _COMMANDS)
    settings = _preset(commands)
    arguments = parser.parse_args(argv)
    if str(getattr(arguments, "output", None)) == "-":
        commands[arguments.command].error(
            "argument -o/--output: '-' would be a file of that name: give another, or /dev/stdout"
        )
    arguments.given = {
        action.dest
        for action in commands[arguments.command]._actions
        if getattr(arguments, action.dest, action.default) != action.default
    }
    # For commands about the command line, which must not import what imports them.
    arguments.whole = lambda: _parser(_COMMANDS)
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        from t2fast.fits import FitWarning

        # A fit's or an estimate's own notes are printed with its result.
        if not issubclass(category, FitWarning | RuntimeWarning):
            stderr.print(f"warning: {clean(own_words(str(message)))}", style="yellow", markup=False)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        try:
            start = time.perf_counter()
            with _quiet() if arguments.quiet else contextlib.nullcontext():
                code: int | None = arguments.run(arguments)
            sys.stdout.flush()
            if arguments.verbose:
                if settings.path is not None:
                    stderr.print(f"defaults from {settings.path}: t2fast config shows them", markup=False)
                stderr.print(f"{arguments.command} took {time.perf_counter() - start:.2f} s", markup=False)
        except (ValueError, OSError, ImportError, MemoryError) as error:
            if isinstance(error, BrokenPipeError):
                sys.stderr.close()
                return 0
            if arguments.verbose:
                stderr.print(clean(traceback.format_exc()), markup=False)
            said = f"this does not fit into memory: {error}" if isinstance(error, MemoryError) else str(error)
            words = clean(own_words(said, groups=hasattr(arguments, "group_by")))
            stderr.print(f"t2fast {arguments.command}: {words}", style="red", markup=False)
            return 1
    return code or 0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let nothing that is written to stderr be seen."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def _prepare_streams() -> None:
    """Let a closed stdout swallow what is printed, and a terminal without UTF-8 show what it can."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _preset(commands: dict[str, argparse.ArgumentParser]) -> Settings:
    """Defaults from the user's file; `config` itself says what is wrong with it."""
    if len(commands) > 1 or "config" in commands:
        return Settings(None, {}, {})
    (name, parser), *_ = commands.items()
    try:
        settings = read_settings()
        settings.apply(name, parser)
    except (ValueError, OSError, ImportError) as error:
        parser.error(clean(own_words(str(error))))
    return settings


def _parser(names: Sequence[str]) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and those of the commands by name."""
    parser = Parser(
        prog="t2fast",
        description="How big a model, how many tokens, how many samples: Train-to-Test scaling laws.",
        epilog="example:  t2fast plan --train-flops 2.56e19 --inference-flops 2e9",
    )
    parser.add_argument("--version", action="version", version=f"t2fast {_core.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in names:
        importlib.import_module(f"t2fast.cli.{name.replace('-', '_')}").add_parser(commands)
        loud = commands.choices[name].add_mutually_exclusive_group()
        loud.add_argument("-q", "--quiet", action="store_true", help="say nothing on stderr but errors")
        loud.add_argument("-v", "--verbose", action="store_true", help="say how long it took; trace errors")
    return parser, dict(commands.choices)


def parser_of_all() -> argparse.ArgumentParser:
    """The parser with every command."""
    return _parser(_COMMANDS)[0]
