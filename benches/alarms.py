"""How often a fit to clean tables is warned about, law by law, and how often sampling is wrongly suspected.

Run as `python -m benches alarms` (about a minute on two cores), with `--quick`, or with `--first SEED` for
other tables. Every table is drawn from the law that is fitted, on a grid of 25 checkpoints, so that each note
about its residuals is a false alarm: losses with errors of 0.2%, counts of 100 problems and 64 samples.
Columns: share of tables with the note, for

- far: checkpoints far off the law; trend: a trend in k; backwards: worse than with fewer tokens; alone: a
parameter that rests on one checkpoint; lack: residuals of more than twice their sampling error;
- mean lack of fit: mean over tables of its square, which is 1 where residuals are noise.

Below it, the share of tables whose number of samples is said to go with the outcome (standard score above 3),
first where n was chosen at random, then where sampling ended at a success."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import _bench  # noqa: F401  (one thread of BLAS; read before NumPy is)
import numpy as np
import polars as pl
from numpy.typing import NDArray
from t2fast import Law, fit_accuracy, fit_chinchilla, fit_counts, fit_forecast, fit_loss, read_losses
from t2fast.estimators.extrapolation import SUSPICIOUS, samples_follow_outcome
from t2fast.laws import FitReport
from t2fast.laws.simulate import simulate_counts

Integers = NDArray[np.int64]

SIZES, TOKENS = np.geomspace(1e8, 1e10, 5).tolist(), np.geomspace(2e9, 2e11, 5).tolist()
LATENT = {"A": 1500.0, "B": 10000.0, "alpha": 0.35, "beta": 0.37}
LINK = {"E": 0.0, **LATENT, "theta0": 0.0, "theta1": 1.0, "theta2": 0.8, "theta3": 2.0, "theta4": 0.1}
LOSSES = Law("chinchilla", {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28})
LAWS = {
    "accuracy": (Law("accuracy", LINK), fit_accuracy),
    "counts": (Law("counts", {**LINK, "sigma": 0.0}), fit_counts),
    "loss": (
        Law(
            "loss",
            {"E": 0.2, "A": 60.0, "B": 90.0, "alpha": 0.3, "beta": 0.26, "G": 1.5, "gamma": 0.5},
        ),
        fit_loss,
    ),
    # Its members are fitted to what they can follow closely, though not drawn from.
    "forecast": (Law("accuracy", LINK), fit_forecast),
}
NOTES = {
    "far": " far ",
    "trend": "a trend in k",
    "backwards": "worse than with fewer tokens",
    "alone": "rests on one checkpoint",
    "lack": "times their sampling error",
}


def of_losses(seed: int, **options: str) -> FitReport | None:
    """Of Chinchilla's law to losses drawn from it."""
    n, d = (axis.ravel() for axis in np.meshgrid(SIZES, TOKENS))
    error = np.exp(0.002 * np.random.default_rng(seed).standard_normal(n.size))
    frame = pl.DataFrame({"n_params": n, "n_tokens": d, "loss": np.asarray(LOSSES.predict(n, d)) * error})
    return fit_chinchilla(read_losses(frame), draws=0, **options).fit


def of_counts(name: str, seed: int) -> FitReport | None:
    """Of a law of pass@k to counts drawn from it."""
    law, fit = LAWS[name]
    counts = simulate_counts(law, SIZES, TOKENS, problems=100, samples=64, seed=seed)
    return fit(counts, draws=0, progress=False).fit


FITS: dict[str, Callable[[int], FitReport | None]] = {
    "chinchilla, Huber": of_losses,
    "chinchilla, least squares": lambda seed: of_losses(seed, method="least_squares"),
    **{name: lambda seed, name=name: of_counts(name, seed) for name in LAWS},
}


def chosen(rng: np.random.Generator, p: NDArray[np.float64]) -> tuple[Integers, Integers]:
    """n at random, whatever the outcome."""
    n = rng.choice([16, 64, 1000], p.size)
    return n, rng.binomial(n, p)


def until_solved(rng: np.random.Generator, p: NDArray[np.float64]) -> tuple[Integers, Integers]:
    """n up to the first success, or 256."""
    first = rng.geometric(np.maximum(p, 1e-12))
    return np.minimum(first, 256), (first <= 256).astype(np.int64)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=200, help="a law (default: 200)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first table (default: 0)")
    parser.add_argument("--quick", action="store_true", help="20 tables a law")
    arguments = parser.parse_args()
    tables = 20 if arguments.quick else arguments.tables
    seeds = range(arguments.first, arguments.first + tables)
    warnings.simplefilter("ignore")
    print(f"| fit | tables | {' | '.join(NOTES)} | mean lack of fit |\n|{' --- |' * (3 + len(NOTES))}")
    for name, fit in FITS.items():
        reports = [report for seed in seeds if (report := fit(seed)) is not None]
        shares = [
            np.mean([any(words in note for note in report.notes) for report in reports])
            for words in NOTES.values()
        ]
        squares = [report.lack_of_fit**2 for report in reports if report.lack_of_fit is not None]
        error = np.std(squares) / np.sqrt(len(squares)) if squares else 0.0
        lack = f"{np.mean(squares):.2f} ± {error:.2f}" if squares else "-"
        print(f"| {name} | {len(reports)} | {' | '.join(f'{s:.1%}' for s in shares)} | {lack} |", flush=True)
    print("\n| problems | success probabilities | n at random | until solved |\n| --- | --- | --- | --- |")
    draws: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
        "Beta(0.2, 10)": lambda rng, size: rng.beta(0.2, 10, size),
        "Beta(0.5, 0.5)": lambda rng, size: rng.beta(0.5, 0.5, size),
        "logit-normal(-4, 2)": lambda rng, size: 1 / (1 + np.exp(-rng.normal(-4, 2, size))),
    }
    for problems in (30, 100, 500):
        for law, draw in draws.items():
            cells = []
            for sample in (chosen, until_solved):
                scores = []
                for seed in range(5 * arguments.first, 5 * arguments.first + 5 * tables):
                    rng = np.random.default_rng(seed)
                    scores.append(samples_follow_outcome(*sample(rng, draw(rng, problems))))
                cells.append(f"{np.mean(np.array(scores) >= SUSPICIOUS):.1%}")
            print(f"| {problems} | {law} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
