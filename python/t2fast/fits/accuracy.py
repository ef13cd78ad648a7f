"""The accuracy law (T², approach 2): pass@k through a Beta link at a loss, in one stage or in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast._core import FitOutcome
from t2fast.arguments import require_kind
from t2fast.fits.bootstrap import Target, draw_both
from t2fast.fits.conclusion import conclude, enough
from t2fast.fits.isoflop import isoflop_weights
from t2fast.fits.passtable import PassTable
from t2fast.laws.law import Law
from t2fast.tables import Counts, Likelihoods, Losses

Floats = NDArray[np.float64]


def fit_accuracy(
    table: Counts | Likelihoods | PassTable,
    losses: Losses | None = None,
    *,
    ks: Sequence[float] | None = None,
    weights: str | None = None,
    regularise: bool = False,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """pass@k of p ~ Beta(μν, (1-μ)ν), μ and ν functions of L̂(N, D) (Roberts et al. 2026, approach 2).

    μ = θ2 / (1 + exp(θ1 (L̂ - θ0))), ν = exp(θ3 + θ4 L̂) and L̂ = E + A/N^α + B/D^β (arXiv 2604.01411).

    In two stages where losses are known (``losses``, joined on N and D, or the mean negative log-likelihood
    when ``table`` holds likelihoods): Chinchilla on the losses, with E at most 0.95 of the least loss as in
    the paper, then θ0 … θ4 by least squares on pass@k. In one stage for counts without losses: L̂ = A/N^α +
    B/D^β is a latent, fitted together with the link by least squares on pass@k (E = 0 and θ1 = 1 fix what
    the data cannot).

    What the intervals mean: the draws are refits, of both stages, to checkpoints and problems drawn with
    replacement, and :meth:`Law.interval` covers what these leave open about the law's pass@k. How far one
    checkpoint, measured anew, may lie from the law is not in them, nor is the form being wrong, which matters
    most far from the data: see ``fit.lack_of_fit``.

    Args:
        table: counts, likelihoods, or pass@k by checkpoint and k, with N and D.
        losses: of the same checkpoints, nats; None where there are none.
        ks: the k to fit; by default the powers of two up to 128 that all problems have samples for.
        weights: of the losses in stage 1: ``"isoflop"``, as in `fit_chinchilla`, or None for all alike.
        regularise: for a latent loss, whether to add the forecast law's priors: ln A and ln B, at the mean of
            ln N and ln D, 0 ± 1.5 and 1 ± 1.5; ln α and ln β ln 0.4 ± 0.5; θ0 -2 ± 3; the logit of θ2 1.5 ±
            1.5 above that of the best pass@1; θ3 3.5 ± 2; θ4 0 ± 0.4; beside an error scale of 1.5 times what
            the residuals show.
        draws: refits, which start from the fit; 0 for none.
        seed: of the draws. The same seed gives the same bits whatever the number of threads.
        progress: whether to show a bar; by default where stderr is a terminal.

    Returns:
        The law. What must not be overlooked is in ``law.fit`` and raised as :class:`FitWarning`.

    Raises:
        ValueError: for fewer than five checkpoints, checkpoints without a loss, ``ks`` that the table
            cannot give, a table of which nothing was solved, ``weights`` without losses, and ``regularise``
            with them.
        TypeError: for a table of another kind.
    """
    observed = PassTable.of(table, ks)
    loss = None
    if losses is not None:
        loss = _losses_of(observed, losses)
    elif isinstance(table, Likelihoods):
        loss = -table.checkpoints["log_likelihood"].to_numpy()
    observed.require_solved("accuracy")
    target = Target.measured(observed, observed.means)
    _, _, k, checkpoint, keep = target.rows()
    y = target.y.ravel()[keep]
    ones = np.ones((1, len(y)))
    unit = "sum of squared errors"
    if loss is None:
        if weights is not None:
            raise ValueError(
                "weights apply to the losses of stage 1, and there are none: give losses or drop weights"
            )
        enough(observed.checkpoints, 5, "checkpoints", "accuracy")
        words = "one stage, latent loss" + (", regularised" if regularise else "")
        arrays = (observed.n_params, observed.n_tokens, checkpoint, k)
        found = _core.fit_joint(*arrays, y[None], ones, None, regularise)[0]

        def one_stage(ys: Floats, ws: Floats) -> list[FitOutcome]:
            return _core.fit_joint(*arrays, ys[:, keep], ws[:, keep], list(found.params), regularise)

        drawn = draw_both(observed, observed.means, target, one_stage, draws, seed, progress)
        return conclude("accuracy", found, drawn, target, words, unit, seed, latent=True)
    if regularise:
        raise ValueError(
            "regularise applies to a latent loss, and here losses are known: drop one of the two"
        )
    if weights not in (None, "isoflop"):
        raise ValueError(f"weights = {weights!r} must be None or 'isoflop'")
    base = np.ones(len(loss))
    if weights == "isoflop":
        base = isoflop_weights(observed.n_params, observed.n_tokens, loss)
    ceiling = 0.95 * float(loss.min())

    def stages(ys: Floats, checkpoint_w: Floats, ws: Floats, start: list[float] | None) -> list[_Staged]:
        several = np.broadcast_to(loss, checkpoint_w.shape).copy()
        sizes = observed.n_params, observed.n_tokens
        first = _core.fit_power_sum(list(sizes), several, checkpoint_w * base, ceiling)
        params = np.array([outcome.params for outcome in first])
        each = _core.law_values("chinchilla", params, *sizes, np.ones(len(loss)))
        second = _core.fit_link(each, checkpoint, k, ys, ws, start)
        return [_Staged(*pair) for pair in zip(first, second, strict=True)]

    staged = stages(y[None], np.ones((1, len(loss))), ones, None)[0]
    drawn_stages = draw_both(
        observed,
        observed.means,
        target,
        lambda ys, ws: stages(
            ys[:, keep], ws[:, :: len(observed.ks)], ws[:, keep], list(staged.second.params)
        ),
        draws,
        seed,
        progress,
    )
    return conclude("accuracy", staged, drawn_stages, target, "two stages", unit, seed, stages=2)


@dataclass(frozen=True)
class _Staged:
    """Two outcomes as one: the parameters of both, the objective of the second."""

    first: FitOutcome
    second: FitOutcome

    @property
    def params(self) -> Floats:
        return np.concatenate([self.first.params, self.second.params])

    @property
    def objective(self) -> float:
        return self.second.objective

    @property
    def converged(self) -> bool:
        return self.first.converged and self.second.converged

    @property
    def reason(self) -> str:
        return self.second.reason if self.first.converged else f"stage 1: {self.first.reason}"

    @property
    def evaluations(self) -> int:
        return self.first.evaluations + self.second.evaluations

    @property
    def identified(self) -> list[bool]:
        return self.first.identified + self.second.identified

    @property
    def on_bound(self) -> list[bool]:
        return self.first.on_bound + self.second.on_bound


def _losses_of(observed: PassTable, losses: Losses) -> Floats:
    """The loss of every checkpoint, by (N, D)."""
    require_kind("fit_accuracy's losses", losses, (Losses,))
    losses.require_one_kind()
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
