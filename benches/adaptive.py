"""What sampling until solved is worth against k samples for everybody, at equal samples, on real counts.

Run as `python -m benches.adaptive COUNTS.csv [-k 1,4,16] [--by model]`. For every model (or checkpoint) the
samples that were drawn are replayed in random order, without replacement: `t2fast.choices.replay`. The
last columns ask how many samples for everybody would solve as much. Sampling in turn until solved is what the
elimination of Zuo and Zhu 2025 (arXiv 2506.12721) does where the first success ends a query.

Where samples have a price, in solutions, a query is given up at some point. The second table has the value,
solved less price times samples, of giving up by three rules, each query stopping at its first success: by the
posterior index with a Beta prior fitted to the other half of the problems (Weitzman's rule), by the upper
confidence bound of Kalayci et al. 2025 (arXiv 2510.01394) on p after failures alone, which knows no prior,
and at the cap that is best in hindsight; and of k samples for everybody, the best k in hindsight. Values are
exact means over the orders of the samples drawn; what was not drawn cannot be replayed, so caps end at n.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl
from scipy.optimize import minimize
from scipy.stats import betabinom
from t2fast import pass_at_k, read_counts
from t2fast.choices.policies import PosteriorIndex
from t2fast.choices.replays import replay

PRICES = (0.003, 0.01, 0.03, 0.1)
CONFIDENCE = 0.95


def prior(n: np.ndarray, c: np.ndarray) -> tuple[float, float]:
    """a and b of the likeliest Beta-binomial."""

    def loss(x: np.ndarray) -> float:
        return -float(betabinom.logpmf(c, n, *np.exp(x)).sum())

    a, b = np.exp(minimize(loss, np.log([0.5, 2.0]), method="Nelder-Mead").x)
    return float(a), float(b)


def stopping(frame: pl.DataFrame, price: float, seed: int) -> np.ndarray:
    """Values a query of the four rules, on one half of the problems; the other is for the prior."""
    n, c = frame["n_samples"].to_numpy(), frame["n_correct"].to_numpy()
    order = np.random.default_rng(seed).permutation(len(n))
    mine, other = order[: len(n) // 2], order[len(n) // 2 :]
    most = int(n[mine].min())
    curve = np.asarray(pass_at_k(n[mine], c[mine], np.arange(1, most + 1)[:, None])).mean(axis=1)
    curve = np.concatenate([[0.0], curve])
    drawn = np.concatenate([[0.0], np.cumsum(1 - curve[:-1])])  # a sample is drawn while nothing succeeded
    stopped = curve - price * drawn
    a, b = prior(n[other], c[other])
    index = float(PosteriorIndex(a, b, worth=price).most)
    # p may still be worth a sample while all f failures have a chance of 5% at least: (1 - price)^f >= 0.05.
    bound = np.ceil(np.log(1 - CONFIDENCE) / np.log1p(-price))
    for_all = curve - price * np.arange(most + 1)
    caps = (int(min(cap, most)) for cap in (index, bound))
    return np.array([*(stopped[cap] for cap in caps), stopped.max(), for_all.max()])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benches.adaptive",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("counts")
    parser.add_argument("-k", default="4,16")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument(
        "--min-solved", type=int, default=1, help="leave out models that solve fewer problems"
    )
    parser.add_argument("--summary", action="store_true", help="the medians alone")
    arguments = parser.parse_args()
    ks = [int(k) for k in arguments.k.split(",")]
    frame = read_counts(arguments.counts).frame
    print("| model | k | uniform | until solved | best fixed, p known | uniform needs, times k |")
    print("| --- | --- | --- | --- | --- | --- |")
    ratios: dict[int, list[float]] = {k: [] for k in ks}
    gains: dict[int, list[float]] = {k: [] for k in ks}
    models = 0
    for group in frame.partition_by("model", maintain_order=True):
        n, c = group["n_samples"].to_numpy(), group["n_correct"].to_numpy()
        if (c > 0).sum() < arguments.min_solved:
            continue
        models += 1
        for k in ks:
            if k > n.min():
                continue
            found = replay(n, c, k, runs=arguments.runs)
            gains[k].append(found.until_solved / found.uniform if found.uniform else np.nan)
            # Where no measured number of samples solves as much the ratio is at least that of the most
            # measured.
            ratios[k].append(n.min() / k if found.samples_ratio is None else found.samples_ratio)
            if not arguments.summary:
                more = f"> {n.min() / k:.3g}" if found.samples_ratio is None else f"{found.samples_ratio:.3g}"
                print(
                    f"| {group['model'][0]} | {k} | {found.uniform:.4f} | {found.until_solved:.4f} | "
                    f"{found.known:.4f} | {more} |"
                )
    for k in ks:
        low, middle, high = np.nanquantile(ratios[k], [0.1, 0.5, 0.9])
        gain = np.nanquantile(gains[k], [0.1, 0.5, 0.9])
        print(
            f"k = {k}, {models} models: uniform needs {middle:.3g} times the samples "
            f"({low:.3g} to {high:.3g}, the middle 80%); solved {gain[1]:.3g} times as much "
            f"({gain[0]:.3g} to {gain[2]:.3g})"
        )
    print("\n| price of a sample | posterior index | confidence bound | best cap | best k for everybody |")
    print("| --- | --- | --- | --- | --- |")
    groups = [
        group
        for group in frame.partition_by("model", maintain_order=True)
        if group["n_correct"].sum() > 0 and (group["n_correct"] > 0).sum() >= arguments.min_solved
    ]
    for price in PRICES:
        values = np.mean([[stopping(g, price, seed) for seed in range(5)] for g in groups], axis=(0, 1))
        print(f"| {price:g} | " + " | ".join(f"{value:.4f}" for value in values) + " |")


if __name__ == "__main__":
    main()
