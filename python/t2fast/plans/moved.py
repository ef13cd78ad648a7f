"""What moving a sample's bytes costs, or how long it takes: of weights, and of keys and values."""

from __future__ import annotations

from dataclasses import dataclass

from t2fast.costs.flops import Architecture
from t2fast.costs.memory import CACHE_POWER, cache_bytes

Terms = tuple[float, float, float]


@dataclass(frozen=True)
class Moved:
    """Of a model of N parameters, weights N + caches b, b being the bytes of a token's keys and values.

    Attributes:
        weights: a parameter; 0 where a limit counts them apart.
        caches: a byte of a token's keys and values.
        of_token: b of every model; None: what `t2fast.costs.cache_bytes` says of it.
    """

    weights: float = 0.0
    caches: float = 0.0
    of_token: float | None = None

    def terms(self, model: float | Architecture = 1.0) -> Terms:
        """(u, v, p): it is u N + v N^p, of this architecture or of any N."""
        if self.of_token is not None:
            return self.weights, self.caches * self.of_token, 0.0
        if isinstance(model, Architecture):
            return self.weights, self.caches * cache_bytes(model), 0.0
        return self.weights, self.caches * cache_bytes(1.0), CACHE_POWER

    def of(self, model: float | Architecture) -> float:
        """Of one model."""
        n = float(model.n_params()) if isinstance(model, Architecture) else model
        weights, caches, power = self.terms(model)
        return float(weights * n + caches * n**power)
