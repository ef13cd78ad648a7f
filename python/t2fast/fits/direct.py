"""The direct law: pass@k from training compute and k alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast._core import FitOutcome
from t2fast.compute import train_flops
from t2fast.fits.bootstrap import Target, draw_both
from t2fast.fits.conclusion import conclude, enough
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.tables import Counts, Likelihoods
from t2fast.text import counted

Floats = NDArray[np.float64]


def fit_direct(
    table: Counts | Likelihoods | PassTable,
    *,
    ks: Sequence[float] | None = None,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """log(-log pass@k) = c0 + c1 log C + c2 log k + c3 log C log k, C = 6ND (arXiv 2512.08894).

    By least squares on the left-hand side, linear and so without a search. The mean pass@k of every
    checkpoint has to lie between 0 and 1. The law says what more compute and more samples bring, not how to
    split compute between N and D: it forecasts, and does not plan.

    What the intervals mean: the draws are refits to checkpoints and problems drawn with replacement, and
    :meth:`Law.interval` covers what these leave open about the law's pass@k. A new checkpoint's scatter about
    the law is not in them; here that includes all that N and D do beyond their product.

    Args:
        table: counts, likelihoods, or pass@k by checkpoint and k, with N and D.
        ks: the k to fit; by default the powers of two up to 128 that all problems have samples for.
        draws: refits; 0 for none.
        seed: of the draws. The same seed gives the same bits whatever the number of threads.
        progress: whether to show a bar; by default where stderr is a terminal.

    Returns:
        The law. What must not be overlooked is in ``law.fit`` and raised as :class:`FitWarning`.

    Raises:
        ValueError: for fewer than five points, and where pass@k is 0 or 1, naming the checkpoints.
        TypeError: for a table of another kind.
    """
    observed = PassTable.of(table, ks)
    target = Target.measured(observed, observed.means)
    n, d, k, _, keep = target.rows()
    y = target.y.ravel()[keep]
    enough(len(y), 5, "points", "direct")
    ends = np.flatnonzero((y <= 0) | (y >= 1))
    if ends.size:
        listed = "; ".join(f"n_params = {n[i]:g}, n_tokens = {d[i]:g}, k = {k[i]:g}" for i in ends[:10])
        raise ValueError(
            f"log(-log pass@k) is infinite at {ends.size} points where pass@k is 0 or 1 ({listed}): filter"
            " those checkpoints out, or use the counts law"
        )
    compute = train_flops(n, d)
    found = _core.fit_direct(compute, k, y[None], np.ones((1, len(y))))[0]
    target = replace(target, notes=(*target.notes, *_falling(found.params, train_flops(target.n, target.d))))

    def again(ys: Floats, ws: Floats) -> list[FitOutcome]:
        ys, ws = ys[:, keep], ws[:, keep]
        usable = (ys > 0) & (ys < 1)
        return _core.fit_direct(compute, k, np.where(usable, ys, 0.5), ws * usable)

    drawn = draw_both(observed, observed.means, target, again, draws, seed, progress)
    unit = "sum of squared errors of log(-log pass@k)"
    return conclude("direct", found, drawn, target, "linear least squares", unit, seed)


def _falling(params: Floats, compute: Floats) -> list[str]:
    """A note where the law has pass@k fall with k, as the form allows: c2 + c3 log C above 0 at some C."""
    _, _, c2, c3 = params
    falling = compute[c2 + c3 * np.log(compute) > 0]
    if not falling.size:
        return []
    return [
        f"pass@k falls with k at {counted(falling.size, 'checkpoint')} of {compute.size} (6ND = "
        f"{falling.min():.3g} to {falling.max():.3g}), which no pass@k does"
    ]
