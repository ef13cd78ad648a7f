"""The comparison of two models on the same problems, beside passk-inference: `python benches/compare.py`.

Both take 1,060 problems, every k up to 128 and 4,000 draws. Refuses to time anything unless the differences
agree, and the critical values of five times the draws within what those leave open.
"""

from __future__ import annotations

import _bench
import numpy as np
from passk_inference import compare as peer
from t2fast import compare, read_counts

PROBLEMS, SAMPLES, DRAWS = 1060, 128, 4000


def main() -> None:
    """Print one row."""
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 1.0, PROBLEMS)
    first, second = rng.binomial(SAMPLES, p), rng.binomial(SAMPLES, np.minimum(1.1 * p**1.3, 1.0))
    n = np.full(PROBLEMS, SAMPLES)
    sides = {
        name: read_counts({"problem": np.arange(PROBLEMS), "n_samples": n, "n_correct": c})
        for name, c in (("first", first), ("second", second))
    }
    many = 5 * DRAWS
    found, theirs = compare(sides, draws=many), peer(first, n, second, n, bootstrap=many)
    apart = float(np.max(np.abs(found.difference[:, 1] - theirs["mean"])))
    critical = float((found.high - found.difference)[-1, 1] / theirs["se"][-1])
    # Over six seeds a quantile of 20,000 draws had a standard deviation of 0.01: five of their difference.
    if apart > 1e-12 or abs(critical - theirs["critical_value"]) > 0.07:
        raise SystemExit(
            f"means differ by {apart:.1e}, critical {critical:.3f} and {theirs['critical_value']:.3f}"
        )
    print(f"pass@k compared at every k; {_bench.machine()}\n\n{_bench.HEADER}")
    pair = _bench.alternate(
        lambda: compare(sides, draws=DRAWS),
        lambda: peer(first, n, second, n, bootstrap=DRAWS),
        repeats=5,
        inner=3,
    )
    agreement = f"means {apart:.0e}, critical {critical:.3f}, peer's {theirs['critical_value']:.3f}"
    case = f"{PROBLEMS:,} problems x {SAMPLES} k x {DRAWS:,} draws"
    print(_bench.row(case, "passk-inference", pair, goal="", agreement=agreement, limit=""), flush=True)


if __name__ == "__main__":
    main()
