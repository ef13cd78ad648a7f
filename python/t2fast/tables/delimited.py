"""What is wrong with a CSV or TSV file that does not parse, by its first row at fault."""

from __future__ import annotations

import re
from collections.abc import Iterator

from t2fast.tables.fields import shown


def csv_fault(path: str) -> str | None:
    """The first row with a stray quote, an open one or too many fields, in words; None if none is found."""
    separator = "\t" if path.lower().endswith(".tsv") else ","
    field = re.compile(rf'"(?:[^"]|"")*"|[^"{separator}]*')
    width = 0
    if fault := _encoding_fault(path):
        return fault
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        for row, line in enumerate(_records(file)):
            fields, at = [], 0
            while True:
                match = field.match(line, at)
                assert match is not None
                end = match.end()
                if end < len(line) and line[end] != separator:
                    stop = line.find(separator, end)
                    value = line[at : stop if stop >= 0 else len(line)]
                    if value.startswith('"') and value.count('"') == 1:
                        return f"row {row} opens a quote that does not end: {shown(value)}"
                    return (
                        f"row {row} has a quote inside {shown(value)}: write such a field in quotes, and the "
                        'quote twice, as in "5"" pipe"'
                    )
                fields.append(match[0])
                if end == len(line):
                    break
                at = end + 1
            width = width or len(fields)
            if len(fields) > width:
                return f"row {row} has {len(fields)} fields where the header has {width}"
    return None


def _encoding_fault(path: str) -> str | None:
    """The first line that is not UTF-8."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                there = shown(line[max(0, error.start - 10) : error.end])
                return f"line {number} is not UTF-8, at {there}: save the file as UTF-8"
    return None


def _records(lines: Iterator[str]) -> Iterator[str]:
    """Lines without their ends, those joined that a field in quotes runs over."""
    for first in lines:
        record = first
        # Only a quote at the beginning of a field opens one.
        while record.count('"') % 2 and re.search(r'(^|[,\t])"', record):
            following = next(lines, None)
            if following is None or len(record) > 1 << 20:
                record = first
                break
            record += following
        yield record.rstrip("\r\n")
