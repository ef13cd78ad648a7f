"""Do 90% intervals cover 90%? Laws fitted to simulated tables whose truth is known, one line a setting.

Run as `python -m benches calibration` (500 tables a setting, some 90 minutes on two idle cores), with
`--quick` for a look at 10 tables, `--minutes M` for as many tables as M minutes give, and `--settings
NAME,NAME` for some of them. Every table has 25 checkpoints (N from 1e8 to 1e10, D from 2e9 to 2e11), 64
problems and 128 samples each, unless the setting says otherwise:

- exact: the law that is fitted, a Beta link on A/N^alpha + B/D^beta;
- scatter: each checkpoint's latent is off by N(0, 0.3²);
- shared: as scatter, problems keep their difficulty from checkpoint to checkpoint (rank correlation 0.7);
- unequal: as scatter, n is 32, 128 or 512 at random;
- wrong: as scatter, but probabilities are logit-normal and their mean bends in the latent.

Tables of all settings take turns. Columns: tables; share of intervals that hold the truth, with its standard
error (binomial, by tables): of the parameters alpha, beta, theta3 and theta4; of the mean pass@k inside the
grid (k = 1 and 64) and far out (10 times the largest N and D, k = 64); of the N that is best under the
budgets which a plan of 1e9 parameters, 2e10 tokens and 24 samples spends; and, where the law forecasts single
checkpoints, of a new one inside. "-" where there is no such thing: under a wrong law there are no true
parameters."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # one process a core instead

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats
from t2fast import Counts, Law, fit_counts, fit_forecast, plan, read_counts
from t2fast.laws import ForecastLaw

Floats = NDArray[np.float64]
Marks = dict[str, list[bool]]

LEVEL = 0.9
# A fork would inherit the locks of Rust's threads, and wait for them.
SPAWN = multiprocessing.get_context("spawn")
TRUTH = {
    "E": 0.0,
    "A": 1500.0,
    "B": 10000.0,
    "alpha": 0.35,
    "beta": 0.37,
    "theta0": 0.0,
    "theta1": 1.0,
    "theta2": 1.0,
    "theta3": 2.0,
    "theta4": 0.1,
}
PARAMETERS = ("alpha", "beta", "theta3", "theta4")
SIZES, TOKENS = np.geomspace(1e8, 1e10, 5), np.geomspace(2e9, 2e11, 5)
INSIDE = [(1e9, 2e10, 1.0), (1e9, 2e10, 64.0)]
FAR = [(1e11, 2e12, 64.0)]
TRAIN, INFERENCE = 6 * 1e9 * 2e10, 2 * 1e9 * 24


@dataclass(frozen=True)
class Setting:
    """How tables come about."""

    scatter: float = 0.3
    shared: float = 0.0
    sizes: tuple[int, ...] = (128,)
    wrong: bool = False

    def latent(self, n: Floats, d: Floats) -> Floats:
        """Of checkpoints without scatter."""
        return np.asarray(TRUTH["A"] * n ** -TRUTH["alpha"] + TRUTH["B"] * d ** -TRUTH["beta"])

    def quantile(self, n: Floats, d: Floats, effect: Floats, rank: Floats) -> Floats:
        """Success probability at each rank of difficulty, (checkpoints, ranks)."""
        if self.wrong:
            latent = (self.latent(n, d) + effect)[:, None]
            return np.asarray(1 / (1 + np.exp(1.2 * np.abs(latent) ** 1.3 - 1.6 * stats.norm.ppf(rank))))
        # theta1 = 1 makes the link a logistic function; written out, so that the truth is not the product's.
        latent = self.latent(n, d) + effect
        mean = TRUTH["theta2"] / (1 + np.exp(latent - TRUTH["theta0"]))
        size = np.exp(TRUTH["theta3"] + TRUTH["theta4"] * latent)
        return np.asarray(stats.beta.ppf(rank, (mean * size)[:, None], ((1 - mean) * size)[:, None]))

    def mean(self, n: float, d: float, k: float, effect: float = 0.0) -> float:
        """pass@k of the population of problems at a checkpoint."""
        rank = (np.arange(4000) + 0.5) / 4000
        p = self.quantile(*np.array([[n], [d], [effect]]), rank[None])
        return float(np.mean(-np.expm1(k * np.log1p(-np.minimum(p, 1 - 1e-16)))))

    def best(self) -> float:
        """N at which pass@k is largest under the budgets, on a fine grid."""
        grid = np.geomspace(SIZES[0] / 2, 2 * SIZES[-1], 300)
        grid = grid[2 * grid <= INFERENCE]
        values = [self.mean(n, TRAIN / (6 * n), INFERENCE / (2 * n)) for n in grid]
        return float(grid[int(np.argmax(values))])

    def table(self, rng: np.random.Generator, problems: int) -> Counts:
        """One table."""
        n, d = (axis.ravel() for axis in np.meshgrid(SIZES, TOKENS))
        common = rng.standard_normal((1, problems))
        own = rng.standard_normal((n.size, problems))
        rank = stats.norm.cdf(np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * own)
        p = self.quantile(n, d, self.scatter * rng.standard_normal(n.size), rank)
        samples = rng.choice(self.sizes, p.shape)
        return read_counts(
            pl.DataFrame(
                {
                    "n_params": np.repeat(n, problems),
                    "n_tokens": np.repeat(d, problems),
                    "problem": np.tile(np.arange(problems), n.size).astype(str),
                    "n_samples": samples.ravel(),
                    "n_correct": rng.binomial(samples, p).ravel(),
                }
            )
        )


SETTINGS = {
    "exact": Setting(scatter=0.0),
    "scatter": Setting(),
    "shared": Setting(shared=0.7),
    "unequal": Setting(sizes=(32, 128, 512)),
    "wrong": Setting(wrong=True),
}
LAWS: dict[str, Callable[..., Law | ForecastLaw]] = {"counts": fit_counts, "forecast": fit_forecast}


def marks(setting: Setting, law: str, best: float, draws: int, problems: int, seed: int) -> Marks:
    """Which intervals hold the truth, by column, for one table."""
    rng = np.random.default_rng(seed)
    table = setting.table(rng, problems)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = LAWS[law](table, draws=draws, seed=seed, progress=False)
        out: Marks = {}
        if isinstance(fitted, Law) and not setting.wrong and fitted.draws is not None:
            low, high = np.quantile(fitted.draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
            names = list(fitted.params)
            out["parameters"] = [
                bool(low[names.index(p)] <= TRUTH[p] <= high[names.index(p)]) for p in PARAMETERS
            ]
        extra = {"kind": "mean"} if isinstance(fitted, ForecastLaw) else {}
        for column, places in (("inside", INSIDE), ("far out", FAR)):
            limits = [fitted.interval(*place, level=LEVEL, **extra) for place in places]
            out[column] = [
                bool(low <= setting.mean(*place) <= high)
                for (low, high), place in zip(limits, places, strict=True)
            ]
        if isinstance(fitted, ForecastLaw):
            effect = float(setting.scatter * rng.standard_normal())
            limits = [fitted.interval(*place, level=LEVEL) for place in INSIDE]
            out["new checkpoint"] = [
                bool(low <= setting.mean(*place, effect) <= high)
                for (low, high), place in zip(limits, INSIDE, strict=True)
            ]
        try:
            low, high = plan(fitted, TRAIN, INFERENCE, level=LEVEL).intervals["n_params"]
            # The truth is known to a step of its grid, 2%.
            out["N*"] = [bool(low / 1.02 <= best <= high * 1.02)]
        except ValueError:
            out["N*"] = []  # an unconverged law makes no plan
    return out


def one(best: dict[str, float], draws: int, problems: int, job: tuple[str, str, int]) -> Marks:
    """The marks of setting, law and seed."""
    setting, law, seed = job
    return marks(SETTINGS[setting], law, best[setting], draws, problems, seed)


def shares(found: list[Marks]) -> dict[str, tuple[float, float]]:
    """Share of intervals that hold the truth and its standard error over tables, by column."""
    out = {}
    for column in found[0]:
        held = [np.mean(each[column]) for each in found if each[column]]
        if held:
            mean = float(np.mean(held))
            out[column] = mean, float(np.sqrt(max(mean * (1 - mean), 1 / len(held) / 4) / len(held)))
    return out


def coverage(
    setting: str, law: str, *, tables: int, draws: int, problems: int = 64
) -> dict[str, tuple[float, float]]:
    """As `shares`, of that many tables of one setting, in this process."""
    best = {setting: SETTINGS[setting].best()}
    return shares([one(best, draws, problems, (setting, law, seed)) for seed in range(tables)])


COLUMNS = ("parameters", "inside", "far out", "N*", "new checkpoint")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=500, help="a setting (default: 500)")
    parser.add_argument("--minutes", type=float, default=np.inf, help="start no table after these")
    parser.add_argument("--draws", type=int, default=200, help="of each law (default: 200)")
    parser.add_argument("--settings", default=",".join(SETTINGS), help="some of them, by name")
    parser.add_argument("--laws", default=",".join(LAWS), help="some of them, by name")
    parser.add_argument("--quick", action="store_true", help="10 tables a setting")
    arguments = parser.parse_args()
    tables = 10 if arguments.quick else arguments.tables
    rows = [(name, law) for name in arguments.settings.split(",") for law in arguments.laws.split(",")]
    best = {name: SETTINGS[name].best() for name, _ in rows}
    found: dict[tuple[str, str], list[Marks]] = {row: [] for row in rows}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    end = time.monotonic() + 60 * arguments.minutes
    work = partial(one, best, arguments.draws, 64)
    with ProcessPoolExecutor(cores, SPAWN) as pool:
        for first in range(0, tables, 5):
            if time.monotonic() > end:
                break
            jobs = [(*row, seed) for seed in range(first, min(first + 5, tables)) for row in rows]
            for (name, law, _), result in zip(jobs, pool.map(work, jobs), strict=True):
                found[name, law].append(result)
    print(
        f"| setting | law | tables | {' | '.join(COLUMNS)} |\n| --- | --- | --- | {' | '.join(['---'] * 5)} |"
    )
    for (name, law), results in found.items():
        held = shares(results) if results else {}
        cells = [f"{held[c][0]:.0%} ± {held[c][1]:.0%}" if c in held else "-" for c in COLUMNS]
        print(f"| {name} | {law} | {len(results)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
