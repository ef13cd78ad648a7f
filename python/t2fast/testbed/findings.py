"""What the checkpoints that are ready say to the questions of Roberts et al. 2026 (arXiv 2604.01411)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Group, RenderableType

from t2fast import charts
from t2fast.charts import Drawn, Figure, Reported
from t2fast.compute import sample_flops
from t2fast.estimators import likely_pass_at_k
from t2fast.fits import FitWarning, fit_chinchilla
from t2fast.laws import ForecastLaw, Law
from t2fast.plans import plan
from t2fast.tables import Likelihoods, Losses
from t2fast.testbed.grid import Checkpoint, grid
from t2fast.testbed.measured import begun_of, likelihoods_of, losses_of
from t2fast.testbed.report import loop_in
from t2fast.testbed.settings import Settings, settings_in
from t2fast.testbed.work import is_done, work_of
from t2fast.text import amount, chance, columns, line, note, percent, plain
from t2fast.validation.measured import Measured
from t2fast.validation.methods import METHODS, Places, Request

_LAWS = {"forecast": "forecast", "loss": "approach 1", "accuracy": "approach 2"}
"""The laws that are asked for plans, as `METHODS` and as this report name them."""
_KS = (1, 8, 64, 128)
"""The k by which forecasts are judged."""
_REACH = 64.0


@dataclass(frozen=True)
class Findings(Drawn, Reported):
    """What a testbed shows so far.

    Attributes:
        ready: checkpoints of the grid that are trained and measured.
        wanted: checkpoints of the grid.
        train_flops: C, for which laws are asked for plans.
        inference_flops: FLOPs per token served.
        plans: a row a task and law: `task`, `law`, `n_params`, `n_tokens`, `k`, `predicted` (pass@k);
            Chinchilla's size has the law `Chinchilla` and no prediction.
        profiles: a row a budget and task: `train_flops`, `task`, `sizes` (how many), the best of these by
            pass@k at the k that the inference budget buys (`n_params`, `n_tokens`, `k`, `measured`), and
            Chinchilla's, the one of least loss (`chinchilla_params`, `chinchilla_measured`).
        sizes: what the profiles are of, a row a budget, task and size: `train_flops`, `task`, `n_params`,
            `n_tokens`, `k`, `measured`, `loss` and `best`, means over seeds.
        loop: where the testbed is done, a row a task and choice: `task`, `choice`, `n_params`, `n_tokens`,
            `k`, `predicted`, `low`, `high` and `measured`, the mean over seeds.
        forecasts: a row a task and method: `task`, `method`, `error` (relative, of what the ordinary ones
            forecast; median over overtrained checkpoints and k), `refusal`.
        agreement: a row a task: `task`, `p` (mean likelihood), `begun` (share of samples that begin with the
            answer), `z` (their difference in standard errors of the sampling, a checkpoint each, as a root
            mean square: 1 if nothing but sampling sets them apart), `cells` (checkpoints and problems with at
            least 5 samples expected either way), `outside` (the share of these beyond 3 errors).
        seconds: seconds of training that were timed, by a thread's clock, or on a GPU by the wall's.
        flops: FLOPs of those.
        peak: FLOPs that multiplying matrices would have done in them.
        device: that trained and measured them.
    """

    ready: int
    wanted: int
    train_flops: float
    inference_flops: float
    plans: pl.DataFrame
    profiles: pl.DataFrame
    sizes: pl.DataFrame
    loop: pl.DataFrame
    forecasts: pl.DataFrame
    agreement: pl.DataFrame
    seconds: float
    flops: float
    peak: float
    device: str = "cpu"

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """What is missing first."""
        parts: list[RenderableType] = [line(f"{self.ready} of {self.wanted} checkpoints")]
        if self.ready < self.wanted:
            parts.append(note("the grid is not whole: all below is of what is ready, and will change"))
        parts += [*self._forecasts(), *self._profiles(), *self._plans(), *self._agreement()]
        if self.seconds:
            speed, share = self.flops / self.seconds, self.flops / self.peak
            who, kind = ("thread", "float32") if self.device == "cpu" else ("GPU", "bfloat16")
            words = f"training: {speed / 1e9:.3g} GFLOP/s of a {who}, {percent(share)} of what it multiplies"
            parts.append(line(f"{words} {kind} matrices at"))
        return Group(*parts)

    def _forecasts(self) -> list[RenderableType]:
        if self.forecasts.is_empty():
            return [
                note("no forecast of overtrained checkpoints: none is ready, or fewer than 8 ordinary ones")
            ]
        methods = self.forecasts["method"].unique(maintain_order=True).to_list()
        table = columns("task", *methods, left=("task",))
        for (task,), rows in self.forecasts.group_by("task", maintain_order=True):
            errors = dict(zip(rows["method"], rows["error"], strict=True))
            table.add_row(str(task), *(_percent(errors[name]) for name in methods))
        means = self.forecasts.group_by("method", maintain_order=True).agg(pl.col("error").mean())["error"]
        table.add_row("mean", *map(_percent, means))
        return [line("relative error of overtrained checkpoints, forecast by the ordinary ones"), table]

    def _profiles(self) -> list[RenderableType]:
        if self.profiles.is_empty():
            return [note("no budget has three sizes that are ready")]
        most = float(self.profiles["train_flops"].to_numpy().max())
        table = columns(
            "task", "best N", "D/N", "k", "pass@k", "Chinchilla N", "pass@k there", left=("task",)
        )
        for row in self.profiles.filter(train_flops=most).iter_rows(named=True):
            table.add_row(
                row["task"],
                amount(row["n_params"]),
                f"{row['n_tokens'] / row['n_params']:,.0f}",
                f"{row['k']:.3g}",
                chance(row["measured"]),
                amount(row["chinchilla_params"]),
                chance(row["chinchilla_measured"]),
            )
        return [line(f"best of the sizes measured at {most:.3g} FLOPs, and the one of least loss"), table]

    def _plans(self) -> list[RenderableType]:
        if self.plans.is_empty():
            return [note("too few checkpoints are ready to fit a law")]
        table = columns("task", "law", "N", "D/N", "k", "predicted", left=("task", "law"))
        for row in self.plans.iter_rows(named=True):
            table.add_row(
                row["task"],
                row["law"],
                amount(row["n_params"]),
                f"{row['n_tokens'] / row['n_params']:,.0f}",
                f"{row['k']:.3g}",
                "-" if row["predicted"] is None else chance(row["predicted"]),
            )
        return [line(f"what laws recommend for {self.train_flops:.3g} FLOPs"), table]

    def _agreement(self) -> list[RenderableType]:
        table = columns("task", "mean likelihood", "samples begin so", "z", "beyond 3", left=("task",))
        for row in self.agreement.iter_rows(named=True):
            table.add_row(
                row["task"],
                chance(row["p"]),
                chance(row["begun"]),
                f"{row['z']:.2f}",
                percent(row["outside"]) if row["cells"] else "-",
            )
        return [line("likelihoods beside samples that begin with the answer"), table]

    def figure(self) -> Figure:
        """The profiles, D/N as laws recommend it, and, where the loop is closed, promises and what became.

        Returns:
            The figure.

        Raises:
            ValueError: if no budget has three sizes that are ready.
        """
        if self.sizes.is_empty():
            raise ValueError("there is nothing to draw: no budget has three sizes that are ready")
        return charts.testbed(self.sizes, self.plans, self.loop, self.train_flops)

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        names = ("plans", "profiles", "sizes", "loop", "forecasts", "agreement")
        return {
            **{name: getattr(self, name) for name in ("ready", "wanted", "train_flops", "inference_flops")},
            **{name: getattr(self, name).to_dicts() for name in names},
            "seconds": self.seconds,
            "flops": self.flops,
            "peak": self.peak,
        }


def find(folder: str | Path) -> Findings:
    """What the checkpoints of a testbed that are ready show, whether it is at work or not.

    Args:
        folder: of `run_testbed`.

    Returns:
        The findings; they print themselves.

    Raises:
        ValueError: if the folder is no testbed, or nothing in it is ready.
    """
    folder = Path(folder)
    settings = settings_in(folder)
    wanted = grid(settings)
    ready = [one for one in wanted if is_done(folder, one)]
    if not ready:
        raise ValueError(f"{folder}: none of {len(wanted)} checkpoints is ready")
    ordinary = [one for one in ready if one.role == "ordinary"]
    beyond = [one for one in ready if one.role == "overtrained"]
    likelihoods, losses = likelihoods_of(folder, ready), losses_of(folder, ready)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # how far laws are right is what is looked at here
        forecasts = _forecasts(folder, ordinary, beyond)
        plans = _plans(settings, folder, ordinary)
    work = [work_of(folder, one) for one in ready]
    sizes = _sizes(settings, ordinary, likelihoods, losses)
    return Findings(
        len(ready),
        len(wanted),
        settings.train_flops,
        settings.inference_flops,
        plans,
        _profiles(sizes),
        sizes,
        loop_in(folder),
        forecasts,
        _agreement(folder, ready, likelihoods),
        sum(one["train_cpu_seconds"] for one in work),
        sum(one["timed_flops"] for one in work),
        sum(one["train_cpu_seconds"] * one["peak_flops"] for one in work),
        settings.device,
    )


def _forecasts(folder: Path, ordinary: Sequence[Checkpoint], beyond: Sequence[Checkpoint]) -> pl.DataFrame:
    """The paper's second question, for every law and baseline."""
    rows = []
    if len(ordinary) >= _LEAST and beyond:
        seen, ahead = likelihoods_of(folder, ordinary), likelihoods_of(folder, beyond)
        for task in seen.frame["task"].unique(maintain_order=True):
            known, truth = (Measured.of(table.filter(task=task), _KS) for table in (seen, ahead))
            places = Places(truth.n_params, truth.n_tokens, truth.ks)
            for name, method in METHODS.items():
                if truth.quantity not in method.quantities or name == "counts":
                    continue
                error, refusal = None, None
                try:
                    values = method.forecast(known, places, Request()).values
                except ValueError as refused:
                    refusal = str(refused)
                else:
                    error = float(np.median(np.abs(values - truth.values) / truth.values))
                rows.append((task, _LAWS.get(name, name), error, refusal))
    schema = {"task": pl.String, "method": pl.String, "error": pl.Float64, "refusal": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


_LEAST = 8
"""Checkpoints, from which on a law is fitted."""


def _plans(settings: Settings, folder: Path, ordinary: Sequence[Checkpoint]) -> pl.DataFrame:
    """The paper's first question: what each law recommends, and Chinchilla's of the held-out losses."""
    rows: list[tuple[str, str, float, float, float, float | None]] = []
    if len(ordinary) >= _LEAST:
        sizes = [float(shape.n_params) for shape in settings.shapes]
        budget, served = settings.train_flops, settings.inference_flops
        loss_law = fit_chinchilla(losses_of(folder, ordinary), draws=0, progress=False)
        theirs = plan(loss_law, budget, n_params=sizes, extrapolate=_REACH)
        likelihoods = likelihoods_of(folder, ordinary)
        for task in likelihoods.frame["task"].unique(maintain_order=True):
            known = Measured.of(likelihoods.filter(task=task), _KS)
            for name, words in _LAWS.items():
                fit = METHODS[name].fit
                assert fit is not None
                law: Law | ForecastLaw = fit(known, Request())
                best = plan(law, budget, served, n_params=sizes, extrapolate=_REACH)
                k = 1.0 if best.k is None else best.k
                value = float(law.predict(best.n_params, best.n_tokens, k))
                passing = np.exp(-value) if law.metric == "-log pass@k" else value
                rows.append((task, words, best.n_params, best.n_tokens, k, float(passing)))
            k = served / sample_flops(theirs.n_params, 1)
            rows.append((task, "Chinchilla", theirs.n_params, theirs.n_tokens, k, None))
    kinds = dict.fromkeys(("n_params", "n_tokens", "k", "predicted"), pl.Float64)
    return pl.DataFrame(rows, schema={"task": pl.String, "law": pl.String, **kinds}, orient="row")


def _sizes(
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
        for task, value in _passing(settings, likelihoods).items()
        for n, own in some.items()
    ]
    floats = ("n_params", "n_tokens", "k", "measured", "loss")
    schema = {"train_flops": pl.Float64, "task": pl.String, **dict.fromkeys(floats, pl.Float64)}
    frame = pl.DataFrame(rows, schema=schema)
    return frame.with_columns(best=pl.col("measured") == pl.col("measured").max().over("train_flops", "task"))


def _profiles(sizes: pl.DataFrame) -> pl.DataFrame:
    """At every budget the size of the best pass@k, by task, and that of least loss."""
    best, least = pl.col("measured").arg_max(), pl.col("loss").arg_min()
    return sizes.group_by("train_flops", "task", maintain_order=True).agg(
        sizes=pl.len().cast(pl.Int64),
        **{name: pl.col(name).get(best) for name in ("n_params", "n_tokens", "k", "measured")},
        chinchilla_params=pl.col("n_params").get(least),
        chinchilla_measured=pl.col("measured").get(least),
    )


def _passing(settings: Settings, likelihoods: Likelihoods) -> dict[str, dict[str, float]]:
    """By task and checkpoint: pass@k, for the k that the inference budget buys of its size."""
    found: dict[str, dict[str, float]] = {}
    for (task, model), rows in likelihoods.frame.group_by("task", "model", maintain_order=True):
        k = settings.inference_flops / sample_flops(rows["n_params"][0], 1)
        value = float(np.mean(likely_pass_at_k(rows["log_likelihood"], k)))
        found.setdefault(str(task), {})[str(model)] = value
    return found


def _agreement(folder: Path, ready: Sequence[Checkpoint], likelihoods: Likelihoods) -> pl.DataFrame:
    """Likelihoods beside the samples that begin with an answer."""
    both = begun_of(folder, ready).frame.join(likelihoods.frame, on=["model", "task", "problem"])
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


def _percent(error: float | None) -> str:
    return "-" if error is None else percent(error)
