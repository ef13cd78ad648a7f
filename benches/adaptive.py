"""What sampling until solved is worth against k samples for everybody, at equal samples, on real counts.

Run as `python -m benches.adaptive COUNTS.csv [-k 1,4,16] [--by model]`. For every model (or checkpoint) the
samples that were drawn are replayed in random order, without replacement: `t2fast.choices.replay`. The
last columns ask how many samples for everybody would solve as much.
"""

from __future__ import annotations

import argparse

import numpy as np
from t2fast import read_counts
from t2fast.choices.replays import replay


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
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


if __name__ == "__main__":
    main()
