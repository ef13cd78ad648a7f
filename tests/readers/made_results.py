"""Files of results made by hand, and what was read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from t2fast.tables import Counts


def by_problem(counts: Counts) -> dict[str, tuple[int, int]]:
    rows = counts.frame.select("problem", "n_samples", "n_correct").rows()
    return {problem: (n, c) for problem, n, c in rows}


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def whole(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
    return path
