"""The law that a command takes: a file, or one that comes with t2fast, by name."""

from __future__ import annotations

from typing import Any

from t2fast.laws import embedded_laws


def add_law(command: Any, name: str = "--law", **how: Any) -> None:
    """Add the option; `t2fast.laws.find_law` finds what it names."""
    command.add_argument(
        name,
        metavar="LAW",
        help="a file that `t2fast fit -o` or `validate -o` wrote, or a law that comes with t2fast, by name: "
        + ", ".join(embedded_laws()),
        **how,
    )
