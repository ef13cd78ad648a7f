"""Chinchilla: L = E + A/N^α + B/D^β, fitted to losses."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast._core import FitOutcome
from t2fast.arguments import require_kind
from t2fast.fits.bootstrap import Target, draw
from t2fast.fits.conclusion import conclude, enough
from t2fast.fits.isoflop import isoflop_weights
from t2fast.fits.passtable import resampled_checkpoints
from t2fast.laws.law import Law
from t2fast.tables import Losses

Floats = NDArray[np.float64]


def fit_chinchilla(
    losses: Losses,
    *,
    method: str = "huber",
    delta: float = 1e-3,
    weights: str | None = None,
    regularise: bool = False,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """L = E + A/N^α + B/D^β (Hoffmann et al. 2022, arXiv 2203.15556, equation 2).

    ``method="huber"`` minimises Σ Huber_δ(log L̂ - log L) from Hoffmann's 4,500 starts (their approach 3), so
    that a few runs which went wrong do not decide the law; those far off are named in ``fit.notes``.
    ``"least_squares"`` minimises Σ (L̂ - L)² by variable projection. On Hoffmann's own 245 runs, read off
    their figure 4, five outliers make it 1.2 tokens a parameter at 5.76e23 FLOPs by least squares and 6.8 by
    Huber's loss; without those five it is 10 and 18.

    What the intervals mean: the draws are refits to checkpoints drawn with replacement, and
    :meth:`Law.interval` covers what these checkpoints leave open about the law's loss at N and D. It does not
    cover the scatter of a single new run about the law, nor the form itself being wrong, which matters most
    far from the data.

    Args:
        losses: nats, with N and D, (checkpoints,).
        method: ``"huber"`` or ``"least_squares"``.
        delta: δ of Huber's loss, in log L; 1e-3 is Hoffmann's.
        weights: ``"isoflop"`` weights each point by the inverse variance of the losses in its group of equal
            training FLOPs; None weights all alike.
        regularise: for least squares, whether to add a prior on ln α and ln β, ln 0.35 ± 0.3, beside an error
            scale of 3 times the residuals' own.
        draws: refits to resampled checkpoints; 0 for none.
        seed: of the draws. The same seed gives the same bits whatever the number of threads.
        progress: whether to show a bar; by default where stderr is a terminal.

    Returns:
        The law. What must not be overlooked is in ``law.fit`` and raised as :class:`FitWarning`.

    Raises:
        ValueError: for too few checkpoints, an unknown method or weights, and for ``regularise`` with Huber's
            loss.
        TypeError: for a table of another kind.
    """
    if method not in ("least_squares", "huber"):
        raise ValueError(f"method = {method!r} must be 'least_squares' or 'huber'")
    require_kind("fit_chinchilla", losses, (Losses,))
    losses.require_one_kind()
    if regularise and method != "least_squares":
        raise ValueError(
            "regularise adds priors to least squares, and Huber's loss has none: give "
            "method='least_squares', too, or leave it out"
        )
    n, d, y = losses.n_params, losses.n_tokens, losses.loss
    w = losses.weight.copy()
    if weights == "isoflop":
        w *= isoflop_weights(n, d, y)
    elif weights is not None:
        raise ValueError(f"weights = {weights!r} must be None or 'isoflop'")
    enough(len(y), 5, "points", "chinchilla")

    def solve(ys: Floats, ws: Floats, start: Floats | None) -> list[FitOutcome]:
        if method == "least_squares":
            begin = None if start is None else list(start[3:])
            return _core.fit_power_sum([n, d], ys, ws * w, np.inf, begin, regularise)
        starts = hoffmann_starts() if start is None else _huber_start(start)[None]
        return _core.fit_huber(n, d, ys, ws * w, delta, starts)[0]

    found = solve(y[None], np.ones((1, len(y))), None)[0]
    rng = np.random.default_rng(seed)
    drawn = draw(
        lambda ws: solve(np.broadcast_to(y, ws.shape).copy(), ws, found.params),
        resampled_checkpoints(rng, draws, len(y)),
        progress,
    )
    words = "variable projection" if method == "least_squares" else f"Huber, delta = {delta:g}, 4,500 starts"
    words += ", regularised" if regularise else ""
    unit = "sum of squared errors" if method == "least_squares" else "sum of Huber losses of log residuals"
    target = Target(n, d, np.ones(1), y[:, None], notes=losses.unexplained)
    return conclude("chinchilla", found, drawn, target, words, unit, seed)


def hoffmann_starts() -> Floats:
    """The 4,500 starts (log A, log B, log E, α, β) of Hoffmann et al. 2022, section D.2."""
    a = np.arange(0, 26, 5.0)
    e = np.arange(-1, 1.1, 0.5)
    exponent = np.arange(0, 2.1, 0.5)
    return np.array(list(itertools.product(a, a, e, exponent, exponent)))


def _huber_start(params: Floats) -> Floats:
    e, a, b, alpha, beta = params
    return np.array([np.log(a), np.log(b), np.log(e), alpha, beta])
