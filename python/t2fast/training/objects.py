"""JSON files that say what is in a folder, read as what anything may have happened to."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


def read_object(path: Path, otherwise: str = "give another folder") -> dict[str, Any]:
    """The object in a file; `ValueError` that names the file and says what else to do."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): {otherwise}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged (no object): {otherwise}")
    return found


def is_number(value: Any) -> bool:
    """Whether it is a number that can be reckoned with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
