"""A model opened: on the CPU by the core, or on a GPU."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Literal

from t2fast import _core
from t2fast.decode.engine import Engine
from t2fast.decode.hub import resolve
from t2fast.decode.memory import available, size
from t2fast.decode.request import Backend


def load(
    model: str | Path,
    *,
    device: Literal["cpu", "cuda"] | None = None,
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    threads: int | None = None,
    kernel: str | None = None,
    cache: Literal["fp8"] | None = None,
    tokenizer: str | Path | None = None,
) -> Engine:
    """Open a model for sampling and scoring.

    Args:
        model: a Hugging Face folder, a ``.gguf`` file, or a hub id (``org/model`` or ``org/model/file.gguf``,
            with ``@revision`` if wanted), for which the package huggingface_hub must be installed.
        device: ``cpu`` (the default) or ``cuda``, a GPU that torch sees, by CUDA or ROCm; both draw the same
            samples wherever rounding does not decide.
        dtype: the arithmetic: ``auto`` takes bfloat16 where the processor multiplies it natively; float32
            gives the same bits on every CPU.
        threads: of the CPU; None for all.
        kernel: forces one of ``avx512_bf16``, ``avx512``, ``avx2``, ``portable`` on the CPU.
        cache: ``fp8``, for a GPU, keeps the keys and values of samples (not of prompts) in 8 bits.
        tokenizer: a ``tokenizer.json`` (or a folder with one) for models that come without.

    Returns:
        The engine.

    Raises:
        ValueError: for a model file that is damaged or of an unknown architecture, naming what is wrong with
            it, for options that the device does not have, and for weights that take more memory than is
            available.
    """
    core: Backend
    if device == "cuda":
        for name, value in (("threads", threads), ("kernel", kernel)):
            if value is not None:
                raise ValueError(f"{name} is for device='cpu': leave it out with device='cuda'")
        from t2fast.decode.gpu import engine as gpu
        from t2fast.decode.gpu.device import device as gpu_in_use

        found = gpu_in_use()
        path = resolve(model)
        core = gpu.GpuEngine(path, dtype=dtype, cache=cache, device=found)
    elif device in (None, "cpu"):
        if cache is not None:
            raise ValueError("cache is for device='cuda': leave it out with device='cpu'")
        path = resolve(model)
        threads = _within_the_processor(threads)
        there = available()
        try:
            core = _core.DecodeEngine(str(path), dtype=dtype, threads=threads, kernel=kernel, memory=there)
        except MemoryError as error:
            raise ValueError(
                f"{path}: the weights take {size(error.args[0])} of memory and {size(there or 0)} are "
                "available: take a file of a smaller type (Q4_0, say), or free memory"
            ) from None
    else:
        raise ValueError(f"device must be 'cpu' or 'cuda', not {device!r}")
    for note in core.notes:
        warnings.warn(note, stacklevel=2)
    return Engine(core, name=str(model), path=path, tokenizer_path=Path(tokenizer or path))


def _within_the_processor(threads: int | None) -> int | None:
    """At most the processor's cores: more threads only wait for each other."""
    if threads is None:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads > cores:
        warnings.warn(
            f"{threads} threads on {cores} cores would wait for each other: {cores} are used", stacklevel=3
        )
    return min(threads, cores)
