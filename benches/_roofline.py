"""What a decoding step must move and multiply, kernel by kernel, and what a GPU's data sheet makes of it.

One prompt of P tokens, k samples: R = k rows a step, each with t tokens of its own, the one being read
included. L layers of width w; h query heads on g key heads of d coordinates; feed-forward width f; V
tokens. b = 2 bytes (bfloat16) for weights, caches and inputs of products; the residual stream and partial
sums have 4. Prefix attention makes S = ⌈P / split⌉ partial results. One step moves, and multiplies (a
multiplication and an addition are two FLOPs):

    kernel       weights            caches          activations, in and out          FLOPs
    embed        -                  -               R w (b + 4)                      -
    norms        -                  -               R w (4 + b)                      -
    L x qkv      (h + 2g) d w b     R 2gd b         R (w b + h d b)                  2 R (h + 2g) d w
    L x prefix   -                  2gd P b         R h d (b + 4S)                   4 R h d P
    L x suffix   -                  R 2gd t b       R h d (2b + 4S)                  4 R h d t
    L x o        h d w b            -               R (h d b + 8w)                   2 R h d w
    L x hidden   2 f w b            -               R (w b + f b)                    4 R f w
    L x down     f w b              -               R (f b + 8w)                     2 R f w
    head         V w b              -               R (w b + 40 ⌈V / tile⌉)          2 R V w

There are 2L + 1 norms, each with 4w bytes of weights. So the weights are moved once a step, whatever R is:
row tiles read them again, but from L2 (below). The prompt's cache is moved once, not once a row. Logits are
never written: the head leaves five numbers of 4 bytes for each row and tile of the vocabulary, written once
and read once.
FLOPs sum to 2 R (matrix parameters) + 4 R L h d (P + t). Left out as too small to matter: row tables, the
rotation's cosines and sines, log-sum-exps of partial results, and `advance`.

From these, with bandwidth B and peak F of the GPU:

    a kernel     time ≥ max(bytes / B, FLOPs / F), bytes being the sum of its three columns: each kernel cold
    kernels      the sum of these over the step: what these kernels could reach
    roofline     max(Σ (weights + caches) / B, Σ FLOPs / F): what any way to compute the step needs.
                 Activations are not in it, for they fit in L2

Tokens a second are R over either time. Weights of a small model may fit in L2 as a whole; then a step can
be faster than this roofline. Where tile sizes are known (torch is installed), `from L2` is what the
programs ask for: a row tile reads the whole matrix, a column tile all inputs, and each tile of rows the
prompt's cache.
Noise is not in the FLOPs: it is integer and scalar work for each row and vocabulary entry, off the tensor
cores.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NUMBERS_OF_A_TILE = 5
"""What the head leaves of a row and a tile of the vocabulary: token, score, logit, two log-sum-exps."""


@dataclass(frozen=True)
class Gpu:
    """What the vendor's data sheet promises."""

    name: str
    device: str
    """The name that the driver gives it."""
    bandwidth: float
    """Of its memory, bytes/s."""
    peak: float
    """Dense bfloat16 products with float32 sums, FLOP/s."""


# Data sheets of NVIDIA (RTX 4090: the Ada architecture's white paper) and AMD. Where a sheet gives the peak
# with sparsity, half of it.
GPUS = [
    Gpu("H100 SXM", "NVIDIA H100 80GB HBM3", 3.35e12, 989e12),
    Gpu("H100 PCIe", "NVIDIA H100 PCIe", 2.0e12, 756e12),
    Gpu("H200", "NVIDIA H200", 4.8e12, 989e12),
    Gpu("A100 SXM 80 GB", "NVIDIA A100-SXM4-80GB", 2.039e12, 312e12),
    Gpu("A100 SXM 40 GB", "NVIDIA A100-SXM4-40GB", 1.555e12, 312e12),
    Gpu("B200", "NVIDIA B200", 8.0e12, 2250e12),
    Gpu("L4", "NVIDIA L4", 300e9, 121e12),
    Gpu("L40S", "NVIDIA L40S", 864e9, 362e12),
    Gpu("RTX 4090", "NVIDIA GeForce RTX 4090", 1.008e12, 165e12),
    Gpu("MI300X", "AMD Instinct MI300X", 5.3e12, 1307e12),
]


@dataclass(frozen=True)
class Model:
    """A decoder with RMSNorm and SwiGLU; the sizes are those of `t2fast.kernels.model.Shape`."""

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocab: int
    tied: bool = False
    """The output head is the embedding."""

    @property
    def group(self) -> int:
        """Query heads to a key head."""
        return self.heads // self.kv_heads

    @property
    def matrices(self) -> int:
        """Parameters that a token is multiplied by."""
        attention = self.width * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.width * self.hidden) + self.vocab * self.width

    @property
    def n_params(self) -> int:
        """All parameters."""
        norms = (2 * self.layers + 1) * self.width
        return self.matrices + norms + (0 if self.tied else self.vocab * self.width)


# Of the T² paper's grid, the model that its table 1 recommends most and the largest. Widths and depths
# follow from the parameter counts of Porian et al. 2024, 37,060,608 and 901,726,208 (matrices without the
# embedding), given OpenLM's feed-forward width and 50,432 tokens; the numbers of heads are ours. They are
# written as Llamas, without OpenLM's norm of queries and keys, so that the peers can run them.
MODELS = [
    Model("37M", 10, 384, 6, 6, 64, 1024, 50_432),
    Model("SmolLM2-135M", 30, 576, 9, 3, 64, 1536, 49_152, tied=True),
    Model("901M", 30, 1504, 47, 47, 32, 4096, 50_432),
]
TINY = Model("tiny", 2, 72, 4, 2, 18, 96, 131)


@dataclass(frozen=True)
class Cost:
    """What one kernel does in one step, all layers together: bytes by what they are, and FLOPs."""

    kernel: str
    calls: int
    weights: int
    caches: int
    activations: int
    flops: int

    @property
    def bytes(self) -> int:
        """Each operand moved once."""
        return self.weights + self.caches + self.activations

    def seconds(self, gpu: Gpu) -> float:
        """The least that the kernel takes."""
        return max(self.bytes / gpu.bandwidth, self.flops / gpu.peak)


def step_costs(
    m: Model, rows: int, prompt: int, own: int, tiles: Any = None, b: int = 2, own_entry: int | None = None
) -> list[Cost]:
    """The kernels of one step of `rows` samples of one prompt, each with `own` tokens, as the module says.

    `tiles`: a `t2fast.kernels.model.Tiles`, or None: a single split, and nothing that the head leaves.
    `own_entry`: bytes of a head's key or value in the samples' cache, b · head_dim unless given (fp8:
    head_dim + 4).
    """
    r, w, f = rows, m.width, m.hidden
    inner, outer = m.heads * m.head_dim, (m.heads + 2 * m.kv_heads) * m.head_dim
    entry = 2 * m.kv_heads * (own_entry or b * m.head_dim)
    pool = 2 * m.kv_heads * b * m.head_dim * prompt
    partial = 4 * inner * (math.ceil(prompt / tiles.split) if tiles else 1)
    left = 8 * NUMBERS_OF_A_TILE * math.ceil(m.vocab / tiles.vocabulary) if tiles else 0

    def cost(kernel: str, matrix: int, caches: int, row: int, attention: int = 0) -> Cost:
        calls = {"embed": 1, "head": 1, "norm": 2 * m.layers + 1}.get(kernel, m.layers)
        flops = 2 * r * matrix + attention
        parts = (4 * w if kernel == "norm" else b * matrix, caches, r * row, flops)
        return Cost(kernel, calls, *(calls * part for part in parts))

    return [
        cost("embed", 0, 0, w * (b + 4)),
        cost("norm", 0, 0, w * (4 + b)),
        cost("qkv", outer * w, r * entry, b * w + b * inner),
        cost("prefix", 0, pool, b * inner + partial, 4 * r * inner * prompt),
        cost("suffix", 0, r * entry * own, 2 * b * inner + partial, 4 * r * inner * own),
        cost("o", w * inner, 0, b * inner + 8 * w),
        cost("hidden", 2 * f * w, 0, b * w + b * f),
        cost("down", f * w, 0, b * f + 8 * w),
        cost("head", m.vocab * w, 0, b * w + left),
    ]


def roofline(costs: Sequence[Cost], gpu: Gpu) -> tuple[float, float]:
    """Seconds that a step needs for its bytes, and for its FLOPs; the longer one is the roofline."""
    moved = sum(cost.weights + cost.caches for cost in costs)
    return moved / gpu.bandwidth, sum(cost.flops for cost in costs) / gpu.peak


@dataclass(frozen=True)
class Reads:
    """How a kernel's tiles go about it: programs of one call, and what a step's programs read, in bytes."""

    programs: int
    weights: int
    """Matrices, or the prompt's cache: as often as there are tiles of rows."""
    rows: int
    """Inputs: as often as there are tiles of columns."""


def tile_reads(m: Model, rows: int, prompt: int, tiles: Any, b: int = 2) -> dict[str, Reads]:
    """What the tiles of the kernels with matrices, and of prefix attention, ask for, mostly from L2."""
    inner, heads = m.heads * m.head_dim, m.heads + 2 * m.kv_heads
    tall = math.ceil(rows / tiles.rows)

    def product(calls: int, columns: int, matrix: int, row: int) -> Reads:
        return Reads(tall * columns, calls * tall * b * matrix, calls * columns * rows * row)

    blocks, splits = math.ceil(rows / tiles.prefix_rows(m)), math.ceil(prompt / tiles.split)
    pool = 2 * m.kv_heads * b * m.head_dim * prompt
    across = math.ceil(m.width / tiles.columns)
    return {
        "qkv": product(m.layers, math.ceil(heads / tiles.heads), heads * m.head_dim * m.width, b * m.width),
        "prefix": Reads(
            blocks * m.kv_heads * splits, m.layers * blocks * pool, m.layers * splits * rows * b * inner
        ),
        "o": product(m.layers, across, m.width * inner, b * inner),
        "hidden": product(m.layers, math.ceil(m.hidden / tiles.columns), 2 * m.hidden * m.width, b * m.width),
        "down": product(m.layers, across, m.hidden * m.width, b * m.hidden),
        "head": product(1, math.ceil(m.vocab / tiles.vocabulary), m.vocab * m.width, b * m.width),
    }


def kernel_tiles(m: Model) -> Any:
    """The kernels' own tile sizes for this model; None without torch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch
    from t2fast.kernels.model import Shape, Tiles

    sizes = ("layers", "width", "heads", "kv_heads", "head_dim", "hidden", "vocab")
    return Tiles.of(Shape(**{name: getattr(m, name) for name in sizes}, eps=1e-5), torch.bfloat16)
