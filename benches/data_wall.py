"""Held-out error of the data wall refitted, beside that of the published constants.

Run as `python benches/data_wall.py RUNS.csv` on runs that repeat their text (columns n_params, n_tokens,
unique_tokens, loss): five random folds, each forecast from the other four, and runs of more than four epochs
forecast from those of at most four.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl
from numpy.typing import NDArray
from t2fast.fits.data_wall import fit_data_wall
from t2fast.laws.data_wall import DataWall

FOLDS = 5


def main(path: str) -> None:
    """Print one row for every way of holding out."""
    table = pl.read_csv(path)
    n, d, u, loss = (table[c].to_numpy() for c in ("n_params", "n_tokens", "unique_tokens", "loss"))
    order = np.random.default_rng(0).permutation(len(n))
    folds = [np.isin(np.arange(len(n)), order[fold::FOLDS]) for fold in range(FOLDS)]

    def errors(law: DataWall, out: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.abs(law.loss(n[out], d[out], u[out]) / loss[out] - 1)

    print("| held out | runs | refitted, median error | published constants |\n| --- | --- | --- | --- |")
    for name, parts in ((f"{FOLDS} folds", folds), ("more than 4 epochs", [d > 4 * u])):
        laws = [fit_data_wall(n[~out], d[~out], u[~out], loss[~out]).law for out in parts]
        refitted = np.concatenate([errors(law, out) for law, out in zip(laws, parts, strict=True)])
        published = np.concatenate([errors(DataWall(), out) for out in parts])
        print(f"| {name} | {len(refitted)} | {np.median(refitted):.1%} | {np.median(published):.1%} |")
    print(fit_data_wall(n, d, u, loss).law)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python benches/data_wall.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUNS.csv")
    main(parser.parse_args().runs)
