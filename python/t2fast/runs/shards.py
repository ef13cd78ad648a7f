"""Shards: blocks of rows on disk, each whole or absent, whenever the process dies.

A block is written under a temporary name, flushed to the disk and renamed. When all blocks are there they are
joined, in order, into one file, which is the same to the byte however often the work was interrupted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from t2fast import atomic

_SUFFIX = ".jsonl"


class Lock:
    """One process at a time in a folder; the system frees the lock however the process ends."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Lock:
        self._file = open(self.folder / "lock", "wb")
        try:
            import fcntl
        except ImportError:  # Windows has no flock; there the caller answers for it
            return self
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ValueError(
                f"another process is at work in {self.folder}: wait for it, or end it"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class Shards:
    """The blocks 0 to `count` - 1 of one model and task, under `folder`, and the file that they become."""

    def __init__(self, folder: Path, count: int):
        self.folder = folder
        self.count = count
        self.joined = folder.with_name(folder.name + _SUFFIX)

    def missing(self) -> list[int]:
        """Blocks still to be written."""
        if self.joined.exists():
            return []
        there = {path.name for path in self.folder.glob(f"*{_SUFFIX}")} if self.folder.is_dir() else set()
        return [block for block in range(self.count) if self._path(block).name not in there]

    def write(self, block: int, rows: Iterable[dict[str, Any]]) -> None:
        """Write a block."""
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.write(self._path(block), (_line(row) for row in rows))

    def join(self) -> None:
        """Make one file of all blocks, then remove them; finishes what an interrupted call began."""
        if not self.joined.exists():
            atomic.write(self.joined, (self._path(block).read_bytes() for block in range(self.count)))
        shutil.rmtree(self.folder, ignore_errors=True)

    def files(self) -> list[Path]:
        """The files that hold the rows there are, in order."""
        if self.joined.exists():
            return [self.joined]
        missing = set(self.missing())
        return [self._path(block) for block in range(self.count) if block not in missing]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row there is, in order. `ValueError` that names the line that is none."""
        for path in self.files():
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file):
                    try:
                        yield json.loads(line)
                    except json.JSONDecodeError as error:
                        raise ValueError(
                            f"{path}, line {number + 1} is damaged ({error}): remove the file, and run again"
                        ) from error

    def _path(self, block: int) -> Path:
        return self.folder / f"{block:08d}{_SUFFIX}"


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass") + b"\n"
