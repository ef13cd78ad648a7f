"""pass@k for k beyond the samples drawn, and pass@k by likelihood where counting is biased."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from t2fast import _core
from t2fast.arguments import Floats, Integers, fill, real
from t2fast.estimators.beta import beta_pass_at_k

LEAST_SOLVED = 10
"""Clusters of problems with a success below which nothing is extrapolated."""
FARTHEST = 100.0
"""How many times the samples of the median problem k may be: as far as intervals were seen to cover."""
SUSPICIOUS = 3.0
"""Standard score of the number of samples going with their outcome, from which it is said."""
_NAMES = ("beta", "ceiling", "logit-normal")


@dataclass(frozen=True)
class Shape:
    """A distribution of success probabilities p over problems, fitted to counts."""

    name: str
    """"beta": p ~ Beta(a, b). "ceiling": likewise for a `share` of the problems, the others are never
    solved. "logit-normal": ln(p/(1-p)) ~ N(m, s²)."""
    params: Mapping[str, float]
    probability: float
    """That it is this shape of the three, given the counts."""
    log_likelihood: float
    """Sum over problems of ln P(c | n) less ln C(n, c)."""
    converged: bool
    """Whether the search ended at a maximum."""

    def pass_at_k(self, k: ArrayLike) -> Floats:
        """Mean pass@k over the population of problems, for real k >= 0."""
        values = self.params
        if self.name == "logit-normal":
            m, s = (real(name, values[name]) for name in ("m", "s"))
            return np.asarray(fill(_core.logit_normal_pass_at_k, m, s, real("k", k)))
        return np.asarray(values.get("share", 1.0) * beta_pass_at_k(values["a"], values["b"], k))


@dataclass(frozen=True)
class Extrapolation:
    """The shapes that were averaged, likeliest first."""

    shapes: tuple[Shape, ...]

    def pass_at_k(self, k: ArrayLike) -> Floats:
        """Mean pass@k over the population of problems, averaged over the shapes by their probability."""
        return np.asarray(sum(shape.probability * shape.pass_at_k(k) for shape in self.shapes))


def extrapolate(
    n: Integers, c: Integers, cluster: Integers, k: Floats, *, level: float, draws: int, seed: int
) -> tuple[Extrapolation, Floats, Floats, Floats]:
    """pass@k from how success probabilities are spread over problems, and limits of it.

    Each shape's unknowns maximise the likelihood of (n, c) times weak priors: means are left open; ln a ~
    N(ln 0.4, 0.7²), ln s ~ N(ln 1.8, 0.6²) and ln(share/(1-share)) ~ N(1.5, 1.5²) are spreads as models have
    on published benchmarks. The shapes are averaged by their probability: 35 : 35 : 30 times the square root
    of that of the counts under each, whose whole would be too sure of itself as none is true. The likelihood
    is that of (n, c) however sampling ended, if it ended because of what was drawn.

    n, c, cluster: (problems,), clusters numbered from 0. k: (K,), real. The interval is that of percentiles
    over `draws` fits, each to a bootstrap sample of the clusters, under priors whose centres are drawn from
    them, of a shape drawn by its probability.

    Returns:
        What was fitted, and the mean and its lower and upper limit, (K,).
    """
    fits, mean, curves = _core.fit_beyond(n, c, cluster, k, seed, draws)
    tail = (1 - level) / 2
    low, high = np.quantile(curves, [tail, 1 - tail], axis=0)
    return _named(fits), mean, np.minimum(low, mean), np.maximum(high, mean)


def fit_shapes(n: Integers, c: Integers) -> Extrapolation:
    """The distributions that `extrapolate` averages."""
    return _named(_core.fit_beyond(n, c, np.zeros_like(n), np.ones(1), 0, 0)[0])


def samples_follow_outcome(n: Integers, c: Integers) -> float:
    """Standard score of problems with few samples being solved more often than chance explains.

    Had n been chosen without regard to the outcome, c would be Beta-binomial given n, and where c lies in
    that distribution would not go with n. 0 where all n are equal, and where nothing was solved or all was:
    the fitted distribution then has no spread by which to judge. Above 3 in one of a thousand tables by
    chance; sampling that ends at a success reaches 7 and more with a hundred problems.
    """
    alike = n.min() == n.max() or not c.any() or (c == n).all()
    return 0.0 if alike else _core.samples_follow_outcome(n, c) or 0.0


def _named(fits: Sequence[tuple[list[float], float, float, bool]]) -> Extrapolation:
    shapes = [_shape(name, *fit) for name, fit in zip(_NAMES, fits, strict=True)]
    for shape in shapes:
        if not shape.converged and shape.probability > 0.01:
            warnings.warn(f"extrapolation: no maximum was found for {shape}", RuntimeWarning, stacklevel=4)
    return Extrapolation(tuple(sorted(shapes, key=lambda shape: -shape.probability)))


def _shape(name: str, x: list[float], log_likelihood: float, probability: float, converged: bool) -> Shape:
    if name == "logit-normal":
        params = {"m": x[0], "s": float(np.exp(x[1]))}
    else:
        a = float(np.exp(x[1]))
        params = {"a": a, "b": a * float(np.exp(-x[0]))}
        if name == "ceiling":
            params["share"] = float(1 / (1 + np.exp(-x[2])))
    return Shape(name, params, probability, log_likelihood, converged)
