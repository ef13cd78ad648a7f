"""Text that runs out: what tokens are worth when they are read more than once.

Muennighoff et al. 2023 (arXiv 2305.16264, equations 5 and 6): L = E + A/N'^alpha + B/D'^beta with effective
data

    D' = U + U R_D* (1 - exp(-R_D/R_D*)),    R_D = D/U - 1 repetitions of U unique tokens,

and likewise effective parameters N', of which those beyond U_N, the parameters that are best for U tokens,
count less.
"""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast import _core
from t2fast.arguments import fill, real, refuse

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DataWall:
    """The law's parameters; those published by default.

    Attributes:
        E: irreducible loss.
        A: of the term in parameters.
        B: of the term in tokens.
        alpha: exponent of parameters.
        beta: exponent of tokens.
        r_d: R_D*, repetitions by which effective data has gained 1 - 1/e of all that repetition can bring.
        r_n: R_N*, likewise of parameters.
    """

    E: float = float(np.exp(0.6254804))
    A: float = float(np.exp(6.255414))
    B: float = float(np.exp(7.3049974))
    alpha: float = 0.3526596
    beta: float = 0.3526596
    r_d: float = 15.387756
    r_n: float = 5.309743

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value!r}: it has to be positive and finite")

    def effective_tokens(self, n_tokens: npt.ArrayLike, unique_tokens: npt.ArrayLike) -> Floats:
        """D', what D tokens are worth, U of them unique; D where D <= U. Never more than U (1 + R_D*)."""
        d, u = _positive("n_tokens", n_tokens), _positive("unique_tokens", unique_tokens)
        return np.asarray(fill(_core.data_wall_effective, d, u, np.asarray(self.r_d)))

    def best_params(self, n_tokens: npt.ArrayLike) -> Floats:
        """U_N, the parameters for which so many tokens, read once, are Chinchilla-optimal under the law."""
        return np.asarray(
            fill(partial(_core.data_wall_best_params, astuple(self)), _positive("n_tokens", n_tokens))
        )

    def effective_params(self, n_params: npt.ArrayLike, unique_tokens: npt.ArrayLike) -> Floats:
        """N', what N parameters are worth on U unique tokens; N where N <= U_N."""
        n = _positive("n_params", n_params)
        enough = self.best_params(unique_tokens)
        return np.asarray(fill(_core.data_wall_effective, n, enough, np.asarray(self.r_n)))

    def loss(
        self, n_params: npt.ArrayLike, n_tokens: npt.ArrayLike, unique_tokens: npt.ArrayLike
    ) -> Floats | float:
        """The law's value for N parameters and D tokens, U of them unique, in nats; arguments broadcast."""
        d, u = _positive("n_tokens", n_tokens), _positive("unique_tokens", unique_tokens)
        return fill(partial(_core.data_wall_loss, astuple(self)), _positive("n_params", n_params), d, u)

    def tokens_worth(self, effective_tokens: npt.ArrayLike, unique_tokens: npt.ArrayLike) -> Floats:
        """D that is worth so many unique tokens; infinite from U (1 + R_D*) on, where text, not compute,
        binds.
        """
        d, u = _positive("effective_tokens", effective_tokens), _positive("unique_tokens", unique_tokens)
        return np.asarray(fill(_core.data_wall_amount, d, u, np.asarray(self.r_d)))


def _positive(name: str, value: npt.ArrayLike) -> Floats:
    values = real(name, value)
    refuse(name, values, ~((values > 0) & np.isfinite(values)), "must be positive and finite")
    return values
