"""What is asked of a back end, what it answers, and the face that every back end has.

`_core.DecodeEngine` (CPU, Rust) and `t2fast.decode.gpu.GpuEngine` satisfy `Backend`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from t2fast._core import ModelDescription
from t2fast.decode.text import require_utf8


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen and when a sample ends.

    Sample i of a problem is a function of these, the problem's id and i. The filters act in the order
    temperature, top-k, top-p, min-p.
    """

    temperature: float = 1.0
    """Divides the logits; 0 always takes the most probable token."""
    top_k: int = 0
    """Keep the `top_k` most probable tokens; 0 keeps all."""
    top_p: float = 1.0
    """Then the fewest whose mass reaches `top_p`; 1 keeps all."""
    min_p: float = 0.0
    """Then those with at least `min_p` times the largest probability; 0 keeps all."""
    max_tokens: int = 64
    """Longest sample, in tokens."""
    stop: tuple[str, ...] = ()
    """Strings that end a sample, wherever token boundaries fall."""
    stop_tokens: tuple[int, ...] | None = None
    """Tokens that end a sample; None: the model's own."""
    seed: int = 0

    def __post_init__(self) -> None:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        object.__setattr__(self, "stop", stop)
        if self.stop_tokens is not None:
            object.__setattr__(self, "stop_tokens", tuple(int(token) for token in self.stop_tokens))
        for name, least in (("max_tokens", 1), ("top_k", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for string in stop:
            require_utf8(string, f"stop string {string!r}")
        if "" in stop:
            raise ValueError("a stop string is empty: it would end every sample at once")


def given(**settings: object) -> dict[str, Any]:
    """Those that are not None: the fields of `Sampling` that a caller gave one by one."""
    return {name: value for name, value in settings.items() if value is not None}


@dataclass(frozen=True)
class Request:
    """Prompts in tokens, and what to draw from each."""

    prompts: Sequence[Sequence[int]]
    """One a problem; an empty one stands for the beginning-of-sequence token."""
    keys: Sequence[int]
    """Random key of each problem, 64 bits: `hash64(seed, problem id)`."""
    k: Sequence[int]
    """Samples of each problem."""
    sampling: Sampling = Sampling()
    first_sample: int = 0
    """Index of each problem's first sample."""
    have: Sequence[Sequence[int]] = ()
    """Samples of each problem that are there already, ascending, and not drawn again; empty: none of any."""
    max_rows: int | None = None
    """Most samples decoded at once; None: the back end's choice. Changes memory and speed alone."""
    ahead: int | None = None
    """Samples of a problem drawn at once, where `OnFinish` may stop it: so many are cut off then; half as
    many as have ended, if that is more. None: as many as there are rows. Changes speed alone."""
    keep: bool = True
    """Whether the samples are returned; else `OnFinish` alone has them."""


class RawSamples(TypedDict):
    """What a back end drew, if that was to be kept.

    One entry a sample, ordered by problem and sample, unless it says otherwise.
    """

    problem: NDArray[np.int64]
    """Index of the problem in the request."""
    sample: NDArray[np.int64]
    """Index within the problem, from `first_sample`."""
    offsets: NDArray[np.int64]
    """One more entry than samples: sample i's tokens are `tokens[offsets[i] : offsets[i + 1]]`."""
    tokens: NDArray[np.uint32]
    """One entry a token, stop tokens included."""
    logprobs: NDArray[np.float32]
    """One entry a token: its natural-log probability under the model's own logits."""
    processed_logprobs: NDArray[np.float32]
    """The same after temperature and filters; 0 when greedy."""
    finish_reason: list[str]
    """`stop_token`, `stop_string`, `length` or `cancelled`."""
    stop_index: NDArray[np.int64]
    """Which of the stop strings fired; -1: none."""
    interrupted: bool
    """Whether Ctrl-C ended the call; what had not ended is then cancelled."""


OnFinish = Callable[[int, int, list[int], NDArray[np.float32], str], bool]
"""Told of each sample as it ends: problem, sample, tokens, their log-probabilities, reason. True stops its
problem's others."""
OnToken = Callable[[int, int, int], None]
"""Told of each token as it is drawn: problem, sample, token."""


class Backend(Protocol):
    """Work on tokens. Both back ends draw the same samples wherever rounding does not decide."""

    @property
    def model(self) -> ModelDescription:
        """What the model is."""

    @property
    def dtype(self) -> str:
        """Arithmetic, `float32` or `bfloat16`."""

    @property
    def kernel(self) -> str:
        """Instructions: `avx512_bf16`, `avx512`, `avx2`, `portable`, or `triton`."""

    @property
    def where(self) -> str:
        """What it runs on, in words."""

    @property
    def weight_bytes(self) -> int:
        """Bytes of the matrices as this back end holds them."""

    @property
    def notes(self) -> list[str]:
        """Where the model's files disagree or say nothing, and what was taken."""

    def set_vocabulary(self, token_bytes: Sequence[bytes]) -> None:
        """Give the bytes of every token, by which stop strings are found."""

    def sample(
        self,
        request: Request,
        *,
        on_finish: OnFinish | None = None,
        on_token: OnToken | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> RawSamples:
        """Draw samples; `progress` is called now and then with the tokens drawn so far."""

    def score(
        self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[NDArray[np.float32]]]:
        """Natural-log probability of each token of each prompt's answers, under the model's own logits."""

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Logits after every token, shape (len(tokens), vocab)."""
