"""t2fast: how big a model, how many tokens, how many samples.

Train-to-Test (T²) scaling laws (Roberts et al. 2026, arXiv 2604.01411): pass@k as a function of parameters N,
training tokens D and samples per problem k; estimated from counts, fitted, and turned into a plan.

>>> import t2fast
>>> counts = t2fast.read_counts("counts.csv")                                # doctest: +SKIP
>>> law = t2fast.fit_forecast(counts)                                        # doctest: +SKIP
>>> print(t2fast.plan(law, train_flops=2.56e19, inference_flops=2e9))        # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING

from t2fast._core import __version__

if TYPE_CHECKING:
    from t2fast.choices import Choice, choose
    from t2fast.comparisons import (
        Comparison,
        compare,
        compare_forecasts,
        compare_stages,
        outcomes,
        read_stages,
    )
    from t2fast.estimators import (
        PassCurve,
        best_of_k,
        beta_pass_at_k,
        estimate,
        expected_samples_until_first_success,
        g_pass_at_k,
        majority_at_k,
        pass_at_k,
        pass_at_k_sequential,
        pass_at_k_stderr,
        pass_at_k_variance,
        pass_hat_k,
        scaled_beta_failure,
        verified_at_k,
        verified_from_counts,
    )
    from t2fast.fits import (
        FitWarning,
        fit_accuracy,
        fit_chinchilla,
        fit_counts,
        fit_data_wall,
        fit_direct,
        fit_forecast,
        fit_loss,
    )
    from t2fast.laws import DataWall, FitReport, ForecastLaw, Law, default_law, simulate_counts
    from t2fast.plans import Plan, Workload, best_spending, cheapest_spending, frontier, plan, plan_many
    from t2fast.readers import read_results
    from t2fast.tables import (
        Accuracies,
        Counts,
        Likelihoods,
        Losses,
        Prices,
        read_accuracies,
        read_counts,
        read_likelihoods,
        read_losses,
        read_prices,
    )
    from t2fast.validation import Validation, validate

__all__ = [
    "Accuracies",
    "Choice",
    "Comparison",
    "Counts",
    "DataWall",
    "FitReport",
    "FitWarning",
    "ForecastLaw",
    "Law",
    "Likelihoods",
    "Losses",
    "PassCurve",
    "Plan",
    "Prices",
    "Validation",
    "Workload",
    "__version__",
    "best_of_k",
    "best_spending",
    "beta_pass_at_k",
    "cheapest_spending",
    "choose",
    "compare",
    "compare_forecasts",
    "compare_stages",
    "default_law",
    "estimate",
    "expected_samples_until_first_success",
    "fit_accuracy",
    "fit_chinchilla",
    "fit_counts",
    "fit_data_wall",
    "fit_direct",
    "fit_forecast",
    "fit_loss",
    "frontier",
    "g_pass_at_k",
    "majority_at_k",
    "outcomes",
    "pass_at_k",
    "pass_at_k_sequential",
    "pass_at_k_stderr",
    "pass_at_k_variance",
    "pass_hat_k",
    "plan",
    "plan_many",
    "read_accuracies",
    "read_counts",
    "read_likelihoods",
    "read_losses",
    "read_prices",
    "read_results",
    "read_stages",
    "scaled_beta_failure",
    "simulate_counts",
    "validate",
    "verified_at_k",
    "verified_from_counts",
]

_ROOMS: dict[str, tuple[str, ...]] = {
    "choices": (
        "Choice",
        "choose",
    ),
    "comparisons": (
        "Comparison",
        "compare",
        "compare_forecasts",
        "compare_stages",
        "outcomes",
        "read_stages",
    ),
    "costs": (),
    "decode": (),
    "estimators": (
        "PassCurve",
        "best_of_k",
        "beta_pass_at_k",
        "estimate",
        "expected_samples_until_first_success",
        "g_pass_at_k",
        "majority_at_k",
        "pass_at_k",
        "pass_at_k_sequential",
        "pass_at_k_stderr",
        "pass_at_k_variance",
        "pass_hat_k",
        "scaled_beta_failure",
        "verified_at_k",
        "verified_from_counts",
    ),
    "fits": (
        "FitWarning",
        "fit_accuracy",
        "fit_chinchilla",
        "fit_counts",
        "fit_data_wall",
        "fit_direct",
        "fit_forecast",
        "fit_loss",
    ),
    "laws": (
        "DataWall",
        "FitReport",
        "ForecastLaw",
        "Law",
        "default_law",
        "simulate_counts",
    ),
    "plans": (
        "Plan",
        "Workload",
        "best_spending",
        "cheapest_spending",
        "frontier",
        "plan",
        "plan_many",
    ),
    "readers": ("read_results",),
    "runs": (),
    "tables": (
        "Accuracies",
        "Counts",
        "Likelihoods",
        "Losses",
        "Prices",
        "read_accuracies",
        "read_counts",
        "read_likelihoods",
        "read_losses",
        "read_prices",
    ),
    "tasks": (),
    "validation": (
        "Validation",
        "validate",
    ),
}
"""Rooms, and what of theirs stands here: imported at first use, so that `import t2fast` costs little."""


def __getattr__(name: str) -> object:
    for room, names in _ROOMS.items():
        if name == room or name in names:
            module = importlib.import_module(f"t2fast.{room}")
            found: object = module if name == room else getattr(module, name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 't2fast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
