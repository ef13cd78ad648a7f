"""`t2fast completion`: a script by which a shell completes this command line."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from t2fast.cli.options import command

SHELLS = ("bash", "zsh", "tcsh")


def add_parser(commands: Any) -> None:
    """Add the command `completion`."""
    parser = command(
        commands,
        "completion",
        run,
        "print a script that completes commands and options in a shell",
        '  eval "$(t2fast completion bash)"\n'
        "  t2fast completion zsh > ~/.zsh/completions/_t2fast\n"
        "\nNeeds `pip install 't2fast[completion]'`.",
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    try:
        import shtab
    except ImportError as error:
        raise ImportError("completion needs shtab: pip install 't2fast[completion]'") from error
    sys.stdout.write(shtab.complete(arguments.whole()[0], arguments.shell) + "\n")
