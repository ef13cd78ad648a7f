"""Validation: how well laws forecast what they have not seen, beside the humblest baselines."""

from t2fast.validation.holdout import validate
from t2fast.validation.methods import METHODS
from t2fast.validation.report import Validation
from t2fast.validation.splits import BY, hold_out

__all__ = ["BY", "METHODS", "Validation", "hold_out", "validate"]
