"""One token for every row: the operations in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from t2fast.kernels import (
    advance,
    compact,
    embed,
    filters,
    head,
    mlp,
    prefix_attention,
    projection,
    qkv,
    suffix_attention,
)
from t2fast.kernels.layout import Blocks, Cache, Draw, Prompts, Rows, Tiles, Weights

KERNELS = SimpleNamespace(
    embed=embed.embed,
    qkv=qkv.qkv,
    prefix_attention=prefix_attention.prefix_attention,
    suffix_attention=suffix_attention.suffix_attention,
    project=projection.project,
    hidden=mlp.hidden,
    draw=head.draw,
    logits=head.logits,
    choose=filters.choose,
    advance=advance.advance,
    compact=compact.compact,
)
NAIVE = SimpleNamespace(
    embed=embed.naive,
    qkv=qkv.naive,
    prefix_attention=prefix_attention.naive,
    suffix_attention=suffix_attention.naive,
    project=projection.naive,
    hidden=mlp.naive,
    draw=head.naive,
    logits=head.naive_logits,
    choose=filters.naive,
    advance=advance.naive,
    compact=compact.naive,
)
"""The same operations in plain PyTorch."""

FILTER_ROWS = 256
"""Rows whose logits are written at a time where filters need them."""


@dataclass(frozen=True)
class Filters:
    """How tokens are chosen; the temperature is a tensor, in `State`."""

    greedy: bool = False
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def any(self) -> bool:
        """Whether choosing needs all logits of a row."""
        return not self.greedy and (self.top_k > 0 or self.top_p < 1 or self.min_p > 0)


@dataclass
class State:
    """What a step reads and writes. Tensors keep their addresses, so that a captured step can be replayed."""

    rows: Rows
    blocks: Blocks
    prompts: Prompts
    pools: Sequence[Cache]
    """Per layer, the prompts' keys and values."""
    caches: Sequence[Cache]
    """Per layer, the samples' own."""
    temperature: torch.Tensor
    stop_tokens: torch.Tensor
    tokens: torch.Tensor
    """int32 (slots, max_tokens): what was drawn."""
    raw: torch.Tensor
    """float32 (slots, max_tokens): log-probabilities under the model."""
    processed: torch.Tensor
    """float32 (slots, max_tokens): after temperature and filters."""


class Space:
    """Intermediate results of steps of `rows` rows with prompts of up to `splits` splits."""

    def __init__(self, weights: Weights, rows: int, splits: int):
        s, device, dtype = weights.shape, weights.embedding.device, weights.embedding.dtype
        self.x = torch.empty(rows, s.width, device=device)
        self.q = torch.empty(rows, s.heads, s.head_dim, device=device, dtype=dtype)
        self.prefix_out = torch.empty(splits, rows, s.heads, s.head_dim, device=device)
        self.prefix_lse = torch.empty(splits, rows, s.heads, device=device)
        self.attended = torch.empty(rows, s.heads * s.head_dim, device=device, dtype=dtype)
        self.hidden = torch.empty(rows, s.hidden, device=device, dtype=dtype)
        self.logits = torch.empty(0, s.vocab, device=device)
        self.draw = Draw.empty(rows, device)


def step(
    weights: Weights,
    state: State,
    space: Space,
    tiles: Tiles,
    filters: Filters,
    ops: SimpleNamespace = KERNELS,
) -> None:
    """Read each row's last token, draw its next one and record it."""
    forward(weights, state, space, tiles, ops)
    choose(weights, state, space, tiles, filters, ops)


def forward(
    weights: Weights, state: State, space: Space, tiles: Tiles, ops: SimpleNamespace = KERNELS
) -> None:
    """The residual stream after the last layer, in ``space.x``; keys and values enter the rows' caches."""
    shape, rows, prompts = weights.shape, state.rows, state.prompts
    x, q, partial = space.x, space.q, (space.prefix_out, space.prefix_lse)
    ops.embed(rows, weights.embedding, x)
    for layer, pool, cache in zip(weights.layers, state.pools, state.caches, strict=True):
        ops.qkv(
            x,
            layer.attn_norm,
            layer.qkv,
            layer.head_norm,
            weights.rotation,
            rows,
            prompts,
            q,
            cache,
            shape,
            tiles,
        )
        ops.prefix_attention(q, pool, rows, prompts, state.blocks, *partial, shape, tiles)
        ops.suffix_attention(q, cache, rows, prompts, *partial, space.attended, shape, tiles)
        if shape.parallel:
            ops.hidden(x, layer.ffn_norm, layer.gate, layer.up, space.hidden, shape, tiles)
            ops.project(space.attended, layer.o, x, tiles)
        else:
            ops.project(space.attended, layer.o, x, tiles)
            ops.hidden(x, layer.ffn_norm, layer.gate, layer.up, space.hidden, shape, tiles)
        ops.project(space.hidden, layer.down, x, tiles)


def choose(
    weights: Weights,
    state: State,
    space: Space,
    tiles: Tiles,
    filters: Filters,
    ops: SimpleNamespace = KERNELS,
) -> None:
    """Draw a token for each row from ``space.x`` and record it."""
    x, rows, draw, shape = space.x, state.rows, space.draw, weights.shape
    if not filters.any:
        ops.draw(
            x, weights.norm, weights.head, rows, state.temperature, draw, shape, tiles, greedy=filters.greedy
        )
    else:
        if not len(space.logits):
            space.logits = x.new_empty((min(FILTER_ROWS, len(rows)), shape.vocab))
        for first in range(0, len(rows), FILTER_ROWS):
            part = slice(first, min(first + FILTER_ROWS, len(rows)))
            some = Rows(rows.table[:, part])
            logits = space.logits[: len(some)]
            ops.logits(x[part], weights.norm, weights.head, logits, shape, tiles)
            drawn = Draw(draw.token[part], draw.raw[part], draw.processed[part])
            ops.choose(logits, some, state.temperature, filters.top_k, filters.top_p, filters.min_p, drawn)
    ops.advance(rows, draw, state.stop_tokens, state.tokens, state.raw, state.processed)
