"""How often bands of differences of pass@k hold the truth at every k at once, where problems are few or many.

Run as `python -m benches bands` (a minute of a core). Two models with known chances on the same problems, 16
samples each, every k up to 16, a nominal 95%. `bootstrap` is the multiplier bootstrap's band alone, which
passk-inference has, too; `compare` is what t2fast prints, widened where few problems carry the difference.
"""

from __future__ import annotations

import argparse

import _bench
import numpy as np
from t2fast import _core, compare, pass_at_k, read_counts

SAMPLES, DRAWS, LEVEL = 16, 300, 0.95
KS = np.arange(1, SAMPLES + 1)


def alike(rng, size):
    """A tenth more of all samples is right."""
    p = rng.random(size)
    return p, np.minimum(p + 0.1, 1)


def crossing(rng, size):
    """More on easy problems, less on hard ones."""
    p = rng.beta(0.3, 1, size)
    return p, np.minimum(1.1 * p**1.3, 1)


def easy(rng, size):
    """Nearly all is solved, by both."""
    return rng.beta(8, 0.5, size), rng.beta(8, 0.6, size)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=300, help="tables a row (default: 300)")
    parser.add_argument("--quick", action="store_true", help="50 tables a row")
    arguments = parser.parse_args()
    repeats = 50 if arguments.quick else arguments.repeats
    print(
        f"| models | problems | bootstrap holds it | compare holds it | width | compare's |\n{'| --- ' * 6}|"
    )
    for draw in (alike, crossing, easy):
        for problems in (5, 20, 50, 164):
            rng = np.random.default_rng(1)
            p, q = draw(rng, 400_000)
            truth = np.array([np.mean((1 - p) ** k - (1 - q) ** k) for k in KS])
            held: dict[str, list[bool]] = {"bootstrap": [], "compare": []}
            widths: dict[str, list[float]] = {"bootstrap": [], "compare": []}
            for seed in range(repeats):
                first, second = (rng.binomial(SAMPLES, chance) for chance in draw(rng, problems))
                rows = pass_at_k(SAMPLES, second[:, None], KS) - pass_at_k(SAMPLES, first[:, None], KS)
                mean, stderr, critical = _core.simultaneous_band(
                    np.ascontiguousarray(rows), DRAWS, LEVEL, seed
                )
                sides = {
                    name: read_counts(
                        {"problem": np.arange(problems), "n_samples": [SAMPLES] * problems, "n_correct": c}
                    )
                    for name, c in (("first", first), ("second", second))
                }
                ours = compare(sides, draws=DRAWS, level=LEVEL, seed=seed)
                for name, low, high in (
                    ("bootstrap", mean - critical * stderr, mean + critical * stderr),
                    ("compare", ours.low[:, 1], ours.high[:, 1]),
                ):
                    held[name].append(bool(np.all((low <= truth) & (truth <= high))))
                    widths[name].append(float(np.mean(high - low)))
            shares = " | ".join(
                f"{np.mean(found):.0%} ± {_bench.share_error(float(np.mean(found)), repeats):.0%}"
                for found in held.values()
            )
            means = " | ".join(f"{np.mean(found):.2f}" for found in widths.values())
            print(f"| {draw.__name__} | {problems} | {shares} | {means} |", flush=True)


if __name__ == "__main__":
    main()
