import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2fast.decode.request import OnFinish, OnToken, RawSamples, Request
from t2fast.plans.spending import Search

__version__: str

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]
_Shape = tuple[list[float], float, float, bool]

def tail_grid(n: _Integers, c: _Integers, k: _Integers, m: _Integers, out: _Floats) -> bool: ...
def tail_cells(n: _Integers, c: _Integers, k: _Integers, m: _Integers, out: _Floats) -> bool: ...
def beta_pass_at_k(a: _Floats, b: _Floats, k: _Floats, out: _Floats) -> None: ...
def expected_samples(a: _Floats, b: _Floats, k_max: _Floats, out: _Floats) -> None: ...
def scaled_beta_failure(a: _Floats, b: _Floats, scale: _Floats, k: _Floats, out: _Floats) -> None: ...
def pass_at_k_variance(n: _Floats, p: _Floats, k: _Floats, out: _Floats) -> None: ...
def beta_quantile(probability: _Floats, a: _Floats, b: _Floats, out: _Floats) -> None: ...
def logit_normal_pass_at_k(m: _Floats, s: _Floats, k: _Floats, out: _Floats) -> None: ...
def data_wall_effective(amount: _Floats, unique: _Floats, repeats: _Floats, out: _Floats) -> None: ...
def data_wall_amount(effective: _Floats, unique: _Floats, repeats: _Floats, out: _Floats) -> None: ...
def data_wall_best_params(params: tuple[float, ...], tokens: _Floats, out: _Floats) -> None: ...
def data_wall_loss(
    params: tuple[float, ...], n: _Floats, d: _Floats, unique: _Floats, out: _Floats
) -> None: ...
def fit_beyond(
    n: _Integers, c: _Integers, cluster: _Integers, k: _Floats, seed: int, draws: int
) -> tuple[list[_Shape], _Floats, _Floats]: ...
def samples_follow_outcome(n: _Integers, c: _Integers) -> float | None: ...
def resampled_means(values: _Floats, weights: _Floats, out: _Floats) -> None: ...

class FitOutcome:
    """What a search found: a law's parameters and how sure of them it is.

    ``params`` are in the order of the law, ``objective`` is the least value found there. ``converged`` says
    whether the end point is a minimum as far as the search can tell, ``reason`` in words why it ended.
    ``identified`` and ``on_bound`` have an entry a parameter; ``identified`` is empty where nobody asked.
    """

    @property
    def params(self) -> _Floats: ...
    @property
    def objective(self) -> float: ...
    @property
    def converged(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def identified(self) -> list[bool]: ...
    @property
    def on_bound(self) -> list[bool]: ...

def fit_power_sum(
    x: list[_Floats],
    y: _Floats,
    w: _Floats,
    e_max: float,
    start: list[float] | None = None,
    regularise: bool = False,
) -> list[FitOutcome]: ...
def fit_loss_restarts(
    n: _Floats, d: _Floats, k: _Floats, y: _Floats, w: _Floats, starts: _Floats
) -> tuple[FitOutcome, _Floats]: ...
def fit_huber(
    n: _Floats, d: _Floats, loss: _Floats, w: _Floats, delta: float, starts: _Floats
) -> tuple[list[FitOutcome], _Floats]: ...
def fit_link(
    losses: _Floats,
    checkpoint: _Integers,
    k: _Floats,
    y: _Floats,
    w: _Floats,
    start: list[float] | None = None,
) -> list[FitOutcome]: ...
def fit_joint(
    n: _Floats,
    d: _Floats,
    checkpoint: _Integers,
    k: _Floats,
    y: _Floats,
    w: _Floats,
    start: list[float] | None = None,
    regularise: bool = False,
) -> list[FitOutcome]: ...
def fit_direct(compute: _Floats, k: _Floats, y: _Floats, w: _Floats) -> list[FitOutcome]: ...
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
    refit: bool,
    regularise: bool,
) -> list[FitOutcome]: ...
def weighted_means(
    values: _Floats,
    checkpoint: _Integers,
    problem: _Integers,
    checkpoints: int,
    weights: _Floats,
) -> _Floats: ...
def forecast_members(metric: str) -> tuple[list[str], list[float]]: ...

class ForecastTable:
    """Measurements ``z`` (checkpoints, K) with their variance, at ``places`` (checkpoints, 2), ln N and ln D.

    NaN where nothing was measured; ``metric`` is ``pass@k``, ``accuracy`` or ``loss``.
    """

    def __init__(
        self, metric: str, chance: float, places: _Floats, ks: _Floats, z: _Floats, variance: _Floats
    ) -> None: ...

class ForecastMember:
    """What the search of one member found: see `FitOutcome`.

    ``power`` is the exponent l of its transform, in units of which ``scale`` is the root mean square residual
    of a checkpoint.
    """

    @property
    def power(self) -> float: ...
    @property
    def theta(self) -> _Floats: ...
    @property
    def scale(self) -> float: ...
    @property
    def objective(self) -> float: ...
    @property
    def converged(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def evaluations(self) -> int: ...

class ForecastRefits:
    """Refits to perturbed measurements, one a row.

    ``thetas`` (refits, members * parameters), the measurements ``z`` (refits, checkpoints * K), ``noise``
    (refits, 5), and for each whether all searches ``converged``.
    """

    @property
    def thetas(self) -> _Floats: ...
    @property
    def z(self) -> _Floats: ...
    @property
    def noise(self) -> _Floats: ...
    @property
    def converged(self) -> list[bool]: ...

def fit_forecast(table: ForecastTable) -> list[ForecastMember]: ...
def draw_forecast(
    table: ForecastTable,
    thetas: _Floats,
    scales: _Floats,
    bases: _Floats | None,
    seed: int,
    first: int,
    count: int,
) -> ForecastRefits: ...

class ForecastState:
    def __init__(
        self,
        table: ForecastTable,
        thetas: _Floats,
        scales: _Floats,
        draws: tuple[_Floats, _Floats, _Floats] | None = None,
        widening: float = 0.0,
    ) -> None: ...
    def values(self, n: _Floats, d: _Floats, k: _Floats) -> tuple[_Floats, _Floats]: ...
    def draw_values(self, kind: str, n: _Floats, d: _Floats, k: _Floats) -> _Floats: ...
    def plan(
        self,
        which: str,
        train: _Floats,
        inference: _Floats,
        params_range: tuple[float, float],
        sizes: list[float] | None,
        tokens_range: tuple[float, float],
        most_samples: float,
        whole_k: bool,
        tokens_per_param: float | None,
    ) -> tuple[_Floats, _Floats, NDArray[np.uint8]]: ...
    def spend(self, which: str, search: Search) -> _Floats: ...

def law_parameters(name: str) -> list[str]: ...
def law_refusal(name: str, params: list[float]) -> str | None: ...
def beta_parameters(name: str, params: _Floats, n: _Floats, d: _Floats, effect: _Floats) -> _Floats: ...
def loss_mixture(g: float, gamma: float, samples: int) -> tuple[_Floats, _Floats, float, float]: ...
def budget_line(
    train: float,
    inference: float,
    n: _Floats,
    tokens_range: tuple[float, float],
    most_samples: float,
    whole_k: bool,
) -> _Floats: ...
def law_values(name: str, params: _Floats, n: _Floats, d: _Floats, k: _Floats) -> _Floats: ...
def plan_batch(
    name: str,
    params: _Floats,
    train: _Floats,
    inference: _Floats,
    params_range: tuple[float, float],
    sizes: list[float] | None,
    tokens_range: tuple[float, float],
    most_samples: float,
    whole_k: bool,
    tokens_per_param: float | None,
) -> tuple[_Floats, _Floats, NDArray[np.uint8]]: ...
def spend_batch(name: str, params: _Floats, search: Search) -> _Floats: ...
def gguf_metadata(path: str | os.PathLike[str]) -> dict[str, Any]: ...
def dequantize(path: str | os.PathLike[str], tensor_name: str) -> NDArray[np.float32]: ...
def model_formats() -> tuple[list[str], list[str], list[str]]: ...

class ModelDescription:
    """A model in numbers: `vocab` counts the tokens, `max_positions` the longest sequence it was made for."""

    @property
    def architecture(self) -> str: ...
    @property
    def n_params(self) -> int: ...
    @property
    def vocab(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def max_positions(self) -> int: ...
    @property
    def bos(self) -> int | None: ...
    @property
    def eos(self) -> list[int]: ...

class DecodeEngine:
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: str = "auto",
        threads: int | None = None,
        kernel: str | None = None,
    ) -> None: ...
    @property
    def model(self) -> ModelDescription: ...
    @property
    def dtype(self) -> str: ...
    @property
    def kernel(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def where(self) -> str: ...
    @property
    def weight_bytes(self) -> int: ...
    @property
    def notes(self) -> list[str]: ...
    def set_vocabulary(self, token_bytes: Sequence[bytes]) -> None: ...
    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]: ...
    def score(
        self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[NDArray[np.float32]]]: ...
    def sample(
        self,
        request: Request,
        *,
        on_finish: OnFinish | None = None,
        on_token: OnToken | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> RawSamples: ...

class ModelFile:
    """A model as its file describes it, whatever its family and format.

    ``config`` has ``architecture`` (str); ``layers``, ``width``, ``heads``, ``kv_heads``, ``head_dim``,
    ``hidden``, ``vocab``, ``max_positions`` (int); ``layer_norm`` (bool), ``eps``; ``activation``
    (``swiglu``, ``gelu``, ``gelu_tanh``); ``parallel`` (bool); ``rotary_dim``, ``interleaved`` (pairs are
    (2i, 2i+1)), ``inv_freq`` (float32 array), ``rope_scale``; ``window`` (int or None); ``bos`` (int or
    None), ``eos`` (list). Tensors are named ``embedding``, ``head.weight``, ``norm.weight`` and
    ``layers.{i}.{attn_norm,q,k,v,q_norm,k_norm,o,ffn_norm,gate,up,down}.{weight,bias}``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None: ...
    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def model(self) -> ModelDescription: ...
    @property
    def n_params(self) -> int: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def features(self) -> list[str]: ...
    @property
    def tied(self) -> bool: ...
    def tensor(self, name: str) -> NDArray[np.float32] | None: ...
    def tensor_dtype(self, name: str) -> str | None: ...
    def sample_prompts(self, request: Request, vocabulary: int) -> list[list[int]]: ...
    def score_prompts(
        self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[int]]: ...
    def logits_tokens(self, tokens: Sequence[int]) -> list[int]: ...

def simultaneous_band(
    values: NDArray[np.float64], draws: int, level: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]: ...
def probability_best(values: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]: ...
