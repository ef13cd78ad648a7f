"""A model as the kernels see it: its shape, the tiles they are cut into for it, and its weights.

Matrices are (outputs, inputs). Sums and the residual stream are float32; what enters a matrix product, and
the caches, have the weights' type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder, and the choices that its kernels are compiled for."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocab: int
    """Tokens that can be drawn; rows of the output head beyond are padding."""
    eps: float
    layer_norm: bool = False
    """LayerNorm rather than RMSNorm, everywhere."""
    activation: Literal["swiglu", "gelu", "gelu_tanh"] = "swiglu"
    parallel: bool = False
    """The feed-forward block reads the layer's input, not attention's result (GPT-NeoX)."""
    head_norm: Literal["head", "row"] | None = None
    """Norm of queries and of keys: each head by itself (Qwen3) or all heads as one row (OpenLM)."""
    window: int | None = None
    """Positions that attention sees, the query's own included; None: all."""

    @property
    def group(self) -> int:
        """Query heads to a key head."""
        return self.heads // self.kv_heads


@dataclass(frozen=True)
class Tiles:
    """Tile sizes of every kernel.

    They come from the model's shape alone. A tile's height decides which instruction multiplies it, and with
    it how a sum is rounded: were it chosen from the number of rows, a sample would depend on its company.
    """

    rows: int = 64
    """Rows of a matrix product: one instruction group of Hopper's tensor cores."""
    columns: int = 32
    """Outputs of a projection or feed-forward tile."""
    vocabulary: int = 64
    """Vocabulary entries of a tile of the output head."""
    heads: int = 1
    """Heads of a tile of the projection of queries, keys and values."""
    inputs: int = 64
    """Inputs taken at a time."""
    queries: int = 64
    """Queries of a prefix tile: `queries // group` rows, each with its group of heads."""
    keys: int = 64
    """Keys taken at a time by prefix attention."""
    own_keys: int = 32
    """Keys taken at a time by suffix attention."""
    split: int = 256
    """Prefix positions of one program; programs of a long prompt run side by side."""

    @classmethod
    def of(cls, shape: Shape, dtype: torch.dtype) -> Tiles:
        """The tiles of a model.

        Narrow ones for small models, or there are fewer tiles than processors. Long heads and float32 take
        what registers (255 a thread) and shared memory (163 KiB on an A100, 64 on an MI300) hold.
        """
        if dtype == torch.float32:
            short = shape.head_dim <= 64
            return cls(32, 32, 64, 1, 32, 32 if short else 16, 32 if short else 16, 16)
        columns = 32 if shape.width < 1024 else 64
        heads = max(2 * columns // max(shape.head_dim, 32), 1)
        return cls(columns=columns, heads=heads, keys=64 if shape.head_dim <= 128 else 32)

    def prefix_rows(self, shape: Shape) -> int:
        """Rows of a tile of queries."""
        return max(self.queries // shape.group, 1)

    def query_tile(self, shape: Shape) -> int:
        """Queries of such a tile, with what fills it up to a power of 2."""
        group = 1 << (shape.group - 1).bit_length()
        return max(self.queries, group)


@dataclass
class Norm:
    """RMSNorm or LayerNorm over the last axis; float32."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass
class Linear:
    """y = W x + b. W is (outputs, inputs); b is float32."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass
class Layer:
    """One transformer layer."""

    attn_norm: Norm
    qkv: Linear
    """All query heads, then all key heads, then all value heads; each query and key head in pairs' order."""
    head_norm: Norm | None
    """Of queries and of keys, their weights one after the other: (2 · head_dim,) where each head is
    normalised by itself, ((heads + kv_heads) · head_dim,) where all are as one."""
    o: Linear
    ffn_norm: Norm
    gate: Linear | None
    up: Linear
    down: Linear


@dataclass
class Weights:
    """A model on its device.

    RoPE turns coordinates i and i + d/2 of a query or key head by the angle whose cosine and sine are
    ``rotation[:, position, i]``. Families that pair or rotate otherwise are brought to this form by
    reordering the coordinates of both sides, which leaves their product as it is; coordinates that are not
    rotated have cosine 1 and sine 0.
    """

    shape: Shape
    embedding: torch.Tensor
    """(vocabulary, width)."""
    layers: Sequence[Layer]
    norm: Norm
    head: Linear
    rotation: torch.Tensor
    """float32 (2, positions, head_dim / 2): cosines, sines."""
