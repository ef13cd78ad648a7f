"""The loss law (T², approach 1): -log pass@k = E + A/N^α + B/D^β + G/k^γ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast._core import FitOutcome
from t2fast.fits.bootstrap import Target, draw_both
from t2fast.fits.conclusion import conclude, enough
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.tables import Counts, Likelihoods

Floats = NDArray[np.float64]


def fit_loss(
    table: Counts | Likelihoods | PassTable,
    *,
    ks: Sequence[float] | None = None,
    aggregate: str = "log_mean",
    method: str = "projection",
    restarts: int = 500,
    regularise: bool = False,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """-log pass@k = E + A/N^α + B/D^β + G/k^γ (Roberts et al. 2026, arXiv 2604.01411, approach 1).

    By least squares on the left-hand side, over checkpoints and k.

    What the intervals mean: the draws are refits to checkpoints and problems drawn with replacement, and
    :meth:`Law.interval` covers what these checkpoints and problems leave open about the law's value. Neither
    the scatter of a new checkpoint about the law nor the form being wrong is in them (some such laws no
    distribution of success probabilities makes true, see `simulate_counts`): see ``fit.lack_of_fit``.

    Args:
        table: counts, likelihoods, or pass@k by checkpoint and k, with N and D.
        ks: the k to fit; by default the powers of two up to 128 that all problems have samples for.
        aggregate: ``"log_mean"`` fits -log of the mean pass@k over problems; ``"mean_log"`` the mean of -log
            pass@k, the paper's choice for likelihoods, which is infinite and therefore an error where a
            problem was never solved.
        method: ``"projection"`` is variable projection, the same answer every time; ``"restarts"`` is the
            paper's recipe of many random starts, kept for comparison.
        restarts: how many of these, drawn by ``seed``.
        regularise: whether to add a prior on ln α and ln β, ln 0.35 ± 0.3, beside an error scale of 3 times
            the residuals' own.
        draws: refits, which start from the fit; 0 for none.
        seed: of the draws. The same seed gives the same bits whatever the number of threads.
        progress: whether to show a bar; by default where stderr is a terminal.

    Returns:
        The law. What must not be overlooked is in ``law.fit`` and raised as :class:`FitWarning`.

    Raises:
        ValueError: for too few points, an unknown aggregate or method, pass@k of 0, and for ``ks`` that the
            table cannot give.
        TypeError: for a table of another kind.
    """
    if method not in ("projection", "restarts"):
        raise ValueError(f"method = {method!r} must be 'projection' or 'restarts'")
    if regularise and method != "projection":
        raise ValueError(
            "regularise adds priors to variable projection, and restarts have none: give "
            "method='projection', too, or leave it out"
        )
    if aggregate not in ("log_mean", "mean_log"):
        raise ValueError(f"aggregate = {aggregate!r} must be 'log_mean' or 'mean_log'")
    observed = PassTable.of(table, ks)

    def measure(weights: Floats) -> Floats:
        if aggregate == "mean_log":
            return observed.mean_logs(weights)
        with np.errstate(divide="ignore"):
            return -np.log(observed.means(weights))

    target = Target.measured(observed, measure)
    _refuse_infinite(target, aggregate)
    n, d, k, _, keep = target.rows()
    enough(int(keep.sum()), 7, "points", "loss")

    y = target.y.ravel()[keep]
    if method == "projection":
        found = _core.fit_power_sum([n, d, k], y[None], np.ones((1, len(y))), np.inf, None, regularise)[0]
        words = "variable projection" + (", regularised" if regularise else "")
    else:
        found = _core.fit_loss_restarts(n, d, k, y, np.ones(len(y)), loss_starts(restarts, seed))[0]
        words = f"{restarts} random starts"
    start = list(found.params[4:])

    def again(ys: Floats, ws: Floats) -> list[FitOutcome]:
        return _core.fit_power_sum([n, d, k], ys[:, keep], ws[:, keep], np.inf, start, regularise)

    drawn = draw_both(observed, measure, target, again, draws, seed, progress)
    words += ", -log of mean pass@k" if aggregate == "log_mean" else ", mean of -log pass@k"
    return conclude("loss", found, drawn, target, words, "sum of squared errors", seed)


def loss_starts(count: int, seed: int) -> Floats:
    """Random starts (log E, log A, log B, log G, α, β, γ) over a generous box; the paper gives no ranges."""
    low = [-2, 0, 0, -2, 0.05, 0.05, 0.05]
    high = [1.5, 12, 12, 3, 1, 1, 1.5]
    return np.random.default_rng(seed).uniform(low, high, size=(count, 7))


def _refuse_infinite(target: Target, aggregate: str) -> None:
    rows, columns = np.nonzero(np.isinf(target.y))
    if not rows.size:
        return
    listed = "; ".join(
        f"n_params = {target.n[i]:g}, n_tokens = {target.d[i]:g}, k = {target.ks[j]:g}"
        for i, j in list(zip(rows, columns, strict=True))[:10]
    )
    advice = (
        "aggregate='log_mean' takes the log after the mean; the counts law needs no logarithm"
        if aggregate == "mean_log"
        else "filter those checkpoints out, e.g. by n_tokens, or use the counts law, which takes none"
    )
    what = "some problem was never" if aggregate == "mean_log" else "nothing was ever"
    raise ValueError(
        f"-log pass@k is infinite at {rows.size} points because {what} solved there ({listed}): {advice}"
    )
