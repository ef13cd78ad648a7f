"""A law's faults in short, for who reads a plan."""

from __future__ import annotations

import re
from collections.abc import Sequence

from t2fast.laws import AnyLaw

_FURTHER = re.compile(r": (?![^(]*\))| \((?!nearest checkpoint)")
"""What ends the first words of a fault. The nearest checkpoint's error stands beside that of a law."""


def shortened(warnings: Sequence[str], law: AnyLaw) -> list[str]:
    """Warnings of a plan with what its law's fit found in one line, every finding by its first words; what a
    validation found stays whole.
    """
    prefix = "the law: "
    found = [] if law.fit is None else [f"{prefix}{words}" for words in law.fit.notes]
    own = [words for words in warnings if words not in found]
    short = [_FURTHER.split(words.removeprefix(prefix))[0] for words in warnings if words in found]
    if len(short) < 2:
        return list(warnings)
    listed = "; ".join(short)
    return [*own, f"about the law, {len(short)} things (in full by --verbose or --json): {listed}"]
