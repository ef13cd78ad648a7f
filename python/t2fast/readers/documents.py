"""JSON from files that may be damaged or hostile: every fault is a `ValueError` that says where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any, cast

from t2fast.tables import fields as v
from t2fast.tables.containers import opened
from t2fast.tables.json_lines import LONGEST_LINE, is_whole, parsed


def lines(file: IO[bytes], path: str) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, counted from 1. `ValueError` for one above `LONGEST_LINE` bytes."""
    row = 0
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ValueError(f"row {row + 1} of {path} is longer than {LONGEST_LINE >> 20} MiB")
        if not line.isspace():
            row += 1
            yield row, line


def json_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON Lines file, or of a file that is one array, each with words for where it is."""
    with opened(path) as file:
        if file.peek(1).lstrip()[:1] != b"[":
            for row, line in lines(file, path):
                where = f"row {row} of {path}"
                yield where, as_object(parsed(line, where), where)
            return
    for row, item in enumerate(as_list(whole(path), path), 1):
        where = f"row {row} of {path}"
        yield where, as_object(item, where)


def first_object(path: str) -> tuple[dict[str, Any], bool]:
    """The first row of a file of rows, {} for none, or all of a file of one object; whether it is all."""
    with opened(path) as file:
        line = b""
        while not line.strip():
            line = file.readline(LONGEST_LINE)
        rest = len(line) == LONGEST_LINE or bool(file.read(1 << 12).strip())
    if line.lstrip()[:1] == b"[":
        if rest and is_whole(line):
            return {}, False  # an array a line, which who takes it for a table will refuse
        items = as_list(whole(path), path)
        # Generations beside results may be an array of arrays, which is no table and no fault of a folder.
        return (items[0] if items and isinstance(items[0], dict) else {}), False
    where = f"row 1 of {path}"
    try:
        return as_object(parsed(line, where), where), not rest
    except ValueError:
        if not rest:
            raise
        try:
            return document(path), True  # an object over several lines
        except ValueError:
            pass
        raise


def document(path: str) -> dict[str, Any]:
    """A file that is one JSON object."""
    return as_object(whole(path), path)


def whole(path: str) -> object:
    """A file that is one JSON value."""
    size = os.path.getsize(path)
    with opened(path) as file:
        # A gzipped file may hold a thousand times its size: what it warrants ends at a hundredfold.
        limit = LONGEST_LINE + 100 * size
        content = file.read(limit + 1)
        if len(content) > limit:
            raise ValueError(f"{path} unzips to more than a hundred times its size")
    return parsed(content, path)


def as_object(value: object, where: str) -> dict[str, Any]:
    """`value` if it is a JSON object."""
    return cast(dict[str, Any], expected(value, dict, "an object", where))


def as_list(value: object, where: str) -> list[Any]:
    """`value` if it is a JSON array."""
    return cast(list[Any], expected(value, list, "an array", where))


def as_text(value: object, where: str) -> str:
    """`value` if it is text and not empty."""
    if value == "":
        raise ValueError(f"{where} is empty")
    return cast(str, expected(value, str, "text", where))


def expected(value: object, kind: Any, want: str, where: str) -> Any:
    """`value` if it is of a kind (true and false are no numbers); else a `ValueError` with what it is."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} is {described(value)}, not {want}")
    return value


def described(value: object) -> str:
    """A JSON value as messages show it, containers by their kind alone."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return "missing" if value is None else v.shown(value)
