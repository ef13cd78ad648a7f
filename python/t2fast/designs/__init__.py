"""Designs: which runs to make next, so that a target becomes known at least cost."""

from t2fast.designs.candidates import read_candidates
from t2fast.designs.designing import Design, design

__all__ = ["Design", "design", "read_candidates"]
