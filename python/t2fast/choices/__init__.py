"""Choices among models that exist: which to call at what price, how often, and how to spend samples over
queries.
"""

from t2fast.choices.allocation import allocate
from t2fast.choices.choice import Choice, Option, Pick
from t2fast.choices.market import Host
from t2fast.choices.policies import History, Policy, PosteriorIndex
from t2fast.choices.replays import Replay, replay, replay_policy
from t2fast.choices.selection import choose
from t2fast.choices.verifier import VerifiedCurve, verified_curve
from t2fast.estimators.verifier import Verifier

__all__ = [
    "Choice",
    "History",
    "Host",
    "Option",
    "Pick",
    "Policy",
    "PosteriorIndex",
    "Replay",
    "VerifiedCurve",
    "Verifier",
    "allocate",
    "choose",
    "replay",
    "replay_policy",
    "verified_curve",
]
