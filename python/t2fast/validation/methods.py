"""What is asked for forecasts: every law, and the humblest baselines.

A method is given what is seen and the places to forecast, never what was measured there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from t2fast.fits import (
    FitWarning,
    fit_accuracy,
    fit_chinchilla,
    fit_counts,
    fit_direct,
    fit_forecast,
    fit_loss,
)
from t2fast.laws import AnyLaw, ForecastLaw, Law
from t2fast.tables import Counts
from t2fast.validation.measured import Floats, Measured

NEAREST = "nearest"
ALL = ("pass@k", "accuracy", "loss")


@dataclass(frozen=True, eq=False)
class Places:
    """Where forecasts are wanted: N and D, shape (places,), at every k of `ks`."""

    n_params: Floats
    n_tokens: Floats
    ks: Floats


@dataclass(frozen=True, eq=False)
class Forecast:
    """Forecasts, shape (places, K), with the ends of their intervals where the method gives any."""

    values: Floats
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True)
class Request:
    """How intervals are wanted: their level, and the draws of a law behind them (0: none).

    `regularise` asks for the paper's laws under the forecast law's priors. `fitted` holds, by name, the laws
    that were fitted to the same table in the same way already: another fit may start from them.
    """

    level: float = 0.9
    draws: int = 0
    seed: int = 0
    regularise: bool = False
    fitted: dict[str, AnyLaw] = field(default_factory=dict)


Fit = Callable[[Measured, Request], Law | ForecastLaw]


@dataclass(frozen=True)
class Method:
    """A way to forecast.

    Attributes:
        quantities: what it can forecast.
        forecast: from what is seen, where, and how. `ValueError` where it refuses.
        fit: the law behind it, from a table; None for baselines.
    """

    quantities: tuple[str, ...]
    forecast: Callable[[Measured, Places, Request], Forecast]
    fit: Fit | None = None


def nearest_checkpoint(seen: Measured, places: Places, _: Request) -> Forecast:
    """What was measured at the seen checkpoint nearest in (ln N, ln D)."""
    distance = (np.log(seen.n_params)[None, :] - np.log(places.n_params)[:, None]) ** 2
    distance += (np.log(seen.n_tokens)[None, :] - np.log(places.n_tokens)[:, None]) ** 2
    return Forecast(seen.values[np.argmin(distance, axis=1)])


def log_linear(seen: Measured, places: Places, _: Request) -> Forecast:
    """At each k a straight line of ln value in ln(N D), by least squares; pass@k no higher than 1.

    Values of 0 have no logarithm and are left out. `ValueError` where fewer than two amounts of compute
    remain.
    """
    compute = np.log(seen.n_params * seen.n_tokens)
    at = np.log(places.n_params * places.n_tokens)
    values = np.empty((len(at), len(places.ks)))
    for j, k in enumerate(places.ks):
        usable = seen.values[:, j] > 0
        x, y = compute[usable], np.log(seen.values[usable, j])
        if len(x) < 2 or np.ptp(x) == 0:
            raise ValueError(f"at k = {k:g} fewer than two amounts of compute have a value above 0")
        slope = np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2)
        values[:, j] = np.exp(y.mean() + slope * (at - x.mean()))
    return Forecast(values if seen.quantity == "loss" else np.minimum(values, 1.0))


def _law(fit: Fit, *quantities: str) -> Method:
    """A law's forecasts; none from a law that did not converge, or whose values are not finite."""

    def forecast(seen: Measured, places: Places, how: Request) -> Forecast:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # a validation is where misfit shows
            law = fit(seen, how)
        how.fitted[law.name] = law
        if law.fit is not None and not law.fit.converged:
            raise ValueError(f"the search did not converge: {law.fit.reason}")
        at = (places.n_params[:, None], places.n_tokens[:, None], places.ks[None, :])
        values = _as_measured(law, law.predict(*at))
        if not np.isfinite(values).all():
            raise ValueError("its forecasts are not finite")
        if not how.draws:
            return Forecast(values)
        ends = [_as_measured(law, end) for end in law.interval(*at, level=how.level)]
        return Forecast(values, np.minimum(*ends), np.maximum(*ends))

    return Method(quantities, forecast, fit)


def _as_measured(law: Law | ForecastLaw, values: Any) -> Floats:
    """The law's values in the unit of the table: pass@k where the law gives -log of it."""
    values = np.asarray(values, dtype=float)
    return np.asarray(np.exp(-values)) if law.metric == "-log pass@k" else values


def _passing(fit: Callable[..., Law]) -> Callable[[Measured, Request], Law]:
    return lambda seen, how: fit(
        seen.table,
        ks=list(seen.ks),
        regularise=how.regularise,
        draws=how.draws,
        seed=how.seed,
        progress=False,
    )


def _fit_direct(seen: Measured, how: Request) -> Law:
    return fit_direct(seen.table, ks=list(seen.ks), draws=how.draws, seed=how.seed, progress=False)  # type: ignore[arg-type]


def _fit_forecast(seen: Measured, how: Request) -> ForecastLaw:
    ks = list(seen.ks) if seen.quantity == "pass@k" else None
    return fit_forecast(seen.table, ks=ks, draws=how.draws, seed=how.seed, progress=False)


def _fit_counts(seen: Measured, how: Request) -> Law:
    if not isinstance(seen.table, Counts):
        raise ValueError("the counts law needs counts, and the table has likelihoods")
    # The search starts from the accuracy law without priors, which has perhaps been fitted just now.
    accuracy = how.fitted.get("accuracy")
    start = accuracy if isinstance(accuracy, Law) and not how.regularise else None
    return _passing(partial(fit_counts, start=start))(seen, how)


def _fit_chinchilla(seen: Measured, how: Request) -> Law:
    method = "least_squares" if how.regularise else "huber"  # priors are for least squares alone
    return fit_chinchilla(
        seen.table,  # type: ignore[arg-type]
        method=method,
        regularise=how.regularise,
        draws=how.draws,
        seed=how.seed,
        progress=False,
    )


METHODS: dict[str, Method] = {
    "forecast": _law(_fit_forecast, *ALL),
    "accuracy": _law(_passing(fit_accuracy), "pass@k"),
    "counts": _law(_fit_counts, "pass@k"),
    "loss": _law(_passing(fit_loss), "pass@k"),
    "direct": _law(_fit_direct, "pass@k"),
    "chinchilla": _law(_fit_chinchilla, "loss"),
    "log-linear": Method(ALL, log_linear),
    NEAREST: Method(ALL, nearest_checkpoint),
}
"""By name, the law to be trusted first at the head: the verdict is about that one."""
