"""The fit of the forecast law: what a table says in logarithms, the members, and refits for the intervals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import _core
from t2fast.arguments import require_kind
from t2fast.fits.bootstrap import Target
from t2fast.fits.calibration import widening
from t2fast.fits.conclusion import FitWarning, enough
from t2fast.fits.passtable import PassTable
from t2fast.fits.sampling import in_logarithms
from t2fast.fits.structure import alike, patterns
from t2fast.laws import FitReport
from t2fast.laws.forecast import ForecastLaw
from t2fast.laws.measurements import ForecastDraws, Measurements, Metric, of_z, to_z
from t2fast.progress import track
from t2fast.tables import Accuracies, Counts, Likelihoods, Losses
from t2fast.text import counted

Floats = NDArray[np.float64]
Forecastable: TypeAlias = Counts | Likelihoods | Losses | Accuracies

LEAST_CHECKPOINTS = 5
POWERS = tuple(2**i for i in range(8))
_BATCH = 50
_SOLVED = 0.999
"""A pass@k above which nobody tells checkpoints apart."""


def fit_forecast(
    table: Forecastable,
    *,
    ks: Sequence[float] | None = None,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> ForecastLaw:
    """The forecast law of pass@k, of losses or of accuracies: see :mod:`t2fast.laws.forecast`.

    What the intervals mean: :meth:`ForecastLaw.interval` is, unless asked otherwise, of *a new checkpoint*:
    it holds the sampling error of the measurements, what they leave open about the law, and the scatter that
    checkpoints were found to have about it. It takes for granted that what is forecast is more of the same,
    one family trained one way and asked the same problems, and that the form holds as far out as it is asked;
    :func:`t2fast.validate` says how often such intervals held on this table.

    Args:
        table: counts or likelihoods (pass@k), losses, or accuracies, of at least five checkpoints.
        ks: the k to fit for counts and likelihoods; by default the powers of two up to 128 for which at least
            half of the checkpoints have enough samples of every problem.
        draws: refits for the intervals: to measurements perturbed by their sampling error and by the scatter
            that checkpoints were found to have, under priors that move. Likelihoods, which have no
            sampling error, resample their problems instead. Intervals of a new checkpoint are then widened by
            what `t2fast.fits.calibration` finds.
        seed: of the draws. The same seed gives the same bits whatever the number of threads.
        progress: whether to show a bar; by default where stderr is a terminal.

    Returns:
        The law. What must not be overlooked is in ``law.fit.notes`` and raised as :class:`FitWarning`.

    Raises:
        ValueError: for fewer than five checkpoints, for k that no checkpoint has samples for, and for a table
            of which nothing was solved.
        TypeError: for a table of another kind.
    """
    if draws < 0:
        raise ValueError(f"draws = {draws} must be 0 or more")
    metric, chance, measured, notes = _measure(table, ks)
    enough(len(measured.n_params), LEAST_CHECKPOINTS, "checkpoints", "forecast")
    members = _core.fit_forecast(measured.table(metric, chance))
    thetas, scales = np.array([m.theta for m in members]), np.array([m.scale for m in members])
    if not all(member.converged for member in members):
        notes.append("a member's search did not converge")
    notes += alike(measured.n_params, measured.n_tokens)
    domain = {
        column: (float(values.min()), float(values.max()))
        for column, values in (
            ("n_params", measured.n_params),
            ("n_tokens", measured.n_tokens),
            ("k", measured.ks),
        )
    }
    law = ForecastLaw(
        metric, measured, thetas, scales, chance, domain=domain, source=f"fitted to {table.source}"
    )
    if draws:
        drawn, stuck = _draw(table, law, draws, seed, progress)
        law = replace(law, draws=drawn, widening=widening(metric, chance, measured, seed))
        if stuck:
            notes.append(f"{stuck} of {draws} draws did not converge")
    notes += _patterns(table, law)
    for words in notes:
        warnings.warn(f"forecast law: {words}", FitWarning, stacklevel=2)
    return replace(law, fit=_report(law, members, notes, seed))


def _report(law: ForecastLaw, members: list[_core.ForecastMember], notes: list[str], seed: int) -> FitReport:
    seen = law.measured
    row, column = np.nonzero(~np.isnan(seen.z))
    n, d, k = seen.n_params[row], seen.n_tokens[row], seen.ks[column]
    observed = of_z(law.metric, seen.z[row, column])
    predicted = np.asarray(law.predict(n, d, k))
    worst = next((member for member in members if not member.converged), members[0])
    columns = {"n_params": n, "n_tokens": d, "k": k, "observed": observed, "predicted": predicted}
    laws = "three regularised members" if law.metric != "loss" else "a regularised member"
    return FitReport(
        method=f"{laws} and a Gaussian process",
        objective=sum(member.objective for member in members),
        objective_name="half the penalised sum of squares, over members",
        points=len(row),
        checkpoints=len(seen.n_params),
        converged=worst.converged,
        reason=worst.reason,
        evaluations=sum(member.evaluations for member in members),
        median_relative_error=float(np.median(np.abs(predicted - observed) / observed)),
        notes=tuple(notes),
        seed=seed,
        residuals=pl.DataFrame({**columns, "residual": observed - predicted}),
    )


def _patterns(table: Forecastable, law: ForecastLaw) -> list[str]:
    """Notes on what the members leave that is no noise; the process would follow most of it."""
    seen = law.measured
    at = seen.n_params[:, None], seen.n_tokens[:, None], seen.ks[None, :]
    y = of_z(law.metric, seen.z)
    alone = of_z(law.metric, to_z(law.metric, np.asarray(law.predict(*at))) - np.asarray(law.correction(*at)))
    noise = errors = None
    if isinstance(table, Counts | Likelihoods):
        observed = PassTable.of(table, seen.ks.tolist())
        keep = observed.complete().any(axis=1)
        resampled = Target.measured(observed, observed.means)
        if resampled.noise is not None and resampled.errors is not None:
            noise, errors = resampled.noise[keep], resampled.errors[:, keep]
    target = Target(seen.n_params, seen.n_tokens, seen.ks, y, noise, errors)
    unknowns = law.thetas.shape[1]
    residual = (y - alone)[~np.isnan(y)]
    return patterns(target, residual, unknowns, lower_is_better=law.metric == "loss")


def _draw(
    table: Forecastable, law: ForecastLaw, draws: int, seed: int, progress: bool | None
) -> tuple[ForecastDraws, int]:
    """The refits, and how many of them did not converge."""
    measured = law.measured
    bases = None
    if isinstance(table, Likelihoods):
        observed = PassTable.of(table, measured.ks.tolist())
        weights = observed.resampled_problems(np.random.default_rng(seed), draws)
        bases = np.array([to_z("pass@k", means).ravel() for means in observed.means(weights)])
    known = measured.table(law.metric, law.chance)
    parts = []
    batches = range(0, draws, _BATCH)
    for first in track(batches, "draws", len(batches), progress):
        count = min(_BATCH, draws - first)
        part = None if bases is None else bases[first : first + count]
        parts.append(_core.draw_forecast(known, law.thetas, law.scales, part, seed, first, count))
    drawn = ForecastDraws(
        np.concatenate([part.thetas for part in parts]),
        np.concatenate([part.z for part in parts]),
        np.concatenate([part.noise for part in parts]),
    )
    return drawn, sum(not converged for part in parts for converged in part.converged)


def _measure(
    table: Forecastable, ks: Sequence[float] | None
) -> tuple[Metric, float, Measurements, list[str]]:
    """The metric, the chance level, measurements in logarithms, and what to know of them."""
    require_kind("fit_forecast", table, (Counts, Likelihoods, Losses, Accuracies))
    table.require_sizes().require_one_kind()
    if isinstance(table, Counts | Likelihoods):
        measured, notes = _of_passes(table, ks)
        return "pass@k", 0.0, measured, notes
    if ks is not None:
        raise ValueError("ks are for counts and likelihoods: losses and accuracies have no k")
    one = np.ones(1)
    if isinstance(table, Losses):
        z = to_z("loss", table.loss)[:, None]
        notes = ["weights are not used"] if "weight" in table.frame.columns else []
        measured = Measurements(table.n_params, table.n_tokens, one, z, np.zeros_like(z))
        return "loss", 0.0, measured, [*notes, *table.unexplained]
    values = table.accuracy
    right = values[values > 0]
    if not len(right):
        raise ValueError(f"every accuracy of {table.source} is 0: there is nothing to forecast from")
    # How many questions there were is not known: half of the least that was seen stands for none or for all.
    least = 0.5 * min(right.min(), (1 - values[values < 1]).min(initial=1.0))
    z = to_z("accuracy", np.clip(values, least, 1 - least))[:, None]
    variance = np.where((values == 0) | (values == 1), 1.0, 0.0)[:, None]
    measured = Measurements(table.n_params, table.n_tokens, one, z, variance)
    return "accuracy", table.chance, measured, [*_guessed(values, table.chance), *table.unexplained]


def _guessed(values: Floats, chance: float) -> list[str]:
    """A note where checkpoints do no better than guessing, all of them or some."""
    none = int((values <= chance).sum())
    if not (chance and none):
        return []
    if 2 * none < len(values):
        return [f"no better than chance ({chance:g}) at {counted(none, 'checkpoint')}"]
    return [
        f"no better than chance ({chance:g}) at {none} of {len(values)} checkpoints: what sets these apart is"
        " luck"
    ]


def _of_passes(table: Counts | Likelihoods, ks: Sequence[float] | None) -> tuple[Measurements, list[str]]:
    observed = PassTable.of(table, _default_ks(table) if ks is None else sorted(set(ks)))
    if isinstance(table, Counts):
        observed.require_solved("forecast")
    known = observed.complete()
    if not known.any(axis=0).all():
        listed = ", ".join(f"{k:g}" for k in observed.ks[~known.any(axis=0)])
        raise ValueError(f"no checkpoint has k = {listed} samples of every problem: leave that k out")
    keep = known.any(axis=1)
    notes = []
    if not keep.all():
        notes.append(f"left out {int((~keep).sum())} checkpoints that have no k samples of every problem")
    mean = observed.mean()
    if (none := known & (mean <= 0)).any():
        which = "half a success stands for none" if isinstance(table, Counts) else "1e-300 stands for it"
        what = "nothing was solved" if isinstance(table, Counts) else "pass@k is 0 but for rounding"
        notes.append(f"{what} at {counted(int(none.any(axis=1).sum()), 'checkpoint')}: {which}")
    if (mean[known] > _SOLVED).all():
        notes.append(f"pass@k is above {_SOLVED:g} at every checkpoint and k: nothing tells them apart")
    notes += observed.notes
    z, variance = in_logarithms(table, observed)
    measured = Measurements(
        observed.n_params[keep], observed.n_tokens[keep], observed.ks, z[keep], variance[keep]
    )
    return measured, notes


def _default_ks(table: Counts | Likelihoods) -> list[int]:
    """Powers of two up to 128 for which half of the checkpoints have enough samples of every problem."""
    if not isinstance(table, Counts):
        return list(POWERS)
    least = np.full(table.checkpoints.height, np.iinfo(np.int64).max)
    np.minimum.at(least, table.checkpoint_index, table.most_samples)
    usual = float(np.quantile(least, 0.5, method="lower"))
    return [k for k in POWERS if k <= usual] or [1]
