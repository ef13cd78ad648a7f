"""Files written whole or not at all: the one way in which the package writes."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

Target = str | os.PathLike[str]

SUFFIX = ".tmp"
"""Of files that are being written; their names begin with a dot. A process that is killed leaves them."""


def write(path: Target, parts: Iterable[bytes]) -> None:
    """Write `parts` to `path` by `writer`."""
    with writer(path) as file:
        file.writelines(parts)


@contextmanager
def writer(path: Target) -> Iterator[IO[bytes]]:
    """A file to write to, which becomes `path` when it is left: at any moment that holds the old or the new.

    What is written goes to a file beside it, is flushed to the disk and renamed, with the mode of the file
    that was there or the one that the umask leaves to a new one. A symbolic link is followed: what it points
    to is written, and the link stays. What is no file, such as a pipe or a device, cannot be renamed over: it
    is written to.

    Raises:
        OSError: as the system raises, in words and with the path, and with nothing left behind.
    """
    try:
        mode = _mode(path)
        if mode is None:
            with open(path, "wb") as stream:
                yield stream
            return
        target = Path(os.path.realpath(path))
        descriptor, temporary = _temporary(target)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, mode)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
        _sync(target.parent)
    except OSError as error:
        raise _in_words(error, path) from error


def check(path: Target) -> None:
    """Raise at once the `OSError` that `write` would end in: before the work whose result it is to keep."""
    try:
        if _mode(path) is not None:
            target = Path(os.path.realpath(path))
            descriptor, temporary = _temporary(target)
            os.close(descriptor)
            os.unlink(temporary)
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _in_words(error, path) from error


def _temporary(target: Path) -> tuple[int, str]:
    return tempfile.mkstemp(SUFFIX, f".{target.name[:100]}.", target.parent)


def _mode(path: Target) -> int | None:
    """The mode for the file at `path`; None for what is there and is no file."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        umask = os.umask(0)  # the system tells it only by setting another
        os.umask(umask)
        return 0o666 & ~umask
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return stat.S_IMODE(there.st_mode) if stat.S_ISREG(there.st_mode) else None


def _sync(folder: Path) -> None:
    """Make a rename in `folder` outlast a power cut, where the system lets folders be synchronised."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError:  # some network file systems cannot; the file itself is safe
            pass
        finally:
            os.close(descriptor)


def _in_words(error: OSError, path: Target) -> OSError:
    """The error about the path that the caller knows, not the temporary one, and without a number."""
    if isinstance(error, BrokenPipeError):
        return error
    folder = os.path.dirname(os.path.realpath(path))
    # Some folders that the system makes up, /proc say, are there and hold no file of ours.
    missing = f"no file can be made in {folder}" if os.path.isdir(folder) else f"there is no folder {folder}"
    words = {
        errno.ENOENT: missing,
        errno.EISDIR: "it is a folder",
        errno.ENOSPC: "no space is left on the device",
    }.get(error.errno or 0, (error.strerror or str(error)).lower())
    return type(error)(f"{os.fspath(path)} cannot be written: {words}")
