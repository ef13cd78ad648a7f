"""The bytes of a file, whatever it is packed in: gzip or Zstandard, with a byte order mark or without."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

_BOM = b"\xef\xbb\xbf"
_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# A packed piece may hold thousands of times its size.
_PIECE = 1 << 14
#: First bytes of what is not read, and what to do about it.
_REFUSED = {
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
    b"BZh": "is packed by bzip2: unpack it first",
    b"\xfd7zXZ": "is packed by xz: unpack it first",
    b"version https://git-lfs": "is a pointer of Git LFS and not the file: fetch that by git lfs pull",
    b"<!doctype html": "is a page of HTML and not the file: fetch that again",
    b"<html": "is a page of HTML and not the file: fetch that again",
}
_HEAD = max(map(len, _REFUSED))


def require_file(path: str) -> None:
    """`ValueError` for a pipe and what else can be read but once, and is no folder."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError(
            f"{path} is no file, but a pipe or a device, and is to be read more than once: write what it "
            "gives to a file whose name says its kind (.csv, .jsonl)"
        )


@contextmanager
def opened(path: str) -> Iterator[io.BufferedReader]:
    """The unpacked bytes of a file, from its first on.

    Errors: `ValueError` if they do not unpack, or are packed in another way, or are UTF-16.
    """
    with open(path, "rb") as file:
        unpacked = _unpacked(file, path)
        try:
            if unpacked.read(3) != _BOM:
                file.seek(0)
                unpacked = _unpacked(file, path)
            yield unpacked
        except Exception as error:
            if not isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)) and not _of_zstandard(error):
                raise
            raise ValueError(f"{path} cannot be read: {error}. Check that it is complete") from error


def packing(head: bytes) -> str:
    """What a file that begins so is packed by, "" if it is not."""
    return "gzip" if head.startswith(_GZIP) else "Zstandard" if head.startswith(_ZSTANDARD) else ""


def _unpacked(file: IO[bytes], path: str) -> io.BufferedReader:
    head = file.read(_HEAD)
    file.seek(0)
    for start, what in _REFUSED.items():
        if head.startswith(start) or head.lower().startswith(start):
            raise ValueError(f"{path} {what}")
    if head.startswith(_GZIP):
        return cast(io.BufferedReader, gzip.GzipFile(fileobj=file))
    if not head.startswith(_ZSTANDARD):
        return cast(io.BufferedReader, file)
    try:
        import zstandard
    except ImportError:
        raise ValueError(
            f"{path} needs the package zstandard to be unzipped: pip install 't2fast[readers]'"
        ) from None
    return io.BufferedReader(_Frames(file, zstandard.ZstdDecompressor()))


class _Frames(io.RawIOBase):
    """One Zstandard frame after the other; zstandard itself tells no cut file from a whole one."""

    def __init__(self, file: IO[bytes], decompressor: Any) -> None:
        self._file, self._decompressor = file, decompressor
        self._frame: Any = None
        self._content = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._content:
            piece = self._frame.unused_data if self._frame is not None and self._frame.eof else b""
            piece = piece or self._file.read(_PIECE)
            if not piece:
                if self._frame is not None and not self._frame.eof:
                    raise EOFError("it ends amid a frame")
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            self._content = self._frame.decompress(piece)
        size = min(len(buffer), len(self._content))
        buffer[:size], self._content = self._content[:size], self._content[size:]
        return size


def _of_zstandard(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in ("zstandard", "zstd")
