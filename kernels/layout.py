"""What the operations share: shapes, tile sizes, and the tensors of weights, rows and caches.

R rows are decoded in one step, each a sample of one of P problems. Matrices are (outputs, inputs). Sums and
the residual stream are float32; what enters a matrix product, and the caches, have the weights' type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
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
    vocabulary: int = 128
    """Vocabulary entries of a tile of the output head."""
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
    def of(cls, shape: Shape) -> Tiles:
        """The tiles of a model: narrow ones for small models, or there are fewer tiles than processors."""
        return cls(columns=32 if shape.width < 1024 else 64)

    def prefix_rows(self, shape: Shape) -> int:
        """Rows of a prefix tile."""
        return max(self.queries // shape.group, 1)


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


@dataclass
class Rows:
    """What is decoded: one column of `table` a row. Rows of one prompt stand together."""

    table: torch.Tensor
    """int32 (8, R), contiguous; its rows are the properties below, in their order."""

    FIELDS = ("token", "slot", "prompt", "sample", "key_low", "key_high", "position", "done")

    @classmethod
    def empty(cls, count: int, device: torch.device | str) -> Rows:
        """Rows without samples."""
        rows = cls(torch.zeros(len(cls.FIELDS), count, dtype=torch.int32, device=device))
        rows.slot.fill_(-1)
        return rows

    def __len__(self) -> int:
        return int(self.table.shape[1])

    @property
    def token(self) -> torch.Tensor:
        """The last token drawn, whose key and value this step computes."""
        return self.table[0]

    @property
    def slot(self) -> torch.Tensor:
        """Where the sample's cache and results are; −1: the row is empty."""
        return self.table[1]

    @property
    def prompt(self) -> torch.Tensor:
        """Index into `Prompts`."""
        return self.table[2]

    @property
    def sample(self) -> torch.Tensor:
        """Index of the sample, for its noise."""
        return self.table[3]

    @property
    def key_low(self) -> torch.Tensor:
        """Low half of the problem's Philox key, as bits."""
        return self.table[4]

    @property
    def key_high(self) -> torch.Tensor:
        """High half of the key."""
        return self.table[5]

    @property
    def position(self) -> torch.Tensor:
        """Tokens the sample has: the index of the next one. `token` has index position − 1."""
        return self.table[6]

    @property
    def done(self) -> torch.Tensor:
        """1 once the sample has ended."""
        return self.table[7]


@dataclass
class Prompts:
    """Where each prompt's keys and values lie in the pool, int32 (P,)."""

    start: torch.Tensor
    length: torch.Tensor


@dataclass
class Blocks:
    """Tiles of rows for prefix attention, int32: `count` rows from `first` on, all of `prompt`."""

    prompt: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor
    """At most `Tiles.prefix_rows`; 0: an unused tile."""

    @classmethod
    def of(cls, prompts: Sequence[int], height: int, size: int, device: torch.device | str) -> Blocks:
        """Tiles of at most `height` rows over rows whose prompts are `prompts`, filled up to `size` tiles."""
        of_row = np.asarray(prompts, dtype=np.int64)
        begins = np.flatnonzero(np.diff(of_row, prepend=-1))
        lengths = np.diff(begins, append=len(of_row))
        tiles = -(-lengths // height)
        if tiles.sum() > size:
            raise ValueError(f"{len(of_row)} rows need {tiles.sum()} tiles, and there are {size}")
        run = np.repeat(np.arange(len(begins)), tiles)
        offset = (np.arange(len(run)) - np.repeat(np.cumsum(tiles) - tiles, tiles)) * height
        table = np.zeros((3, size), np.int32)
        table[0, : len(run)] = of_row[begins[run]]
        table[1, : len(run)] = begins[run] + offset
        table[2, : len(run)] = np.minimum(lengths[run] - offset, height)
        return cls(*torch.from_numpy(table).to(device))


@dataclass
class Cache:
    """Keys and values of one layer.

    A pool of prompts: (kv_heads, pool, head_dim). Samples' own: (slots, kv_heads, positions, head_dim), in
    float8_e4m3fn with a float32 scale for each (slot, kv_head, position): value = stored · scale.
    """

    k: torch.Tensor
    v: torch.Tensor
    k_scale: torch.Tensor | None = None
    v_scale: torch.Tensor | None = None


@dataclass
class Draw:
    """One token a row: its id, and its log-probability under the model and after temperature and filters."""

    token: torch.Tensor
    """int32 (R,)."""
    raw: torch.Tensor
    """float32 (R,)."""
    processed: torch.Tensor

    @classmethod
    def empty(cls, count: int, device: torch.device | str) -> Draw:
        """Room for `count` rows."""
        token = torch.zeros(count, dtype=torch.int32, device=device)
        return cls(token, *(torch.zeros(count, device=device) for _ in range(2)))
