"""Groups of equal training compute, and the weights that their spread gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2fast.compute import train_flops

Floats = NDArray[np.float64]

# In ln 6ND, what rounding may add to it.
WIDTH = np.log(1.1)
ROUNDING = 1e-9


def isoflop_groups(flops: Floats) -> NDArray[np.int64]:
    """Which group of nearly equal training FLOPs each run is in, numbered from the cheapest.

    At first every run is a group. The two neighbours in compute that together span least become one, the
    cheaper of equals, as long as its dearest run costs at most 10% more than its cheapest. So no group is
    wider than that, however densely runs follow each other, and no two neighbours could still be joined.
    """
    order = np.argsort(flops, kind="stable")
    x = np.log(flops[order])
    first = np.arange(len(x))  # of each group
    while len(first) > 1:
        last_of_next = np.append(first[2:], len(x)) - 1
        spans = x[last_of_next] - x[first[:-1]]
        if spans.min() > WIDTH + ROUNDING:
            break
        first = np.delete(first, np.argmax(spans <= spans.min() + ROUNDING) + 1)
    groups = np.empty(len(x), np.int64)
    groups[order] = np.searchsorted(first, np.arange(len(x)), side="right") - 1
    return groups


def isoflop_weights(n_params: Floats, n_tokens: Floats, loss: Floats) -> Floats:
    """Inverse variance of the loss within groups of equal training FLOPs (`isoflop_groups`), of mean one.

    Roberts et al. 2026, approach 2, stage 1. A group of one, or without spread, gets the median weight.
    """
    groups = isoflop_groups(train_flops(n_params, n_tokens))
    weights = np.full(len(groups), np.nan)
    for group in np.unique(groups):
        inside = groups == group
        variance = np.var(loss[inside], ddof=1) if inside.sum() > 1 else 0.0
        if variance > 0:
            weights[inside] = 1 / variance
    if np.isnan(weights).all():
        return np.ones(len(groups))
    weights[np.isnan(weights)] = np.nanmedian(weights)
    return np.asarray(weights / weights.mean())
