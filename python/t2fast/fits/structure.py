"""What the residuals of a fit say against it: their size beside noise, and patterns that noise has not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast.fits.bootstrap import Target
from t2fast.text import counted

Floats = NDArray[np.float64]

_SPREADS = 4.0
"""Robust standard deviations of the residuals beyond which a checkpoint is an outlier, among many of them."""

_UNCERTAIN = 40.0
"""That over the number of checkpoints is added: the fewer, the less certain the deviation itself."""

_NAMED = 10
"""At most so many checkpoints are named in one note."""


def lack_of_fit(
    name: str, params: Floats, free: Sequence[int], target: Target, residual: Floats
) -> float | None:
    """Residuals over their sampling error, root mean square, in units of what a true law would leave.

    The points of a checkpoint at several k come from the same samples, and the fit has followed some of their
    noise. What it would leave of noise alone is measured: the errors of y over resampled problems, less their
    projection on the law's slopes in its `free` parameters (by index), as least squares project. So the value
    is about 1 where the law is true, however many k there are. None where noise is unknown.
    """
    if target.noise is None or target.errors is None:
        return None
    keep = ~np.isnan(target.y)
    noise = target.noise[keep]
    usable = noise > 0
    weight = _weights(name, target.y[keep], noise)
    slopes = _slopes(name, params, free, target) * weight[:, None]
    errors = (target.errors[:, keep] * weight).T
    if not usable.any() or not (np.isfinite(slopes).all() and np.isfinite(errors).all()):
        return None
    scale = np.linalg.norm(slopes, axis=0)
    u, singular, _ = np.linalg.svd(slopes[:, scale > 0] / scale[scale > 0], full_matrices=False)
    u = u[:, singular > 1e-7 * singular.max(initial=0.0)]
    left = (errors - u @ (u.T @ errors)) / weight[:, None]
    expected = float(np.mean((left[usable] / noise[usable, None]) ** 2))
    found = float(np.mean((residual[usable] / noise[usable]) ** 2))
    return float(np.sqrt(found / expected)) if expected > 1e-6 else None


def _weights(name: str, y: Floats, noise: Floats) -> Floats:
    """Roots of the weights that the points have in the fit of a law."""
    if name == "counts":  # a likelihood weighs by precision
        return 1 / np.where(noise > 0, noise, np.inf if not (noise > 0).any() else noise[noise > 0].max())
    if name == "direct":  # least squares on log(-log y)
        return np.abs(1 / (y * np.log(y)))
    return np.ones_like(y)


def _slopes(name: str, params: Floats, free: Sequence[int], target: Target) -> Floats:
    """Slopes of the law in ln |parameter| at every point, (points, free), by central differences."""
    _, _, k, checkpoint, _ = target.rows()
    step = 1e-5
    rows = np.repeat(params[None], 2 * len(free), axis=0)
    for at, p in enumerate(free):
        rows[2 * at, p] *= 1 + step
        rows[2 * at + 1, p] *= 1 - step
    values = _core.law_values(name, rows, target.n[checkpoint], target.d[checkpoint], k)
    return np.asarray((values[::2] - values[1::2]).T / (2 * step), dtype=float)


def structure(name: str, params: Floats, target: Target, residual: Floats) -> list[str]:
    """Notes on residuals that are no noise, naming checkpoints.

    Residuals are relative: (y - law)/law, averaged over the k of a checkpoint. Looked for are a trend in ln k
    shared by the checkpoints, runs that get worse with more tokens, outliers beyond four robust standard
    deviations (from the median or the 80% quantile of absolute deviations, whichever says more), and
    checkpoints that decide a parameter by themselves (leverage above 0.9).
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
    off = np.abs(mean - np.nanmedian(mean))
    # A robust fit passes right through some points, so the median alone may be far below the noise.
    spread = max(1.4826 * float(np.nanmedian(off)), float(np.nanquantile(off, 0.8)) / 1.2816)
    limit = (_SPREADS + _UNCERTAIN / known.sum()) * spread
    far = np.flatnonzero(known & (off > limit) & (off > 1e-6))
    far = far[np.argsort(-off[far])]
    if far.size:
        collapsed = (mean[far] > 0) == lower_is_better
        kind = "worse" if collapsed.all() else "better" if not collapsed.any() else "better or worse"
        yield (
            f"{counted(far.size, 'checkpoint')} {'is' if far.size == 1 else 'are'} far {kind} than the law"
            f" ({off[far].min():.1%} or more, beside a"
            f" typical {spread:.1%}), and a fit without them may say something else:"
            f" {_listed(target, far.tolist())}"
        )


def _leverage(name: str, params: Floats, target: Target) -> Iterator[str]:
    """Checkpoints without which some parameter would be open."""
    _, _, _, checkpoint, _ = target.rows()
    slopes = _slopes(name, params, np.flatnonzero(params != 0).tolist(), target).T
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
