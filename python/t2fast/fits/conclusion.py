"""From a search's result to a law with its report, and a warning for everything in it that needs care."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import _core
from t2fast.fits.bootstrap import Target
from t2fast.laws import FitReport, Law

Floats = NDArray[np.float64]


class FitWarning(UserWarning):
    """A fit whose parameters or predictions need care."""


def enough(found: int, needed: int, what: str, law: str) -> None:
    if found < needed:
        raise ValueError(f"the {law} law needs at least {needed} {what}, and the table has {found}")


def conclude(
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
