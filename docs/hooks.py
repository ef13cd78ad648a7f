"""What the site is given at its build: help of every command, an explorer, places of files beside it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import t2fast
from t2fast.cli.main import parser_of_all

_HELP = "<!-- help -->"
_PLACES = {"](../CONTRIBUTING.md#layout)": "](architecture.md)"}
"""Links that work in a checkout, and where they lead on the site."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with the help of all commands in place of its mark."""
    for link, place in _PLACES.items():
        markdown = markdown.replace(link, place)
    return markdown.replace(_HELP, _commands()) if _HELP in markdown else markdown


def on_post_build(config: Any, **_: Any) -> None:
    """The explorer of the law that ships, beside the pages that show it."""
    t2fast.explore(t2fast.default_law()).save(Path(config["site_dir"]) / "explorer.html")


def _commands() -> str:
    os.environ["COLUMNS"] = "100"
    os.environ["NO_COLOR"] = "1"
    parser = parser_of_all()
    found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return "\n\n".join(
        f"## t2fast {name}\n\n```text\n{command.format_help()}```" for name, command in found.choices.items()
    )
