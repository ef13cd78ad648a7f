"""A model as the kernels see it: its shape, the tiles they are cut into for it, and its weights.

Matrices are (outputs, inputs). Sums and the residual stream are float32; what enters a matrix product, and
the caches, have the weights' type.
"""

from __future__ import annotations

import math
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
    activation: Literal["swiglu", "geglu_tanh", "gelu", "gelu_tanh"] = "swiglu"
    parallel: bool = False
    """The feed-forward block reads the layer's input, not attention's result (GPT-NeoX)."""
    head_norm: Literal["head", "own", "row"] | None = None
    """Norm of queries and of keys: each head by itself, with the same weights (Qwen3) or its own
    (StableLM), or all heads as one row (OpenLM)."""
    window: int | None = None
    """Positions that attention sees, the query's own included; None: all."""
    attention_scale: float | None = None
    """Factor on query · key; None: 1 / √head_dim."""
    attention_cap: float | None = None
    """c in c · tanh(x / c), for scaled query · key (Gemma 2)."""
    logit_cap: float | None = None
    """The same for logits."""
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    """Factor on what attention and feed-forward add to the residual stream (Granite)."""
    post_norms: bool = False
    """Norms after attention and after the feed-forward block, before they are added (Gemma, OLMo)."""

    @property
    def scale(self) -> float:
        """Factor on query · key."""
        return 1 / math.sqrt(self.head_dim) if self.attention_scale is None else self.attention_scale

    @property
    def gated(self) -> bool:
        """Whether the feed-forward block has a gate."""
        return self.activation in ("swiglu", "geglu_tanh")

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

    attn_norm: Norm | None
    qkv: Linear
    """All query heads, then all key heads, then all value heads; each query and key head in pairs' order."""
    head_norm: Norm | None
    """Of queries and of keys, their weights one after the other: (2 · head_dim,) where each head is
    normalised by itself with the same ones, else ((heads + kv_heads) · head_dim,)."""
    o: Linear
    ffn_norm: Norm | None
    gate: Linear | None
    up: Linear
    down: Linear
    post_attn_norm: Norm | None = None
    post_ffn_norm: Norm | None = None
    shape: Shape | None = None
    """The model's, where this layer's window is another."""
    rotation: torch.Tensor | None = None
    """In place of the model's."""


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
    positions: torch.Tensor | None = None
    """float32 (positions, width): learned embeddings of positions (GPT-2)."""
