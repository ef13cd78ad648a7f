"""Choices among models that exist, at prices, with a target: which to call, how often, and how to spend
samples."""

from t2fast.choices.choice import Choice, Option, Pick
from t2fast.choices.selection import choose

__all__ = ["Choice", "Option", "Pick", "choose"]
