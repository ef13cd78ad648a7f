"""Whether an interval of a checkpoint holds what so many samples of it measured."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from t2fast.laws.measurements import to_z
from t2fast.validation.measured import Mask, Measured
from t2fast.validation.methods import Forecast


def inside(forecast: Forecast, ahead: Measured, level: float) -> Mask | None:
    """Whether each held-out measurement lies within its interval; None without intervals.

    A law forecasts a checkpoint's pass@k; what it is held against is, of counts, an estimate from n draws a
    problem. In z = ln(-ln(1 - pass@k)) the distance of each end from the forecast and the normal quantile of
    the estimate's sampling error, which is independent of it, are added in quadrature. Half a failure stands
    for none where all was solved.
    """
    if forecast.low is None or forecast.high is None:
        return None
    if ahead.z is None or ahead.variance is None:
        return np.asarray((forecast.low <= ahead.values) & (ahead.values <= forecast.high))
    low, middle, high = (to_z("pass@k", y) for y in (forecast.low, forecast.values, forecast.high))
    middle = np.clip(middle, low, high)
    sampling = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(ahead.variance)
    below, above = np.hypot(middle - low, sampling), np.hypot(high - middle, sampling)
    return np.asarray((middle - below <= ahead.z) & (ahead.z <= middle + above))
