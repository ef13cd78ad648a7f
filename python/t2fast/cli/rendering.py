"""Tables that more than one command prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from t2fast.text import amount, columns, note


def pass_table(rows: Sequence[Mapping[str, Any]], level: float) -> RenderableType:
    """pass@k by checkpoint, task and k, as ``t2fast passk`` prints it."""
    keys = [
        key
        for key in ("model", "n_params", "n_tokens", "train_set", "task")
        if any(row.get(key) for row in rows)
    ]
    table = columns(
        *keys, "k", "pass@k", f"{level:.0%} interval", "problems", left=("model", "train_set", "task")
    )
    for row in rows:
        named = [amount(row[key]) if key.startswith("n_") else str(row[key]) for key in keys]
        value, low, high = row["pass_at_k"], row["low"], row["high"]
        shown = "NaN" if value is None else f"{value:.4f}"
        interval = "" if low is None else f"{low:.4f} to {high:.4f}"
        behind = str(row["problems"])
        if row["of_problems"] != row["problems"]:
            behind += f" of {row['of_problems']}"
        table.add_row(*named, str(row["k"]), shown, interval, behind)
    notes = dict.fromkeys(row["note"] for row in rows if row["note"])
    return Group(table, *(note(words) for words in notes))
