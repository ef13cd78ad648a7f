"""pass@k of every problem at every checkpoint, its mean over problems, and what it would be for other
problems.

The bridge from tables to fits: counts and likelihoods both become a :class:`PassTable`, and the bootstrap
reweighs its checkpoints and problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import _core
from t2fast.arguments import require_kind
from t2fast.estimators.extrapolation import SUSPICIOUS, samples_follow_outcome
from t2fast.estimators.passk import likely_pass_at_k
from t2fast.estimators.sequential import problem_pass_at_k
from t2fast.tables import Counts, Likelihoods
from t2fast.text import counted

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class PassTable:
    """Values (rows, K), one row a checkpoint and problem, sorted by checkpoint; NaN where n < k.

    `notes` say what a law of them has to repeat.
    """

    n_params: Floats
    n_tokens: Floats
    ks: Floats
    values: Floats
    checkpoint: Integers
    problem: Integers
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Counts | Likelihoods | PassTable, ks: Sequence[float] | None = None) -> PassTable:
        """From counts, by the unbiased estimator, or from likelihoods p, as 1 - (1-p)^k.

        ``ks`` defaults to the powers of two up to 128 for which every problem has enough samples.
        """
        if isinstance(table, PassTable):
            return table if ks is None else table.at(ks)
        require_kind("a law of pass@k", table, (Counts, Likelihoods, PassTable))
        table.require_sizes().require_one_kind()
        if isinstance(table, Counts):
            k = _whole(ks) if ks is not None else _powers_of_two(int(table.most_samples.min()))
            values = problem_pass_at_k(table.n, table.c, k, table.sequential)
        else:
            k = np.asarray(ks, dtype=float) if ks is not None else _powers_of_two(128)
            values = np.asarray(likely_pass_at_k(table.log_likelihood[:, None], k))
        checkpoints = table.checkpoints
        order = np.argsort(table.checkpoint_index, kind="stable")
        return cls(
            checkpoints["n_params"].to_numpy(),
            checkpoints["n_tokens"].to_numpy(),
            k.astype(float),
            values[order],
            np.ascontiguousarray(table.checkpoint_index[order], dtype=np.int64),
            _codes(table)[order],
            (*table.unexplained, *_stopped(table)),
        )

    def at(self, ks: Sequence[float]) -> PassTable:
        """The same table at these k alone. `ValueError` for k that it does not hold."""
        places = {float(k): place for place, k in enumerate(self.ks)}
        absent = [k for k in ks if float(k) not in places]
        if absent:
            raise ValueError(
                f"this table has no values at k = {absent[0]:g}, but at "
                f"{', '.join(f'{k:g}' for k in self.ks)}"
            )
        chosen = [places[float(k)] for k in ks]
        return replace(self, ks=self.ks[chosen], values=self.values[:, chosen])

    def require_solved(self, law: str) -> None:
        """`ValueError` where nothing was ever solved: whatever were forecast would be belief alone."""
        if not (self.values > 0).any():
            raise ValueError(
                f"nothing was solved at any of {self.checkpoints} checkpoints (pass@k is 0 at k ="
                f" {', '.join(f'{k:g}' for k in self.ks)}): there is nothing that the {law} law could learn"
                " from. Draw more samples, or add stronger checkpoints"
            )

    @property
    def checkpoints(self) -> int:
        """How many checkpoints."""
        return len(self.n_params)

    @property
    def problems(self) -> int:
        """How many different problems."""
        return int(self.problem.max()) + 1

    def mean(self) -> Floats:
        """Mean over problems, (checkpoints, K); NaN where no problem has enough samples."""
        return np.asarray(self.means(np.ones((1, self.problems)))[0])

    def means(self, weights: Floats) -> Floats:
        """Means over problems for every row of weights (m, problems), (m, checkpoints, K)."""
        return self._means(self.values, weights)

    def mean_logs(self, weights: Floats) -> Floats:
        """As `means`, of -log pass@k: infinite where a problem was never solved."""
        with np.errstate(divide="ignore"):
            return self._means(-np.log(self.values), weights)

    def _means(self, values: Floats, weights: Floats) -> Floats:
        found: Floats = _core.weighted_means(
            np.ascontiguousarray(values),
            self.checkpoint,
            self.problem,
            self.checkpoints,
            np.ascontiguousarray(weights),
        )
        return found

    def _sum(self, rows: Floats) -> Floats:
        starts = np.searchsorted(self.checkpoint, np.arange(self.checkpoints))
        return np.asarray(np.add.reduceat(rows, starts, axis=0))

    def complete(self) -> NDArray[np.bool_]:
        """Where every problem has k samples, (checkpoints, K): a mean over fewer is another quantity."""
        every = np.bincount(self.checkpoint, minlength=self.checkpoints)[:, None]
        return np.asarray(self.problems_behind() == every)

    def problems_behind(self) -> Integers:
        """How many problems are behind each mean, (checkpoints, K)."""
        return self._sum((~np.isnan(self.values)).astype(float)).astype(np.int64)

    def resampled_problems(self, rng: np.random.Generator, draws: int) -> Floats:
        """How often each problem is drawn, (draws, problems): the same problems for every checkpoint."""
        count = self.problems
        return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)


def resampled_checkpoints(rng: np.random.Generator, draws: int, checkpoints: int) -> Floats:
    """How often each checkpoint is drawn, (draws, checkpoints)."""
    return rng.multinomial(checkpoints, np.full(checkpoints, 1 / checkpoints), size=draws).astype(float)


def _powers_of_two(least: int) -> NDArray[np.int64]:
    top = max(0, min(7, least.bit_length() - 1))
    return 2 ** np.arange(top + 1, dtype=np.int64)


def _whole(ks: Sequence[float]) -> NDArray[np.int64]:
    values = np.asarray(ks, dtype=float)
    if values.ndim != 1 or values.size == 0 or (values < 1).any() or (values != np.floor(values)).any():
        raise ValueError(f"ks = {list(ks)} must be a list of whole numbers of at least 1")
    return values.astype(np.int64)


def _stopped(table: Counts | Likelihoods) -> list[str]:
    """A note where the number of samples goes with the outcome and no rule says why: means are biased."""
    if not isinstance(table, Counts) or table.sequential is not None:
        return []
    n, c, at = table.n, table.c, table.checkpoint_index
    scores = np.array([samples_follow_outcome(n[at == i], c[at == i]) for i in range(at.max() + 1)])
    # As rare among all checkpoints as SUSPICIOUS is at one.
    limit = -NormalDist().inv_cdf(NormalDist().cdf(-SUSPICIOUS) / len(scores))
    found = int((scores >= limit).sum())
    if not found:
        return []
    return [
        f"n goes with the outcome at {counted(found, 'checkpoint')} (standard score up to"
        f" {scores.max():.1f}): if sampling ended at successes, means of counts are biased. Say so by columns"
        " until_successes and max_samples, or fit the counts law, whose likelihood holds however sampling"
        " ended, though residuals are still from those means"
    ]


def _codes(table: Counts | Likelihoods) -> Integers:
    """One number for each problem of each task, the same at all checkpoints."""
    keys = [name for name in ("task", "problem") if name in table.frame.columns]
    numbered = table.frame.select(keys).unique(maintain_order=True).with_row_index("code")
    found = table.frame.select(keys).join(numbered, on=keys, how="left", maintain_order="left")
    codes: Integers = found["code"].cast(pl.Int64).to_numpy()
    return codes
