"""Laws to start from, and what they say over a grid of sizes and tokens."""

import numpy as np
import polars as pl
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.tables import Losses, read_losses

GRID = (1e7 * 4.0 ** np.arange(6), 1e9 * 4.0 ** np.arange(6))
LATENT = {"E": 0.0, "A": 120.0, "B": 300.0, "alpha": 0.27, "beta": 0.24}
THETA = {"theta0": 2.1, "theta1": 1.0, "theta2": 0.8, "theta3": 1.0, "theta4": -0.2}
ACCURACY = Law("accuracy", LATENT | THETA)
COUNTS = Law("counts", LATENT | THETA | {"sigma": 0.0})
LOSS = Law("loss", {"E": 0.2, "A": 60.0, "B": 90.0, "G": 1.5, "alpha": 0.3, "beta": 0.26, "gamma": 0.5})


def grid_of(law: Law, n, d, ks) -> PassTable:
    """What the law says over a grid, one problem a checkpoint."""
    n, d = (axis.ravel() for axis in np.meshgrid(n, d, indexing="ij"))
    value = np.asarray(law.predict(n[:, None], d[:, None], np.asarray(ks)))
    value = np.exp(-value) if law.metric != "pass@k" else value
    rows = np.arange(len(n))
    return PassTable(n, d, np.asarray(ks, float), value, rows, np.zeros_like(rows))


def losses_of(law: Law, n, d) -> Losses:
    n, d = (axis.ravel() for axis in np.meshgrid(n, d, indexing="ij"))
    return read_losses(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": law.predict(n, d)}))
