"""How sure an option has to be of reaching a target, where several models were looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

_HOPELESS = 0.05
"""Chance of reaching the target below which a model is none of those that luck might have chosen."""


def cheapest_that_reaches(
    share: Floats,
    usd: Floats,
    family: Integers,
    confidence: float,
    means: Callable[[Integers], Floats],
) -> int | None:
    """The cheapest option that is sure enough to reach the target, however many models were looked at.

    Whoever picks the cheapest of several models that seem to reach a target picks among other things the
    luckiest. So an option has to be surer than the confidence that is asked for: as sure as keeps the chance
    of being wrong about any model below what is left of it, whichever of them truly fall short (the
    smallest of their p-values, in draws that all share: Westfall and Young 1993, Resampling-Based Multiple
    Testing, 2.4). Among options of one family no such care is needed: more samples only help.

    Args:
        share: the chance of each option to reach the target, (options,).
        usd: what each costs, (options,).
        family: which options differ by numbers of samples alone, (options,).
        confidence: that what is chosen reaches the target, in (0, 1).
        means: of some options, by index, pass@k of new problems in every draw, (indices, draws).

    Returns:
        The index of the option; None if none is sure enough.
    """
    rivals = [i for members in _families(family) if (i := _nearest(share, usd, members)) is not None]
    if not rivals:
        return None
    sure = np.flatnonzero(share >= sure_level(means(np.array(rivals)), confidence))
    return int(sure[np.lexsort((sure, usd[sure]))[0]]) if sure.size else None


def sure_level(means: Floats, confidence: float) -> float:
    """The chance to ask of each of several models so that all claims hold at once with a confidence.

    Args:
        means: of every model, in every draw, (models, draws).
        confidence: in (0, 1).
    """
    ranks = [np.searchsorted(np.sort(row), row, side="right") for row in means]
    least = np.min(ranks, axis=0) / means.shape[1]
    return max(confidence, 1 - float(np.quantile(least, 1 - confidence, method="lower")))


def _families(family: Integers) -> list[Integers]:
    order = np.argsort(family, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(family[order])) + 1) if order.size else []


def _nearest(share: Floats, usd: Floats, members: Integers) -> int | None:
    """The option of a family whose truth is as likely above the target as below: where luck decides."""
    if share[members].max() < _HOPELESS:
        return None
    likely = members[share[members] >= 0.5]
    return int(likely[usd[likely].argmin()] if likely.size else members[share[members].argmax()])
