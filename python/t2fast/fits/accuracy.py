"""The accuracy law (T², approach 2): pass@k through a Beta link at a loss, in one stage or in two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast.fits.bootstrap import Target, draw_both
from t2fast.fits.conclusion import conclude, enough
from t2fast.fits.isoflop import isoflop_weights
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.tables import Counts, Likelihoods, Losses

Floats = NDArray[np.float64]


def fit_accuracy(
    table: Counts | Likelihoods | PassTable,
    losses: Losses | None = None,
    *,
    ks: Sequence[float] | None = None,
    weights: str | None = None,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """pass@k of p ~ Beta(μν, (1-μ)ν) with μ, ν functions of L̂(N, D) (Roberts et al. 2026, approach 2).

    In two stages where losses are known (``losses``, joined on N and D, or the mean negative log-likelihood
    when ``table`` holds likelihoods): Chinchilla on the losses, with E at most 0.95 of the least loss as in
    the paper, then θ0 … θ4 by least squares on pass@k. In one stage for counts without losses: L̂ = A/N^α +
    B/D^β is a latent, fitted together with the link by least squares on pass@k (E = 0 and θ1 = 1 fix what
    the data cannot).
    """
    observed = PassTable.of(table, ks)
    loss = None
    if losses is not None:
        loss = _losses_of(observed, losses)
    elif isinstance(table, Likelihoods):
        loss = -table.checkpoints["log_likelihood"].to_numpy()
    target = Target.measured(observed, observed.mean)
    _, _, k, checkpoint, keep = target.rows()
    y = target.y.ravel()[keep]
    ones = np.ones((1, len(y)))
    if loss is None:
        if weights is not None:
            raise ValueError(
                "weights apply to the losses of stage 1, and there are none: give losses or drop weights"
            )
        enough(observed.checkpoints, 5, "checkpoints", "accuracy")
        arrays = (observed.n_params, observed.n_tokens, checkpoint, k)
        found = _core.fit_joint(*arrays, y[None], ones)
        start = list(found["params"][0])

        def one_stage(ys: Floats, ws: Floats) -> dict[str, Any]:
            usable = np.isfinite(ys)
            return _core.fit_joint(*arrays, np.where(usable, ys, 0.0), ws * usable, start)

        drawn = draw_both(
            observed,
            observed.mean,
            target,
            lambda ys, ws: one_stage(ys[:, keep], ws[:, keep]),
            draws,
            seed,
            progress,
        )
        return conclude("accuracy", found, drawn, target, "one stage, latent loss", "sum of squared errors")
    if weights not in (None, "isoflop"):
        raise ValueError(f"weights = {weights!r} must be None or 'isoflop'")
    base = np.ones(len(loss))
    if weights == "isoflop":
        base = isoflop_weights(observed.n_params, observed.n_tokens, loss)
    ceiling = 0.95 * float(loss.min())

    def stages(ys: Floats, checkpoint_w: Floats, ws: Floats, start: list[float] | None) -> dict[str, Any]:
        several = np.broadcast_to(loss, checkpoint_w.shape).copy()
        first = _core.fit_power_sum(
            [observed.n_params, observed.n_tokens], several, checkpoint_w * base, ceiling
        )
        each = [
            _core.law_values("chinchilla", p[None], observed.n_params, observed.n_tokens, np.ones(len(loss)))[
                0
            ]
            for p in first["params"]
        ]
        usable = np.isfinite(ys)
        second = _core.fit_link(np.array(each), checkpoint, k, np.where(usable, ys, 0.0), ws * usable, start)
        joined: dict[str, Any] = dict(second)
        joined["params"] = np.hstack([first["params"], second["params"]])
        for key in ("identified", "on_bound"):
            joined[key] = [a + b for a, b in zip(first[key], second[key], strict=True)]
        joined["converged"] = [a and b for a, b in zip(first["converged"], second["converged"], strict=True)]
        return joined

    found = stages(y[None], np.ones((1, len(loss))), ones, None)
    start = list(found["params"][0][5:])
    drawn = draw_both(
        observed,
        observed.mean,
        target,
        lambda ys, ws: stages(ys[:, keep], ws[:, :: len(observed.ks)], ws[:, keep], start),
        draws,
        seed,
        progress,
    )
    return conclude("accuracy", found, drawn, target, "two stages", "sum of squared errors")


def _losses_of(observed: PassTable, losses: Losses) -> Floats:
    """The loss of every checkpoint, by (N, D)."""
    known: dict[tuple[float, float], float] = {}
    for key, loss in zip(zip(losses.n_params, losses.n_tokens, strict=True), losses.loss, strict=True):
        if key in known:
            raise ValueError(f"losses hold n_params = {key[0]:g}, n_tokens = {key[1]:g} twice")
        known[key] = loss
    missing = [key for key in zip(observed.n_params, observed.n_tokens, strict=True) if key not in known]
    if missing:
        listed = "; ".join(f"n_params = {n:g}, n_tokens = {d:g}" for n, d in missing[:10])
        raise ValueError(f"losses lack {len(missing)} checkpoints of the table: {listed}")
    return np.array([known[key] for key in zip(observed.n_params, observed.n_tokens, strict=True)])
