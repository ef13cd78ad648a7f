"""What a law is held against, and what it would be held against with other checkpoints and problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2fast.fits.passtable import PassTable, resampled_checkpoints
from t2fast.progress import track

Floats = NDArray[np.float64]
Measure = Callable[[Floats | None], Floats]
"""From weights of the problems to y, (checkpoints, K)."""

_BATCH = 20
_NOISE_DRAWS = 100


@dataclass(frozen=True)
class Target:
    """y (checkpoints, K) that a law is fitted to, and its standard deviation over resampled problems, 0 where
    that is unknown."""

    n: Floats
    d: Floats
    ks: Floats
    y: Floats
    noise: Floats | None

    @classmethod
    def measured(cls, observed: PassTable, measure: Measure) -> Target:
        rng = np.random.default_rng(0)
        again = [measure(w) for w in observed.resampled_problems(rng, _NOISE_DRAWS)]
        noise = np.std(np.where(np.isfinite(again), again, np.nan), axis=0)
        y = measure(None)
        # Unknown where all problems are alike, but for rounding, and where so few fail that resampling them
        # says nothing about how many might have.
        noise[noise <= 1e-12 * np.abs(y)] = 0.0
        noise[(1 - observed.mean()) * observed.problems_behind() < 1] = 0.0
        return cls(observed.n_params, observed.n_tokens, observed.ks, y, noise)

    def rows(self) -> tuple[Floats, Floats, Floats, NDArray[np.int64], NDArray[np.bool_]]:
        """N, D, k and the checkpoint of every point with a value, and which those are."""
        checkpoints, points = self.y.shape
        keep = ~np.isnan(self.y).ravel()
        checkpoint = np.repeat(np.arange(checkpoints), points)[keep]
        return self.n[checkpoint], self.d[checkpoint], np.tile(self.ks, checkpoints)[keep], checkpoint, keep


def draw(
    solve: Callable[[Floats], dict[str, Any]], weights: Floats, progress: bool | None
) -> tuple[Floats, int] | None:
    """Parameters of every draw, and how many of them did not converge."""
    if len(weights) == 0:
        return None
    batches = [weights[i : i + _BATCH] for i in range(0, len(weights), _BATCH)]
    found = [solve(batch) for batch in track(batches, "bootstrap", len(batches), progress)]
    stuck = sum(not ok for part in found for ok in part["converged"])
    return np.vstack([part["params"] for part in found]), stuck


def draw_both(
    observed: PassTable,
    measure: Measure,
    target: Target,
    solve: Callable[[Floats, Floats], dict[str, Any]],
    draws: int,
    seed: int,
    progress: bool | None,
) -> tuple[Floats, int] | None:
    """Draws that resample checkpoints and problems at once."""
    rng = np.random.default_rng(seed)
    checkpoint_w = resampled_checkpoints(rng, draws, observed.checkpoints)
    problem_w = observed.resampled_problems(rng, draws)

    def both(weights: Floats) -> dict[str, Any]:
        ys = np.array([measure(w[observed.checkpoints :]).ravel() for w in weights])
        ws = np.repeat(weights[:, : observed.checkpoints], target.y.shape[1], axis=1)
        return solve(ys, ws)

    return draw(both, np.hstack([checkpoint_w, problem_w]), progress)
