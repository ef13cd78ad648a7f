"""Do 90% intervals cover 90%? Laws fitted to simulated tables whose truth is known, one line a setting.

Run as `python -m benches calibration` (500 tables a setting, some hours on two idle cores), with `--quick`
for a look at 10 tables, `--minutes M` for as many tables as M minutes give, `--settings NAME,NAME` for some
of them, and `--keep FILE` to go on where an earlier run with the same file stopped. Every table has 25
checkpoints (N from 1e8 to 1e10, D from 2e9 to 2e11), 64 problems and 128 samples each, unless the setting
says otherwise:

- exact: the law that is fitted, a Beta link on A/N^alpha + B/D^beta;
- scatter: each checkpoint's latent is off by N(0, 0.3²);
- shared: as scatter, problems keep their difficulty from checkpoint to checkpoint (rank correlation 0.7);
- unequal: as scatter, n is 32, 128 or 512 at random;
- wrong: as scatter, but probabilities are logit-normal and their mean bends in the latent.

Tables of all settings take turns. Columns: tables; share of intervals that hold the truth, with its standard
error (by the spread over tables):

- of the parameters alpha, beta, theta3 and theta4 ("-" under a wrong law, which has no true ones);
- of the mean pass@k of checkpoints inside the grid (k = 1 and 64) and far out (10 times the largest N and D,
  k = 64). Each law is held to what it says: the counts law's intervals are of problems without end, the
  forecast law's of the problems in the table;
- of the N that is best under the budgets which a plan of 1e9 parameters, 2e10 tokens and 24 samples spends,
  within the k that the plan may choose (twice the largest fitted); of the forecast law in every fifth table,
  because its plans take longer than all else;
- where the law forecasts single checkpoints, of twenty new ones inside, asked the same problems, and of as
  many asked others: without end, and as hard."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # one process a core instead

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats
from scipy.special import betaln
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
PLANNED = 5
EFFECTS = 20
Place = tuple[float, float, float]
INSIDE: list[Place] = [(1e9, 2e10, 1.0), (1e9, 2e10, 64.0)]
FAR: list[Place] = [(1e11, 2e12, 64.0)]
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
        a, b = self.beta(self.latent(n, d) + effect)
        return np.asarray(stats.beta.ppf(rank, a[:, None], b[:, None]))

    def beta(self, latent: Floats) -> tuple[Floats, Floats]:
        """Of the problems of checkpoints.

        theta1 = 1 makes the link a logistic function; written out, so that the truth is not the product's.
        """
        mean = TRUTH["theta2"] / (1 + np.exp(latent - TRUTH["theta0"]))
        size = np.exp(TRUTH["theta3"] + TRUTH["theta4"] * latent)
        return mean * size, (1 - mean) * size

    def rank(self, common: Floats, own: Floats) -> Floats:
        """Of problems by how hard they are everywhere and at one checkpoint."""
        return np.asarray(stats.norm.cdf(np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * own))

    def passing(self, n: float, d: float, k: float, effect: float, rank: Floats) -> float:
        """Mean pass@k of a checkpoint over problems of these ranks."""
        p = self.quantile(*np.array([[n], [d], [effect]]), rank.ravel()[None])
        return float(np.mean(-np.expm1(k * np.log1p(-np.minimum(p, 1 - 1e-16)))))

    def mean(self, n: float, d: float, k: float, effect: float = 0.0, common: Floats | None = None) -> float:
        """pass@k of a checkpoint over problems without end, or expected over those of `common` difficulty."""
        if (common is None or not self.shared) and not self.wrong:
            a, b = self.beta(self.latent(*np.array([[n], [d]])) + effect)
            return -float(np.expm1(betaln(a, b + k) - betaln(a, b))[0])
        if common is None or not self.shared:
            return self.passing(n, d, k, effect, (np.arange(4000) + 0.5) / 4000)
        own = stats.norm.ppf((np.arange(100) + 0.5) / 100)
        return self.passing(n, d, k, effect, self.rank(common[:, None], own))

    def best(self, most_samples: float) -> float:
        """N at which pass@k is largest under the budgets, on a fine grid."""
        grid = np.geomspace(SIZES[0] / 2, 2 * SIZES[-1], 300)
        grid = grid[2 * grid <= INFERENCE]
        k = np.minimum(INFERENCE / (2 * grid), most_samples)
        values = [self.mean(n, TRAIN / (6 * n), k) for n, k in zip(grid, k, strict=True)]
        return float(grid[int(np.argmax(values))])

    def table(self, rng: np.random.Generator, common: Floats) -> Counts:
        """One table of problems of `common` difficulty, standard normal."""
        n, d = (axis.ravel() for axis in np.meshgrid(SIZES, TOKENS))
        problems = len(common)
        rank = self.rank(common, rng.standard_normal((n.size, problems)))
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


@cache
def best_size(setting: str, most_samples: float) -> float:
    """As `Setting.best`."""
    return SETTINGS[setting].best(most_samples)


def marks(name: str, law: str, draws: int, problems: int, seed: int) -> Marks:
    """Which intervals hold the truth, by column, for one table."""
    setting = SETTINGS[name]
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(problems)
    table = setting.table(rng, common)
    out: Marks = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = LAWS[law](table, draws=draws, seed=seed, progress=False)
        if isinstance(fitted, Law) and not setting.wrong and fitted.draws is not None:
            ends = np.quantile(fitted.draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
            low, high = (dict(zip(fitted.params, end, strict=True)) for end in ends)
            out["parameters"] = [bool(low[p] <= TRUTH[p] <= high[p]) for p in PARAMETERS]
        kind, asked = ({"kind": "mean"}, common) if isinstance(fitted, ForecastLaw) else ({}, None)
        for column, places in (("inside", INSIDE), ("far out", FAR)):
            truths = [setting.mean(*place, common=asked) for place in places]
            out[column] = _held(fitted, places, truths, **kind)
        out["N*"] = []
        if isinstance(fitted, Law) or seed % PLANNED == 0:
            # An unconverged law makes no plan.
            with suppress(ValueError):
                low, high = plan(fitted, TRAIN, INFERENCE, level=LEVEL).intervals["n_params"]
                best = best_size(name, 2 * fitted.domain["k"][1])
                # The truth is known to a step of its grid, 2%.
                out["N*"] = [bool(low / 1.02 <= best <= high * 1.02)]
        if isinstance(fitted, ForecastLaw):
            limits = [fitted.interval(*place, level=LEVEL) for place in INSIDE]
            out["new checkpoint"], out["other problems"] = [], []
            for effect in setting.scatter * rng.standard_normal(EFFECTS):
                rank = setting.rank(common, rng.standard_normal(problems))
                asked = [setting.passing(*place, effect, rank) for place in INSIDE]
                others = [setting.mean(*place, effect) for place in INSIDE]
                out["new checkpoint"] += _inside(limits, asked)
                out["other problems"] += _inside(limits, others)
    return out


def _held(law: Law | ForecastLaw, places: list[Place], truths: list[float], **kind: Any) -> list[bool]:
    return _inside([law.interval(*place, level=LEVEL, **kind) for place in places], truths)


def _inside(limits: list[tuple[Floats, Floats]], truths: list[float]) -> list[bool]:
    return [bool(low <= truth <= high) for (low, high), truth in zip(limits, truths, strict=True)]


def one(draws: int, problems: int, job: tuple[str, str, int]) -> Marks:
    """The marks of setting, law and seed."""
    name, law, seed = job
    return marks(name, law, draws, problems, seed)


def kept(file: Path, rows: list[tuple[str, str]], draws: int) -> dict[tuple[str, str, int], Marks]:
    """What an earlier run with as many draws found, by setting, law and seed."""
    lines = file.read_text().splitlines() if file.exists() else []
    found = (json.loads(line) for line in lines if line.endswith("}"))  # a kill cuts the last line
    return {
        (each["setting"], each["law"], each["seed"]): each["marks"]
        for each in found
        if each["draws"] == draws and (each["setting"], each["law"]) in rows
    }


def shares(found: list[Marks]) -> dict[str, tuple[float, float]]:
    """Share of intervals that hold the truth and its standard error over tables, by column."""
    out = {}
    for column in found[0]:
        held = [np.mean(each[column]) for each in found if each[column]]
        if held:
            mean = float(np.mean(held))
            # Where every table agrees the error is not 0: half a table in each may be off.
            out[column] = mean, float(np.sqrt(max(np.var(held), 1 / len(held) / 4) / len(held)))
    return out


def coverage(
    setting: str, law: str, *, tables: int, draws: int, problems: int = 64
) -> dict[str, tuple[float, float]]:
    """As `shares`, of that many tables of one setting, in this process."""
    return shares([marks(setting, law, draws, problems, seed) for seed in range(tables)])


COLUMNS = ("parameters", "inside", "far out", "N*", "new checkpoint", "other problems")


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
    parser.add_argument("--keep", type=Path, help="JSON lines to go on from, a table each")
    arguments = parser.parse_args()
    tables = 10 if arguments.quick else arguments.tables
    rows = [(name, law) for name in arguments.settings.split(",") for law in arguments.laws.split(",")]
    found = kept(arguments.keep, rows, arguments.draws) if arguments.keep else {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    end = time.monotonic() + 60 * arguments.minutes
    work = partial(one, arguments.draws, 64)
    jobs = [(*row, seed) for seed in range(tables) for row in rows if (*row, seed) not in found]
    with ProcessPoolExecutor(cores, SPAWN) as pool:
        # A few at a time, so that the clock is looked at.
        for first in range(0, len(jobs), 5 * len(rows)):
            if time.monotonic() > end:
                break
            batch = jobs[first : first + 5 * len(rows)]
            for job, result in zip(batch, pool.map(work, batch), strict=True):
                found[job] = result
                if arguments.keep:
                    names = dict(zip(("setting", "law", "seed"), job, strict=True))
                    with arguments.keep.open("a") as file:
                        print(json.dumps({**names, "draws": arguments.draws, "marks": result}), file=file)
    print(f"| setting | law | tables | {' | '.join(COLUMNS)} |")
    print("| --- " * (3 + len(COLUMNS)) + "|")
    for name, law in rows:
        results = [result for (*row, _), result in found.items() if (*row,) == (name, law)]
        held = shares(results) if results else {}
        cells = [f"{held[c][0]:.0%} ± {held[c][1]:.0%}" if c in held else "-" for c in COLUMNS]
        print(f"| {name} | {law} | {len(results)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
