"""From a search's result to a law with its report, and a warning for everything in it that needs care."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import _core
from t2fast.fits.bootstrap import Target
from t2fast.fits.structure import alike, lack_of_fit, structure
from t2fast.laws import FitReport, Law

Floats = NDArray[np.float64]


class FitWarning(UserWarning):
    """A fit whose parameters or predictions need care."""


def enough(found: int, needed: int, what: str, law: str) -> None:
    """`ValueError` where a table has less than a law needs."""
    if found < needed:
        raise ValueError(f"the {law} law needs at least {needed} {what}, and the table has {found}")


class Found(Protocol):
    """What `conclude` needs of an outcome; see `_core.FitOutcome`."""

    @property
    def params(self) -> Floats:
        """In the order of the law."""

    @property
    def objective(self) -> float:
        """The least value found."""

    @property
    def converged(self) -> bool:
        """Whether the end point is a minimum as far as the search can tell."""

    @property
    def reason(self) -> str:
        """Why the search ended, in words."""

    @property
    def evaluations(self) -> int:
        """Of the objective."""

    @property
    def identified(self) -> list[bool]:
        """For each parameter, whether the data determine it."""

    @property
    def on_bound(self) -> list[bool]:
        """For each parameter, whether it sits on a bound."""


def conclude(
    name: str,
    found: Found,
    drawn: Sequence[Found] | None,
    target: Target,
    method: str,
    objective_name: str,
    seed: int,
    *,
    latent: bool = False,
    stages: int = 1,
) -> Law:
    """The law with its report, and a warning for everything in it that needs care.

    `seed`: of the draws. `latent`: whether E and theta1 were held. `stages`: 2 where all but theta0 to
    theta4 come from losses.
    """
    names = _core.law_parameters(name)
    params = dict(zip(names, found.params.tolist(), strict=True))
    unidentified = tuple(p for p, known in zip(names, found.identified, strict=True) if not known)
    on_bound = tuple(p for p, at in zip(names, found.on_bound, strict=True) if at)
    n, d, k, _, keep = target.rows()
    observed = target.y.ravel()[keep]
    predicted = _core.law_values(name, found.params[None], n, d, k)[0]
    residual = observed - predicted
    positive = observed != 0
    relative = np.abs(residual[positive] / observed[positive])
    held = {"E", "theta1"} if latent else set()
    fitted = names[5:] if stages == 2 else names
    free = [names.index(p) for p in fitted if p not in {*held, *on_bound, "sigma"}]
    known = [p for p in free if names[p] not in unidentified]
    lack = lack_of_fit(name, found.params, known, target, residual)
    notes = [*target.notes, *(alike(target.n, target.d) if name != "direct" else [])]
    if not found.converged:
        notes.append(f"the search did not converge: {found.reason}")
    if on_bound:
        notes.append(f"on a bound: {', '.join(f'{p} = {params[p]:.4g}' for p in on_bound)}")
    if unidentified:
        notes.append(f"not identified by these data: {', '.join(unidentified)}")
    if lack is not None and lack > 2:
        notes.append(f"residuals are {lack:.1f} times their sampling error: no law of this form fits closely")
    notes += structure(name, found.params, free, target, residual)
    stuck = 0 if drawn is None else sum(not outcome.converged for outcome in drawn)
    if drawn is not None and stuck:
        notes.append(f"{stuck} of {len(drawn)} bootstrap draws did not converge and are left out")
    if not keep.all():
        notes.append(
            f"left out {int((~keep).sum())} points (checkpoint and k) where no problem has k samples"
        )
    for note in notes:
        warnings.warn(f"{name} law: {note}", FitWarning, stacklevel=3)
    columns = {"n_params": n, "n_tokens": d, "k": k, "observed": observed, "predicted": predicted}
    report = FitReport(
        method=method,
        objective=found.objective,
        objective_name=objective_name,
        points=len(observed),
        checkpoints=len(target.n),
        converged=found.converged,
        reason=found.reason,
        evaluations=found.evaluations,
        unidentified=unidentified,
        on_bound=on_bound,
        median_relative_error=float(np.median(relative)) if relative.size else None,
        lack_of_fit=lack,
        notes=tuple(notes),
        seed=seed,
        residuals=pl.DataFrame({**columns, "residual": residual}),
    )
    domain = {
        column: (float(values.min()), float(values.max()))
        for column, values in (("n_params", n), ("n_tokens", d), ("k", k))
    }
    draws = None
    if drawn is not None:
        draws = np.array([outcome.params for outcome in drawn if outcome.converged]).reshape(-1, len(names))
    return Law(name, params, draws, domain, "", report, latent)
