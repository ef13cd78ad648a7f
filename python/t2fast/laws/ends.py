"""The ends of an interval over draws."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ends(draws: Floats, level: float, axis: int = 0) -> tuple[Floats, Floats]:
    """Lower and upper end of an interval that holds one more draw with a chance of `level`.

    The i-th of m sorted draws has a share of i/(m + 1) of what else may be drawn below it, on average,
    whatever the distribution (Hyndman and Fan 1996, definition 6); linear between them. Quantiles that make
    it (i - 1)/(m - 1), as NumPy's usual ones, hold 86% where 90% is meant of 40 draws.

    Args:
        draws: (draws, ...).
        level: confidence, in (0, 1).
        axis: that of the draws.

    Returns:
        Both ends, of the shape that is left.
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=axis, method="weibull")
    return low, high


def interval(draws: Floats, level: float) -> tuple[float, float]:
    """Those ends of one quantity, of draws (draws,)."""
    low, high = ends(draws, level)
    return float(low), float(high)


def draws_needed(level: float) -> int:
    """The fewest draws that leave two beyond either end of an interval."""
    return math.ceil(4 / (1 - level) - 1e-9)


def check_draws(found: int, level: float) -> None:
    """`ValueError` for a level out of range, and for draws, if there are any, too few for it."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level} must lie between 0 and 1")
    if 0 < found < (needed := draws_needed(level)):
        raise ValueError(
            f"{found} draws say nothing about an interval of level {level:g}: fit with at least {needed}"
        )
