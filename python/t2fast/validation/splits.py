"""Which checkpoints a forecast may see, and which it is judged on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2fast.compute import train_flops
from t2fast.validation.measured import Floats, Mask, Measured

BY = ("compute", "ratio", "size", "run", "checkpoint")
"""What can be held out."""

LEAST_SEEN, LEAST_HELD_OUT = 6, 2
_SEEN_SHARE, _HELD_OUT_SHARE = 0.3, 0.1
_FOLDS = 5
# Coordinates that differ by rounding alone are one: 6ND of an isoFLOP profile is never twice the same.
_SAME = 1e-6

_SYMBOLS = {"compute": "6ND", "ratio": "D/N", "size": "N"}


@dataclass(frozen=True, eq=False)
class Split:
    """The checkpoints that a forecast sees; it is judged on the others.

    Attributes:
        name: in words, such as "6ND < 1e+20" or "without pythia-1b".
        seen: shape (checkpoints,).
        threshold: below which everything is seen, for splits by compute, ratio and size.
    """

    name: str
    seen: Mask
    threshold: float | None = None


def hold_out(measured: Measured, by: str = "compute", count: int = 20, seed: int = 0) -> list[Split]:
    """Up to `count` ways to hold checkpoints out.

    By "compute" (6ND), "ratio" (D/N) and "size" (N) a split sees all below a threshold and holds out all from
    there on: it extrapolates. The thresholds are spread evenly over the checkpoints' own values, such that
    30% of the checkpoints, and at least six, are seen, and 10%, and at least two, held out. By "run" each
    run (a model, or all checkpoints of one size where every model is one checkpoint) is held out once; of
    more runs than `count`, as many, evenly spread. By "checkpoint" the checkpoints are dealt at random
    (`seed`) into five groups, each held out once, and dealt again until there are `count` splits: that
    interpolates.

    Args:
        measured: one value a checkpoint and k.
        by: "compute", "ratio", "size", "run" or "checkpoint".
        count: splits at most.
        seed: of random checkpoints.

    Returns:
        The splits, `count` at most.

    Raises:
        ValueError: for an unknown `by`, a `count` below 1, or a table too small to hold anything out.
    """
    if by not in BY:
        raise ValueError(f"by = {by!r} must be one of {', '.join(BY)}")
    if count < 1:
        raise ValueError(f"splits = {count} must be at least 1")
    if by == "run":
        found = _by_run(measured, count)
    elif by == "checkpoint":
        found = _by_checkpoint(measured, count, seed)
    else:
        found = _by_threshold(measured, by, count)
    if not found:
        raise ValueError(
            f"{measured.table.source} has {len(measured)} checkpoints, too few different ones to hold any "
            f"out by {by}: a split needs {LEAST_SEEN} that are seen"
            + (f" and {LEAST_HELD_OUT} that are not" if by in _SYMBOLS else "")
        )
    return found


def coordinate(measured: Measured, by: str) -> Floats:
    """What a split by compute, ratio or size goes by: 6ND, D/N or N, shape (checkpoints,)."""
    n, d = measured.n_params, measured.n_tokens
    return np.asarray({"compute": train_flops(n, d), "ratio": d / n, "size": n}[by])


def _by_threshold(measured: Measured, by: str, count: int) -> list[Split]:
    values = coordinate(measured, by)
    ordered = np.sort(values)
    thresholds = ordered[np.append(True, np.diff(ordered) > _SAME * ordered[1:])]
    masks = [values < threshold * (1 - _SAME) for threshold in thresholds]
    least = max(LEAST_SEEN, _SEEN_SHARE * len(measured))
    least_held_out = max(LEAST_HELD_OUT, _HELD_OUT_SHARE * len(measured))
    allowed = [
        Split(f"{_SYMBOLS[by]} < {threshold:.3g}", seen, float(threshold))
        for threshold, seen in zip(thresholds, masks, strict=True)
        if seen.sum() >= least and (~seen).sum() >= least_held_out
    ]
    return [allowed[i] for i in _spread(len(allowed), count)]


def _by_run(measured: Measured, count: int) -> list[Split]:
    runs: NDArray[np.generic] = measured.n_params
    names = measured.models
    if names is not None and len(set(names)) < len(names):
        runs = np.array(names)
    elif names is not None:
        names = None
    groups = np.unique(runs)
    chosen = groups[_spread(len(groups), count)]
    found = [
        Split(f"without {group}" if names is not None else f"without N = {group:.3g}", runs != group)
        for group in chosen
    ]
    return [split for split in found if split.seen.sum() >= LEAST_SEEN]


def _by_checkpoint(measured: Measured, count: int, seed: int) -> list[Split]:
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(measured)) for _ in range(0, count, _FOLDS)]
    found = []
    for i in range(count):
        deal, fold = divmod(i, _FOLDS)
        seen = np.ones(len(measured), dtype=bool)
        seen[orders[deal][fold::_FOLDS]] = False
        found.append(Split(f"fold {fold + 1} of deal {deal + 1}", seen))
    return [split for split in found if split.seen.sum() >= LEAST_SEEN]


def _spread(of: int, count: int) -> NDArray[np.int64]:
    """Up to `count` of 0 ... of-1, evenly spread, both ends included."""
    return (
        np.unique(np.round(np.linspace(0, of - 1, min(count, of))).astype(np.int64))
        if of
        else np.empty(0, np.int64)
    )
