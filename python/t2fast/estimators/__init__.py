"""Estimators: pass@k and its relatives from counts, without bias where there is a way."""

from t2fast.estimators.best_of import best_of_k
from t2fast.estimators.beta import beta_pass_at_k, expected_samples_until_first_success, scaled_beta_failure
from t2fast.estimators.curve import PassCurve
from t2fast.estimators.curves import PassCurves, estimate
from t2fast.estimators.passk import (
    g_pass_at_k,
    likely_pass_at_k,
    majority_at_k,
    pass_at_k,
    pass_at_k_stderr,
    pass_at_k_variance,
    pass_hat_k,
)
from t2fast.estimators.sequential import pass_at_k_sequential
from t2fast.estimators.verified import beta_verified_at_k, verified_at_k, verified_from_counts
from t2fast.estimators.verifier import Verifier

__all__ = [
    "PassCurve",
    "PassCurves",
    "Verifier",
    "best_of_k",
    "beta_pass_at_k",
    "beta_verified_at_k",
    "estimate",
    "expected_samples_until_first_success",
    "g_pass_at_k",
    "likely_pass_at_k",
    "majority_at_k",
    "pass_at_k",
    "pass_at_k_sequential",
    "pass_at_k_stderr",
    "pass_at_k_variance",
    "pass_hat_k",
    "scaled_beta_failure",
    "verified_at_k",
    "verified_from_counts",
]
