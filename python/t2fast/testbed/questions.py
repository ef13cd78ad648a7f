"""The paper's questions, put to the checkpoints of a testbed: tables of answers.

Roberts et al. 2026 (arXiv 2604.01411): what laws recommend (RQ1), whether laws of ordinary checkpoints
forecast overtrained ones (RQ2), and whether fine-tuning moves the optimum (RQ3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from t2fast.compute import sample_flops
from t2fast.estimators import likely_pass_at_k
from t2fast.fits import fit_chinchilla
from t2fast.laws import ForecastLaw, Law
from t2fast.plans import plan
from t2fast.tables import Counts, Likelihoods, Losses
from t2fast.testbed.grid import Checkpoint
from t2fast.testbed.loop import REACH
from t2fast.testbed.settings import Settings
from t2fast.validation.measured import Measured
from t2fast.validation.methods import METHODS, Places, Request

NAMES = {"forecast": "forecast", "loss": "approach 1", "accuracy": "approach 2", "direct": "direct"}
"""Laws as `METHODS` and as a testbed's report name them."""
PLANNED = ("forecast", "loss", "accuracy")
"""Those that are asked for plans."""
_KS = (1, 8, 64, 128)
"""The k by which forecasts are judged."""
_LEAST = 8
"""Checkpoints, from which on a law is fitted."""


@dataclass(frozen=True)
class Fitted:
    """The laws of a task's ordinary checkpoints, by `METHODS`' names, or in words why there is none."""

    known: Measured
    laws: Mapping[str, Law | ForecastLaw | str]


def fitted(likelihoods: Likelihoods, names: Sequence[str] = tuple(NAMES)) -> dict[str, Fitted]:
    """The laws of every task; empty where checkpoints are too few for one."""
    found: dict[str, Fitted] = {}
    if likelihoods.frame["model"].n_unique() < _LEAST:
        return found
    for task in likelihoods.frame["task"].unique(maintain_order=True):
        known = Measured.of(likelihoods.filter(task=task), _KS)
        laws: dict[str, Law | ForecastLaw | str] = {}
        for name in names:
            fit = METHODS[name].fit
            assert fit is not None
            try:
                law = fit(known, Request())
            except ValueError as refused:
                laws[name] = str(refused)
            else:
                off = law.fit is not None and not law.fit.converged
                laws[name] = f"the search did not converge: {law.fit.reason}" if off and law.fit else law
        found[task] = Fitted(known, laws)
    return found


def forecasts(laws: Mapping[str, Fitted], ahead: Likelihoods | None) -> pl.DataFrame:
    """RQ2, for every law and baseline."""
    rows = []
    for task, own in laws.items() if ahead is not None else ():
        assert ahead is not None
        truth = Measured.of(ahead.filter(task=task), _KS)
        places = Places(truth.n_params, truth.n_tokens, truth.ks)
        for name, method in METHODS.items():
            if truth.quantity not in method.quantities or name == "counts":
                continue
            error, refusal = None, None
            law = own.laws.get(name)
            try:
                values = (
                    method.forecast(own.known, places, Request()).values
                    if law is None
                    else passing(law, truth.n_params[:, None], truth.n_tokens[:, None], truth.ks[None, :])
                )
            except ValueError as refused:
                refusal = str(refused)
            else:
                error = float(np.median(np.abs(values - truth.values) / truth.values))
            rows.append((task, NAMES.get(name, name), error, refusal))
    schema = {"task": pl.String, "method": pl.String, "error": pl.Float64, "refusal": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def passing(law: Law | ForecastLaw | str, n_params: object, n_tokens: object, k: object) -> np.ndarray:
    """pass@k by a law; `ValueError` where there is none, or what it says is not finite."""
    if isinstance(law, str):
        raise ValueError(law)
    values = np.asarray(law.predict(n_params, n_tokens, k), dtype=float)  # type: ignore[arg-type]
    values = np.exp(-values) if law.metric == "-log pass@k" else values
    if not np.isfinite(values).all():
        raise ValueError("its forecasts are not finite")
    return values


def advice(
    settings: Settings, laws: Mapping[str, Fitted], losses: Losses, budgets: Sequence[float]
) -> pl.DataFrame:
    """RQ1: what each law recommends at every budget, and Chinchilla's of the held-out losses."""
    rows: list[tuple[object, ...]] = []
    if laws:
        sizes, served = [float(shape.n_params) for shape in settings.shapes], settings.inference_flops
        loss_law = fit_chinchilla(losses, draws=0, progress=False)
        theirs = {
            budget: plan(loss_law, budget, n_params=sizes, extrapolate=REACH).n_params for budget in budgets
        }
        for task, own in laws.items():
            for name in PLANNED:
                for budget in budgets:
                    try:
                        found = _planned(own.laws[name], budget, served, sizes)
                    except ValueError as refused:
                        rows.append((task, NAMES[name], budget, None, None, None, None, str(refused)))
                    else:
                        rows.append((task, NAMES[name], budget, *found, None))
            for budget, n in theirs.items():
                at = n, budget / (6.0 * n), served / sample_flops(n, 1)
                rows.append((task, "Chinchilla", budget, *at, None, None))
    kinds = dict.fromkeys(("train_flops", "n_params", "n_tokens", "k", "predicted"), pl.Float64)
    schema = {"task": pl.String, "law": pl.String, **kinds, "refusal": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _planned(
    law: Law | ForecastLaw | str, budget: float, served: float, sizes: Sequence[float]
) -> tuple[float, float, float, float]:
    if isinstance(law, str):
        raise ValueError(law)
    best = plan(law, budget, served, n_params=sizes, extrapolate=REACH)
    k = 1.0 if best.k is None else best.k
    return best.n_params, best.n_tokens, k, float(passing(law, best.n_params, best.n_tokens, k))


def tuned(
    settings: Settings,
    ordinary: Sequence[Checkpoint],
    base: Likelihoods,
    after: Mapping[str, Likelihoods],
    plans: pl.DataFrame,
    losses: Losses,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """RQ3: advice for C and the best sizes, before and after fine-tuning.

    `after` is by stage, `plans` what is recommended before.
    """
    names = [name for table in after.values() for name in table.frame["task"].unique(maintain_order=True)]
    found, best = [plans.clear().with_columns(stage=pl.lit("base"))], []
    for task in dict.fromkeys(names):
        for stage, table in {"base": base, **after}.items():
            own = table.filter(task=task)
            some = plans.filter(task=task)
            if stage != "base":
                some = advice(settings, fitted(own, PLANNED), losses, [settings.train_flops])
            found.append(some.with_columns(stage=pl.lit(stage)))
            best.append(profiles(sizes(settings, ordinary, own, losses)).with_columns(stage=pl.lit(stage)))
    if not best:
        best.append(profiles(sizes(settings, [], base, losses)).with_columns(stage=pl.lit("base")))
    return pl.concat(found), pl.concat(best)


def sizes(
    settings: Settings, ordinary: Sequence[Checkpoint], likelihoods: Likelihoods, losses: Losses
) -> pl.DataFrame:
    """What the sizes of a budget came to, of budgets that have three or more; means over seeds."""
    by_budget: dict[float, dict[int, list[Checkpoint]]] = {}
    for one in ordinary:
        nearest = min(settings.budgets, key=lambda budget: abs(np.log(budget / one.flops)))
        by_budget.setdefault(nearest, {}).setdefault(one.shape.n_params, []).append(one)
    loss = dict(losses.frame.select("model", "loss").iter_rows())
    rows = [
        {
            "train_flops": budget,
            "task": task,
            "n_params": float(n),
            "n_tokens": float(own[0].n_tokens),
            "k": settings.inference_flops / sample_flops(n, 1),
            "measured": float(np.mean([value[one.name] for one in own])),
            "loss": float(np.mean([loss[one.name] for one in own])),
        }
        for budget, some in sorted(by_budget.items())
        if len(some) >= 3
        for task, value in _served(settings, likelihoods).items()
        for n, own in some.items()
    ]
    floats = ("n_params", "n_tokens", "k", "measured", "loss")
    schema = {"train_flops": pl.Float64, "task": pl.String, **dict.fromkeys(floats, pl.Float64)}
    frame = pl.DataFrame(rows, schema=schema)
    return frame.with_columns(best=pl.col("measured") == pl.col("measured").max().over("train_flops", "task"))


def profiles(sizes: pl.DataFrame) -> pl.DataFrame:
    """At every budget the size of the best pass@k, by task, and that of least loss."""
    best, least = pl.col("measured").arg_max(), pl.col("loss").arg_min()
    return sizes.group_by("train_flops", "task", maintain_order=True).agg(
        sizes=pl.len().cast(pl.Int64),
        **{name: pl.col(name).get(best) for name in ("n_params", "n_tokens", "k", "measured")},
        chinchilla_params=pl.col("n_params").get(least),
        chinchilla_measured=pl.col("measured").get(least),
    )


def _served(settings: Settings, likelihoods: Likelihoods) -> dict[str, dict[str, float]]:
    """By task and checkpoint: pass@k, for the k that the inference budget buys of its size."""
    found: dict[str, dict[str, float]] = {}
    for (task, model), rows in likelihoods.frame.group_by("task", "model", maintain_order=True):
        k = settings.inference_flops / sample_flops(rows["n_params"][0], 1)
        value = float(np.mean(likely_pass_at_k(rows["log_likelihood"], k)))
        found.setdefault(str(task), {})[str(model)] = value
    return found


def agreement(begun: Counts, likelihoods: Likelihoods) -> pl.DataFrame:
    """Likelihoods beside the samples that begin with an answer."""
    both = begun.frame.join(likelihoods.frame, on=["model", "task", "problem"])
    p, n = pl.col("log_likelihood").exp(), pl.col("n_samples")
    both = both.with_columns(
        p=p,
        off=pl.col("n_correct") - n * p,
        spread=n * p * (1 - p),
        judged=(n * p >= 5) & (n * (1 - p) >= 5),
    )
    # A problem's samples rest on the same random numbers at every checkpoint: they are not added up.
    z = (
        both.group_by("task", "model")
        .agg(z=pl.col("off").sum() / pl.col("spread").sum().sqrt())
        .group_by("task")
        .agg(z=pl.col("z").pow(2).mean().sqrt())
    )
    found = both.group_by("task", maintain_order=True).agg(
        pl.col("p").mean(),
        begun=pl.col("n_correct").sum() / n.sum(),
        cells=pl.col("judged").sum().cast(pl.Int64),
        outside=(pl.col("off").abs() > 3 * pl.col("spread").sqrt()).filter("judged").mean(),
    )
    return found.join(z, on="task", maintain_order="left")
