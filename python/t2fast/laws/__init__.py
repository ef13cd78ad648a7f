"""Laws: what a fit found and what it predicts."""

from typing import TypeAlias

from t2fast.laws.data_wall import DataWall
from t2fast.laws.embedded import default_law, embedded_law, embedded_laws, find_law
from t2fast.laws.forecast import ForecastLaw
from t2fast.laws.law import Law
from t2fast.laws.report import FitReport
from t2fast.laws.simulate import simulate_counts
from t2fast.laws.validated import Validated

AnyLaw: TypeAlias = Law | ForecastLaw
"""A law of the paper, or ours for forecasts: what plans take."""

__all__ = [
    "AnyLaw",
    "DataWall",
    "FitReport",
    "ForecastLaw",
    "Law",
    "Validated",
    "default_law",
    "embedded_law",
    "embedded_laws",
    "find_law",
    "simulate_counts",
]
