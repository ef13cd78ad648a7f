"""Which GPU does the work."""

from __future__ import annotations

import torch


def device() -> torch.device:
    """The GPU in use, or a ValueError that says why there is none."""
    if torch.version.cuda is None and torch.version.hip is None:
        raise ValueError(
            f"device='cuda': torch {torch.__version__} is built for the CPU alone: install its build for "
            "CUDA or ROCm (https://pytorch.org/get-started), or use device='cpu'"
        )
    if not torch.cuda.is_available():
        raise ValueError(
            f"device='cuda': torch {torch.__version__} finds no GPU: check the driver (nvidia-smi, rocm-smi) "
            "and CUDA_VISIBLE_DEVICES, or use device='cpu'"
        )
    found = torch.device("cuda", torch.cuda.current_device())
    if torch.version.hip is None and torch.cuda.get_device_capability(found) < (8, 0):
        major, minor = torch.cuda.get_device_capability(found)
        raise ValueError(
            "device='cuda' needs compute capability 8.0 (Ampere) or later, and "
            f"{torch.cuda.get_device_name(found)} has {major}.{minor}: use device='cpu'"
        )
    return found
