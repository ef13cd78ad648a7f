"""Laws: what a fit found and what it predicts."""

from t2fast.laws.forecast import ForecastLaw
from t2fast.laws.law import Law, default_law
from t2fast.laws.report import FitReport
from t2fast.laws.simulate import simulate_counts
from t2fast.laws.validated import Validated

__all__ = ["FitReport", "ForecastLaw", "Law", "Validated", "default_law", "simulate_counts"]
