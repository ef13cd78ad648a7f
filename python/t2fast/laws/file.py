"""The JSON file that a law is kept in: written whole or not at all, read as untrusted input."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t2fast import atomic

_LARGEST_FILE = 256 * 2**20


def write(path: str | Path, data: Mapping[str, Any], rows: Sequence[str] = ()) -> None:
    """Write one JSON object; the lists named by `rows` get a line an entry, so that a person can scroll."""
    lines = [f" {json.dumps(key)}: {_value(value, key in rows)}" for key, value in data.items()]
    atomic.write(path, [b"{\n", ",\n".join(lines).encode(), b"\n}\n"])


def read(path: str | Path) -> Any:
    """What the file holds. `ValueError` for what is too large, or no JSON."""
    if Path(path).stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{path} is larger than any law: more than {_LARGEST_FILE >> 20} MiB")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a law: it does not hold JSON ({error})") from None


def number(value: Any, where: str, name: object) -> float:
    """A finite number, or the `ValueError` that names the key."""
    try:
        found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"{where}: {name} holds {reprlib.repr(value)}, which is not a finite number")
    return found


def words(value: Any, where: str, name: object) -> tuple[str, ...]:
    """A list of texts, or the `ValueError` that names the key."""
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError(f"{where}: {name} holds {reprlib.repr(value)}, which is no list of texts")
    return tuple(value)


def typed(value: Any, kind: type, where: str, name: object) -> Any:
    """A value of exactly this type, or the `ValueError` that names the key."""
    if type(value) is not kind:
        raise ValueError(f"{where}: {name} holds {reprlib.repr(value)}, which is no {kind.__name__}")
    return value


def seed(data: Mapping[str, Any], where: str) -> int | None:
    """The `seed` of a part of a file; None where it has none, as files of older versions have not."""
    return None if data.get("seed") is None else int(typed(data["seed"], int, where, "seed"))


def ranges(value: Any, where: str, name: object) -> dict[str, tuple[float, float]]:
    """A pair of finite numbers under each key, or the `ValueError` that names the key."""
    found = {}
    for key, pair in typed(value, dict, where, name).items():
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"{where}: {name} of {key} is {reprlib.repr(pair)}, no pair of numbers")
        found[key] = (number(pair[0], where, key), number(pair[1], where, key))
    return found


def incomplete(where: str, lacking: KeyError) -> ValueError:
    """The error for a file that lacks a key."""
    return ValueError(f"{where} is not a complete law: {lacking} is missing")


def _value(value: Any, a_line_each: bool) -> str:
    if not a_line_each or not value:
        return json.dumps(value, indent=1, allow_nan=False).replace("\n", "\n ")
    return "[\n  " + ",\n  ".join(json.dumps(row, allow_nan=False) for row in value) + "\n ]"


def _refuse(constant: str) -> float:
    raise ValueError(f"a law file cannot hold {constant}")
