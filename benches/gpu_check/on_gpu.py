"""Pytest plugin: the repository's kernel tests as they stand, every launch on the GPU.

    python -m pytest -p benches.gpu_check.on_gpu tests/kernels/test_kernels.py

The tests make CPU tensors and ask for Triton's interpreter. Imported before any conftest, this module says no
to the interpreter, and wraps every launch: tensors of the arguments go to the GPU, as far from a multiple of
16 bytes as they were, and what may have been written comes back.
"""

from __future__ import annotations

import os
from typing import Any

from benches.gpu_check import bare

os.environ.pop("TRITON_INTERPRET", None)
bare.prepare()
import torch  # noqa: E402
import triton  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

triton.knobs.runtime.interpret = False  # outlasts what conftest.py writes into the environment
_launch = JITFunction.run


def moved(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers on the GPU."""
    off = (tensor.data_ptr() % 16) // tensor.element_size()
    flat = torch.empty(tensor.numel() + off, dtype=tensor.dtype, device="cuda")
    out = flat[off:].view(tensor.shape)
    out.copy_(tensor)
    return out


def run(self: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> Any:
    """A launch with its tensors on the GPU."""
    pairs: dict[Any, tuple[torch.Tensor, torch.Tensor]] = {}
    there = []
    for value in arguments:
        if isinstance(value, torch.Tensor):
            key = (value.data_ptr(), value.shape, value.dtype)
            if key not in pairs:
                pairs[key] = value, moved(value)
            value = pairs[key][1]  # noqa: PLW2901
        there.append(value)
    done = _launch(self, *there, grid=grid, warmup=warmup, **options)
    torch.cuda.synchronize()
    for here, gpu in pairs.values():
        here.copy_(gpu)
    return done


JITFunction.run = run


def pytest_report_header() -> str:
    """Says where the kernels run."""
    return f"kernels: on {torch.cuda.get_device_name()}"
