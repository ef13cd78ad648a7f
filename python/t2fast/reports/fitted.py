"""A law: its parameters, and how it stands against what was measured."""

from __future__ import annotations

import numpy as np
import polars as pl

from t2fast import charts
from t2fast.fits.passtable import PassTable
from t2fast.laws import AnyLaw, ForecastLaw
from t2fast.laws.ends import draws_needed, interval
from t2fast.laws.held import against_measured
from t2fast.reports.page import Block, Grid, Prose, Section
from t2fast.tables import Accuracies, Counts, Likelihoods, Losses
from t2fast.text import amount, nominal, percent

Table = Counts | Likelihoods | Losses | Accuracies

_MOST = 128
"""Samples a problem up to which a table of likelihoods, which knows any k, is compared."""


def fitted(law: AnyLaw, table: Table | None, level: float) -> Section:
    """The section about a law, held against what it was fitted to, or else against `table`."""
    blocks: list[Block] = [_parameters(law, level), *(Prose(words) for words in _facts(law))]
    points = None if law.fit is None else law.fit.residuals
    why = "it needs the table that the law was fitted to"
    if points is None and table is not None:
        try:
            points = points_of(law, table)
        except ValueError as error:  # such as several tasks
            why = str(error)
    if points is None or not points.height:
        blocks.append(Prose(f"There is no picture of the fit: {why}."))
    else:
        blocks += [against_measured(law, level, points), charts.residuals(points, law.metric)]
    return Section("The law", blocks)


def points_of(law: AnyLaw, table: Table) -> pl.DataFrame | None:
    """What a table says of the law's quantity at the k that the law was fitted on, beside the law's value.

    None where the table holds another quantity.
    """
    if isinstance(table, Losses | Accuracies):
        if law.metric != ("loss" if isinstance(table, Losses) else "accuracy") or not table.has_sizes:
            return None
        table.require_one_kind()
        n, d = table.n_params, table.n_tokens
        k = np.ones(len(table))
        observed = table.loss if isinstance(table, Losses) else table.accuracy
    else:
        if law.metric not in ("pass@k", "-log pass@k") or not table.has_sizes:
            return None
        passes = PassTable.of(table.require_one_kind(), _ks(law, table))
        mean = passes.mean()
        whole = passes.problems_behind() == np.bincount(passes.checkpoint)[:, None]
        mean = np.where(whole, mean, np.nan)
        if law.metric == "-log pass@k":
            with np.errstate(divide="ignore"):
                mean = -np.log(mean)
        row, column = np.nonzero(np.isfinite(mean))
        n, d, k, observed = passes.n_params[row], passes.n_tokens[row], passes.ks[column], mean[row, column]
    inside = _inside(law, n, d)
    n, d, k, observed = n[inside], d[inside], k[inside], observed[inside]
    predicted = np.asarray(law.predict(n, d, k))
    return pl.DataFrame(
        {"n_params": n, "n_tokens": d, "k": k, "observed": observed, "predicted": predicted}
    ).with_columns((pl.col("observed") - pl.col("predicted")).alias("residual"))


def _ks(law: AnyLaw, table: Counts | Likelihoods) -> list[float]:
    """Powers of two that both the law and at least one checkpoint know."""
    low, high = law.domain.get("k", (1.0, float(_MOST)))
    most = high
    if isinstance(table, Counts):
        most = min(most, float(table.most_samples.max()))
    return [float(1 << i) for i in range(64) if low <= 1 << i <= most] or [1.0]


def _inside(law: AnyLaw, n: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The checkpoints within the sizes that the law was fitted on: it was not fitted to any other."""
    (least_n, most_n), (least_d, most_d) = (
        law.domain.get(name, (0.0, np.inf)) for name in ("n_params", "n_tokens")
    )
    slack = 1 + 1e-9
    kept = (n >= least_n / slack) & (n <= most_n * slack) & (d >= least_d / slack) & (d <= most_d * slack)
    return np.asarray(kept)


def _parameters(law: AnyLaw, level: float) -> Grid:
    if isinstance(law, ForecastLaw):
        members = law.members
        names = [name for name in members[0] if name != "l"]
        headers = ["parameter", *(f"member l = {member['l']:g}" for member in members)]
        rows = [[name, *(f"{member[name]:.4g}" for member in members)] for name in names]
        return Grid(headers, rows, caption=f"forecast law of {law.metric}")
    rows = []
    for i, (name, value) in enumerate(law.params.items()):
        between = ""
        if law.draws is not None and len(law.draws) >= draws_needed(level):
            low, high = interval(law.draws[:, i], level)
            between = f"{low:.4g} to {high:.4g}" if low != high else "held"
        rows.append([name, f"{value:.6g}", between])
    return Grid(["parameter", "value", f"{nominal(level)} interval"], rows, caption=f"{law.name} law")


def _facts(law: AnyLaw) -> list[str]:
    facts = []
    if law.source:
        facts.append(f"Source: {law.source}.")
    if law.domain:
        seen = ", ".join(
            f"{symbol} {amount(law.domain[name][0])} to {amount(law.domain[name][1])}"
            for symbol, name in (("N", "n_params"), ("D", "n_tokens"), ("k", "k"))
            if name in law.domain
        )
        facts.append(f"Fitted on {seen}.")
    if law.fit is not None:
        words = f"{law.fit.points} points of {law.fit.checkpoints} checkpoints, {law.fit.method}."
        if law.fit.median_relative_error is not None:
            error = percent(law.fit.median_relative_error)
            words += f" Median relative error on these very points {error}, which is no measure of forecasts."
        if law.fit.lack_of_fit is not None:
            words += f" Residuals are {law.fit.lack_of_fit:.2g} times their sampling error (1: only noise)."
        facts.append(words)
    draws = 0 if law.draws is None else len(law.draws)
    seed = None if law.fit is None else law.fit.seed
    made = "" if seed is None else f", made with seed {seed}"
    facts.append(
        f"Intervals come from {draws} draws of the law{made}."
        if draws
        else "The law has no draws: no intervals."
    )
    return facts
