"""The forecast law: what is forecast of a checkpoint that was not measured, and how far that may be off.

A latent u = exp(a - n e^A) + exp(b - d e^B) in centred n = ln N and d = ln D, its parameters under priors:

- of pass@k, and of accuracies: p ~ Beta(mu nu, (1-mu) nu) with mu = s(t2) s(t0 - u), s the logistic function,
  and nu = exp(t3 + t4 u), above a chance level; in z = ln(-ln(1 - pass@k)). Three members, fitted by least
  squares on e^(l (z - z*))/l for l = 0, 1/4 and 1/2, of accuracies for l = 1/4, 1/2 and 1: the larger l, the
  less weak checkpoints count.
- of losses: L = e^e + u, in z = ln L; one member.

Of losses and accuracies, where there is one number a checkpoint, A gives way to A + c d, c near 0: published
losses fall with N the slower or faster the more tokens there were (Li et al. 2025, arXiv 2506.10972).

z(N, D, k) is the mean over members of their own value and of a Gaussian process (Matern 3/2 over ln N and ln
D) on what they leave at each measured k. Between those k the process is linear in ln k, beyond them held; far
from the data it fades. Ours; priors and kernel as the source of `t2fast._core` has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Group, RenderableType

from t2fast import _core
from t2fast.charts import Drawn, Figure, Reported
from t2fast.laws import file
from t2fast.laws.coordinates import check_domain, coordinates
from t2fast.laws.ends import check_draws, ends
from t2fast.laws.held import against_measured
from t2fast.laws.measurements import NOISE, ForecastDraws, Measurements, Metric
from t2fast.laws.report import FitReport
from t2fast.laws.solver import Solver
from t2fast.laws.validated import Validated, cautions
from t2fast.text import amount, columns, line, note, plain

Floats = NDArray[np.float64]
Kind: TypeAlias = Literal["parameters", "mean", "checkpoint"]

# A little less than any published table needs that is large enough to learn it from: Pythia's, Gadre's,
# Chinchilla's, Porian's and Farseer's need 0.28 to 0.79.
PUBLISHED_WIDENING = 0.25
FORMAT = "t2fast-law/1"
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class ForecastLaw(Drawn, Reported):
    """A fitted forecast law.

    Attributes:
        metric: what it predicts: ``pass@k``, ``accuracy`` or ``loss``.
        measured: what it was fitted to.
        thetas: parameters, (members, parameters).
        scales: root mean square residual of a checkpoint at each member, (members,).
        chance: what guessing gets right; 0 for pass@k and losses.
        draws: refits, if any were asked for.
        domain: least and greatest n_params, n_tokens and k.
        source: where the measurements came from.
        fit: how it was fitted.
        validation: the figures of `t2fast.validate`, where they were kept.
        widening: what intervals of a new checkpoint are widened by, learnt from forecasts of the table's own
            checkpoints: at distance h from the nearest measured one, in ln N and ln D, by this times
            (1 + 3h/2), and by no less than 1. `PUBLISHED_WIDENING` where the table was too small to learn it.
    """

    metric: Metric
    measured: Measurements
    thetas: Floats
    scales: Floats
    chance: float = 0.0
    draws: ForecastDraws | None = field(default=None, compare=False, repr=False)
    domain: dict[str, tuple[float, float]] = field(default_factory=dict)
    source: str = ""
    fit: FitReport | None = None
    validation: Validated | None = None
    widening: float = 0.0

    name = "forecast"

    def __post_init__(self) -> None:
        if self.metric not in get_args(Metric):
            raise ValueError(f"metric {self.metric!r} is not among {', '.join(get_args(Metric))}")
        names, powers = _core.forecast_members(self.metric)
        if self.thetas.shape != (len(powers), len(names)) or self.scales.shape != (len(powers),):
            raise ValueError(
                f"a forecast law of {self.metric} has {len(powers)} members of {len(names)} parameters "
                f"and a scale; found shapes {self.thetas.shape} and {self.scales.shape}"
            )
        if not np.isfinite(self.thetas).all():
            raise ValueError("a parameter of the forecast law is not finite")
        if not (np.isfinite(self.scales).all() and (self.scales >= 0).all()):
            raise ValueError("a scale of the forecast law is negative or not finite")
        if not 0 <= self.chance < 1 or (self.chance and self.metric == "loss"):
            raise ValueError(f"chance = {self.chance} must lie in [0, 1), and be 0 for losses")
        if self.metric != "pass@k" and self.measured.ks.tolist() != [1.0]:
            raise ValueError(f"a forecast law of {self.metric} has k = 1 alone")
        if not 0 <= self.widening < math.inf:
            raise ValueError(f"widening = {self.widening} must be finite, and 0 or more")
        check_domain(self.domain)
        if self.draws is not None:
            self.draws.check(self.thetas.size, self.measured)

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """The members, the quality of the fit and what is wrong with it."""
        names, powers = _core.forecast_members(self.metric)
        table = columns("parameter", *(f"l = {power:g}" for power in powers), left=("parameter",))
        for i, parameter in enumerate(names):
            table.add_row(parameter, *(f"{value:.4g}" for value in self.thetas[:, i]))
        table.add_row("scatter of checkpoints", *(f"{scale:.3g}" for scale in self.scales))
        parts: list[RenderableType] = [
            line(
                f"forecast law of {self.metric}: regularised laws and a Gaussian process on their residuals"
            ),
            table,
        ]
        if self.fit is not None:
            error = self.fit.median_relative_error
            parts.append(
                line(f"{self.fit.points} points of {self.fit.checkpoints} checkpoints, {self.fit.method}")
            )
            if error is not None:
                parts.append(
                    line(f"median relative error on these points {error:.1%} (no measure of forecasts)")
                )
            parts += [note(words) for words in self.fit.notes]
        if self.draws is not None:
            parts.append(
                line(f"{len(self.draws)} draws: refits to perturbed measurements under perturbed priors")
            )
            parts.append(line(self._widened()))
        seen = ", ".join(
            f"{symbol} {amount(self.domain[name][0])} to {amount(self.domain[name][1])}"
            for symbol, name in (("N", "n_params"), ("D", "n_tokens"), ("k", "k"))
            if name in self.domain
        )
        if seen:
            parts.append(line(f"fitted on {seen}"))
        if self.source:
            parts.append(line(f"source: {self.source}"))
        if self.validation is not None:
            parts.append(line(self.validation.caution()))
        return Group(*parts)

    def _widened(self) -> str:
        if not self.widening:
            return "intervals are as wide as these draws have them"
        growth = _core.forecast_growth()
        learnt = "learnt from forecasts of this table's own checkpoints"
        if self.widening == PUBLISHED_WIDENING:
            learnt = "less than published tables need, for want of checkpoints to learn it from"
        return (
            f"intervals of a new checkpoint are widened {self.widening:.2g} (1 + {growth:g} h) times where"
            f" that is above 1, h its distance in ln N and ln D from the nearest measured one: {learnt}"
        )

    @property
    def cautions(self) -> tuple[str, ...]:
        """What everything made from this law has to repeat: see :attr:`Law.cautions`."""
        return cautions(self.fit, self.validation)

    @property
    def higher_is_better(self) -> bool:
        """Whether a plan maximises the value."""
        return self.metric != "loss"

    @property
    def has_k(self) -> bool:
        """Whether the value depends on k."""
        return self.metric == "pass@k"

    @property
    def latent(self) -> bool:
        """Whether no training loss was measured."""
        return self.metric != "loss"

    @property
    def has_process(self) -> bool:
        """Whether measurements nearby move the value, beside the law's form."""
        return True

    def solver(self, which: str) -> Solver:
        """The search for the best N, D and k: see :meth:`Law.solver`; also by its "members" alone."""
        return self.cloud if which == "draws" else self.state

    def with_draws(self, draws: ForecastDraws) -> ForecastLaw:
        """This law, which has no draws but its own; `ValueError` for others."""
        if draws is not self.draws:
            raise ValueError("draws of a forecast law are its own: give draws=law.draws")
        return self

    @property
    def members(self) -> list[dict[str, float]]:
        """Exponent l of the transform, scale and parameters of each member."""
        names, powers = _core.forecast_members(self.metric)
        return [
            {"l": power, "scale": float(scale), **dict(zip(names, theta.tolist(), strict=True))}
            for power, scale, theta in zip(powers, self.scales, self.thetas, strict=True)
        ]

    def predict(self, n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike = 1.0) -> Floats | float:
        """pass@k, accuracy or loss forecast at N parameters, D tokens and k samples, broadcast over arrays.

        pass@k never falls in k.

        Args:
            n_params: N, positive.
            n_tokens: D, positive.
            k: samples, real and positive; 1 where the law has no k.

        Returns:
            The value (a loss in nats), of the broadcast shape, a float for scalars.

        Raises:
            ValueError: for coordinates that are not positive, and for k other than 1 where there is no k.
        """
        shape, n, d, k_ = self._coordinates(n_params, n_tokens, k)
        value = self.state.values(n, d, k_)[0].reshape(shape)
        return float(value) if shape == () else value

    def correction(self, n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike = 1.0) -> Floats | float:
        """The Gaussian process's part of z there, in logarithms: near 0 where only the laws speak."""
        shape, n, d, k_ = self._coordinates(n_params, n_tokens, k)
        value = self.state.values(n, d, k_)[1].reshape(shape)
        return float(value) if shape == () else value

    def interval(
        self,
        n_params: ArrayLike,
        n_tokens: ArrayLike,
        k: ArrayLike = 1.0,
        level: float = 0.9,
        kind: Kind = "checkpoint",
    ) -> tuple[Floats, Floats]:
        """Percentile interval over the draws, at confidence ``level``.

        Args:
            n_params: N, positive.
            n_tokens: D, positive.
            k: samples, as for `predict`.
            level: confidence, in (0, 1).
            kind: of what: ``parameters``, of the laws' parameters, the process held; ``mean``, of the mean of
                checkpoints of this size; ``checkpoint``, of one new checkpoint, which scatters about that
                mean.

        Returns:
            Lower and upper limit, each of the broadcast shape.

        Raises:
            ValueError: without draws, or with too few for the level.
        """
        self.check_draws(level)
        shape, n, d, k_ = self._coordinates(n_params, n_tokens, k)
        low, high = ends(self._drawn(n, d, k_, kind), level)
        return low.reshape(shape), high.reshape(shape)

    def draw_values(
        self, n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike = 1.0, kind: Kind = "checkpoint"
    ) -> Floats:
        """The value of every draw: shape (draws, ...) with that of the coordinates behind it."""
        shape, n, d, k_ = self._coordinates(n_params, n_tokens, k)
        return self._drawn(n, d, k_, kind).reshape(-1, *shape)

    def _drawn(self, n: Floats, d: Floats, k: Floats, kind: Kind) -> Floats:
        if self.draws is None or not len(self.draws):
            raise ValueError("this law has no draws; fit it with draws=200")
        if kind not in KINDS:
            raise ValueError(f"kind = {kind!r} is not among {', '.join(KINDS)}")
        return self.cloud.draw_values(kind, n, d, k)

    def check_draws(self, level: float) -> None:
        """`ValueError` for a level out of range, and for draws, if there are any, too few for it."""
        check_draws(0 if self.draws is None else len(self.draws), level)

    def _coordinates(self, n_params: ArrayLike, n_tokens: ArrayLike, k: ArrayLike) -> Any:
        found = coordinates(n_params, n_tokens, k)
        if not self.has_k and (found[3] != 1).any():
            raise ValueError(f"a forecast law of {self.metric} knows k = 1 alone")
        return found

    @cached_property
    def state(self) -> _core.ForecastState:
        """The law, ready to predict."""
        return self._state(None)

    @cached_property
    def cloud(self) -> _core.ForecastState:
        """The law with its draws."""
        draws = self.draws
        return self._state(None if draws is None else (draws.thetas, draws.z, draws.noise))

    def _state(self, draws: tuple[Floats, Floats, Floats] | None) -> _core.ForecastState:
        table = self.measured.table(self.metric, self.chance)
        return _core.ForecastState(table, self.thetas, self.scales, draws, self.widening)

    def figure(self, level: float = 0.9) -> Figure:
        """The law against what it was fitted to, as :func:`t2fast.laws.held.against_measured`."""
        return against_measured(self, level)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the residuals, as plain JSON types.

        A checkpoint is [N, D, z at each k, variance at each k], a draw [noise, parameters, z of every
        checkpoint at each k]; null where nothing was measured.
        """
        seen = self.measured
        out: dict[str, Any] = {
            "format": FORMAT,
            "law": self.name,
            "metric": self.metric,
            "chance": self.chance,
            "domain": {name: list(pair) for name, pair in self.domain.items()},
            "source": self.source,
            "members": self.members,
            "widening": self.widening,
            "k": seen.ks.tolist(),
            "checkpoints": _rows(np.column_stack([seen.n_params, seen.n_tokens, seen.z, seen.variance])),
        }
        if self.fit is not None:
            out["fit"] = self.fit.to_dict()
        if self.validation is not None:
            out["validation"] = self.validation.to_dict()
        if self.draws is not None:
            out["draws"] = _rows(np.column_stack([self.draws.noise, self.draws.thetas, self.draws.z]))
        return out

    def save(self, path: str | Path) -> None:
        """Write one JSON file, whole or not at all."""
        file.write(path, self.to_dict(), rows=["members", "checkpoints", "draws"])

    @classmethod
    def from_dict(cls, data: Any, where: str = "law") -> ForecastLaw:
        """The inverse of :meth:`to_dict`; ``ValueError`` names what is wrong."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT or data.get("law") != cls.name:
            raise ValueError(f"{where} is not a forecast law saved by t2fast")
        try:
            metric = file.typed(data["metric"], str, where, "metric")
            names, powers = _core.forecast_members(metric)
            if [file.number(member["l"], where, "l") for member in data["members"]] != powers:
                raise ValueError(f"{where}: members are not those of l = {powers}")
            thetas = [
                [file.number(member[name], where, name) for name in names] for member in data["members"]
            ]
            scales = [file.number(member["scale"], where, "scale") for member in data["members"]]
            ks = np.array([file.number(k, where, "k") for k in data["k"]])
            checkpoints = _matrix(data["checkpoints"], 2 + 2 * len(ks), where, "checkpoints")
            n, d, z, variance = np.split(checkpoints, [1, 2, 2 + len(ks)], axis=1)
            measured = Measurements(
                n[:, 0], d[:, 0], ks, np.ascontiguousarray(z), np.ascontiguousarray(variance)
            )
            draws = None
            if data.get("draws") is not None:
                size = len(powers) * len(names)
                width = NOISE + size + z.size
                if all(isinstance(row, list) and len(row) == width - 1 for row in data["draws"]):
                    raise ValueError(
                        f"{where} was saved by an older t2fast, whose draws hold one number less: fit it anew"
                    )
                rows = _matrix(data["draws"], width, where, "draws")
                noise, parameters, again = (
                    np.ascontiguousarray(p) for p in np.split(rows, [NOISE, NOISE + size], axis=1)
                )
                if not np.isin(noise[:, -1], range(len(powers))).all():
                    raise ValueError(
                        f"{where}: the {NOISE}th number of a draw is none of {len(powers)} members"
                    )
                draws = ForecastDraws(parameters, again, noise)
            domain = file.ranges(data.get("domain", {}), where, "domain")
            return cls(
                metric,
                measured,
                np.array(thetas),
                np.array(scales),
                file.number(data["chance"], where, "chance"),
                draws,
                domain,
                file.typed(data.get("source", ""), str, where, "source"),
                None if data.get("fit") is None else FitReport.from_dict(data["fit"], where),
                None if data.get("validation") is None else Validated.from_dict(data["validation"], where),
                file.number(data.get("widening", 0.0), where, "widening"),
            )
        except KeyError as error:
            raise file.incomplete(where, error) from None
        except TypeError as error:
            raise ValueError(f"{where} is not a complete law: {error}") from None
        except ValueError as error:
            raise ValueError(str(error) if where in str(error) else f"{where}: {error}") from None


def _rows(values: Floats) -> list[list[float | None]]:
    return [[None if math.isnan(value) else value for value in row] for row in values.tolist()]


def _matrix(rows: Any, width: int, where: str, name: str) -> Floats:
    """(rows, width) of finite numbers, NaN for null."""
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == width for row in rows):
        raise ValueError(f"{where}: {name} is no list of rows of {width} numbers")
    numbers = [
        [math.nan if value is None else file.number(value, where, name) for value in row] for row in rows
    ]
    return np.array(numbers, dtype=float).reshape(len(rows), width)
