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

from t2fast._core import __version__ as __version__

if TYPE_CHECKING:  # what type checkers and editors see of `_ROOMS`
    from t2fast import (
        charts as charts,
        choices as choices,
        comparisons as comparisons,
        costs as costs,
        data as data,
        decode as decode,
        designs as designs,
        estimators as estimators,
        fits as fits,
        laws as laws,
        plans as plans,
        readers as readers,
        reports as reports,
        runs as runs,
        tables as tables,
        tasks as tasks,
        testbed as testbed,
        training as training,
        validation as validation,
    )
    from t2fast.choices import (
        Choice as Choice,
        choose as choose,
    )
    from t2fast.comparisons import (
        Comparison as Comparison,
        compare as compare,
        compare_forecasts as compare_forecasts,
        compare_stages as compare_stages,
        outcomes as outcomes,
        read_stages as read_stages,
    )
    from t2fast.designs import (
        Design as Design,
        design as design,
    )
    from t2fast.estimators import (
        PassCurve as PassCurve,
        PassCurves as PassCurves,
        Verifier as Verifier,
        best_of_k as best_of_k,
        beta_pass_at_k as beta_pass_at_k,
        beta_verified_at_k as beta_verified_at_k,
        estimate as estimate,
        expected_samples_until_first_success as expected_samples_until_first_success,
        g_pass_at_k as g_pass_at_k,
        majority_at_k as majority_at_k,
        pass_at_k as pass_at_k,
        pass_at_k_sequential as pass_at_k_sequential,
        pass_at_k_stderr as pass_at_k_stderr,
        pass_at_k_variance as pass_at_k_variance,
        pass_hat_k as pass_hat_k,
        scaled_beta_failure as scaled_beta_failure,
        verified_at_k as verified_at_k,
        verified_from_counts as verified_from_counts,
    )
    from t2fast.fits import (
        FitWarning as FitWarning,
        fit_accuracy as fit_accuracy,
        fit_chinchilla as fit_chinchilla,
        fit_counts as fit_counts,
        fit_data_wall as fit_data_wall,
        fit_direct as fit_direct,
        fit_forecast as fit_forecast,
        fit_loss as fit_loss,
    )
    from t2fast.laws import (
        DataWall as DataWall,
        FitReport as FitReport,
        ForecastLaw as ForecastLaw,
        Law as Law,
        default_law as default_law,
        embedded_law as embedded_law,
        embedded_laws as embedded_laws,
        simulate_counts as simulate_counts,
    )
    from t2fast.plans import (
        CheckedPlan as CheckedPlan,
        Plan as Plan,
        SpendingPlan as SpendingPlan,
        Workload as Workload,
        frontier as frontier,
        plan as plan,
        plan_checked as plan_checked,
        plan_many as plan_many,
        plan_spending as plan_spending,
    )
    from t2fast.readers import (
        read_results as read_results,
    )
    from t2fast.reports import (
        Explorer as Explorer,
        Report as Report,
        explore as explore,
        report as report,
    )
    from t2fast.tables import (
        Accuracies as Accuracies,
        Counts as Counts,
        Likelihoods as Likelihoods,
        Losses as Losses,
        Prices as Prices,
        read_accuracies as read_accuracies,
        read_counts as read_counts,
        read_likelihoods as read_likelihoods,
        read_losses as read_losses,
        read_prices as read_prices,
    )
    from t2fast.training import (
        train as train,
    )
    from t2fast.validation import (
        Validation as Validation,
        validate as validate,
    )

_ROOMS: dict[str, tuple[str, ...]] = {
    "charts": (),
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
    "data": (),
    "decode": (),
    "designs": ("Design", "design"),
    "estimators": (
        "PassCurve",
        "PassCurves",
        "Verifier",
        "best_of_k",
        "beta_pass_at_k",
        "beta_verified_at_k",
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
        "embedded_law",
        "embedded_laws",
        "simulate_counts",
    ),
    "plans": (
        "CheckedPlan",
        "Plan",
        "SpendingPlan",
        "Workload",
        "frontier",
        "plan",
        "plan_checked",
        "plan_many",
        "plan_spending",
    ),
    "readers": ("read_results",),
    "reports": ("Explorer", "Report", "explore", "report"),
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
    "testbed": (),
    "training": ("train",),
    "validation": (
        "Validation",
        "validate",
    ),
}
"""Rooms, and what of theirs stands here: imported at first use, so that `import t2fast` costs little."""

__all__ = [name for names in (("__version__",), *_ROOMS.values()) for name in names]


if not TYPE_CHECKING:  # a checker would believe it of any name

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
