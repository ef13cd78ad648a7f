import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

def gguf_metadata(path: str | os.PathLike[str]) -> dict[str, Any]: ...
def dequantize(path: str | os.PathLike[str], tensor_name: str) -> NDArray[np.float32]: ...

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
    @property
    def dtype(self) -> str: ...
    @property
    def kernel(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def weight_bytes(self) -> int: ...
    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]: ...
    def score(
        self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[NDArray[np.float32]]]: ...
    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        keys: Sequence[int],
        k: int | Sequence[int],
        *,
        first_sample: int = 0,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        max_tokens: int = 64,
        stop_tokens: Sequence[int] | None = None,
        stop: Sequence[bytes] = (),
        token_bytes: Sequence[bytes] | None = None,
        on_finish: Callable[[int, int, list[int], str], bool] | None = None,
        progress: Callable[[int], None] | None = None,
        max_rows: int | None = None,
    ) -> dict[str, Any]: ...
