"""Chat templates rendered in a process of their own, which can be ended.

A template is a program that comes with a model. jinja2's sandbox keeps it from files and from Python's
insides, not from a loop without end nor from text of gigabytes: those end with the process.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

SECONDS = 10.0
"""The longest that a template may take; milliseconds are usual."""
MEMORY = 1 << 30
"""The most bytes of memory that it may take, where the system can be told."""
_PROGRAM = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "runpy.run_path(sys.argv[2])['serve'](int(sys.argv[3]))"
)
"""Finds packages where this process does, whatever the environment says."""


class _Renderer:
    """The process, for all templates."""

    def __init__(self) -> None:
        if importlib.util.find_spec("jinja2") is None:
            raise ImportError("chat templates need the package jinja2: pip install 't2fast[decode]'")
        file = Path(__file__).with_name("template.py")
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(sys.path), str(file), str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        atexit.register(self.end)
        self._line()  # says that it is there: a template's time begins after that

    def ask(self, request: bytes) -> dict[str, str]:
        """The answer; nothing where the process has ended."""
        assert self.process.stdin is not None
        watch = threading.Timer(SECONDS, self.process.kill)
        watch.start()
        try:
            self.process.stdin.write(request + b"\n")
            self.process.stdin.flush()
            line = self._line()
        except BrokenPipeError:
            return {}
        finally:
            watch.cancel()
        return dict(json.loads(line)) if line.endswith(b"\n") else {}

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> None:
        """Ends the process, unless it is that of the process from which this one was forked."""
        atexit.unregister(self.end)
        if self.owner == os.getpid():
            self.process.kill()
            self.process.communicate()


_turn = threading.Lock()
_running: _Renderer | None = None


def render(source: str, values: dict[str, Any], now: str) -> str:
    """What a template writes.

    Args:
        source: the template.
        values: its variables, as JSON has them.
        now: the time that it is told, in ISO 8601.

    Returns:
        The text.

    Raises:
        ValueError: with the rest of a line that names the template: for whatever goes wrong inside it, and
            where it takes too long or too much memory.
    """
    global _running  # noqa: PLW0603
    try:
        request = json.dumps({"source": source, "values": values, "now": now}).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f": messages are no JSON: {error}") from error
    with _turn:
        if _running is None or _running.owner != os.getpid():
            _running = _Renderer()
        answer: dict[str, str] = {}
        try:
            answer = _running.ask(request)
        finally:
            if not answer:  # it has ended, or its answer would come in the place of the next
                _running.end()
                _running = None
    if "text" not in answer:
        raise ValueError(answer.get("error", f" gives no text in {SECONDS:g} s, or ends its process"))
    return answer["text"]
