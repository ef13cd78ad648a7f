"""Rows on disk that outlive the process: written one by one as they come, put in order when all are there.

Rows go to `NAME.journal`, each in one write, in the order in which they come, so that a kill costs none of
them; the disk is told to keep them every second, so that a power cut costs a second. A row that was cut off
in the middle is one that was not written. When all are there they are put in order into `NAME.jsonl`, which
is the same to the byte however often the work was interrupted. More may be added to that later.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from t2fast import atomic

_SYNC_SECONDS = 1.0
_LOOK_SECONDS = 0.1
DYING_SECONDS = 60.0
"""What a process may take to end whose node is believed to be dead."""

Row = dict[str, Any]
Place = Callable[[Row], tuple[int, int] | None]
"""Where a row belongs; None: it is not wanted."""


class Lock:
    """One process at a time in a folder; the system frees the lock however the process ends.

    `patience` is how many seconds to wait for another to end.
    """

    def __init__(self, folder: Path, patience: float = 0.0):
        self.folder = folder
        self._patience = patience
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Lock:
        self._file = open(self.folder / "lock", "wb")
        try:
            import fcntl
        except ImportError:  # Windows has no flock; there the caller answers for it
            return self
        until = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            except OSError as error:
                if time.monotonic() >= until:
                    self._file.close()
                    raise ValueError(
                        f"another process is at work in {self.folder}: wait for it, or end it"
                    ) from error
            time.sleep(_LOOK_SECONDS)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class Records:
    """The rows of one model and task: `path`.jsonl has those in order, `path`.journal those since."""

    def __init__(self, path: Path):
        self.joined = path.with_name(path.name + ".jsonl")
        self.journal = path.with_name(path.name + ".journal")

    def rows(self) -> Iterator[Row]:
        """Every row there is, those in order first. `ValueError` that names the line that is none."""
        return (_parsed(path, number, line) for path, number, _, line in self._lines())

    def ordered(self, place: Place) -> Iterator[bytes]:
        """The lines of the wanted rows, in order of their places; one a place."""
        if not self.journal.exists():  # then they are in order
            for path, number, _, line in self._lines():
                if place(_parsed(path, number, line)) is not None:
                    yield line
            return
        found: dict[tuple[int, int], tuple[Path, int, int]] = {}
        for path, number, start, line in self._lines():
            at = place(_parsed(path, number, line))
            if at is not None:
                found.setdefault(at, (path, start, len(line)))
        with ExitStack() as stack:
            files = {
                path: stack.enter_context(open(path, "rb"))
                for path in {path for path, _, _ in found.values()}
            }
            for _, (path, start, length) in sorted(found.items()):
                files[path].seek(start)
                yield files[path].read(length)

    def join(self, place: Place) -> None:
        """Put the wanted rows in order into one file; finishes what an interrupted call began."""
        if self.journal.exists():
            atomic.write(self.joined, self.ordered(place))
            os.unlink(self.journal)

    def _lines(self) -> Iterator[tuple[Path, int, int, bytes]]:
        """File, number, offset and text of every whole line."""
        for path in (self.joined, self.journal):
            if not path.exists():
                continue
            with open(path, "rb") as file:
                start = 0
                for number, line in enumerate(file):
                    if not line.endswith(b"\n"):  # cut off in the middle
                        break
                    yield path, number, start, line
                    start += len(line)


class Journal:
    """Adds rows to records."""

    def __init__(self, records: Records):
        self.records = records
        self._file: int | None = None
        self._synced = 0.0

    def __enter__(self) -> Journal:
        return self

    def append(self, row: Row) -> None:
        """Write a row; once this returns, killing the process does not lose it."""
        if self._file is None:
            self._file = self._open()
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        line = text.encode("utf-8", "surrogatepass") + b"\n"
        while line:
            line = line[os.write(self._file, line) :]
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        """The journal's file, without a last line that was cut off."""
        path = self.records.journal
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        with open(path, "rb") as written:
            whole = sum(len(line) for line in written if line.endswith(b"\n"))
        os.truncate(file, whole)
        return file


def _parsed(path: Path, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(
            f"{path}, line {number + 1} is damaged ({error}): remove the line, and run again"
        ) from error
    if not isinstance(row, dict):
        raise ValueError(
            f"{path}, line {number + 1} is damaged (no JSON object): remove the line, and run again"
        )
    return row
