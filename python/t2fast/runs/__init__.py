"""Runs: models sampled and scored on tasks, in a folder that survives being killed."""

from t2fast.runs.evaluation import evaluate, find_models, model_name
from t2fast.runs.folder import Run

__all__ = ["Run", "evaluate", "find_models", "model_name"]
