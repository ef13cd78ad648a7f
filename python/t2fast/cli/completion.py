"""`t2fast completion`: a script by which a shell completes this command line."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from t2fast.cli.options import command

_FILES = re.compile(
    r"FILE|FOLDER|COUNTS|JSONL|LAW|RUN|SETTINGS|MODEL$|HTML|^model$|^tokenizer$", re.IGNORECASE
)
"""What an argument is called that is a file or a folder."""

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
    whole, commands = arguments.whole()
    for parser in commands.values():
        for action in parser._actions:
            # Without it zsh completes nothing there; bash completes files wherever nothing else is known.
            if action.choices is None and _FILES.search(str(action.metavar or action.dest)):
                action.complete = shtab.FILE
    sys.stdout.write(shtab.complete(whole, arguments.shell) + "\n")
