"""The engine on a GPU: what `_core.DecodeEngine` is on the CPU, with Triton kernels.

Same arguments, same results, same random numbers: both back ends draw the same sample wherever rounding does
not decide.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
from numpy.typing import NDArray

try:
    import torch
    import triton  # noqa: F401 (the kernels' compiler)
except ImportError as error:
    raise ImportError(
        f"device='cuda' needs the packages torch and triton ({error}): pip install 't2fast[gpu]', "
        "or use device='cpu'"
    ) from error

from t2fast import _core
from t2fast.decode.gpu import prefill
from t2fast.decode.gpu import weights as gpu_weights
from t2fast.decode.gpu.batch import Batch, Job
from t2fast.decode.gpu.state import BUCKETS, DeviceState, Sizes
from t2fast.decode.request import OnFinish, OnToken, RawSamples, Request
from t2fast.kernels import triton_ops
from t2fast.kernels.model import Tiles
from t2fast.kernels.ops import Operations
from t2fast.kernels.step import Filters

MAX_ROWS = BUCKETS[-1]
"""Rows of a step unless the caller says otherwise."""
POLL = 8
"""Steps between two looks at what has ended."""
SHARE = 0.85
"""Of the device's free memory, what a call may take."""
KEPT = 0.25
"""Of the same, what may stay for the next call: caches and captured steps."""
STOP_TOKENS = 8
"""Stop tokens that captured steps have room for, at least."""


class GpuEngine:
    """A model ready to draw and score samples on a GPU: a `t2fast.decode.request.Backend`."""

    kernel = "triton"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: str = "auto",
        cache: str | None = None,
        device: torch.device,
        ops: Operations = triton_ops,
        poll: int = POLL,
    ):
        """``cache="fp8"`` keeps the samples' keys and values in 8 bits. Tests give other operations."""
        types = {"auto": torch.bfloat16, "bfloat16": torch.bfloat16, "float32": torch.float32}
        if dtype not in types:
            raise ValueError(f"dtype must be 'auto', 'float32' or 'bfloat16', not {dtype!r}")
        if cache not in (None, "fp8"):
            raise ValueError(f"cache must be None (as dtype) or 'fp8', not {cache!r}")
        self._fp8 = cache == "fp8"
        if self._fp8 and device.type == "cuda" and torch.version.hip is None:
            major, minor = torch.cuda.get_device_capability(device)
            if (major, minor) < (8, 9):
                raise ValueError(
                    f"cache='fp8' needs compute capability 8.9 or later, and this GPU has {major}.{minor}"
                )
        self._file = _core.ModelFile(path)
        self._device, self._ops, self._poll = device, ops, poll
        self._lock = threading.RLock()
        with self._use():
            self._weights = gpu_weights.load(self._file, types[dtype], device)
        self._tiles = Tiles.of(self._weights.shape, types[dtype])
        self._kept: DeviceState | None = None
        self.model = self._file.model
        self.notes = self._file.notes
        self._token_bytes: Sequence[bytes] = ()
        self.dtype = "float32" if types[dtype] == torch.float32 else "bfloat16"

    @contextmanager
    def _use(self) -> Iterator[None]:
        """One call at a time, on the engine's own device."""
        here = torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()
        with self._lock, torch.inference_mode(), here:
            yield

    @property
    def weight_bytes(self) -> int:
        """Bytes of all matrices, a shared one counted once."""
        weights = self._weights
        linears = [weights.head]
        for layer in weights.layers:
            linears += [layer.qkv, layer.o, layer.up, layer.down]
            linears += [layer.gate] if layer.gate is not None else []
        matrices = {m.data_ptr(): m for m in (weights.embedding, *(linear.weight for linear in linears))}
        return sum(m.numel() * m.element_size() for m in matrices.values())

    @property
    def where(self) -> str:
        """The GPU's name."""
        return torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Logits after every token, (len(tokens), vocab)."""
        tokens = self._file.logits_tokens(tokens)
        with self._use():
            found: NDArray[np.float32] = prefill.logits(self._weights, tokens, self._tiles, self._ops).numpy()
        return found

    def score(
        self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[NDArray[np.float32]]]:
        """Log-probability of each token of each prompt's answers, natural log, by the model's own logits."""
        checked = self._file.score_prompts(prompts, answers)
        with self._use():
            return [
                [
                    values.numpy()
                    for values in prefill.score(self._weights, prompt, own, self._tiles, self._ops)
                ]
                for prompt, own in zip(checked, answers, strict=True)
            ]

    def set_vocabulary(self, token_bytes: Sequence[bytes]) -> None:
        """Give the bytes of every token, by which stop strings are found."""
        self._token_bytes = token_bytes

    def sample(
        self,
        request: Request,
        *,
        on_finish: OnFinish | None = None,
        on_token: OnToken | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> RawSamples:
        """Draw samples; tokens leave the device some steps at a time, so none is told of by itself."""
        if on_token is not None:
            raise ValueError("on_token is for device='cpu': leave it out with device='cuda'")
        rules = request.sampling
        stops = self.model.eos if rules.stop_tokens is None else list(rules.stop_tokens)
        table = self._token_bytes if rules.stop else ()
        tokens = self._file.sample_prompts(request, len(table))
        samples = _missing(request)
        job = Job(
            prompts=tokens,
            keys=list(request.keys),
            samples=samples,
            max_tokens=rules.max_tokens,
            stop_tokens=stops,
            stop=[text.encode() for text in rules.stop],
            token_bytes=list(table),
            rows=max(min(sum(map(len, samples)), request.max_rows or MAX_ROWS), 1),
            ahead=request.ahead,
            keep=request.keep,
            on_finish=on_finish,
            progress=progress,
        )
        filters = Filters(rules.temperature == 0, rules.top_k, rules.top_p, rules.min_p)
        with self._use():
            state = self._state(job, filters)
            state.begin(rules.temperature, rules.max_tokens, stops)
            found = Batch(job, state, self._poll).run()
            if state.sizes.bytes <= KEPT * self._budget():
                self._kept = state
        return found

    def _state(self, job: Job, filters: Filters) -> DeviceState:
        """The last call's state if it will do, else a new one; an error in the call that uses it drops it."""
        state, self._kept = self._kept, None
        lengths = [len(prompt) for prompt, own in zip(job.prompts, job.samples, strict=True) if own] or [1]
        stops = len(job.stop_tokens)

        def within(budget: int) -> Sizes:
            return Sizes.within(
                budget,
                self._weights,
                self._tiles,
                problems=len(job.prompts),
                prompts=lengths,
                rows=job.rows,
                max_tokens=job.max_tokens,
                filters=filters,
                fp8=self._fp8,
            )

        if (
            state is not None
            and state.filters == filters
            and len(state.state.stop_tokens) >= stops
            and state.sizes.hold(within(1 << 62))
        ):
            return state
        del state
        return DeviceState(
            self._weights,
            self._tiles,
            self._ops,
            within(self._budget()),
            filters=filters,
            stop_tokens=max(stops, STOP_TOKENS),
            fp8=self._fp8,
        )

    def _budget(self) -> int:
        """Bytes that a call may take."""
        if self._device.type != "cuda":
            return 1 << 40
        free = torch.cuda.mem_get_info(self._device)[0]
        idle = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(SHARE * (free + idle))


def _missing(request: Request) -> list[list[int]]:
    """The samples of each problem that are to be drawn."""
    first = request.first_sample
    have = [set(own) for own in request.have] or [set[int]()] * len(request.k)
    return [
        [sample for sample in range(first, first + k) if sample not in own]
        for k, own in zip(request.k, have, strict=True)
    ]
