"""The laws: what a fit found, what it predicts, and the file it is kept in.

- ``chinchilla``: L̂ = E + A/N^α + B/D^β, a loss. Parameters E, A, B, alpha, beta.
- ``loss``: L̂ + G/k^γ, the negative log of pass@k. Parameters E, A, B, G, alpha, beta, gamma.
- ``accuracy``: pass@k of p ~ Beta(μν, (1-μ)ν) with μ = θ2/(1 + exp(θ1 (L̂ - θ0))) and ν = exp(θ3 + θ4 L̂).
  Parameters E, A, B, alpha, beta, theta0 ... theta4.
- ``counts``: as accuracy, with a checkpoint effect N(0, σ²) on L̂; the value is that of a checkpoint without
  effect. Those parameters and sigma.
- ``direct``: pass@k with log(-log pass@k) = c0 + c1 log C + c2 log k + c3 log C log k, C = 6ND: an
  exponent of k that depends on compute, and no word on how to split it. Parameters c0 ... c3.

Sources: Hoffmann et al. 2022 (arXiv 2203.15556) for Chinchilla; Roberts et al. 2026 (arXiv 2604.01411) for
the loss law (approach 1) and the accuracy law (approach 2); arXiv 2512.08894 for the direct law. The counts
law is ours. An accuracy or counts
law fitted without measured losses has a latent L̂, with E = 0 and theta1 = 1 by convention, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Group, RenderableType

from t2fast import _core
from t2fast.charts import Drawn, Figure, Reported
from t2fast.laws import file
from t2fast.laws.coordinates import check_domain, coordinates
from t2fast.laws.ends import ends
from t2fast.laws.forecast import ForecastLaw
from t2fast.laws.held import against_measured
from t2fast.laws.report import FitReport
from t2fast.laws.solver import RowSolver, Solver
from t2fast.laws.validated import Validated, cautions
from t2fast.text import amount, columns, line, nearest, nominal, note, plain

_FORMULA = {
    "chinchilla": "L = E + A/N^alpha + B/D^beta",
    "loss": "-log pass@k = E + A/N^alpha + B/D^beta + G/k^gamma",
    "accuracy": "pass@k of p ~ Beta(mu nu, (1-mu) nu), mu and nu functions of L = E + A/N^alpha + B/D^beta",
    "counts": "as the accuracy law, with a checkpoint effect N(0, sigma^2) on L",
    "direct": "log(-log pass@k) = c0 + c1 log C + c2 log k + c3 log C log k, C = 6ND",
}

NAMES = ("chinchilla", "loss", "accuracy", "counts", "direct")
_FORMAT = "t2fast-law/1"
_LINKED = ("accuracy", "counts")
_HOW_LATENT = (
    'add "latent": false if it was fitted to measured losses, or true if to counts or likelihoods alone '
    "(E = 0 and theta1 = 1, which do not tell)"
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Law(Drawn, Reported):
    """A law with its parameters, the bootstrap draws of them, and the range of data behind it.

    ``draws`` has one row a draw, columns in the order of ``params``. ``domain`` gives the least and greatest
    ``n_params``, ``n_tokens`` and ``k`` that the law was fitted on. ``latent`` says that L̂ was fitted as a
    latent quantity instead of to measured losses, so that it is no training loss; a file of an accuracy or
    counts law has to say so, one of another law need not, having none. ``validation`` holds
    the figures of :func:`t2fast.validate`, where they were kept.
    """

    name: str
    params: dict[str, float]
    draws: Floats | None = field(default=None, compare=False, repr=False)
    domain: dict[str, tuple[float, float]] = field(default_factory=dict)
    source: str = ""
    fit: FitReport | None = None
    latent: bool = False
    validation: Validated | None = None

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            hint = nearest(self.name, NAMES)
            raise ValueError(
                f"law {self.name!r} is unknown; there are {', '.join(NAMES)}"
                + (f" (did you mean {hint!r}?)" if hint else "")
            )
        expected = _core.law_parameters(self.name)
        missing = [p for p in expected if p not in self.params]
        extra = [p for p in self.params if p not in expected]
        if missing or extra:
            raise ValueError(
                f"the {self.name} law has parameters {', '.join(expected)}"
                + (f"; missing {', '.join(missing)}" if missing else "")
                + (f"; not among them {', '.join(extra)}" if extra else "")
            )
        ordered = {p: float(self.params[p]) for p in expected}
        refusal = _core.law_refusal(self.name, list(ordered.values()))
        if refusal is not None:
            raise ValueError(refusal)
        if self.latent and not (ordered.get("E") == 0 and ordered.get("theta1") == 1):
            raise ValueError("a latent loss belongs to an accuracy or counts law with E = 0 and theta1 = 1")
        check_domain(self.domain)
        object.__setattr__(self, "params", ordered)
        if self.draws is not None and (self.draws.ndim != 2 or self.draws.shape[1] != len(expected)):
            raise ValueError(f"draws have shape {self.draws.shape}, expected (draws, {len(expected)})")

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """Parameters with bootstrap intervals, the quality of the fit and what is wrong with it."""
        fit, level = self.fit, 0.9
        table = columns("parameter", "value", f"{nominal(level)} interval", "", left=("parameter", ""))
        for i, (name, value) in enumerate(self.params.items()):
            interval = ""
            if self.draws is not None and len(self.draws):
                low, high = ends(self.draws[:, i], level)
                interval = f"{low:.4g} to {high:.4g}" if low != high else "held"
            remark = []
            if fit is not None and name in fit.on_bound:
                remark.append("on its bound")
            if fit is not None and name in fit.unidentified:
                remark.append("not identified")
            table.add_row(name, f"{value:.6g}", interval, ", ".join(remark))
        parts: list[RenderableType] = [line(f"{self.name} law: {_FORMULA[self.name]}"), table]
        if fit is not None:
            facts = [
                f"{fit.points} points of {fit.checkpoints} checkpoints, {fit.method}",
                f"{fit.objective_name} {fit.objective:.6g}; {fit.reason} after {fit.evaluations} evaluations",
            ]
            if fit.median_relative_error is not None:
                facts.append(f"median relative error on these points {fit.median_relative_error:.1%}")
            if fit.lack_of_fit is not None:
                facts.append(f"residuals {fit.lack_of_fit:.2g} times their sampling error (1: only noise)")
            parts += [line(fact) for fact in facts]
            parts += [note(words) for words in fit.notes]
        if self.domain:
            seen = ", ".join(
                f"{symbol} {amount(self.domain[name][0])} to {amount(self.domain[name][1])}"
                for symbol, name in (("N", "n_params"), ("D", "n_tokens"), ("k", "k"))
                if name in self.domain
            )
            parts.append(line(f"fitted on {seen}"))
        if self.source:
            parts.append(line(f"source: {self.source}"))
        if self.validation is not None:
            parts.append(line(self.validation.caution()))
        return Group(*parts)

    @property
    def vector(self) -> Floats:
        """Parameters in the order of the law."""
        return np.array(list(self.params.values()))

    @property
    def metric(self) -> Literal["loss", "-log pass@k", "pass@k"]:
        """What the law predicts."""
        if self.name == "chinchilla":
            return "loss"
        return "-log pass@k" if self.name == "loss" else "pass@k"

    @property
    def higher_is_better(self) -> bool:
        """Whether a plan maximises the value."""
        return self.metric == "pass@k"

    @property
    def cautions(self) -> tuple[str, ...]:
        """What everything made from this law has to repeat: what is wrong with its fit, and what a validation
        found about its forecasts.
        """
        return cautions(self.fit, self.validation)

    @property
    def has_k(self) -> bool:
        """Whether the value depends on k."""
        return self.name != "chinchilla"

    @property
    def has_process(self) -> bool:
        """Whether measurements nearby move the value, beside the law's form."""
        return False

    def solver(self, which: str) -> Solver:
        """The search for the best N, D and k: by the law ("point"), or by each of its draws ("draws")."""
        if which == "draws" and self.draws is not None:
            return RowSolver(self.name, np.ascontiguousarray(self.draws, dtype=np.float64))
        return RowSolver(self.name, self.vector[None])

    def with_draws(self, draws: ArrayLike) -> Law:
        """This law with other draws, rows of its parameters; `ValueError` where they are none."""
        rows, names = np.asarray(draws), list(self.params)
        if rows.dtype.kind not in "iuf" or rows.ndim != 2 or rows.shape[1] != len(names) or not len(rows):
            raise ValueError(
                f"draws has shape {rows.shape} of {rows.dtype}: give rows of {len(names)} parameters, "
                f"{', '.join(names)}"
            )
        return replace(self, draws=np.ascontiguousarray(rows, dtype=np.float64))

    def draw_values(self, n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike = 1.0) -> Floats:
        """The value of every draw: shape (draws, ...) with that of the coordinates behind it."""
        if self.draws is None or len(self.draws) == 0:
            raise ValueError("this law has no bootstrap draws; fit it with draws=200")
        shape, n, d, k_ = coordinates(n_params, n_tokens, k)
        return _core.law_values(self.name, np.ascontiguousarray(self.draws), n, d, k_).reshape(-1, *shape)

    def check_draws(self, level: float) -> None:
        """`ValueError` for a level out of range."""
        if not 0 < level < 1:
            raise ValueError(f"level = {level} must lie between 0 and 1")

    def predict(self, n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike = 1.0) -> Floats | float:
        """The law's value at N parameters, D tokens and k samples, broadcast over arrays.

        Args:
            n_params: N, positive.
            n_tokens: D, positive.
            k: samples, real and positive; any where the law has none.

        Returns:
            A loss in nats for ``chinchilla`` and ``loss`` (of pass@k: exp(-value) is the pass@k it stands
            for), pass@k for the others; of the broadcast shape, a float for scalars.

        Raises:
            ValueError: for coordinates that are not positive.
        """
        shape, n, d, k_ = coordinates(n_params, n_tokens, k)
        value = _core.law_values(self.name, self.vector[None], n, d, k_)[0].reshape(shape)
        return float(value) if shape == () else value

    def interval(
        self, n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike = 1.0, level: float = 0.9
    ) -> tuple[Floats, Floats]:
        """Percentile interval of the value over the bootstrap draws, at confidence ``level``.

        It covers what the data leave open about the parameters, not the law's own misfit (see
        ``fit.lack_of_fit``).

        Args:
            n_params: N, positive.
            n_tokens: D, positive.
            k: samples, as for `predict`.
            level: confidence, in (0, 1).

        Returns:
            Lower and upper limit, each of the broadcast shape.

        Raises:
            ValueError: without draws, and for coordinates or a level out of range.
        """
        self.check_draws(level)
        low, high = ends(self.draw_values(n_params, n_tokens, k), level)
        return np.asarray(low), np.asarray(high)

    def figure(self, level: float = 0.9) -> Figure:
        """The law against what it was fitted to, as :func:`t2fast.laws.held.against_measured`."""
        return against_measured(self, level)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the residuals, as plain JSON types."""
        out: dict[str, Any] = {
            "format": _FORMAT,
            "law": self.name,
            "params": self.params,
            "domain": {name: list(pair) for name, pair in self.domain.items()},
            "source": self.source,
            "latent": self.latent,
        }
        if self.fit is not None:
            out["fit"] = self.fit.to_dict()
        if self.validation is not None:
            out["validation"] = self.validation.to_dict()
        if self.draws is not None:
            out["draws"] = self.draws.tolist()
        return out

    def save(self, path: str | Path) -> None:
        """Write one JSON file, whole or not at all."""
        file.write(path, self.to_dict(), rows=["draws"])

    @classmethod
    def from_dict(cls, data: Any, where: str = "law") -> Law:
        """The inverse of :meth:`to_dict`; ``ValueError`` names what is wrong."""
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            raise ValueError(f"{where} is not a law saved by t2fast: its 'format' is not {_FORMAT!r}")
        try:
            given = file.typed(data["params"], dict, where, "params")
            params = {str(name): file.number(value, where, name) for name, value in given.items()}
            draws = None
            if data.get("draws") is not None:
                given = file.typed(data["draws"], list, where, "draws")
                rows = [
                    [file.number(v, where, "draws") for v in file.typed(row, list, where, "draws")]
                    for row in given
                ]
                if len({len(row) for row in rows}) > 1:
                    raise ValueError(f"{where}: draws holds rows of different lengths")
                draws = np.array(rows, dtype=float).reshape(len(rows), len(rows[0]) if rows else len(params))
            domain = file.ranges(data.get("domain", {}), where, "domain")
            report = None if data.get("fit") is None else FitReport.from_dict(data["fit"], where)
            kept = data.get("validation")
            validation = None if kept is None else Validated.from_dict(kept, where)
            name = file.typed(data["law"], str, where, "law")
            if name in _LINKED and "latent" not in data:
                raise ValueError(f"{where} does not say whether its loss is latent: {_HOW_LATENT}")
            latent = file.typed(data.get("latent", False), bool, where, "latent")
            source = file.typed(data.get("source", ""), str, where, "source")
        except KeyError as error:
            raise file.incomplete(where, error) from None
        try:
            return cls(name, params, draws, domain, source, report, latent, validation)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> Law | ForecastLaw:
        """Read a law of any kind that its ``save`` wrote."""
        data = file.read(path)
        if isinstance(data, Mapping) and data.get("law") == ForecastLaw.name:
            return ForecastLaw.from_dict(data, str(path))
        return cls.from_dict(data, str(path))
