"""A total of samples spread over queries by difficulty: exactly where success probabilities are known."""

from __future__ import annotations

import heapq
from numbers import Real
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.arguments import real

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


def allocate(p: npt.ArrayLike, total: int) -> Integers:
    """Samples for every query so that the most queries are expected to be solved, none of them being watched.

    Query i is solved with 1 - (1 - p_i)^k_i, concave in k_i, so that giving one sample after the other to the
    query of the largest marginal gain p_i (1 - p_i)^k_i is exact. Samples that gain nothing go to nobody.

    Args:
        p: success probability of one sample of each query, (queries,).
        total: samples to spend.

    Returns:
        k, whole numbers of shape (queries,), adding up to `total` unless nothing more is to be gained.

    Raises:
        ValueError: for probabilities outside [0, 1] and for a total that is negative or not whole.
    """
    p = real("p", p) if np.size(p) else np.zeros(np.shape(p))
    bad = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if p.ndim != 1 or bad.size:
        where = f"p[{bad[0]}] is {p.flat[bad[0]]}" if bad.size else f"p has shape {p.shape}"
        raise ValueError(f"{where}: give one probability in [0, 1] a query")
    if not (isinstance(total, Real) and 0 <= total < np.inf and total == int(total)):
        raise ValueError(f"total is {total!r}: give a whole number that is not negative")
    total = int(total)
    k = _levelled(p, total)
    heap = [(-p[i] * (1 - p[i]) ** int(k[i]), i) for i in np.flatnonzero(p > 0)]
    heapq.heapify(heap)
    for _ in range(total - int(k.sum())):
        if not heap or heap[0][0] == 0:
            break
        i = heap[0][1]
        k[i] += 1
        heapq.heapreplace(heap, (-p[i] * (1 - p[i]) ** int(k[i]), i))
    return k


def _levelled(p: Floats, total: int) -> Integers:
    """Nearly all of the samples at once: those that gain more than some level, found by bisection in its
    ln.
    """
    some = (p > 0) & (p < 1)
    log_p, log_q = np.log(p[some]), np.log1p(-p[some])

    def above(level: float) -> Integers:
        k = np.zeros(len(p), np.int64)
        # Those that hardly ever succeed would get more than an integer holds.
        most = np.floor((level - log_p) / log_q) + 1
        k[some] = np.clip(most, 0, total + 1).astype(np.int64)
        k[p == 1] = 1
        return k

    if not some.any() or total <= len(p):
        return np.zeros(len(p), np.int64)
    # At the lower end any query alone would get more than all.
    high = float(log_p.max())
    low = float((log_p + log_q * (total + 1)).min())
    for _ in range(100):
        middle = (low + high) / 2
        if above(middle).sum() <= total:
            high = middle
        else:
            low = middle
    return above(high)
