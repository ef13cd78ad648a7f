"""Policies replayed on samples that were really drawn: without replacement, in random order, for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.choices.allocation import allocate
from t2fast.choices.policies import History, Policy
from t2fast.estimators.passk import pass_at_k

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


def first_successes(n: Integers, c: Integers, runs: int, seed: int) -> Integers:
    """Where the first success comes when the n samples of a problem are drawn in random order, (runs,
    problems); n + 1 where there is none.

    By inversion of P(T > j) = C(n-c, j)/C(n, j).
    """
    rng = np.random.default_rng(seed)
    out = np.empty((runs, len(n)), np.int64)
    for j, (samples, right) in enumerate(zip(n.tolist(), c.tolist(), strict=True)):
        if right == 0:
            out[:, j] = samples + 1
            continue
        drawn = np.arange(samples - right)
        tail = np.cumprod((samples - right - drawn) / (samples - drawn))
        out[:, j] = 1 + np.searchsorted(-tail, -rng.random(runs), side="left")
    return out


@dataclass(frozen=True)
class Replay:
    """What policies solve with equal samples.

    Attributes:
        k: samples a query, on average.
        uniform: share solved by k samples for every query.
        until_solved: share solved when those whose first success came leave their samples to the others.
        known: share that would be expected of the best fixed allocation, were all p known (as c/n).
        samples_ratio: the samples a query at which uniform sampling solves as much as `until_solved`, over k;
            None where no measured number of samples does.
    """

    k: int
    uniform: float
    until_solved: float
    known: float
    samples_ratio: float | None


def replay(n: npt.ArrayLike, c: npt.ArrayLike, k: int, *, runs: int = 200, seed: int = 0) -> Replay:
    """Uniform k against sampling in turn until solved, at equal samples, on real counts.

    The total of k samples a problem is spent round by round on the problems that are still unsolved, in
    random orders of the samples that were drawn; nobody gets more than were.

    Args:
        n: samples drawn, (problems,).
        c: samples correct.
        k: samples a problem to spend, at most the least n.
        runs: random orders.
        seed: of these.

    Returns:
        Shares solved either way, and the samples that uniform sampling takes to keep up.

    Raises:
        ValueError: if k is not between 1 and the least n, and for no problems.
    """
    n, c = np.asarray(n, np.int64), np.asarray(c, np.int64)
    if n.ndim != 1 or n.size == 0 or c.shape != n.shape:
        raise ValueError(f"n has shape {n.shape} and c {c.shape}: give one number of each a problem")
    if not 1 <= k <= int(n.min()):
        raise ValueError(
            f"k is {k}: it has to lie between 1 and {int(n.min())}, the fewest samples of a problem"
        )
    first = first_successes(n, c, runs, seed)
    total = k * len(n)
    solved = np.array([_in_turn(row, np.minimum(row, n), n, total) for row in first])
    share = float(solved.mean()) / len(n)
    ks = np.arange(1, int(n.min()) + 1)
    curve = np.asarray(pass_at_k(n, c, ks[:, None])).mean(axis=1)
    p = c / n
    known = 1 - (1 - p) ** allocate(p, total)
    reached = np.flatnonzero(curve >= share)
    ratio = None
    if reached.size:
        i = int(reached[0])
        # Between two whole numbers of samples as their mixture.
        below = 0.0 if i == 0 else float(curve[i - 1])
        ratio = float(i + (share - below) / (curve[i] - below)) / k
    return Replay(k, float(curve[k - 1]), share, float(known.mean()), ratio)


def _in_turn(first: Integers, drawn: Integers, n: Integers, total: int) -> float:
    """Queries solved when `total` samples go round those unsolved.

    `drawn` is what each takes if nothing ends it.
    """
    low, high = 0, int(n.max())
    while low < high:  # the last whole round
        middle = (low + high + 1) // 2
        if np.minimum(drawn, middle).sum() <= total:
            low = middle
        else:
            high = middle - 1
    solved = int(np.sum((first <= low) & (first <= n)))
    left = total - int(np.minimum(drawn, low).sum())
    open_ = (drawn > low).sum()
    if not open_ or not left:
        return solved
    # The samples left go to some of those still open, chosen at random: solved in proportion.
    return solved + min(1.0, left / float(open_)) * int(np.sum((first == low + 1) & (first <= n)))


def replay_policy(
    policy: Policy, n: npt.ArrayLike, c: npt.ArrayLike, *, seed: int = 0
) -> tuple[History, Integers]:
    """One run of any policy on samples that were drawn, in a random order.

    It ends, too, where a query has no sample left that the policy asks for.

    Args:
        policy: which query to draw for.
        n: samples drawn, (queries,).
        c: samples correct, (queries,).
        seed: of the order.

    Returns:
        The history at the end, and the queries in the order in which the policy tried them.

    Raises:
        ValueError: if the policy asks for a query that is solved.
    """
    n, c = np.asarray(n, np.int64), np.asarray(c, np.int64)
    first = first_successes(n, c, 1, seed)[0]
    history, asked = History.empty(len(n)), []
    while (query := policy.next(history)) is not None and history.failures[query] < n[query]:
        if history.solved[query]:
            raise ValueError(f"the policy asks for query {query}, which is solved")
        asked.append(query)
        history = history.after(query, bool(history.failures[query] + 1 == first[query]))
    return history, np.array(asked, dtype=np.int64)
