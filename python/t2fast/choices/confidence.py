"""Which options reach a target not only on the problems that were measured but, with confidence, on new
ones.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


def cheapest_that_reach(met: Bools, usd: Floats, family: Integers, confidence: float) -> Integers:
    """The cheapest option of every family that is sure enough to reach the target, all of them jointly.

    Whoever picks the cheapest of several models that seem to reach a target picks among other things the
    luckiest. So the chance that is asked of each is raised until, with `confidence`, all those picked reach
    the target together. Among options of one family no such care is needed: more samples only help.

    Args:
        met: whether each option reaches the target in each draw, (options, draws).
        usd: what each costs, (options,).
        family: which options differ by numbers of samples alone, (options,).
        confidence: of all of the picked together, in (0, 1).

    Returns:
        Indices of the options picked, cheapest first; empty if none is sure enough.
    """
    share = met.mean(axis=1)
    order = np.lexsort((np.arange(len(usd)), usd))
    levels = np.unique(share[share >= confidence])

    def picked(level: float) -> Integers:
        sure = order[share[order] >= level]
        return np.asarray(sure[np.sort(np.unique(family[sure], return_index=True)[1])])

    low, high = 0, len(levels)
    while low < high:
        middle = (low + high) // 2
        if met[picked(levels[middle])].all(axis=0).mean() >= confidence:
            high = middle
        else:
            low = middle + 1
    return picked(levels[low]) if low < len(levels) else np.empty(0, np.int64)
