"""How often a choice misses its target on tables whose truth is known: what `--confidence` promises.

Run as `python -m benches.confidence`. Models and problems are drawn from a known population; a model and k
are chosen by 60 problems and judged by the true chances of 60 others. A confidence promises that at most the
rest of all tables ends in a choice that misses, refusals among them; of the choices made more may miss, and
all where no model is good enough.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import beta
from t2fast import choose, read_counts, read_prices

PROBLEMS, SAMPLES, MOST = 60, 40, 20
BELOW = (0.002, 0.03, 0.08)
CONFIDENCES = (0.8, 0.95)
Floats = NDArray[np.float64]


def chances(kind: str, models: int, problems: int, rng: np.random.Generator) -> Floats:
    """Success probabilities, (problems, models): logit-normal, problems as hard for one model as for the next
    but for half of the variance."""
    level = {
        "equal": np.full(models, 1.3),
        "spread": np.linspace(0.3, 2.2, models),
        "hard": np.full(models, 0.4),
    }
    shared, own = rng.normal(size=(problems, 1)), rng.normal(size=(problems, models))
    p = 1 / (1 + np.exp(-level[kind] - 2.2 * (np.sqrt(0.6) * shared + np.sqrt(0.4) * own)))
    return np.where(rng.random((problems, 1)) < 0.12, 0.0, p) if kind == "hard" else p


def judged(
    kind: str, models: int, target: float, confidence: float, seed: int, rng: np.random.Generator
) -> bool | None:
    """Whether what one table chooses misses the target on new problems; None for a refusal."""
    p = chances(kind, models, PROBLEMS, rng)
    names = [f"m{i}" for i in range(models)]
    counts = pl.DataFrame(
        {
            "model": np.repeat(names, PROBLEMS),
            "problem": np.tile([f"q{i}" for i in range(PROBLEMS)], models),
            "n_samples": SAMPLES,
            "n_correct": rng.binomial(SAMPLES, p).T.ravel(),
        }
    )
    price = 1 + 0.1 * np.arange(models)
    usd = {f"usd_per_million_{side}_tokens": price for side in ("prompt", "output")}
    try:
        chosen = choose(
            read_counts(counts),
            read_prices(pl.DataFrame({"model": names, **usd})),
            prompt_tokens=100,
            output_tokens=100,
            target=target,
            confidence=confidence,
            draws=400,
            seed=seed,
        ).together.option
    except ValueError:
        return None
    new = chances(kind, models, PROBLEMS, rng)[:, names.index(chosen.model)]
    return float(np.mean(1 - (1 - new) ** chosen.k)) < target


def main() -> None:
    """Print a row a setting."""
    parser = argparse.ArgumentParser(
        prog="python -m benches.confidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=int, default=120)
    parser.add_argument("--kinds", nargs="+", default=["equal", "spread", "hard"])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 4, 10])
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    print("| kind | models | target | confidence | chosen | missed | of all tables (95% interval) |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind in arguments.kinds:
        for models in arguments.models:
            truth = 1 - (1 - chances(kind, models, 200_000, rng)) ** MOST
            for below in BELOW:
                target = float(truth.mean(axis=0).max()) - below
                for confidence in CONFIDENCES:
                    found = [
                        judged(kind, models, target, confidence, i, rng) for i in range(arguments.tables)
                    ]
                    missed, n = sum(one is True for one in found), len(found)
                    low = 0.0 if missed == 0 else float(beta.ppf(0.025, missed, n - missed + 1))
                    high = 1.0 if missed == n else float(beta.ppf(0.975, missed + 1, n - missed))
                    made = sum(one is not None for one in found)
                    print(
                        f"| {kind} | {models} | {target:.3f} | {confidence:.0%} | {made} | {missed} | "
                        f"{missed / n:.1%} ({low:.1%} to {high:.1%}) |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
