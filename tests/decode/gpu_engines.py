"""GPU engines on CPU tensors, by plain PyTorch unless asked otherwise, and what they are asked."""

from __future__ import annotations

import numpy as np
import pytest
import t2fast.decode

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("triton", reason="needs triton, which comes with torch's builds for GPUs")

from t2fast.decode.gpu.engine import GpuEngine  # noqa: E402
from t2fast.kernels import torch_ops  # noqa: E402

PROMPT = np.random.default_rng(0).integers(4, 130, 17).tolist()


OTHERS = [np.random.default_rng(i).integers(4, 130, 3 + 5 * i).tolist() for i in range(1, 4)]


def core(path, **options) -> GpuEngine:
    return GpuEngine(path, **{"dtype": "float32", "device": torch.device("cpu"), "ops": torch_ops} | options)


def engine(path, **options) -> t2fast.decode.Engine:
    return t2fast.decode.Engine(core(path, **options), name="gpu", path=path, tokenizer_path=path)


def same(found, expected) -> None:
    """Two results of `sample`, equal but for the last bits of log-probabilities."""
    assert list(found) == list(expected)
    for key, values in expected.items():
        assert type(found[key]) is type(values)
        if isinstance(values, np.ndarray):
            assert found[key].dtype == values.dtype
        if key.endswith("logprobs"):
            assert found[key] == pytest.approx(values, abs=1e-3)
        else:
            assert np.array_equal(found[key], values), key
