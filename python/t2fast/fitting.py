"""Fits of the four laws: the best parameters, their bootstrap draws, and what is wrong with the fit.

Every function returns a :class:`t2fast.laws.Law`. What must not be overlooked (no convergence, a parameter
on its bound or not identified, a curve that misses the data by more than noise) is in ``law.fit`` and raised
as a :class:`FitWarning`.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import _core
from t2fast.bootstrap import Target, draw, draw_both
from t2fast.laws import FitReport, Law
from t2fast.passtable import PassTable, resampled_checkpoints
from t2fast.tables import Counts, Likelihoods, Losses

Floats = NDArray[np.float64]


class FitWarning(UserWarning):
    """A fit whose parameters or predictions need care."""


def fit_chinchilla(
    losses: Losses,
    *,
    method: str = "least_squares",
    delta: float = 1e-3,
    weights: str | None = None,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """L = E + A/N^α + B/D^β (Hoffmann et al. 2022, arXiv 2203.15556, equation 2).

    ``method="least_squares"`` minimises Σ (L̂ - L)² by variable projection; ``"huber"`` minimises
    Σ Huber_δ(log L̂ - log L) from Hoffmann's 4,500 starts (their approach 3, δ = 1e-3).
    ``weights="isoflop"`` weights each point by the inverse variance of the losses in its group of equal
    training FLOPs. ``draws`` bootstrap draws resample the checkpoints.
    """
    if method not in ("least_squares", "huber"):
        raise ValueError(f"method = {method!r} must be 'least_squares' or 'huber'")
    n, d, y = losses.n_params, losses.n_tokens, losses.loss
    w = losses.weight.copy()
    if weights == "isoflop":
        w *= isoflop_weights(n, d, y)
    elif weights is not None:
        raise ValueError(f"weights = {weights!r} must be None or 'isoflop'")
    _enough(len(y), 5, "points", "chinchilla")

    def solve(ys: Floats, ws: Floats, start: Floats | None) -> dict[str, Any]:
        if method == "least_squares":
            return _core.fit_power_sum([n, d], ys, ws * w, np.inf)
        starts = hoffmann_starts() if start is None else _huber_start(start)[None]
        return _core.fit_huber(n, d, ys, ws * w, delta, starts)[0]

    found = solve(y[None], np.ones((1, len(y))), None)
    rng = np.random.default_rng(seed)
    drawn = draw(
        lambda ws: solve(np.broadcast_to(y, ws.shape).copy(), ws, found["params"][0]),
        resampled_checkpoints(rng, draws, len(y)),
        progress,
    )
    words = "variable projection" if method == "least_squares" else f"Huber, delta = {delta:g}, 4,500 starts"
    unit = "sum of squared errors" if method == "least_squares" else "sum of Huber losses of log residuals"
    target = Target(n, d, np.ones(1), y[:, None], None)
    return _conclude("chinchilla", found, drawn, target, words, unit)


def fit_loss(
    table: Counts | Likelihoods | PassTable,
    *,
    ks: Sequence[float] | None = None,
    aggregate: str = "log_mean",
    method: str = "projection",
    restarts: int = 500,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """-log pass@k = E + A/N^α + B/D^β + G/k^γ (Roberts et al. 2026, arXiv 2604.01411, approach 1).

    ``aggregate="log_mean"`` fits -log of the mean pass@k over problems; ``"mean_log"`` the mean of -log
    pass@k, the paper's choice for likelihoods, which is infinite and therefore an error where a problem was
    never solved. ``method="projection"`` is variable projection, the same answer every time; ``"restarts"``
    is the paper's recipe of many random starts (``restarts`` of them, by ``seed``), kept for comparison.
    Draws resample checkpoints and problems.
    """
    if method not in ("projection", "restarts"):
        raise ValueError(f"method = {method!r} must be 'projection' or 'restarts'")
    if aggregate not in ("log_mean", "mean_log"):
        raise ValueError(f"aggregate = {aggregate!r} must be 'log_mean' or 'mean_log'")
    observed = PassTable.of(table, ks)

    def measure(weights: Floats | None = None) -> Floats:
        if aggregate == "mean_log":
            return observed.mean_log(weights)
        with np.errstate(divide="ignore"):
            return -np.log(observed.mean(weights))

    target = Target.measured(observed, measure)
    _refuse_infinite(target, aggregate)
    n, d, k, _, keep = target.rows()
    _enough(int(keep.sum()), 7, "points", "loss")

    def solve(ys: Floats, ws: Floats) -> dict[str, Any]:
        usable = np.isfinite(ys)
        return _core.fit_power_sum([n, d, k], np.where(usable, ys, 0.0), ws * usable, np.inf)

    y = target.y.ravel()[keep]
    if method == "projection":
        found, words = solve(y[None], np.ones((1, len(y)))), "variable projection"
    else:
        starts = loss_starts(restarts, seed)
        found = _core.fit_loss_restarts(n, d, k, y, np.ones(len(y)), starts)[0]
        words = f"{restarts} random starts"
    drawn = draw_both(
        observed, measure, target, lambda ys, ws: solve(ys[:, keep], ws[:, keep]), draws, seed, progress
    )
    words += ", -log of mean pass@k" if aggregate == "log_mean" else ", mean of -log pass@k"
    return _conclude("loss", found, drawn, target, words, "sum of squared errors")


def fit_accuracy(
    table: Counts | Likelihoods | PassTable,
    losses: Losses | None = None,
    *,
    ks: Sequence[float] | None = None,
    weights: str | None = None,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """pass@k of p ~ Beta(μν, (1-μ)ν) with μ, ν functions of L̂(N, D) (Roberts et al. 2026, approach 2).

    In two stages where losses are known (``losses``, joined on N and D, or the mean negative log-likelihood
    when ``table`` holds likelihoods): Chinchilla on the losses, with E at most 0.95 of the least loss as in
    the paper, then θ0 … θ4 by least squares on pass@k. In one stage for counts without losses: L̂ = A/N^α +
    B/D^β is a latent, fitted together with the link by least squares on pass@k (E = 0 and θ1 = 1 fix what
    the data cannot).
    """
    observed = PassTable.of(table, ks)
    loss = None
    if losses is not None:
        loss = _losses_of(observed, losses)
    elif isinstance(table, Likelihoods):
        loss = -table.checkpoints["log_likelihood"].to_numpy()
    target = Target.measured(observed, observed.mean)
    _, _, k, checkpoint, keep = target.rows()
    y = target.y.ravel()[keep]
    ones = np.ones((1, len(y)))
    if loss is None:
        if weights is not None:
            raise ValueError(
                "weights apply to the losses of stage 1, and there are none: give losses or drop weights"
            )
        _enough(observed.checkpoints, 5, "checkpoints", "accuracy")
        arrays = (observed.n_params, observed.n_tokens, checkpoint, k)
        found = _core.fit_joint(*arrays, y[None], ones)
        start = list(found["params"][0])

        def one_stage(ys: Floats, ws: Floats) -> dict[str, Any]:
            usable = np.isfinite(ys)
            return _core.fit_joint(*arrays, np.where(usable, ys, 0.0), ws * usable, start)

        drawn = draw_both(
            observed,
            observed.mean,
            target,
            lambda ys, ws: one_stage(ys[:, keep], ws[:, keep]),
            draws,
            seed,
            progress,
        )
        return _conclude("accuracy", found, drawn, target, "one stage, latent loss", "sum of squared errors")
    if weights not in (None, "isoflop"):
        raise ValueError(f"weights = {weights!r} must be None or 'isoflop'")
    base = np.ones(len(loss))
    if weights == "isoflop":
        base = isoflop_weights(observed.n_params, observed.n_tokens, loss)
    ceiling = 0.95 * float(loss.min())

    def stages(ys: Floats, checkpoint_w: Floats, ws: Floats, start: list[float] | None) -> dict[str, Any]:
        several = np.broadcast_to(loss, checkpoint_w.shape).copy()
        first = _core.fit_power_sum(
            [observed.n_params, observed.n_tokens], several, checkpoint_w * base, ceiling
        )
        each = [
            _core.law_values("chinchilla", p[None], observed.n_params, observed.n_tokens, np.ones(len(loss)))[
                0
            ]
            for p in first["params"]
        ]
        usable = np.isfinite(ys)
        second = _core.fit_link(np.array(each), checkpoint, k, np.where(usable, ys, 0.0), ws * usable, start)
        joined: dict[str, Any] = dict(second)
        joined["params"] = np.hstack([first["params"], second["params"]])
        for key in ("identified", "on_bound"):
            joined[key] = [a + b for a, b in zip(first[key], second[key], strict=True)]
        joined["converged"] = [a and b for a, b in zip(first["converged"], second["converged"], strict=True)]
        return joined

    found = stages(y[None], np.ones((1, len(loss))), ones, None)
    start = list(found["params"][0][5:])
    drawn = draw_both(
        observed,
        observed.mean,
        target,
        lambda ys, ws: stages(ys[:, keep], ws[:, :: len(observed.ks)], ws[:, keep], start),
        draws,
        seed,
        progress,
    )
    return _conclude("accuracy", found, drawn, target, "two stages", "sum of squared errors")


def fit_counts(
    counts: Counts,
    *,
    effect: bool = True,
    ks: Sequence[float] | None = None,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """The accuracy law in one stage by maximum likelihood of the Beta-binomial on the counts (ours).

    Π B(c+a, n-c+b)/B(a, b) over problems, (a, b) from the link at L̂ = A/N^α + B/D^β + σu, u ~ N(0, 1)
    shared by the problems of a checkpoint and integrated out (``effect=False`` drops it). Right where
    estimates of pass@k are biased: n differs between problems, sampling stopped at a success, nothing was
    solved. ``ks`` only chooses where residuals are reported.
    """
    observed = PassTable.of(counts, ks)
    _enough(observed.checkpoints, 5, "checkpoints", "counts")
    target = Target.measured(observed, observed.mean)
    _, _, k, checkpoint, keep = target.rows()
    first = _core.fit_joint(
        observed.n_params,
        observed.n_tokens,
        checkpoint,
        k,
        target.y.ravel()[None, keep],
        np.ones((1, int(keep.sum()))),
    )
    # The same mean with problems more alike or more different: the likelihood sees more of their spread.
    starts = np.array([np.append(first["params"][0], 0.0)] * 3)
    starts[1:, 8] += [-1.5, 1.5]
    order = np.argsort(counts.checkpoint_index, kind="stable")
    samples, correct = counts.n[order].astype(float), counts.c[order].astype(float)

    def solve(row_w: Floats, checkpoint_w: Floats, starts: Floats) -> dict[str, Any]:
        return _core.fit_counts(
            observed.n_params,
            observed.n_tokens,
            observed.checkpoint,
            samples,
            correct,
            row_w,
            checkpoint_w,
            starts,
            effect,
        )

    found = solve(np.ones((1, len(samples))), np.ones((1, observed.checkpoints)), starts)
    rng = np.random.default_rng(seed)
    checkpoint_w = resampled_checkpoints(rng, draws, observed.checkpoints)
    problem_w = observed.resampled_problems(rng, draws)
    drawn = draw(
        lambda both: solve(
            np.ascontiguousarray(both[:, observed.checkpoints :][:, observed.problem]),
            np.ascontiguousarray(both[:, : observed.checkpoints]),
            found["params"],
        ),
        np.hstack([checkpoint_w, problem_w]),
        progress,
    )
    words = "Beta-binomial likelihood" + (" with a checkpoint effect" if effect else "")
    return _conclude(
        "counts", found, drawn, target, words, "negative log-likelihood (without binomial coefficients)"
    )


def hoffmann_starts() -> Floats:
    """The 4,500 starts (log A, log B, log E, α, β) of Hoffmann et al. 2022, section D.2."""
    a = np.arange(0, 26, 5.0)
    e = np.arange(-1, 1.1, 0.5)
    exponent = np.arange(0, 2.1, 0.5)
    return np.array(list(itertools.product(a, a, e, exponent, exponent)))


def loss_starts(count: int, seed: int) -> Floats:
    """Random starts (log E, log A, log B, log G, α, β, γ) over a generous box; the paper gives no ranges."""
    low = [-2, 0, 0, -2, 0.05, 0.05, 0.05]
    high = [1.5, 12, 12, 3, 1, 1, 1.5]
    return np.random.default_rng(seed).uniform(low, high, size=(count, 7))


def isoflop_weights(n_params: Floats, n_tokens: Floats, loss: Floats) -> Floats:
    """Inverse variance of the loss within groups of equal training FLOPs (6ND within 10%), of mean one.

    Roberts et al. 2026, approach 2, stage 1. A group of one, or without spread, gets the median weight.
    """
    flops = np.log(6 * n_params * n_tokens)
    group = np.round(flops / np.log(1.1) / 2).astype(np.int64)
    weights = np.full(len(group), np.nan)
    for g in np.unique(group):
        inside = group == g
        variance = np.var(loss[inside], ddof=1) if inside.sum() > 1 else 0.0
        if variance > 0:
            weights[inside] = 1 / variance
    if np.isnan(weights).all():
        return np.ones(len(group))
    weights[np.isnan(weights)] = np.nanmedian(weights)
    return np.asarray(weights / weights.mean())


def _conclude(
    name: str,
    found: dict[str, Any],
    drawn: tuple[Floats, int] | None,
    target: Target,
    method: str,
    objective_name: str,
) -> Law:
    """The law with its report, and a warning for everything in it that needs care."""
    names = _core.law_parameters(name)
    params = dict(zip(names, found["params"][0].tolist(), strict=True))
    unidentified = tuple(p for p, known in zip(names, found["identified"][0], strict=True) if not known)
    on_bound = tuple(p for p, at in zip(names, found["on_bound"][0], strict=True) if at)
    n, d, k, _, keep = target.rows()
    observed = target.y.ravel()[keep]
    predicted = _core.law_values(name, found["params"], n, d, k)[0]
    residual = observed - predicted
    positive = observed != 0
    relative = np.abs(residual[positive] / observed[positive])
    lack = None
    if target.noise is not None:
        noise = target.noise.ravel()[keep]
        usable = noise > 0
        freedom = max(1, int(usable.sum()) - len(names))
        lack = (
            float(np.sqrt(np.sum((residual[usable] / noise[usable]) ** 2) / freedom))
            if usable.any()
            else None
        )
    notes = []
    if not found["converged"][0]:
        notes.append(f"the search did not converge: {found['reason'][0]}")
    if on_bound:
        notes.append(f"on a bound: {', '.join(f'{p} = {params[p]:.4g}' for p in on_bound)}")
    if unidentified:
        notes.append(f"not identified by these data: {', '.join(unidentified)}")
    if lack is not None and lack > 2:
        notes.append(f"residuals are {lack:.1f} times their sampling error: no law of this form fits closely")
    if drawn is not None and drawn[1]:
        notes.append(f"{drawn[1]} of {len(drawn[0])} bootstrap draws did not converge")
    if not keep.all():
        notes.append(
            f"left out {int((~keep).sum())} points (checkpoint and k) where no problem has k samples"
        )
    for note in notes:
        warnings.warn(f"{name} law: {note}", FitWarning, stacklevel=3)
    columns = {"n_params": n, "n_tokens": d, "k": k, "observed": observed, "predicted": predicted}
    report = FitReport(
        method=method,
        objective=float(found["objective"][0]),
        objective_name=objective_name,
        points=len(observed),
        checkpoints=len(target.n),
        converged=bool(found["converged"][0]),
        reason=found["reason"][0],
        evaluations=int(found["evaluations"][0]),
        unidentified=unidentified,
        on_bound=on_bound,
        median_relative_error=float(np.median(relative)) if relative.size else None,
        lack_of_fit=lack,
        notes=tuple(notes),
        residuals=pl.DataFrame({**columns, "residual": residual}),
    )
    domain = {
        column: (float(values.min()), float(values.max()))
        for column, values in (("n_params", n), ("n_tokens", d), ("k", k))
    }
    return Law(name, params, None if drawn is None else drawn[0], domain, "", report)


def _huber_start(params: Floats) -> Floats:
    e, a, b, alpha, beta = params
    return np.array([np.log(a), np.log(b), np.log(e), alpha, beta])


def _enough(found: int, needed: int, what: str, law: str) -> None:
    if found < needed:
        raise ValueError(f"the {law} law needs at least {needed} {what}, and the table has {found}")


def _refuse_infinite(target: Target, aggregate: str) -> None:
    rows, columns = np.nonzero(np.isinf(target.y))
    if not rows.size:
        return
    listed = "; ".join(
        f"n_params = {target.n[i]:g}, n_tokens = {target.d[i]:g}, k = {target.ks[j]:g}"
        for i, j in list(zip(rows, columns, strict=True))[:10]
    )
    advice = (
        "aggregate='log_mean' takes the log after the mean; the counts law needs no logarithm"
        if aggregate == "mean_log"
        else "filter those checkpoints out, e.g. by n_tokens, or use the counts law, which takes none"
    )
    what = "some problem was never" if aggregate == "mean_log" else "nothing was ever"
    raise ValueError(
        f"-log pass@k is infinite at {rows.size} points because {what} solved there ({listed}): {advice}"
    )


def _losses_of(observed: PassTable, losses: Losses) -> Floats:
    """The loss of every checkpoint, by (N, D)."""
    known: dict[tuple[float, float], float] = {}
    for key, loss in zip(zip(losses.n_params, losses.n_tokens, strict=True), losses.loss, strict=True):
        if key in known:
            raise ValueError(f"losses hold n_params = {key[0]:g}, n_tokens = {key[1]:g} twice")
        known[key] = loss
    missing = [key for key in zip(observed.n_params, observed.n_tokens, strict=True) if key not in known]
    if missing:
        listed = "; ".join(f"n_params = {n:g}, n_tokens = {d:g}" for n, d in missing[:10])
        raise ValueError(f"losses lack {len(missing)} checkpoints of the table: {listed}")
    return np.array([known[key] for key in zip(observed.n_params, observed.n_tokens, strict=True)])
