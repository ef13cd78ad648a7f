import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]
_Fitted = tuple[float, float, float, float, bool]

def tail_grid(n: _Integers, c: _Integers, k: _Integers, m: _Integers, out: _Floats) -> bool: ...
def tail_cells(n: _Integers, c: _Integers, k: _Integers, m: _Integers, out: _Floats) -> bool: ...
def beta_pass_at_k(a: _Floats, b: _Floats, k: _Floats, out: _Floats) -> None: ...
def expected_samples(a: _Floats, b: _Floats, k_max: _Floats, out: _Floats) -> None: ...
def scaled_beta_failure(a: _Floats, b: _Floats, scale: _Floats, k: _Floats, out: _Floats) -> None: ...
def pass_at_k_variance(n: _Floats, p: _Floats, k: _Floats, out: _Floats) -> None: ...
def beta_quantile(probability: _Floats, a: _Floats, b: _Floats, out: _Floats) -> None: ...
def fit_zero_inflated(
    n: _Integers, c: _Integers, cluster: _Integers, seed: int, draws: int
) -> tuple[_Fitted, list[_Fitted | None]] | None: ...

_Outcomes = dict[str, Any]

def fit_power_sum(
    x: list[_Floats], y: _Floats, w: _Floats, e_max: float, start: list[float] | None = None
) -> _Outcomes: ...
def fit_loss_restarts(
    n: _Floats, d: _Floats, k: _Floats, y: _Floats, w: _Floats, starts: _Floats
) -> tuple[_Outcomes, _Floats]: ...
def fit_huber(
    n: _Floats, d: _Floats, loss: _Floats, w: _Floats, delta: float, starts: _Floats
) -> tuple[_Outcomes, _Floats]: ...
def fit_link(
    losses: _Floats,
    checkpoint: _Integers,
    k: _Floats,
    y: _Floats,
    w: _Floats,
    start: list[float] | None = None,
) -> _Outcomes: ...
def fit_joint(
    n: _Floats,
    d: _Floats,
    checkpoint: _Integers,
    k: _Floats,
    y: _Floats,
    w: _Floats,
    start: list[float] | None = None,
) -> _Outcomes: ...
def fit_counts(
    n: _Floats,
    d: _Floats,
    checkpoint: _Integers,
    samples: _Floats,
    correct: _Floats,
    row_w: _Floats,
    checkpoint_w: _Floats,
    starts: _Floats,
    effect: bool,
) -> _Outcomes: ...
def law_parameters(name: str) -> list[str]: ...
def law_values(name: str, params: _Floats, n: _Floats, d: _Floats, k: _Floats) -> _Floats: ...
def plan_batch(
    name: str,
    params: _Floats,
    train: _Floats,
    inference: _Floats,
    params_range: tuple[float, float],
    sizes: list[float] | None,
    tokens_range: tuple[float, float],
    whole_k: bool,
    tokens_per_param: float | None,
) -> tuple[_Floats, _Floats, NDArray[np.uint8]]: ...

def gguf_metadata(path: str | os.PathLike[str]) -> dict[str, Any]: ...
def dequantize(path: str | os.PathLike[str], tensor_name: str) -> NDArray[np.float32]: ...
