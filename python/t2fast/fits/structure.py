"""What the residuals of a fit say against it: their size beside noise, and patterns that noise has not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast.fits.bootstrap import Target
from t2fast.text import amount, counted, percent

Floats = NDArray[np.float64]

_SPREADS = 4.0
"""Robust standard deviations beyond which a checkpoint is an outlier: of 8 to 400 normal residuals the
largest is beyond it in 1 to 2% of tables."""

_FALSE_ALARM = 0.02
"""Share of tables with an outlier by chance, which more than some 300 checkpoints keep by a wider limit."""

_UNEXPLAINED = 1e300
"""Standard deviations, where there is none: quantiles of infinities are no numbers."""

_LINE = 0.02
"""Of the spread along a line in (ln N, ln D): a spread across it that tells nothing."""

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

    Both are compared in units of the binomial spread at the law, not of the noise measured at each point: a
    weak checkpoint with few successes by chance seems to have little noise, too, and its residual over that
    would be large although the law is true. The spread is at least half of that at y, lest a law that holds
    what was seen to be impossible outweigh all else, and half of the least that is seen at its k: a law that
    says 1e-100 where nothing was solved is not known to be as exact as that.
    """
    if target.noise is None or target.errors is None:
        return None
    keep = ~np.isnan(target.y)
    y, noise = target.y[keep], target.noise[keep]
    seen = _binomial(name, y)
    variance = np.maximum.reduce([_binomial(name, y - residual), seen / 4, _least(name, target.y)[keep] / 4])
    # Where all problems are solved or none is, there is no noise to see, and leaving them out would select.
    usable = (variance > 0) & ((noise > 0) | (seen == 0))
    weight = _weights(name, y, noise)
    slopes = _slopes(name, params, free, target) * weight[:, None]
    errors = (target.errors[:, keep] * weight).T
    if not usable.any() or not (np.isfinite(slopes).all() and np.isfinite(errors).all()):
        return None
    scale = np.linalg.norm(slopes, axis=0)
    u, singular, _ = np.linalg.svd(slopes[:, scale > 0] / scale[scale > 0], full_matrices=False)
    u = u[:, singular > 1e-7 * singular.max(initial=0.0)]
    left = (errors - u @ (u.T @ errors)) / weight[:, None]
    draws = errors.shape[1]
    expected = float(np.mean(left[usable] ** 2 / variance[usable, None])) * draws / (draws - 1)
    found = float(np.mean(residual[usable] ** 2 / variance[usable]))
    return float(np.sqrt(found / expected)) if expected > 1e-12 else None


def _binomial(name: str, y: Floats) -> Floats:
    """Variance of y, but for a factor, where it is or comes from a share of problems."""
    return np.asarray(np.expm1(y) if name == "loss" else y * (1 - y))


def _least(name: str, y: Floats) -> Floats:
    """The least of those that is not 0 at the same k, for y (checkpoints, K); 0 where there is none."""
    seen = _binomial(name, y)
    least = np.min(seen, axis=0, where=seen > 0, initial=np.inf)
    return np.broadcast_to(np.where(np.isfinite(least), least, 0.0), y.shape)


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


def structure(name: str, params: Floats, free: Sequence[int], target: Target, residual: Floats) -> list[str]:
    """Notes on residuals that are no noise, naming checkpoints.

    What `patterns` looks for, and checkpoints that decide some combination of the `free` parameters (by
    index) by themselves (leverage above 0.9).
    """
    notes = patterns(target, residual, len(free), lower_is_better=name in ("chinchilla", "loss"))
    return [*notes, *_leverage(name, params, free, target)]


def alike(n: Floats, d: Floats) -> list[str]:
    """A note where N, D or the way from one to the other does not vary: forecasts off it are belief."""
    for name, values in (("N", n), ("D", d)):
        if np.ptp(np.log(values)) < _LINE:
            return [f"{name} does not vary: how forecasts depend on it is belief, not measurement"]
    x, y = np.log(n) - np.log(n).mean(), np.log(d) - np.log(d).mean()
    along, across = np.linalg.svd(np.column_stack([x, y]), compute_uv=False)
    if across > _LINE * along:
        return []
    slope = float(np.sign(x @ y) * np.sqrt((y @ y) / (x @ x)))
    way = f"D goes as N^{slope:.2g}"
    if abs(slope - 1) < _LINE:
        way = f"D/N is {amount(float(np.exp(np.mean(np.log(d / n)))))}"
    return [
        f"{way} throughout: what more tokens bring at one size, or more parameters at one D, and so how best"
        " to split a budget, is belief, not measurement"
    ]


def patterns(target: Target, residual: Floats, unknowns: int, *, lower_is_better: bool) -> list[str]:
    """Notes on residuals of a law with so many unknowns that are no noise, naming checkpoints.

    Residuals are taken relative, (y - law)/law, averaged over the k of a checkpoint. Looked for are a trend
    in ln k shared by the checkpoints, runs that get worse with more tokens, and outliers beyond four robust
    standard deviations (see `_outliers`).
    """
    grid = np.full(target.y.shape, np.nan)
    grid[~np.isnan(target.y)] = residual
    law = np.abs(target.y - grid)
    relative = np.divide(grid, law, out=np.full_like(grid, np.nan), where=law > 0)
    notes = [*_trend(target, relative), *_backwards(target, lower_is_better)]
    return [*notes, *_outliers(target, law, relative, unknowns, lower_is_better)]


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


def _outliers(
    target: Target, law: Floats, relative: Floats, unknowns: int, lower_is_better: bool
) -> Iterator[str]:
    """Checkpoints far off the law, beside how far their own noise and what all others are off let them be."""
    known = ~np.isnan(relative).all(axis=1)
    if known.sum() < 8:
        return
    mean = np.full(len(relative), np.nan)
    mean[known] = np.nanmean(relative[known], axis=1)
    off = np.abs(mean - np.nanmedian(mean))
    deviation = np.zeros_like(off)
    deviation[known] = _deviations(off[known], _noise(target, law)[known], unknowns)
    share = _FALSE_ALARM / (2 * int(known.sum()))
    limit = max(_SPREADS, -NormalDist().inv_cdf(share))
    far = np.flatnonzero(known & (off > limit * deviation) & (off > 1e-6))
    far = far[np.argsort(-off[far])]
    if far.size:
        collapsed = (mean[far] > 0) == lower_is_better
        kind = "worse" if collapsed.all() else "better" if not collapsed.any() else "better or worse"
        yield (
            f"{counted(far.size, 'checkpoint')} {'is' if far.size == 1 else 'are'} far {kind} than the law"
            f" ({percent(off[far].min())} or more, beside a"
            f" typical {percent(_spread(off[known], unknowns))}), and a fit without them may say something"
            f" else: {_listed(target, far.tolist())}"
        )


def _spread(off: Floats, unknowns: int) -> float:
    """Robust standard deviation of deviations from a median: from their own median or their 80% quantile.

    A robust fit passes right through as many points as it has unknowns: these are left out (Maronna, Martin
    and Yohai 2006, section 4.4), though never more than half.
    """
    left = np.sort(off)[min(unknowns, len(off) // 2) :]
    return max(1.4826 * float(np.median(left)), float(np.quantile(left, 0.8)) / 1.2816)


def _noise(target: Target, law: Floats) -> Floats:
    """Sampling error of each checkpoint's mean relative residual, (checkpoints,); 0 where it is unknown."""
    if target.errors is None:
        return np.zeros(len(law))
    errors = np.divide(target.errors, law, out=np.zeros_like(target.errors), where=law > 0)
    known = law > 0
    mean = (errors * known).sum(axis=2) / np.maximum(known.sum(axis=1), 1)
    return np.asarray(mean.std(axis=0))


def _deviations(off: Floats, noise: Floats, unknowns: int) -> Floats:
    """Standard deviation of each residual: its noise, and a common part that makes the robust spread 1."""
    low, high = 0.0, _spread(off, unknowns)
    for _ in range(40):
        middle = 0.5 * (low + high)
        total = np.hypot(noise, middle)
        # Where there is neither noise nor a common part, nothing off the law is explained.
        standard = np.divide(off, total, out=np.full_like(off, _UNEXPLAINED), where=total > 0)
        wide = _spread(standard, unknowns) > 1
        low, high = (middle, high) if wide else (low, middle)
    return np.asarray(np.hypot(noise, high))


def _leverage(name: str, params: Floats, free: Sequence[int], target: Target) -> Iterator[str]:
    """Checkpoints without which some combination of parameters would be open.

    That is where the largest eigenvalue of a checkpoint's block of the fit's hat matrix is near 1.
    """
    _, _, _, checkpoint, keep = target.rows()
    weight = np.ones(len(checkpoint))
    if target.noise is not None:
        weight = _weights(name, target.y.ravel()[keep], target.noise.ravel()[keep])
    slopes = _slopes(name, params, free, target) * weight[:, None]
    scale = np.linalg.norm(slopes, axis=0)
    slopes = slopes[:, scale > 0] / scale[scale > 0]
    if not np.isfinite(slopes).all() or not slopes.size:
        return
    u, singular, _ = np.linalg.svd(slopes, full_matrices=False)
    u = u[:, singular > 1e-7 * singular[0]]
    largest = [np.linalg.norm(u[checkpoint == i], 2) ** 2 for i in range(len(target.n))]
    alone = np.flatnonzero(np.array(largest) > 0.9)
    # With as many unknowns as checkpoints each of them decides one, and that says nothing.
    if alone.size and u.shape[1] < len(target.n) / 2:
        listed = _listed(target, alone.tolist())
        yield f"some combination of parameters rests on one checkpoint alone: {listed}"


def _listed(target: Target, which: list[int]) -> str:
    sizes: dict[float, list[str]] = {}
    for i in which[:_NAMED]:
        sizes.setdefault(float(target.d[i]), []).append(amount(target.n[i]))
    listed = "; ".join(f"N = {', '.join(names)} at D = {amount(d)}" for d, names in sizes.items())
    return listed + (f"; and {len(which) - _NAMED} more" if len(which) > _NAMED else "")
