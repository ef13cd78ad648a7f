"""Models without a file, and a batch of samples on them: what is timed."""

from __future__ import annotations

import sys

import numpy as np
import torch
from t2fast.decode.gpu.batch import Batch, Job
from t2fast.decode.gpu.state import DeviceState, Sizes
from t2fast.kernels import torch_ops, triton_ops
from t2fast.kernels.model import Shape, Tiles, Weights
from t2fast.kernels.ops import Operations
from t2fast.kernels.step import Filters

from benches._roofline import Model
from benches.gpu_check.bare import REHEARSED, ROOT
from benches.gpu_check.results import device

sys.path.insert(0, str(ROOT / "tests" / "kernels"))
import kernel_cases as cases

KS = (1, 5) if REHEARSED else (1, 64, 1024)
PROMPT, NEW = (20, 8) if REHEARSED else (512, 128)
OPS: Operations = torch_ops if REHEARSED else triton_ops


def shapes() -> dict[str, Shape]:
    """What is timed: of the T² paper's grid a small and the largest model, and SmolLM2-135M."""
    if REHEARSED:
        return {"tiny": Shape(2, 72, 4, 2, 18, 96, 131, 1e-5)}
    return {
        "37M": Shape(10, 384, 6, 6, 64, 1024, 50432, 1e-5, layer_norm=True, head_norm="row"),
        "135M": Shape(30, 576, 9, 3, 64, 1536, 49152, 1e-5),
        "901M": Shape(30, 1504, 47, 47, 32, 4096, 50432, 1e-5),
    }


def sizes_of(name: str, s: Shape) -> Model:
    """The shape as the roofline knows it."""
    return Model(name, s.layers, s.width, s.heads, s.kv_heads, s.head_dim, s.hidden, s.vocab)


def random_weights(s: Shape, where: torch.device | None = None) -> Weights:
    """A model of the shape in bfloat16, made where it is used, as the kernels' tests make theirs."""
    dtype = torch.bfloat16
    with torch.device(where or device()):
        layers = [cases.layer(s, dtype, seed=100 * i) for i in range(s.layers)]
        table = cases.normal(s.vocab, s.width, seed=1, dtype=dtype)
        head = cases.linear(s.vocab, s.width, 2, dtype)
        return Weights(s, table, layers, cases.norm(s.width, 4), head, cases.rotation(s, 2048))


def sampling(
    weights: Weights,
    k: int,
    new: int = NEW,
    ops: Operations = OPS,
    prompt: int = PROMPT,
    filters: Filters | None = None,
) -> tuple[Batch, DeviceState]:
    """What `GpuEngine.sample` sets up for k samples of one prompt of random tokens."""
    filters = filters or Filters()
    budget = 1 << 40
    if weights.embedding.device.type == "cuda":
        idle = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        budget = int(0.85 * (torch.cuda.mem_get_info()[0] + idle))
    tokens = np.random.default_rng(0).integers(3, weights.shape.vocab, prompt).tolist()
    tiles = Tiles.of(weights.shape, weights.embedding.dtype)
    sizes = Sizes.within(
        budget,
        weights,
        tiles,
        problems=1,
        prompts=[prompt],
        rows=k,
        max_tokens=new,
        filters=filters,
        fp8=False,
    )
    state = DeviceState(weights, tiles, ops, sizes, filters=filters, stop_tokens=8, fp8=False)
    state.begin(1.0, new, [])
    job = Job([tokens], [2026], [list(range(k))], new, [], [], [], k, None, True, None, None)
    return Batch(job, state, 8), state
