"""How often the model that is called best is, where problems are few or many.

Run as `python -m benches best` (ten minutes of a core). Problems of a difficulty of some spread, 16 samples
each, k of 1, 4 and 16; models whose logits of solving a problem differ by a normal deviation of their own
(0.3, as of neighbouring releases; 1, as of sizes) and by one of each problem (0.5). Of all models, tables and
k: Brier's score of the probability to be best, and of those called best with 90% or more, how many are;
`draws` by the share of draws alone, `compare` as t2fast prints it.
"""

from __future__ import annotations

import argparse

import _bench
import numpy as np
from t2fast import _core, compare, pass_at_k, read_counts

SAMPLES, DRAWS, SURE = 16, 400, 0.9
KS = np.array([1, 4, 16])
DIFFICULTY = {"hard": (-2.5, 2.0), "mixed": (0.0, 1.5), "easy": (3.0, 1.5)}
OWN = 0.5
LARGE = 20_000


def chances(rng, size, shift, mean, spread):
    """Of each model to solve each of some problems."""
    difficulty = rng.normal(mean, spread, size)[:, None]
    own = rng.normal(0, OWN, (size, shift.size))
    return 1 / (1 + np.exp(-(difficulty + shift + own)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=300, help="tables a row (default: 300)")
    parser.add_argument("--quick", action="store_true", help="50 tables a row")
    parser.add_argument("--problems", type=int, nargs="+", default=[5, 10, 20, 50, 164], help="of a table")
    arguments = parser.parse_args()
    repeats = 50 if arguments.quick else arguments.repeats
    print("| problems | models | apart | Brier, draws | Brier, compare | 90%, draws | 90%, compare |")
    print(f"{'| --- ' * 7}|")
    for problems in arguments.problems:
        for models, apart in ((2, 0.3), (5, 0.3), (2, 1.0)):
            rng = np.random.default_rng(1)
            said: dict[str, list[np.ndarray]] = {"draws": [], "compare": []}
            true: list[np.ndarray] = []
            for mean, spread in DIFFICULTY.values():
                for seed in range(repeats):
                    shift = rng.normal(0, apart, models)
                    missed = 1 - chances(rng, LARGE, shift, mean, spread)
                    truth = np.stack([1 - (missed**k).mean(axis=0) for k in KS])
                    true.append(truth == truth.max(axis=1, keepdims=True))
                    right = rng.binomial(SAMPLES, chances(rng, problems, shift, mean, spread))
                    values = np.stack([pass_at_k(SAMPLES, c[:, None], KS) for c in right.T], axis=2)
                    said["draws"].append(_core.probability_best(np.ascontiguousarray(values), DRAWS, seed))
                    sides = {
                        str(i): read_counts(
                            {
                                "problem": np.arange(problems),
                                "n_samples": [SAMPLES] * problems,
                                "n_correct": c,
                            }
                        )
                        for i, c in enumerate(right.T)
                    }
                    said["compare"].append(compare(sides, KS.tolist(), draws=DRAWS, seed=seed).best)
            is_best = np.array(true)
            scores, shares = [], []
            for probability in map(np.array, said.values()):
                scores.append(f"{np.mean((probability - is_best) ** 2):.3f}")
                sure = is_best[probability >= SURE]
                share = float(sure.mean()) if sure.size else float("nan")
                error = _bench.share_error(share, sure.size) if sure.size else float("nan")
                shares.append(f"{share:.0%} ± {error:.0%} of {sure.size}" if sure.size else "none")
            print(f"| {problems} | {models} | {apart} | {' | '.join((*scores, *shares))} |", flush=True)


if __name__ == "__main__":
    main()
