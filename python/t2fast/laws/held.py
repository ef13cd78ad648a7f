"""A law held against the measurements that it was fitted to, as a picture."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import polars as pl

from t2fast.charts import Figure, fit
from t2fast.laws.ends import draws_needed
from t2fast.laws.report import FitReport


class Fitted(Protocol):
    """What a law needs to be held against anything."""

    @property
    def fit(self) -> FitReport | None:
        """How it was fitted."""

    @property
    def metric(self) -> str:
        """What it predicts."""

    @property
    def draws(self) -> Any:
        """Its draws, if any."""

    def predict(self, n_params: Any, n_tokens: Any, k: Any = 1.0) -> Any:
        """Its values."""

    def interval(self, n_params: Any, n_tokens: Any, k: Any = 1.0, level: float = 0.9) -> Any:
        """Their intervals."""


def against_measured(law: Fitted, level: float, points: pl.DataFrame | None = None) -> Figure:
    """The law's values over measured ones, with intervals where it has draws enough.

    Args:
        law: a law of any kind.
        level: confidence of the intervals.
        points: `n_params`, `n_tokens`, `k`, `observed` and `predicted`; by default what it was fitted to.

    Returns:
        The figure.

    Raises:
        ValueError: for a law that does not know what it was fitted to, as one that was read from a file.
    """
    if points is None:
        points = None if law.fit is None else law.fit.residuals
    if points is None:
        raise ValueError(
            "this law does not know the measurements that it was fitted to, since its file has none: draw it "
            "where it is fitted, or hold it against a table by t2fast.report(law, table)"
        )
    if law.draws is None or len(law.draws) < draws_needed(level):
        return fit(points, law.metric)
    n, d, k = (points[name].to_numpy() for name in ("n_params", "n_tokens", "k"))
    low, high = law.interval(n, d, k, level=level)
    return fit(points.with_columns(low=np.asarray(low), high=np.asarray(high)), law.metric, level)
