"""The ends of an interval over draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ends(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Lower and upper end of an interval that holds one more draw with a chance of `level`.

    The i-th of m sorted draws has a share of i/(m + 1) of what else may be drawn below it, on average,
    whatever the distribution (Hyndman and Fan 1996, definition 6); linear between them. Quantiles that make
    it (i - 1)/(m - 1), as NumPy's usual ones, hold 86% where 90% is meant of 40 draws.

    Args:
        draws: (draws, ...).
        level: confidence, in (0, 1).

    Returns:
        Both ends, of the shape that is left.
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    return low, high
