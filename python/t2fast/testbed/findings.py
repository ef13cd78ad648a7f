"""What the checkpoints that are ready say to the questions of Roberts et al. 2026 (arXiv 2604.01411)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Group, RenderableType

from t2fast import charts
from t2fast.charts import Drawn, Figure, Reported
from t2fast.fits import FitWarning
from t2fast.testbed import questions
from t2fast.testbed.grid import grid, up_to
from t2fast.testbed.measured import begun_of, likelihoods_of, losses_of, tuned_of
from t2fast.testbed.report import loop_in, ratio, times
from t2fast.testbed.settings import settings_in
from t2fast.testbed.work import is_done, work_of
from t2fast.text import Columns, amount, chance, columns, line, note, percent, plain

_PAPER = {"approach 1": 0.028, "approach 2": 0.084}
"""Relative errors of Roberts et al. 2026, from 85 checkpoints to 21 overtrained ones."""
_TABLE = {"knowledge": (14.6, 5.8), "arithmetic": (57.9, 18.4), "causal": (8.1, 1.4), "spatial": (6.0, 1.1)}
"""Its table 1: pass@k in percent of the best overtrained checkpoint and of Chinchilla's, by kind of task."""


@dataclass(frozen=True)
class Findings(Drawn, Reported):
    """What a testbed shows so far.

    Attributes:
        ready: checkpoints of the grid that are trained and measured.
        wanted: checkpoints of the grid.
        train_flops: C, for which laws are asked for plans.
        inference_flops: FLOPs per token served.
        plans: for C, a row a task and law: `task`, `law`, `train_flops`, `n_params`, `n_tokens`, `k`,
            `predicted` (pass@k) and `refusal`, why there is none of these; Chinchilla's size has the law
            `Chinchilla` and no prediction.
        frontiers: likewise for every budget of the grid.
        profiles: a row a budget and task: `train_flops`, `task`, `sizes` (how many), the best of these by
            pass@k at the k that the inference budget buys (`n_params`, `n_tokens`, `k`, `measured`), and
            Chinchilla's, the one of least loss (`chinchilla_params`, `chinchilla_measured`).
        sizes: what the profiles are of, a row a budget, task and size: `train_flops`, `task`, `n_params`,
            `n_tokens`, `k`, `measured`, `loss` and `best`, means over seeds.
        loop: where the testbed is done, a row a task and choice: `task`, `choice`, `n_params`, `n_tokens`,
            `k`, `predicted`, `low`, `high` and `measured`, the mean over seeds.
        forecasts: a row a task and method: `task`, `method`, `error` (relative, of what the ordinary ones
            forecast; median over overtrained checkpoints and k), `refusal`.
        dearer: likewise of the ordinary checkpoints above C, forecast by the others.
        agreement: a row a task: `task`, `p` (mean likelihood), `begun` (share of samples that begin with the
            answer), `z` (their difference in standard errors of the sampling, a checkpoint each, as a root
            mean square: 1 if nothing but sampling sets them apart), `cells` (checkpoints and problems with at
            least 5 samples expected either way), `outside` (the share of these beyond 3 errors).
        tuned: what laws recommend for C before and after fine-tuning: as `plans`, of the tasks that were
            fine-tuned on, with `stage`: base, FT or SFT.
        tuned_profiles: likewise as `profiles`.
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
    frontiers: pl.DataFrame
    profiles: pl.DataFrame
    sizes: pl.DataFrame
    loop: pl.DataFrame
    forecasts: pl.DataFrame
    dearer: pl.DataFrame
    agreement: pl.DataFrame
    tuned: pl.DataFrame
    tuned_profiles: pl.DataFrame
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
        parts += [note(words) for words in self._failures()]
        parts += [*self._forecasts(), *self._profiles(), *self._plans(), *self._frontiers(), *self._tuned()]
        parts += self._agreement()
        if self.seconds:
            speed, share = self.flops / self.seconds, self.flops / self.peak
            who, kind = ("thread", "float32") if self.device == "cpu" else ("GPU", "bfloat16")
            words = f"training: {speed / 1e9:.3g} GFLOP/s of a {who}, {percent(share)} of what it multiplies"
            parts.append(line(f"{words} {kind} matrices at"))
        return Group(*parts)

    def _failures(self) -> list[str]:
        """Promises that were not kept, and laws that say nothing."""
        found = [
            f"{row['task']}, {row['choice']}: {chance(row['measured'])} measured, outside the interval of "
            f"{chance(row['low'])} to {chance(row['high'])}"
            for row in self.loop.iter_rows(named=True)
            if not row["low"] <= row["measured"] <= row["high"]
        ]
        refused = pl.concat(
            [
                self.forecasts.select("task", "method", "refusal"),
                self.plans.select("task", pl.col("law").alias("method"), "refusal"),
                self.tuned.select(
                    pl.format("{} after {}", "task", "stage").alias("task"),
                    pl.col("law").alias("method"),
                    "refusal",
                ),
            ]
        )
        rows = refused.drop_nulls("refusal").unique(("task", "method"), keep="first", maintain_order=True)
        return found + [f"{row['method']} of {row['task']}: {row['refusal']}" for row in rows.to_dicts()]

    def _forecasts(self) -> list[RenderableType]:
        found: list[RenderableType] = []
        if len(self.forecasts):
            found.append(line("relative error of overtrained checkpoints, forecast by the ordinary ones"))
            found.append(_errors(self.forecasts, _PAPER))
        else:
            found.append(
                note("no forecast of overtrained checkpoints: none is ready, or fewer than 8 ordinary ones")
            )
        if len(self.dearer):
            most = f"{self.train_flops:.3g} FLOPs"
            found.append(line(f"relative error of checkpoints above {most}, forecast by those below"))
            found.append(_errors(self.dearer))
        return found

    def _profiles(self) -> list[RenderableType]:
        if self.profiles.is_empty():
            return [note("no budget has three sizes that are ready")]
        most = float(self.profiles["train_flops"].to_numpy().max())
        table = columns(
            "task",
            "best N",
            "D/N",
            "k",
            "pass@k",
            "Chinchilla N",
            "pass@k there",
            "ratio",
            "the paper's",
            left=("task",),
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
                times(ratio(row["measured"], row["chinchilla_measured"])),
                times(ratio(*_TABLE[row["task"]])) if row["task"] in _TABLE else "-",
            )
        return [line(f"best of the sizes measured at {most:.3g} FLOPs, and the one of least loss"), table]

    def _plans(self) -> list[RenderableType]:
        if self.plans.is_empty():
            return [note("too few checkpoints are ready to fit a law")]
        table = columns("task", "law", "N", "D/N", "k", "predicted", left=("task", "law"))
        for row in self.plans.drop_nulls("n_params").iter_rows(named=True):
            table.add_row(
                row["task"],
                row["law"],
                amount(row["n_params"]),
                f"{row['n_tokens'] / row['n_params']:,.0f}",
                f"{row['k']:.3g}",
                "-" if row["predicted"] is None else chance(row["predicted"]),
            )
        return [line(f"what laws recommend for {self.train_flops:.3g} FLOPs"), table]

    def _frontiers(self) -> list[RenderableType]:
        if self.frontiers.is_empty():
            return []
        budgets = self.frontiers["train_flops"].unique().sort().to_list()
        table = columns("task", "law", *(f"{budget:.3g}" for budget in budgets), left=("task", "law"))
        measured = {
            (row["task"], row["train_flops"]): row["n_tokens"] / row["n_params"]
            for row in self.profiles.iter_rows(named=True)
        }
        for (task,), own in self.frontiers.group_by("task", maintain_order=True):
            for (law,), rows in own.group_by("law", maintain_order=True):
                some = zip(rows["n_tokens"], rows["n_params"], strict=True)
                table.add_row(str(task), str(law), *("-" if n is None else f"{d / n:,.0f}" for d, n in some))
            best = (measured.get((task, budget)) for budget in budgets)
            table.add_row(str(task), "best measured", *("-" if r is None else f"{r:,.0f}" for r in best))
        return [line("D/N by training FLOPs: what laws recommend, and the best of the sizes measured"), table]

    def _tuned(self) -> list[RenderableType]:
        """RQ3: the optimum before and after fine-tuning."""
        if self.tuned.is_empty():
            return []
        laws = self.tuned["law"].unique(maintain_order=True).to_list()
        table = columns(
            "task", "stage", *(f"{law} D/N" for law in laws), "best N", "D/N", "pass@k", "Chinchilla N",
            "pass@k there", "ratio", left=("task", "stage"),
        )  # fmt: skip
        most = float(self.tuned_profiles["train_flops"].to_numpy().max(initial=0.0))
        best = {
            (row["task"], row["stage"]): row
            for row in self.tuned_profiles.filter(train_flops=most).iter_rows(named=True)
        }
        for (task, stage), rows in self.tuned.group_by("task", "stage", maintain_order=True):
            ratios = {row["law"]: row for row in rows.iter_rows(named=True)}
            said = [
                "-"
                if ratios[law]["n_params"] is None
                else f"{ratios[law]['n_tokens'] / ratios[law]['n_params']:,.0f}"
                for law in laws
            ]
            own = best.get((task, stage))
            cells = (
                []
                if own is None
                else [
                    amount(own["n_params"]),
                    f"{own['n_tokens'] / own['n_params']:,.0f}",
                    chance(own["measured"]),
                    amount(own["chinchilla_params"]),
                    chance(own["chinchilla_measured"]),
                    times(ratio(own["measured"], own["chinchilla_measured"])),
                ]
            )
            table.add_row(str(task), str(stage), *said, *(cells or ["-"] * 6))
        words = (
            f"before and after fine-tuning: laws for {self.train_flops:.3g} FLOPs, and the best size measured"
        )
        return [line(f"{words} at {most:.3g}" if most else words), table]

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
        return charts.testbed(self.sizes, self.plans.drop_nulls("n_params"), self.loop, self.train_flops)

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        names = (
            "plans",
            "frontiers",
            "profiles",
            "sizes",
            "loop",
            "forecasts",
            "dearer",
            "agreement",
            "tuned",
            "tuned_profiles",
        )
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
    seen, their_losses = likelihoods_of(folder, ordinary), losses_of(folder, ordinary)
    ahead = likelihoods_of(folder, beyond) if beyond else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # how far laws are right is what is looked at here
        laws = questions.fitted(seen)
        forecasts = questions.forecasts(laws, ahead)
        most = up_to(settings, 1)
        above = seen.filter(min_train_flops=most) if any(one.flops > most for one in ordinary) else None
        dearer = questions.forecasts(
            {} if above is None else questions.fitted(seen.filter(max_train_flops=most)), above
        )
        budgets = sorted({*settings.budgets, settings.train_flops})
        frontiers = questions.advice(settings, laws, their_losses, budgets)
        plans = frontiers.filter(train_flops=settings.train_flops)
        after = tuned_of(folder, ordinary)
        tuned, tuned_profiles = questions.tuned(settings, ordinary, seen, after, plans, their_losses)
    work = [work_of(folder, one) for one in ready]
    sizes = questions.sizes(settings, ordinary, likelihoods, losses)
    return Findings(
        len(ready),
        len(wanted),
        settings.train_flops,
        settings.inference_flops,
        plans,
        frontiers,
        questions.profiles(sizes),
        sizes,
        loop_in(folder),
        forecasts,
        dearer,
        questions.agreement(begun_of(folder, ready), likelihoods),
        tuned,
        tuned_profiles,
        sum(one["train_cpu_seconds"] for one in work),
        sum(one["timed_flops"] for one in work),
        sum(one["train_cpu_seconds"] * one["peak_flops"] for one in work),
        settings.device,
    )


def _errors(forecasts: pl.DataFrame, paper: Mapping[str, float] | None = None) -> Columns:
    """Errors by task and method, with their means over tasks, and the paper's."""
    methods = forecasts["method"].unique(maintain_order=True).to_list()
    table = columns("task", *methods, left=("task",))
    for (task,), rows in forecasts.group_by("task", maintain_order=True):
        errors = dict(zip(rows["method"], rows["error"], strict=True))
        table.add_row(str(task), *(_percent(errors[name]) for name in methods))
    means = forecasts.group_by("method", maintain_order=True).agg(pl.col("error").mean())["error"]
    table.add_row("mean", *map(_percent, means))
    if paper is not None:
        table.add_row("the paper's", *(_percent(paper.get(name)) for name in methods))
    return table


def _percent(error: float | None) -> str:
    return "-" if error is None else percent(error)
