"""What a law is held against, and what it would be held against with other checkpoints and problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from t2fast.fits.passtable import PassTable, resampled_checkpoints
from t2fast.progress import track

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Floats]
"""From weights of the problems (m, problems) to y, (m, checkpoints, K)."""

Outcome = TypeVar("Outcome")
"""What a fit of one set of weights returns."""

_BATCH = 100
_NOISE_DRAWS = 100


@dataclass(frozen=True)
class Target:
    """y (checkpoints, K) that a law is fitted to, and what is known of its sampling error.

    Attributes:
        noise: standard deviation of y over resampled problems, 0 where that is unknown; None where there are
            no problems to resample.
        errors: what y was off its mean over those, (draws, checkpoints, K), 0 where it had no value.
        notes: what a law of it has to repeat.
    """

    n: Floats
    d: Floats
    ks: Floats
    y: Floats
    noise: Floats | None = None
    errors: Floats | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def measured(cls, observed: PassTable, measure: Measure) -> Target:
        """y of the table, its noise and its errors over resampled problems."""
        again = measure(observed.resampled_problems(np.random.default_rng(0), _NOISE_DRAWS))
        again = np.where(np.isfinite(again), again, np.nan)
        y = measure(np.ones((1, observed.problems)))[0]
        known = ~np.isnan(again).all(axis=0)
        noise = np.zeros_like(y)
        noise[known] = np.nanstd(again[:, known], axis=0)
        # Unknown where all problems are alike, but for rounding, and where so few fail that resampling them
        # says nothing about how many might have.
        noise[~(noise > 1e-12 * np.abs(y))] = 0.0
        noise[(1 - observed.mean()) * observed.problems_behind() < 1] = 0.0
        errors = np.zeros_like(again)
        errors[:, known] = np.nan_to_num(again[:, known] - np.nanmean(again[:, known], axis=0))
        return cls(observed.n_params, observed.n_tokens, observed.ks, y, noise, errors, observed.notes)

    def rows(self) -> tuple[Floats, Floats, Floats, NDArray[np.int64], NDArray[np.bool_]]:
        """N, D, k and the checkpoint of every point with a value, and which those are."""
        checkpoints, points = self.y.shape
        keep = ~np.isnan(self.y).ravel()
        checkpoint = np.repeat(np.arange(checkpoints), points)[keep]
        return self.n[checkpoint], self.d[checkpoint], np.tile(self.ks, checkpoints)[keep], checkpoint, keep


def draw(
    solve: Callable[[Floats], list[Outcome]], weights: Floats, progress: bool | None
) -> list[Outcome] | None:
    """What was found for every row of weights; None without rows."""
    if len(weights) == 0:
        return None
    batches = [weights[i : i + _BATCH] for i in range(0, len(weights), _BATCH)]
    found = [solve(batch) for batch in track(batches, "bootstrap", len(batches), progress)]
    return [outcome for batch in found for outcome in batch]


def draw_both(
    observed: PassTable,
    measure: Measure,
    target: Target,
    solve: Callable[[Floats, Floats], list[Outcome]],
    draws: int,
    seed: int,
    progress: bool | None,
) -> list[Outcome] | None:
    """Draws that resample checkpoints and problems at once; `solve` gets y and weights of all points."""
    rng = np.random.default_rng(seed)
    checkpoint_w = resampled_checkpoints(rng, draws, observed.checkpoints)
    problem_w = observed.resampled_problems(rng, draws)

    def both(weights: Floats) -> list[Outcome]:
        ys = measure(weights[:, observed.checkpoints :]).reshape(len(weights), -1)
        ws = np.repeat(weights[:, : observed.checkpoints], target.y.shape[1], axis=1)
        usable = np.isfinite(ys)
        return solve(np.where(usable, ys, 0.0), ws * usable)

    return draw(both, np.hstack([checkpoint_w, problem_w]), progress)
