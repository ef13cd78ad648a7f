"""pass@k where some problems have fewer than k samples: how often each way to treat them holds the truth.

Run as `python -m benches missing` (16 s of a core). 60 problems with probabilities of a known distribution;
half of them have 128 samples, the others 16: any half, the harder or the easier one. The truth is the pass@k
of the distribution, and intervals are meant to cover 95%. `bounds` is what t2fast does by default, `drop` the
mean over the problems that have k samples, which is what is usually printed.
"""

from __future__ import annotations

import argparse
import warnings

import _bench
import numpy as np
from scipy.special import expit
from t2fast import estimate

PROBLEMS, MANY, FEW, LEVEL = 60, 128, 16, 0.95
LAWS = {
    "logit-normal(-3, 2)": lambda rng, size: expit(rng.normal(-3, 2, size)),
    "Beta(0.3, 3)": lambda rng, size: rng.beta(0.3, 3, size),
}
FEWER = {
    "any": lambda rng, p: rng.permutation(len(p)),
    "the harder": lambda rng, p: np.argsort(p),
    "the easier": lambda rng, p: np.argsort(-p),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=100, help="tables a row (default: 100)")
    parser.add_argument("--quick", action="store_true", help="20 tables a row")
    arguments = parser.parse_args()
    repeats = 20 if arguments.quick else arguments.repeats
    print(
        "| difficulty | with 16 of 128 | k | truth | mean of drop | drop holds it | bounds hold it | apart |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for law, draw in LAWS.items():
        for few, order in FEWER.items():
            for k in (FEW, 64, MANY):
                rng = np.random.default_rng(1)
                truth = float(np.mean(-np.expm1(k * np.log1p(-draw(rng, 2_000_000)))))
                held: dict[str, list[bool]] = {"drop": [], "bounds": []}
                dropped, apart = [], []
                for _ in range(repeats):
                    p = draw(rng, PROBLEMS)
                    n = np.full(PROBLEMS, MANY)
                    n[order(rng, p)[: PROBLEMS // 2]] = FEW
                    c = rng.binomial(n, p)
                    for missing, found in held.items():
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore", RuntimeWarning)
                            curve = estimate(n, c, k, missing=missing, level=LEVEL)
                        found.append(bool(curve.low[0] <= truth <= curve.high[0]))
                        if missing == "drop":
                            dropped.append(float(curve.mean[0]))
                        else:
                            apart.append(float(curve.high[0] - curve.low[0]))
                shown = (
                    f"{np.mean(one):.0%} ± {_bench.share_error(float(np.mean(one)), repeats):.0%}"
                    for one in held.values()
                )
                print(
                    f"| {law} | {few} | {k} | {truth:.3f} | {np.mean(dropped):.3f} | "
                    f"{' | '.join(shown)} | {np.mean(apart):.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
