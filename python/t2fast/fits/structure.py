"""What the residuals of a fit say against it: their size beside noise, and patterns that noise has not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast.fits.bootstrap import Target

Floats = NDArray[np.float64]

_SPREADS = 5.0
"""Robust standard deviations of the residuals beyond which a checkpoint is an outlier."""

_NAMED = 5
"""At most so many checkpoints are named in one note."""


def lack_of_fit(target: Target, residual: Floats, parameters: int) -> float | None:
    """Root mean square of residuals over their sampling error: about 1 where the law is true.

    The points of a checkpoint at several k come from the same samples, so together they are worth fewer
    things than they are many. A fit with p free parameters to m independent things leaves 1 - p/m of the
    variance, whatever the number of points that these things were spread over. None where noise is unknown,
    or m no larger than p.
    """
    if target.noise is None or target.independent is None:
        return None
    noise = target.noise.ravel()[~np.isnan(target.y).ravel()]
    usable = noise > 0
    independent = float(target.independent.sum())
    if not usable.any() or independent <= parameters:
        return None
    squares = float(np.mean((residual[usable] / noise[usable]) ** 2))
    return float(np.sqrt(squares / (1 - parameters / independent)))


def structure(name: str, params: Floats, target: Target, residual: Floats) -> list[str]:
    """Notes on residuals that are no noise, naming checkpoints.

    Residuals are relative: (y - law)/law, averaged over the k of a checkpoint. Looked for are a trend in ln k
    shared by the checkpoints, runs that get worse with more tokens, outliers beyond five robust standard
    deviations (1.48 times the median absolute deviation), and checkpoints that decide a parameter by
    themselves (leverage above 0.9).
    """
    grid = np.full(target.y.shape, np.nan)
    grid[~np.isnan(target.y)] = residual
    law = np.abs(target.y - grid)
    relative = np.divide(grid, law, out=np.full_like(grid, np.nan), where=law > 0)
    lower_is_better = name in ("chinchilla", "loss")
    notes = [*_trend(target, relative), *_backwards(target, lower_is_better)]
    return [*notes, *_outliers(target, relative, lower_is_better), *_leverage(name, params, target)]


def _trend(target: Target, relative: Floats) -> Iterator[str]:
    """A slope in ln k that most checkpoints share."""
    full = ~np.isnan(relative).any(axis=1)
    if len(target.ks) < 3 or full.sum() < 5:
        return
    x = np.log(target.ks) - np.log(target.ks).mean()
    slopes = relative[full] @ x / (x @ x)
    error = slopes.std(ddof=1) / np.sqrt(len(slopes))
    ends = relative[full].mean(axis=0)[[0, -1]]
    if abs(slopes.mean()) > 4 * error and abs(ends[1] - ends[0]) > 0.02:
        least, most = target.ks[[0, -1]]
        yield (
            f"a trend in k: the data are {ends[0]:+.0%} off the law at k = {least:g} and {ends[1]:+.0%} at"
            f" k = {most:g}, averaged over checkpoints"
        )


def _backwards(target: Target, lower_is_better: bool) -> Iterator[str]:
    """Checkpoints worse than one of the same size with fewer tokens, by more than four times their noise."""
    if target.noise is None:
        return
    y = target.y if lower_is_better else -target.y
    worse = []
    for size in np.unique(target.n):
        run = np.flatnonzero(target.n == size)
        run = run[np.argsort(target.d[run])]
        for place, i in enumerate(run):
            for j in run[:place]:
                rise, error = y[i] - y[j], np.hypot(target.noise[i], target.noise[j])
                clear = (error > 0) & (rise > 4 * error)
                if clear.mean() > 0.5:
                    worse.append(int(i))
                    break
    if worse:
        yield f"worse than with fewer tokens, which no law here can follow: {_listed(target, worse)}"


def _outliers(target: Target, relative: Floats, lower_is_better: bool) -> Iterator[str]:
    """Checkpoints far off the law, beside how far the others are."""
    known = ~np.isnan(relative).all(axis=1)
    if known.sum() < 8:
        return
    mean = np.full(len(relative), np.nan)
    mean[known] = np.nanmean(relative[known], axis=1)
    spread = 1.4826 * np.nanmedian(np.abs(mean - np.nanmedian(mean)))
    off = np.abs(mean - np.nanmedian(mean))
    far = np.flatnonzero(known & (off > _SPREADS * spread) & (off > 1e-6))
    far = far[np.argsort(-off[far])]
    if far.size:
        collapsed = (mean[far] > 0) == lower_is_better
        kind = "worse" if collapsed.all() else "better" if not collapsed.any() else "better or worse"
        yield (
            f"{far.size} checkpoints are far {kind} than the law ({off[far].min():.1%} or more, beside a"
            f" typical {spread:.1%}): {_listed(target, far.tolist())}"
        )


def _leverage(name: str, params: Floats, target: Target) -> Iterator[str]:
    """Checkpoints without which some parameter would be open."""
    used = np.flatnonzero(params != 0)
    _, _, k, checkpoint, _ = target.rows()
    n, d = target.n[checkpoint], target.d[checkpoint]
    rows = np.repeat(params[None], 2 * len(used), axis=0)
    step = 1e-5
    for at, p in enumerate(used):
        rows[2 * at, p] *= 1 + step
        rows[2 * at + 1, p] *= 1 - step
    values = _core.law_values(name, rows, n, d, k)
    slopes = (values[::2] - values[1::2]) / (2 * step)
    counts = np.bincount(checkpoint, minlength=len(target.n))
    sums = np.array([np.bincount(checkpoint, s, minlength=len(target.n)) for s in slopes])
    jacobian = (sums / np.maximum(counts, 1)).T
    scale = np.linalg.norm(jacobian, axis=0)
    jacobian = jacobian[:, scale > 0] / scale[scale > 0]
    if not np.isfinite(jacobian).all() or not jacobian.size:
        return
    u, singular, _ = np.linalg.svd(jacobian, full_matrices=False)
    u = u[:, singular > 1e-6 * singular[0]]
    alone = np.flatnonzero((u**2).sum(axis=1) > 0.9)
    # With as many unknowns as checkpoints each of them decides one, and that says nothing.
    if alone.size and u.shape[1] < len(target.n) / 2:
        listed = _listed(target, alone.tolist())
        yield f"some combination of parameters rests on one checkpoint alone: {listed}"


def _listed(target: Target, which: list[int]) -> str:
    listed = "; ".join(f"N = {target.n[i]:.3g}, D = {target.d[i]:.3g}" for i in which[:_NAMED])
    return listed + (f"; and {len(which) - _NAMED} more" if len(which) > _NAMED else "")
