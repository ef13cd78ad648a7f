"""Plans under one budget for training and all queries together, and the least cost of a target.

Costs have the form N (c D + Q (u + v k)): c for training a parameter on a token, u and v for a query's prompt
and for a sample, each a parameter. In FLOPs c = 6, u = 2 P, v = 2 T (Sardana et al. 2024, arXiv 2401.00448,
for k = 1); in dollars each is multiplied by its price a FLOP.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.text import amount, plain, ratio, samples
from t2fast.text import columns as table_columns

Floats: TypeAlias = npt.NDArray[np.float64]
Range: TypeAlias = tuple[float, float]

_POINTS = 33
_ROUNDS = 40
_SHRINK = 0.35
_D_RANGE = (1.0, 1e20)


class Predicts(Protocol):
    """Any law: pass@k at (N, D, k), by its `metric`, or else something to be made small."""

    @property
    def metric(self) -> str:
        """What it predicts."""

    def predict(self, n_params: npt.ArrayLike, n_tokens: npt.ArrayLike, k: npt.ArrayLike) -> Any:
        """Its value; arguments broadcast."""


@dataclass(frozen=True)
class Workload:
    """What a model will be used for, and what that costs.

    Attributes:
        queries: Q.
        prompt_tokens: P.
        output_tokens: T of a sample.
        train_price: of one FLOP of training; 1 for plans in FLOPs.
        prompt_price: of one FLOP of reading prompts.
        sample_price: of one FLOP of writing samples.
    """

    queries: float
    prompt_tokens: float
    output_tokens: float
    train_price: float = 1.0
    prompt_price: float = 1.0
    sample_price: float = 1.0

    def training(self, n: Floats | float, d: Floats | float) -> Floats | float:
        """Cost of training."""
        return 6.0 * self.train_price * n * d

    def serving(self, n: Floats | float, k: Floats | float) -> Floats | float:
        """Cost of all queries."""
        prompt = self.prompt_tokens * self.prompt_price
        return 2.0 * self.queries * n * (prompt + k * self.output_tokens * self.sample_price)


@dataclass(frozen=True)
class Spending:
    """N, D and k, and where the money goes.

    Attributes:
        n_params: N.
        n_tokens: D.
        k: samples a query.
        predicted: the law's value.
        metric: what that is.
        training: cost of training.
        serving: cost of all queries.
        gap: how much better, by the curvature there, the best could still be (Newton's decrement), in the
            unit of what was optimised: the law's value, or ln cost; NaN in a corner of the ranges.
    """

    n_params: float
    n_tokens: float
    k: float
    predicted: float
    metric: str
    training: float
    serving: float
    gap: float

    @property
    def cost(self) -> float:
        """Of everything."""
        return self.training + self.serving

    def __str__(self) -> str:
        table = table_columns("", "plan", left=("",))
        for label, value in (
            ("parameters N", amount(self.n_params)),
            ("training tokens D", amount(self.n_tokens)),
            ("samples per query k", samples(self.k)),
            ("tokens per parameter", ratio(self.n_tokens / self.n_params)),
            (f"predicted {self.metric}", f"{self.predicted:.4f}"),
            ("training costs", f"{self.training:.4g} ({self.training / self.cost:.0%})"),
            ("queries cost", f"{self.serving:.4g}"),
        ):
            table.add_row(label, value)
        return plain(table)


def best_spending(
    law: Predicts,
    budget: float,
    workload: Workload,
    *,
    n_params: Range = (1e6, 1e13),
    n_tokens: Range = _D_RANGE,
    k: Range = (1.0, 1e6),
    tokens_worth: Callable[[Floats], Floats] | None = None,
) -> Spending:
    """The best N, D and k under one budget.

    All of the budget is spent: what serving leaves trains, up to the most tokens. The search is a grid over
    (ln N, ln k) that closes in on its best point, which needs no slopes and works for every law.

    Args:
        law: the law.
        budget: in the unit of the workload's prices.
        workload: queries and prices.
        n_params: least and most N; equal ends fix it.
        n_tokens: least and most D.
        k: least and most k.
        tokens_worth: what D tokens are worth, for text that is read more than once
            (`DataWall.effective_tokens`).

    Returns:
        The choice, what it costs and what the law predicts there.

    Raises:
        ValueError: if the budget cannot train the least model on the least tokens and serve one sample a
            query, saying what that costs.
    """
    _positive("budget", budget)
    sign = _sign(law)

    def tokens(n: Floats, k: Floats) -> Floats:
        left = budget - workload.serving(n, k)
        return np.asarray(np.minimum(left / (6.0 * workload.train_price * n), n_tokens[1]))

    def objective(x: Floats) -> Floats:
        n, k = np.exp(x[..., 0]), np.exp(x[..., 1])
        d = tokens(n, k)
        ok = d >= n_tokens[0]
        worth = np.where(ok, d, 1.0)
        worth = worth if tokens_worth is None else tokens_worth(worth)
        return np.where(ok, sign * np.asarray(law.predict(n, worth, k)), -np.inf)

    least = float(workload.training(n_params[0], n_tokens[0]) + workload.serving(n_params[0], k[0]))
    if least > budget:
        raise ValueError(
            f"budget: {budget:.4g} is too little for the least model ({amount(n_params[0])} parameters, "
            f"{amount(n_tokens[0])} tokens, k = {k[0]:g}), which costs {least:.4g}, "
            f"{least / budget:.3g} times that"
        )
    x, gap = _maximise(objective, np.log([n_params, k]))
    n, samples_ = float(np.exp(x[0])), float(np.exp(x[1]))
    d = float(tokens(np.array(n), np.array(samples_)))
    if d >= n_tokens[1] * (1 - 1e-6):
        gap = math.nan  # a corner, where the curvature says nothing
    return _spending(law, workload, n, d, samples_, gap, tokens_worth)


def chinchilla_spending(
    law: Predicts,
    budget: float,
    workload: Workload,
    *,
    ratio: float = 20.0,
    n_params: Range = (1e6, 1e13),
    k: Range = (1.0, 1e6),
    tokens_worth: Callable[[Floats], Floats] | None = None,
) -> Spending | None:
    """The best N and k under the same budget with D = ratio N; None if the budget buys no such model."""
    sign, cost_of_sample = _sign(law), workload.serving(1.0, 1.0) - workload.serving(1.0, 0.0)

    def bought(n: Floats) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
        left = budget - workload.training(n, ratio * n) - workload.serving(n, 0.0)
        k_ = np.asarray(left / (n * cost_of_sample))
        return np.asarray(ratio * n), np.clip(k_, k[0], k[1]), k_ >= k[0]

    def objective(x: Floats) -> Floats:
        n = np.exp(x[..., 0])
        d, k_, affordable = bought(n)
        worth = d if tokens_worth is None else tokens_worth(d)
        return np.where(affordable, sign * np.asarray(law.predict(n, worth, k_)), -np.inf)

    try:
        x, gap = _maximise(objective, np.log([n_params, (1.0, 1.0)]))
    except _Nowhere:
        return None
    n = np.exp(x[0])
    d, k_, _ = bought(n)
    return _spending(law, workload, float(n), float(d), float(k_), gap, tokens_worth)


def cheapest_spending(
    law: Predicts,
    target: float,
    workload: Workload,
    *,
    n_params: Range = (1e6, 1e13),
    n_tokens: Range = _D_RANGE,
    k: Range = (1.0, 1e6),
    tokens_worth: Callable[[Floats], Floats] | None = None,
) -> Spending:
    """The N, D and k of least cost at which the law reaches a target.

    For every N and k the tokens needed are found by bisection in ln D, the law improving with D.

    Args:
        law: the law.
        target: pass@k, or a loss where the law predicts one.
        workload: queries and prices.
        n_params: least and most N; equal ends fix it.
        n_tokens: least and most D.
        k: least and most k.
        tokens_worth: as for `best_spending`.

    Returns:
        The choice, what it costs and what the law predicts there.

    Raises:
        ValueError: if the law reaches the target nowhere in these ranges, with the best value that it
            reaches.
    """
    sign = _sign(law)

    def value(n: Floats, d: Floats, k: Floats) -> Floats:
        worth = d if tokens_worth is None else tokens_worth(d)
        return np.asarray(sign * np.asarray(law.predict(n, worth, k)))

    def tokens(n: Floats, k: Floats) -> Floats:
        low, high = np.full(n.shape, math.log(n_tokens[0])), np.full(n.shape, math.log(n_tokens[1]))
        reachable = value(n, np.exp(high), k) >= sign * target
        for _ in range(64):
            middle = (low + high) / 2
            enough = value(n, np.exp(middle), k) >= sign * target
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return np.where(reachable, np.exp(high), np.inf)

    def objective(x: Floats) -> Floats:
        n, k = np.exp(x[..., 0]), np.exp(x[..., 1])
        d = tokens(n, k)
        with np.errstate(invalid="ignore"):
            cost = np.asarray(workload.training(n, d) + workload.serving(n, k))
        return np.asarray(-np.log(cost))

    box = np.log([n_params, k])
    try:
        x, gap = _maximise(objective, box)
    except _Nowhere:
        grid = _grid(box)
        values = value(np.exp(grid[..., 0]), np.full(grid.shape[:-1], n_tokens[1]), np.exp(grid[..., 1]))
        best = float(sign * values.max())
        raise ValueError(
            f"target: the law reaches {law.metric} {target:g} nowhere with N up to {amount(n_params[1])}, "
            f"D up to {amount(n_tokens[1])} and k up to {k[1]:g}; its best there is {best:.4f}, "
            f"{abs(best - target):.2g} short"
        ) from None
    n, samples_ = float(np.exp(x[0])), float(np.exp(x[1]))
    d = float(tokens(np.array(n), np.array(samples_)))
    return _spending(law, workload, n, d, samples_, gap, tokens_worth)


def _spending(
    law: Predicts,
    workload: Workload,
    n: float,
    d: float,
    k: float,
    gap: float,
    tokens_worth: Callable[[Floats], Floats] | None,
) -> Spending:
    worth = d if tokens_worth is None else float(tokens_worth(np.array(d)))
    predicted = float(np.asarray(law.predict(n, worth, k)))
    return Spending(
        n, d, k, predicted, law.metric, float(workload.training(n, d)), float(workload.serving(n, k)), gap
    )


def _sign(law: Predicts) -> float:
    return 1.0 if law.metric == "pass@k" else -1.0


class _Nowhere(Exception):
    """No point of the grid is feasible."""


def _grid(box: Floats) -> Floats:
    """(points, points, 2); one point along an axis whose ends are equal."""
    axes = [np.linspace(low, high, _POINTS if high > low else 1) for low, high in box]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _maximise(objective: Callable[[Floats], Floats], box: Floats) -> tuple[Floats, float]:
    """The best point of a box and Newton's decrement there: a grid that shrinks about its best point.

    A round keeps a third of each side, ten cells of the last grid: the best of a ridge that runs askew stays
    inside.
    """
    here, best = box.copy(), -math.inf
    x = box.mean(axis=1)
    for _ in range(_ROUNDS):
        grid = _grid(here)
        values = objective(grid)
        at = np.unravel_index(int(np.argmax(values)), values.shape)
        if values[at] > best:
            best, x = float(values[at]), grid[at]
        if not math.isfinite(best):
            raise _Nowhere
        half = _SHRINK * (here[:, 1] - here[:, 0]) / 2
        here = np.clip(np.stack([x - half, x + half], axis=1), box[:, :1], box[:, 1:])
    return x, _decrement(objective, x, box)


def _decrement(objective: Callable[[Floats], Floats], x: Floats, box: Floats) -> float:
    """g H^-1 g / 2 over the coordinates that no bound holds, by differences; 0 where all are held."""
    step = 1e-4
    free = [i for i in range(len(x)) if box[i, 0] + step < x[i] < box[i, 1] - step]
    if not free:
        return 0.0
    eye = np.eye(len(x))[free] * step
    centre = objective(x)
    g = np.array([(objective(x + e) - objective(x - e)) / (2 * step) for e in eye])
    h = np.empty((len(free), len(free)))
    for i, a in enumerate(eye):
        for j, b in enumerate(eye):
            if i == j:
                h[i, j] = (objective(x + a) - 2 * centre + objective(x - a)) / step**2
            else:
                like = objective(x + a + b) + objective(x - a - b)
                cross = like - objective(x + a - b) - objective(x - a + b)
                h[i, j] = cross / (4 * step**2)
    if not np.all(np.isfinite(h)) or np.any(np.linalg.eigvalsh(h) >= 0):
        return math.nan
    return float(-g @ np.linalg.solve(h, g) / 2)


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value!r}: it has to be positive and finite")
