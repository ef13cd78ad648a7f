"""A process that finishes checkpoints, one after the other, as lines on its standard input name them.

Not `multiprocessing`: its processes import the caller's main module, which a script may not stand.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from t2fast.testbed.grid import Checkpoint
from t2fast.testbed.settings import settings_in
from t2fast.testbed.work import finish
from t2fast.training import Recipe, Shape


class Worker:
    """Such a process. It ends when its standard input does: with `close`, or with whoever began it."""

    def __init__(self, folder: Path) -> None:
        # A session of its own: Ctrl-C is for the caller, who then closes.
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, one: Checkpoint) -> None:
        """Train and measure a checkpoint there; `ValueError` with what went wrong."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asdict(one)), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        said = json.loads(answer) if answer else "its process ended"
        if said is not None:
            raise ValueError(f"{one.name}: {said}")

    def close(self) -> None:
        """End it, in the middle of a checkpoint if need be."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def serve() -> None:
    """Finish what the lines of standard input name, in the folder that the command line does.

    Each is answered by a line of JSON: null, or what went wrong.
    """
    folder = Path(sys.argv[1])
    settings = settings_in(folder)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)  # the caller is gone, and with it the wish for what is at work

    threading.Thread(target=listen, daemon=True).start()
    while True:
        wrong = None
        try:
            finish(folder, settings, _checkpoint(json.loads(lines.get())))
        except (ValueError, OSError, ImportError) as error:
            wrong = str(error)
        print(json.dumps(wrong), flush=True)


def _checkpoint(data: dict[str, Any]) -> Checkpoint:
    recipe = {**data["recipe"], "betas": tuple(data["recipe"]["betas"])}
    made = {"shape": Shape(**data["shape"]), "recipe": Recipe(**recipe), "tuned": tuple(data["tuned"])}
    return Checkpoint(**{**data, **made})
