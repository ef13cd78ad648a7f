"""Pytest plugin: the repository's kernel tests as they stand, every launch on the GPU.

    python -m pytest -p benches.gpu_check.on_gpu tests/kernels/test_kernels.py

The tests make CPU tensors and ask for Triton's interpreter. Imported before any conftest, this module says no
to the interpreter, and wraps every launch: tensors of the arguments go to the GPU, as far from a multiple of
16 bytes as they were, and what may have been written comes back. With GPU_CHECK_REHEARSE=1 in the environment
all of that stays with the interpreter.
"""

from __future__ import annotations

import os
from typing import Any

from benches.gpu_check import bare

os.environ["TRITON_INTERPRET"] = str(int(bare.REHEARSED))
bare.prepare()
import torch  # noqa: E402
import triton  # noqa: E402
from triton.runtime.interpreter import InterpretedFunction  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

from benches.gpu_check.results import device, sync  # noqa: E402

triton.knobs.runtime.interpret = bare.REHEARSED  # outlasts what conftest.py writes into the environment
Kernel = InterpretedFunction if bare.REHEARSED else JITFunction
_launch = Kernel.run


def moved(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers on the GPU."""
    off = (tensor.data_ptr() % 16) // tensor.element_size()
    flat = torch.empty(tensor.numel() + off, dtype=tensor.dtype, device=device())
    out = flat[off:].view(tensor.shape)
    out.copy_(tensor)
    return out


def run(self: Any, *arguments: Any, **options: Any) -> Any:
    """A launch with its tensors on the GPU."""
    pairs: dict[Any, tuple[torch.Tensor, torch.Tensor]] = {}
    there = []
    for value in arguments:
        if isinstance(value, torch.Tensor):
            key = (value.data_ptr(), value.shape, value.dtype)
            if key not in pairs:
                pairs[key] = value, moved(value)
            there.append(pairs[key][1])
        else:
            there.append(value)
    done = _launch(self, *there, **options)
    sync()
    for here, gpu in pairs.values():
        here.copy_(gpu)
    return done


Kernel.run = run


def pytest_report_header() -> str:
    """Says where the kernels run."""
    return f"kernels: on {'the interpreter' if bare.REHEARSED else torch.cuda.get_device_name()}"
