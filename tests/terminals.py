"""What a command prints on a terminal of some width."""

from __future__ import annotations

import io
import re
import sys

import pytest
from t2fast.cli.main import main

NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?[%\w]?")


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def shown(command: list[str], width: int, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> str:
    for name, value in (("COLUMNS", str(width)), ("NO_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Terminal())
        assert main(command) == code
        text: str = sys.stdout.getvalue()  # type: ignore[attr-defined]
    return re.sub("\x1b\\[[0-9;]*m", "", text)
