"""pass@k far beyond the samples drawn: error and coverage beside the usual ways to extrapolate.

Run as `python -m benches beyond` (a minute on two idle cores) or with `--quick`. `--data DIR` names the
folder with the published tables, by default `../shared/data` beside the repository; without it there are
simulated counts alone.

Published: of `pythia_gsm8k_counts.csv`, checkpoints with at least 30 problems of n >= k samples. 100 samples
a problem are drawn from the counts without replacement; the truth is the unbiased pass@k of all n. Simulated:
130 problems with probabilities of a known distribution, 100 samples each; the truth is that of the
distribution.

Peers: the Beta-binomial by maximum likelihood; the same with a free share of problems that are never solved,
the best of six starts; and a straight line through ln(-ln pass@k) against ln k, k = 1, 2, 4 ... 64, 100
(Schaeffer et al. 2025, arXiv 2502.17578). All of them see the same counts. Errors are medians of
|estimate/truth - 1|; intervals are meant to cover 90%.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # one process a core instead

import _bench
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, expit
from t2fast import estimate, pass_at_k
from t2fast.estimators.extrapolation import LEAST_SOLVED

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SAMPLES = 100
STRONG = 5e-3
METHODS = ("ours", "Beta", "Beta, free share", "log-log line")
# A fork would inherit the locks of Rust's threads, and wait for them.
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Case:
    """Counts of one table, and what pass@k at k really is."""

    group: str
    n: Integers
    c: Integers
    k: int
    truth: float


def published(data: Path, repeats: int, rng: np.random.Generator) -> Iterator[Case]:
    """Subsamples of the published counts."""
    table = pl.read_csv(data / "pythia_gsm8k_counts.csv")
    for _, rows in table.group_by("n_params", "n_tokens", maintain_order=True):
        n, c = rows["n_samples"].to_numpy(), rows["n_correct"].to_numpy()
        for k in (1000, 10_000):
            deep = n >= k
            if deep.sum() < 30 or not c[deep].any():
                continue
            truth = float(np.mean(pass_at_k(n[deep], c[deep], k)))
            for _ in range(repeats):
                some = rng.hypergeometric(c[deep], (n - c)[deep], SAMPLES)
                if not some.any():
                    continue
                if (some > 0).sum() < LEAST_SOLVED:
                    group = "GSM8K, under ten solved"
                else:
                    group = "GSM8K, strong" if np.mean(c[deep] / n[deep]) >= STRONG else "GSM8K, weak"
                yield Case(group, np.full(len(some), SAMPLES), some, k, truth)


def simulated(repeats: int, rng: np.random.Generator) -> Iterator[Case]:
    """Counts of known distributions."""
    problems = 130
    laws = {
        "logit-normal(-6, 2)": lambda size: expit(rng.normal(-6, 2, size)),
        "logit-normal(-8, 3)": lambda size: expit(rng.normal(-8, 3, size)),
        "logit-normal(-4, 1)": lambda size: expit(rng.normal(-4, 1, size)),
        "Beta(0.35, 30)": lambda size: rng.beta(0.35, 30, size),
        "Beta(0.2, 10)": lambda size: rng.beta(0.2, 10, size),
        "0.7 of Beta(0.6, 60)": lambda size: rng.beta(0.6, 60, size) * (rng.random(size) < 0.7),
    }
    for name, draw in laws.items():
        many = draw(2_000_000)
        for k in (1000, 10_000):
            truth = float(np.mean(-np.expm1(k * np.log1p(-many))))
            for _ in range(repeats):
                c = rng.binomial(SAMPLES, draw(problems))
                if (c > 0).sum() >= LEAST_SOLVED:
                    yield Case(name, np.full(problems, SAMPLES), c, k, truth)


def beta_binomial(n: Integers, c: Integers, k: int, *, share: bool) -> float:
    """pass@k of the Beta-binomial of greatest likelihood, for a share of the problems where asked for."""
    correct, times = np.unique(c, return_counts=True)
    wrong = n[0] - correct

    def loss(x: Floats) -> float:
        a, b = np.exp(x[:2])
        log = betaln(correct + a, wrong + b) - betaln(a, b)
        if share:
            part = expit(x[2])
            log = np.where(correct > 0, np.log(part) + log, np.log1p(part * np.expm1(log)))
        return float(-times @ log)

    mean = float(np.clip(c.mean() / n[0], 1e-4, 0.99))
    bounds = [(-9.2, 13.8)] * 2 + [(-30, 30)] * share
    starts = [(nu, part) for nu in (0.3, 2.0, 20.0) for part in ((0.0, 5.0) if share else (0.0,))]
    ends = [
        minimize(
            loss,
            [np.log(mean * nu), np.log((1 - mean) * nu), *([part] * share)],
            method="L-BFGS-B",
            bounds=bounds,
        )
        for nu, part in starts
    ]
    best = min(ends, key=lambda end: end.fun).x
    a, b = np.exp(best[:2])
    return float(-np.expm1(betaln(a, b + k) - betaln(a, b)) * (expit(best[2]) if share else 1))


def line(n: Integers, c: Integers, k: int) -> float:
    """pass@k off a straight line through ln(-ln pass@k) against ln k."""
    ks = np.array([1, 2, 4, 8, 16, 32, 64, 100])
    means = np.mean(pass_at_k(n[:, None], c[:, None], ks), axis=0)
    slope, height = np.polyfit(np.log(ks), np.log(-np.log(np.clip(means, 1e-12, 1 - 1e-12))), 1)
    return float(np.exp(-np.exp(height + slope * np.log(k))))


def answers(draws: int, case: Case, seed: int) -> tuple[list[float], bool, float]:
    """Relative error of each of `METHODS`, whether the interval covers, and the ratio of its ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        curve = estimate(case.n, case.c, case.k, missing="extrapolate", level=0.9, draws=draws, seed=seed)
    found = [
        float(curve.mean[0]) if curve.extrapolated[0] else np.nan,
        beta_binomial(case.n, case.c, case.k, share=False),
        beta_binomial(case.n, case.c, case.k, share=True),
        line(case.n, case.c, case.k),
    ]
    covers = bool(curve.low[0] <= case.truth <= curve.high[0])
    return [abs(value / case.truth - 1) for value in found], covers, float(curve.high[0] / curve.low[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of published tables")
    parser.add_argument("--repeats", type=int, default=4, help="subsamples a checkpoint (default: 4)")
    parser.add_argument("--draws", type=int, default=200, help="of each interval (default: 200)")
    parser.add_argument("--quick", action="store_true", help="one subsample a checkpoint")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else arguments.repeats
    rng = np.random.default_rng(1)
    cases = list(simulated(10 * repeats, rng))
    if arguments.data.is_dir():
        cases = [*published(arguments.data, repeats, rng), *cases]
    groups: dict[tuple[str, int], list[tuple[list[float], bool, float]]] = {}
    with ProcessPoolExecutor(_bench.cores(), SPAWN) as pool:
        every = list(pool.map(partial(answers, arguments.draws), cases, range(len(cases)), chunksize=8))
    for case, found in zip(cases, every, strict=True):
        groups.setdefault((case.group, case.k), []).append(found)
        if case.group in ("GSM8K, strong", "GSM8K, weak"):
            groups.setdefault(("GSM8K, all", case.k), []).append(found)
    print(f"| counts | k | tables | {' | '.join(METHODS)} | covered | ends apart |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (group, k), found in sorted(groups.items()):
        errors = np.median([errors for errors, _, _ in found], axis=0)
        shown = " | ".join("refused" if np.isnan(error) else f"{error:.1%}" for error in errors)
        known = not np.isnan(errors[0])
        covered = float(np.mean([covers for _, covers, _ in found]))
        share = f"{covered:.0%} ± {_bench.share_error(covered, len(found)):.0%}" if known else "-"
        width = f"{np.median([width for _, _, width in found]):.2f}x" if known else "-"
        print(f"| {group} | {k:,} | {len(found)} | {shown} | {share} | {width} |")


if __name__ == "__main__":
    main()
