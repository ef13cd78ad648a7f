"""Comparisons: sides on the same problems, laws by their forecasts, stages of training by their plans."""

from t2fast.comparisons.checkpoints import outcomes
from t2fast.comparisons.forecasts import compare_forecasts
from t2fast.comparisons.paired import Comparison, compare
from t2fast.comparisons.stages import compare_stages, read_stages

__all__ = ["Comparison", "compare", "compare_forecasts", "compare_stages", "outcomes", "read_stages"]
