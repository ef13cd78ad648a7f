"""Members of a ZIP as JSON, also those in Zstandard, which Python's zipfile cannot read before 3.14."""

from __future__ import annotations

import re
import zipfile
import zlib
from types import TracebackType

from t2fast.tables.json_lines import LONGEST_LINE, parsed

_ZSTANDARD = 93
_LOCAL_HEADER = 30  # bytes, of which the last four hold the lengths of the name and the extra field


class Archive:
    """A ZIP that need not be well-meant: what is read from it may unzip to a hundred times its size in all.

    Errors: `ValueError` that names the file, and the member if there is one, for whatever cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            self._zip = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            self._file.close()
            raise ValueError(f"{path} cannot be unzipped: {error}. Check that it is complete") from error
        size = self._file.seek(0, 2)
        self._left = LONGEST_LINE + 100 * size

    @staticmethod
    def recognises(path: str) -> bool:
        """Whether a file begins as a ZIP."""
        with open(path, "rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    def __contains__(self, member: str) -> bool:
        return member in self._zip.NameToInfo

    def numbered(self, folder: str) -> list[str]:
        """The members `<folder><number>.json`, in the order of their numbers."""
        named = re.compile(re.escape(folder) + r"(\d{1,18})\.json")
        found = {int(match[1]): match[0] for match in map(named.fullmatch, self._zip.namelist()) if match}
        return [found[number] for number in sorted(found)]

    def json(self, member: str) -> object:
        """A member as JSON."""
        where = f"{member} in {self.path}"
        if "xl/workbook.xml" in self:
            raise ValueError(f"{self.path} is a workbook of Excel: save the sheet with the table as .csv")
        if member not in self:
            raise ValueError(
                f"{self.path} is a ZIP without {member}, so no log of inspect-ai: unpack it, and name "
                "what is in it"
            )
        try:
            content = self._read(self._zip.getinfo(member))
        # RuntimeError is how zipfile refuses an encrypted member.
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise ValueError(f"{where} cannot be unzipped: {error}. Check that it is complete") from error
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"{self.path} unzips to more than a hundred times its size")
        return parsed(content, where)

    def _read(self, info: zipfile.ZipInfo) -> bytes:
        """The content of a member, cut off one byte beyond what may still be read."""
        if info.compress_type != _ZSTANDARD:
            with self._zip.open(info) as member:
                return member.read(self._left + 1)
        try:
            import zstandard
        except ImportError:
            raise ValueError(
                f"{self.path} needs the package zstandard to be unzipped: pip install 't2fast[readers]'"
            ) from None
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04" or info.flag_bits & 1:
            raise zipfile.BadZipFile("its header is damaged, or it is encrypted")
        name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        self._file.seek(name + extra, 1)
        compressed = self._file.read(info.compress_size)
        try:
            # A long log is written as several frames.
            with zstandard.ZstdDecompressor().stream_reader(compressed, read_across_frames=True) as reader:
                content = bytes(reader.read(self._left + 1))
        except zstandard.ZstdError as error:
            raise zipfile.BadZipFile(str(error)) from error
        if len(content) <= self._left and zlib.crc32(content) != info.CRC:
            raise zipfile.BadZipFile("its checksum is wrong")
        return content
