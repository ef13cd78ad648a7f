"""Groups of equal training compute, and the weights that their spread gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2fast.compute import train_flops

Floats = NDArray[np.float64]


def isoflop_weights(n_params: Floats, n_tokens: Floats, loss: Floats) -> Floats:
    """Inverse variance of the loss within groups of equal training FLOPs, of mean one.

    Sorted by 6ND, a new group begins where compute rises by more than 10% from one run to the next.

    Roberts et al. 2026, approach 2, stage 1. A group of one, or without spread, gets the median weight.
    """
    flops = np.log(train_flops(n_params, n_tokens))
    order = np.argsort(flops, kind="stable")
    group = np.empty(len(flops), np.int64)
    group[order] = np.cumsum(np.diff(flops[order], prepend=flops[order[:1]]) > np.log(1.1))
    weights = np.full(len(group), np.nan)
    for g in np.unique(group):
        inside = group == g
        variance = np.var(loss[inside], ddof=1) if inside.sum() > 1 else 0.0
        if variance > 0:
            weights[inside] = 1 / variance
    if np.isnan(weights).all():
        return np.ones(len(group))
    weights[np.isnan(weights)] = np.nanmedian(weights)
    return np.asarray(weights / weights.mean())
