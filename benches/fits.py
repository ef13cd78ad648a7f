"""The two fits that the literature does by many starts, beside SciPy's quasi-Newton with analytic gradients.

Run as `python benches/fits.py` (some six minutes on two cores) or with `--quick` (under a minute: SciPy gets
one start in 25 and its time is multiplied). `--data DIR` names the folder with the published tables, by
default `../shared/data` beside the repository; without them the same fits run on tables simulated in their
likeness.

(a) The loss law on 432 points, sum of squares over (log E, log A, log B, log G, alpha, beta, gamma): 500
random starts, the same for both sides, SciPy's L-BFGS-B with the paper's 5,000 iterations and tolerance of
1e-15. The paper gives no ranges for its starts, so there are two: those of Chinchilla's grid (log A and log B
in 0 to 25, log E in -1 to 1, exponents in 0 to 2), from where a few of SciPy's searches run off to a plateau
and spend most of the time there, and our narrower ones, which spare it that. The sample of `--quick` may hold
none of those. Ours follows every start by damped Gauss-Newton steps. Variable projection answers the same
question without starts; its row stands against the first ranges.

(b) Chinchilla's Huber loss from Hoffmann's 4,500 starts. Ours replaces the coefficients of a start by the
best ones for its exponents. As the grid holds 25 pairs of exponents, 4,500 starts are 25 searches: most of
the ratio is that. SciPy follows all 4,500, by L-BFGS-B to 1e-15 and by BFGS to
its default tolerances.

Nothing is timed unless ours ends no higher than SciPy's best.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import _bench
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize
from t2fast import _core
from t2fast.fits.chinchilla import hoffmann_starts
from t2fast.fits.loss import loss_starts
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.laws.simulate import simulate_counts
from t2fast.tables import read_counts

Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
DELTA = 1e-3
TIGHT = {"maxiter": 5000, "maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-15}
# Floating-point operations, an exp or ln counted as 20: of one evaluation of the loss law's normal equations
# on this grid (26 exponentials, 10 a residual, 9 a pair of coordinates, 250 for the step), and of the Huber
# loss's value, gradient and Hessian at a point.
LOSS_FLOPS = 26 * 20 + 432 * 10 + 240 * 9 + 250
HUBER_FLOPS = 240 * (3 * 20 + 70)


def loss_points(data: Path) -> tuple[Floats, Floats, Floats, Floats]:
    """N, D, k and -log of mean pass@k, 54 checkpoints by 8 k."""
    if data.is_dir():
        counts = read_counts(data / "pythia_gsm8k_counts.csv").filter(min_tokens=2e9)
    else:
        law = Law("loss", {"E": 0.1, "A": 8e4, "B": 2e7, "G": 5, "alpha": 0.6, "beta": 0.75, "gamma": 0.35})
        grid = np.geomspace(1.4e8, 1.2e10, 9), np.geomspace(1e10, 3e11, 6)
        counts = simulate_counts(law, *grid, problems=130, samples=10_000)
    table = PassTable.of(counts)
    y = -np.log(table.mean())
    n, d = (np.repeat(v, len(table.ks)) for v in (table.n_params, table.n_tokens))
    return n, d, np.tile(table.ks, len(y)), y.ravel()


def chinchilla_points(data: Path) -> tuple[Floats, Floats, Floats]:
    """N, D and loss of 240 training runs."""
    if data.is_dir():
        runs = pl.read_csv(data / "chinchilla_figure4_losses.csv").sort("loss").head(240)
        return runs["n_params"].to_numpy(), runs["n_tokens"].to_numpy(), runs["loss"].to_numpy()
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(np.log(6e7), np.log(1.2e10), 240)), 10 ** rng.uniform(9, 11.5, 240)
    loss = 1.82 + 482 * n**-0.348 + 2085 * d**-0.366
    return n, d, loss * np.exp(0.005 * rng.standard_t(3, 240))


def sum_of_squares(n: Floats, d: Floats, k: Floats, y: Floats) -> Objective:
    logs = np.log([n, d, k])

    def objective(x: Floats) -> tuple[float, Floats]:
        parts = np.exp(x[1:4, None] - x[4:, None] * logs)
        floor = np.exp(x[0])
        r = floor + parts.sum(axis=0) - y
        return r @ r, 2 * np.concatenate([[floor * r.sum()], parts @ r, -(parts * logs) @ r])

    return objective


def huber(n: Floats, d: Floats, loss: Floats) -> Objective:
    log_n, log_d, log_loss = np.log(n), np.log(d), np.log(loss)

    def objective(x: Floats) -> tuple[float, Floats]:
        a, b, e, alpha, beta = x
        by_n, by_d, floor = np.exp(a - alpha * log_n), np.exp(b - beta * log_d), np.exp(e)
        total = by_n + by_d + floor
        r = np.log(total) - log_loss
        size = np.abs(r)
        value = np.where(size <= DELTA, r * r / 2, DELTA * (size - DELTA / 2)).sum()
        slope = np.clip(r, -DELTA, DELTA) / total
        sn, sd = slope * by_n, slope * by_d
        return value, np.array([sn.sum(), sd.sum(), floor * slope.sum(), -(sn @ log_n), -(sd @ log_d)])

    return objective


def follow(objective: Objective, starts: Floats, method: str, options: dict[str, float]) -> Floats:
    """Objective at the end of each of SciPy's searches."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        ends = [minimize(objective, s, jac=True, method=method, options=options).fun for s in starts]
    return np.nan_to_num(np.array(ends), nan=np.inf)


def at_best(objectives: Floats, best: float) -> str:
    return f"{np.mean(objectives <= best * (1 + 1e-6)):.0%}"


def peak() -> float:
    """Floating-point operations a second of one core at its best: a product of matrices."""
    a = np.ones((1000, 1000))
    return 2e9 / processor_time(lambda: a @ a)


def processor_time(run: Callable[[], object]) -> float:
    """Median seconds over all cores, which other work on the machine does not stretch."""
    spent = []
    for _ in range(7):
        start = time.process_time()
        run()
        spent.append(time.process_time() - start)
    return float(np.median(spent))


def arithmetic(evaluations: int, flops: int, run: Callable[[], object]) -> str:
    """The share of processor time that the arithmetic alone would take at a matrix product's speed."""
    least, cpu = evaluations * flops / peak(), processor_time(run)
    return (
        f"{evaluations:,} evaluations x {flops / 1e3:.2g} kflop at a matrix product's speed:"
        f" {_bench.duration(least)} of one core, {least / cpu:.1%} of the {_bench.duration(cpu)} it took"
    )


def compare(
    case: str,
    peer: str,
    ours: Callable[[], tuple[dict[str, list[float]], Floats]],
    theirs: Callable[[Floats], Floats],
    starts: Floats,
    *,
    share: int,
    goal: str,
    flops: int,
    repeats: int,
) -> _bench.Pair:
    """Print one row: `ours` from all starts beside `theirs` from one in `share`, its time multiplied."""
    some = starts[::share]
    peers, (best, objectives) = theirs(some), ours()
    least = best.objective
    if least > peers.min() * (1 + 1e-9):
        raise SystemExit(f"{case}: ours ends at {least:.12g}, {peer} at {peers.min():.12g}")
    measured = _bench.alternate(ours, lambda: theirs(some), repeats=repeats, inner=5)
    ratios = (len(starts) / len(some) * r for r in (measured.ratio, measured.low, measured.high))
    pair = _bench.Pair(measured.ours, measured.peer * len(starts) / len(some), *ratios)
    agreement = (
        f"best {least:.9g} and {peers.min():.9g}; there end {at_best(objectives, least)} of our starts,"
        f" {at_best(peers, least)} of the peer's"
    )
    limit = arithmetic(best.evaluations, flops, ours)
    label = peer if share == 1 else f"{peer} (1 start in {share}, scaled)"
    print(_bench.row(case, label, pair, goal=goal, agreement=agreement, limit=limit), flush=True)
    return pair


def main() -> None:
    """Both fits, a row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="SciPy from one start in 25")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the published tables")
    arguments = parser.parse_args()
    share, repeats = (25, 3) if arguments.quick else (1, 1)
    found = "published tables" if arguments.data.is_dir() else f"simulated tables, {arguments.data} is absent"
    print(f"fits, {found}; {_bench.machine()}\n\n{_bench.HEADER}")

    n, d, k, y = loss_points(arguments.data)
    ones, objective = np.ones_like(y), sum_of_squares(n, d, k, y)
    low, high = [-1, 0, 0, -1, 0, 0, 0], [1, 25, 25, 5, 2, 2, 2]
    boxes = {
        "loss law, 500 starts over Chinchilla's ranges": np.random.default_rng(0).uniform(
            low, high, (500, 7)
        ),
        "loss law, 500 starts over narrower ranges": loss_starts(500, 0),
    }
    pairs = [
        compare(
            case,
            "SciPy L-BFGS-B",
            lambda starts=starts: _core.fit_loss_restarts(n, d, k, y, ones, starts),
            lambda starts: follow(objective, starts, "L-BFGS-B", TIGHT),
            starts,
            share=share,
            goal=goal,
            flops=LOSS_FLOPS,
            repeats=repeats,
        )
        for (case, starts), goal in zip(boxes.items(), ("1000x", ""), strict=True)
    ]

    def projection() -> _core.FitOutcome:
        return _core.fit_power_sum([n, d, k], y[None], ones[None], np.inf)[0]

    found_best = projection().objective
    restarted = min(_core.fit_loss_restarts(n, d, k, y, ones, s)[1].min() for s in boxes.values())
    if found_best > restarted * (1 + 1e-9):
        raise SystemExit(f"variable projection ends at {found_best:.12g}, the restarts at {restarted:.12g}")
    seconds = _bench.alternate(projection, lambda: None, repeats=15, inner=3).ours
    slower = pairs[0].peer
    print(
        _bench.row(
            "loss law, variable projection",
            "SciPy L-BFGS-B, 500 starts as above",
            _bench.Pair(seconds, slower, *[slower / seconds] * 3),
            goal="under 20 ms",
            agreement=f"{found_best:.9g}, {found_best / restarted - 1:.0e} from the best of all restarts",
            limit="5,832 cells of the grid and "
            f"{projection().evaluations} evaluations, on one core: one fit is not split over cores",
        ),
        flush=True,
    )

    runs = chinchilla_points(arguments.data)
    ones = np.ones((1, 240))
    for method, options in (("L-BFGS-B", TIGHT), ("BFGS", {})):
        compare(
            "Chinchilla, Huber, 4,500 starts (25 distinct for ours)",
            f"SciPy {method}",
            lambda: _core.fit_huber(*runs[:2], runs[2][None], ones, DELTA, hoffmann_starts()),
            lambda starts, method=method, options=options: follow(huber(*runs), starts, method, options),
            hoffmann_starts(),
            share=share,
            goal="200x",
            flops=HUBER_FLOPS,
            repeats=repeats,
        )


if __name__ == "__main__":
    main()
