"""Active selection of runs by Li et al. 2026 (arXiv 2604.22753), a peer of `t2fast design`, from its text.

Runs are chosen one by one. The law is Farseer's (arXiv 2506.10972),

    L = exp(a3 N^c + b3) + exp(a2 N^b + b2) D^(-exp(a1 N^a + b1)),

fitted by least squares from many starts; its local optima ("basins") with their covariances make a mixture,
and the next run is the affordable one with the largest expected fall of the mixture's mean variance at the
targets, within basins and between them, over cost^0.4. It begins with the 2.5 cheapest runs a parameter
(sections 4 and 5, appendices C and D).

What the text leaves open is read so: N is in billions; optima are found by a trust-region search in place of
L-BFGS-B, from 64 starts drawn about usual losses, later from the basins so far and 16 new starts; optima are
one basin if their forecasts at the targets differ by less than a tenth of the noise, root mean square, and at
most 8 basins are kept; the covariance is sigma^2 (J'J + 1e-8 diag J'J)^-1, sigma^2 being the best basin's
squares over n - p; weights are exp(-BIC/2), at temperature 1; the integral over an outcome takes 61 points
within 5 standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Floats = NDArray[np.float64]

PARAMETERS = 9
FIRST = int(2.5 * PARAMETERS)
EXPONENT = 0.4
STARTS, NEW_STARTS, BASINS = 64, 16, 8
_BOUND = 30.0


def law(theta: Floats, n: Floats, log_d: Floats) -> tuple[Floats, Floats]:
    """Losses (runs,) and their slopes in the parameters, (runs, 9)."""
    a3, c, b3, a2, b, b2, a1, a, b1 = theta
    ln = np.log(n)
    p3, p2, p1 = (np.exp(np.clip(power * ln, -_BOUND, _BOUND)) for power in (c, b, a))
    rate = np.exp(np.clip(a1 * p1 + b1, -_BOUND, 5))
    floor = np.exp(np.clip(a3 * p3 + b3, -_BOUND, _BOUND))
    rest = np.exp(np.clip(a2 * p2 + b2 - rate * log_d, -_BOUND, _BOUND))
    by_rate = -rest * rate * log_d
    slopes = [
        *(floor * p3, floor * a3 * p3 * ln, floor),
        *(rest * p2, rest * a2 * p2 * ln, rest),
        *(by_rate * p1, by_rate * a1 * p1 * ln, by_rate),
    ]
    return floor + rest, np.column_stack(slopes)


@dataclass(frozen=True)
class Runs:
    """Runs, their losses and what they cost."""

    n: Floats
    log_d: Floats
    loss: Floats
    cost: Floats

    def part(self, which: list[int]) -> Runs:
        return Runs(*(getattr(self, name)[which] for name in ("n", "log_d", "loss", "cost")))


@dataclass(frozen=True)
class Basins:
    """Local optima, (K, 9), best first; their covariances and weights; the noise's variance."""

    thetas: Floats
    covariances: Floats
    weights: Floats
    noise: float


def starts(rng: np.random.Generator, count: int) -> Floats:
    """Parameters about those that losses between 1.5 and 4 and exponents of D between 0.2 and 0.6 have."""
    a3, a2, a1 = rng.normal(0, 0.3, count), rng.normal(0.5, 1, count), rng.normal(0, 0.3, count)
    c, b, a = rng.uniform(-0.5, 0.5, (3, count))
    b3, b1 = rng.normal(0.5, 0.3, count) - a3, rng.normal(-1, 0.4, count) - a1
    b2 = np.exp(a1 + b1) * 24 - 0.7 - a2 + rng.normal(0, 0.5, count)
    return np.column_stack([a3, c, b3, a2, b, b2, a1, a, b1])


def basins(seen: Runs, target: Runs, begin: Floats) -> Basins:
    """The mixture that stands for the posterior."""
    found = []
    for start in begin:
        result = least_squares(
            lambda theta: law(theta, seen.n, seen.log_d)[0] - seen.loss,
            start,
            lambda theta: law(theta, seen.n, seen.log_d)[1],
            x_scale="jac",
            max_nfev=60,
        )
        found.append((2 * result.cost, result.x))
    found.sort(key=lambda one: one[0])
    points = len(seen.loss)
    noise = max(found[0][0], 1e-12) / max(points - PARAMETERS, 1)
    kept: list[tuple[float, Floats, Floats]] = []
    for squares, theta in found:
        there = law(theta, target.n, target.log_d)[0]
        apart = [np.sqrt(np.mean((there - other) ** 2)) for *_, other in kept]
        if (
            len(kept) < BASINS
            and np.isfinite(there).all()
            and min(apart, default=np.inf) > 0.1 * np.sqrt(noise)
        ):
            kept.append((squares, theta, there))
    thetas = np.array([theta for _, theta, _ in kept])
    squares = np.array([squares for squares, *_ in kept])
    covariances = []
    for theta in thetas:
        slopes = law(theta, seen.n, seen.log_d)[1]
        hessian = slopes.T @ slopes
        hessian += np.diag(1e-8 * np.diag(hessian) + 1e-12)
        covariances.append(noise * np.linalg.inv(hessian))
    evidence = -0.5 * points * np.log(np.maximum(squares, 1e-12) / points)  # p is the same for all
    weights = np.exp(evidence - evidence.max())
    return Basins(thetas, np.array(covariances), weights / weights.sum(), noise)


def gains(mixture: Basins, candidates: Runs, target: Runs) -> Floats:
    """Expected fall of the mean variance at the targets by each candidate, (candidates,)."""
    at, there, spread, gain = [], [], [], []
    for theta, covariance in zip(mixture.thetas, mixture.covariances, strict=True):
        means, slopes = law(theta, candidates.n, candidates.log_d)
        far, by = law(theta, target.n, target.log_d)
        shared = by @ covariance @ slopes.T  # (targets, candidates)
        variance = mixture.noise + np.einsum("ip,pq,iq->i", slopes, covariance, slopes)
        at.append(means), there.append(far), spread.append(np.sqrt(variance)), gain.append(shared / variance)
    means, far, deviation, gain_ = (np.array(part) for part in (at, there, spread, gain))
    weight = mixture.weights[:, None]
    within = np.sum(weight * np.mean(gain_**2, axis=1) * deviation**2, axis=0)
    before = _between(mixture.weights[:, None], far[:, :, None])[0]
    low, high = (means - 5 * deviation).min(axis=0), (means + 5 * deviation).max(axis=0)
    after = np.zeros_like(low)
    step = (high - low) / 60
    for i in range(61):
        y = low + i * step
        density = weight * np.exp(-0.5 * ((y - means) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
        total = density.sum(axis=0)
        moved = far[:, :, None] + gain_ * (y - means)[:, None, :]
        updated = density / np.maximum(total, 1e-300)
        after += total * _between(updated, moved) * step * (0.5 if i in (0, 60) else 1)
    return within + before - after


def _between(weights: Floats, forecasts: Floats) -> Floats:
    """Mean over targets of the variance of forecasts (K, targets, candidates) over basins."""
    middle = np.sum(weights[:, None] * forecasts, axis=0)
    return np.asarray(np.sum(weights[:, None] * (forecasts - middle) ** 2, axis=0).mean(axis=0))


def select(runs: Runs, target: Runs, budget: float, seed: int) -> tuple[list[int], Floats]:
    """Runs chosen, and what the best fit to them forecasts at the targets."""
    rng = np.random.default_rng(seed)
    taken = np.argsort(runs.cost, kind="stable")[:FIRST].tolist()
    begin = starts(rng, STARTS)
    while True:
        seen = runs.part(taken)
        mixture = basins(seen, target, begin)
        left = budget - seen.cost.sum()
        open_ = [i for i in range(len(runs.cost)) if i not in set(taken) and runs.cost[i] <= left]
        if not open_:
            return taken, law(mixture.thetas[0], target.n, target.log_d)[0]
        some = runs.part(open_)
        taken.append(open_[int(np.argmax(gains(mixture, some, target) / some.cost**EXPONENT))])
        begin = np.vstack([mixture.thetas, starts(rng, NEW_STARTS)])
