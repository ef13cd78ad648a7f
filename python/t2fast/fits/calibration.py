"""How much wider than its draws a forecast law's intervals must be, learnt from the table it is fitted to.

Split-conformal from rolling origins: the law is fitted to the checkpoints below some training compute, or
some number of tokens a parameter, and forecasts the others of the table. What it is off by, in half widths of
its own 90% interval, is a score; the 90% quantile of the scores is what the interval has to be widened by
(Lei et al. 2018, arXiv 1604.04173, with scores standardised by the model). Scores are divided by 1 + g h, h
the distance from the nearest checkpoint seen, and the widening grows with it; g is 1.5. A table with too few
checkpoints for that is widened a little less than any published table needs: refits alone trust a form too
much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast.laws.ends import ends
from t2fast.laws.forecast import PUBLISHED_WIDENING, ForecastLaw
from t2fast.laws.measurements import ForecastDraws, Measurements, Metric, to_z

Floats = NDArray[np.float64]

LEVEL = 0.9
_DRAWS = 40  # two beyond either end of a 90% interval
_ORIGINS = 5  # in each direction
_LEAST_SEEN, _LEAST_AHEAD = 6, 2
_SEEN_SHARE, _AHEAD_SHARE = 0.3, 0.1
_SAME = 1e-6
# Weak checkpoints' pass@k scatters far more than strong ones', and a few of them would blow up all intervals.
_LEAST_CHECKPOINTS = {"pass@k": 40, "accuracy": 16, "loss": 16}


def widening(metric: Metric, chance: float, measured: Measurements, seed: int) -> float:
    """The factor at distance 0; `PUBLISHED_WIDENING` for a table too small to learn it from.

    With n checkpoints held out at least once the quantile is at 0.9 (n + 1)/n, the finite-sample level of
    split-conformal prediction. Every origin has the same weight, however many checkpoints it holds out. Of
    the two directions the one that needs more decides: nobody says in which the law will be asked.
    """
    if len(measured.n_params) < _LEAST_CHECKPOINTS[metric]:
        return PUBLISHED_WIDENING
    n, d = measured.n_params, measured.n_tokens
    found = [_needed(metric, chance, measured, _origins(values), seed) for values in (n * d, d / n)]
    # To five decimals, so that a law read back from a file is the same.
    return round(max(found), 5)


def _needed(
    metric: Metric, chance: float, measured: Measurements, origins: list[NDArray[np.bool_]], seed: int
) -> float:
    """The quantile of the scores in one direction; 0 where there are none."""
    scores, weights = [np.empty(0)], [np.empty(0)]
    ever = np.zeros(len(measured.n_params), dtype=bool)
    for seen in origins:
        found = _scores(metric, chance, measured, seen, seed)
        if found.size:
            scores.append(found)
            weights.append(np.full(found.size, 1 / found.size))
            ever |= ~seen
    every, weight = np.concatenate(scores), np.concatenate(weights)
    if not every.size:
        return 0.0
    order = np.argsort(every)
    share = np.cumsum(weight[order]) / weight.sum()
    level = min(1.0, LEVEL * (1 + 1 / ever.sum()))
    return float(every[order][min(int(np.searchsorted(share, level - 1e-12)), len(every) - 1)])


def _origins(values: Floats) -> list[NDArray[np.bool_]]:
    """Which checkpoints are seen: those below thresholds, spread over all that leave enough either side."""
    least = max(_LEAST_SEEN, _SEEN_SHARE * len(values))
    ahead = max(_LEAST_AHEAD, _AHEAD_SHARE * len(values))
    ordered = np.sort(values)
    thresholds = ordered[np.append(True, np.diff(ordered) > _SAME * ordered[1:])]
    masks = [values < threshold * (1 - _SAME) for threshold in thresholds]
    masks = [seen for seen in masks if seen.sum() >= least and (~seen).sum() >= ahead]
    if not masks:
        return []
    places = np.linspace(0, len(masks) - 1, min(_ORIGINS, len(masks)))
    return [masks[i] for i in np.unique(np.round(places).astype(int))]


def _scores(
    metric: Metric, chance: float, measured: Measurements, seen: NDArray[np.bool_], seed: int
) -> Floats:
    """Of every held-out measurement: its distance from the forecast, in half widths of the interval."""
    ks = ~np.isnan(measured.z[seen]).all(axis=0)
    known = Measurements(
        measured.n_params[seen],
        measured.n_tokens[seen],
        measured.ks[ks],
        np.ascontiguousarray(measured.z[seen][:, ks]),
        np.ascontiguousarray(measured.variance[seen][:, ks]),
    )
    table = known.table(metric, chance)
    members = _core.fit_forecast(table)
    thetas, scales = np.array([m.theta for m in members]), np.array([m.scale for m in members])
    drawn = _core.draw_forecast(table, thetas, scales, None, seed, 0, _DRAWS)
    law = ForecastLaw(
        metric, known, thetas, scales, chance, ForecastDraws(drawn.thetas, drawn.z, drawn.noise)
    )
    z = measured.z[~seen][:, ks]
    n, d = measured.n_params[~seen], measured.n_tokens[~seen]
    values = law.draw_values(n[:, None], d[:, None], known.ks[None, :])
    values = to_z(metric, values)
    middle, (low, high) = np.median(values, axis=0), ends(values, LEVEL)
    half = np.where(z > middle, high - middle, middle - low)
    apart = np.log(n)[:, None] - np.log(known.n_params), np.log(d)[:, None] - np.log(known.n_tokens)
    distance = np.hypot(*apart).min(axis=1)[:, None]
    scores = np.abs(z - middle) / np.maximum(half, 1e-9) / (1 + _core.forecast_growth() * distance)
    return np.asarray(scores[np.isfinite(scores)], dtype=float)
