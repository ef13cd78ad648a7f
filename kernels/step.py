"""One token for every row: the operations in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from t2fast.kernels.batch import PARTS, Blocks, Cache, Draw, Prompts, Rows
from t2fast.kernels.model import Layer, Linear, Norm, Tiles, Weights
from t2fast.kernels.ops import Operations

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
    limit: torch.Tensor
    """int32 (1,): most tokens of a sample."""
    stop_tokens: torch.Tensor
    """int32 (n,); −1 is none."""
    tokens: torch.Tensor
    """int32 (slots, positions): what was drawn."""
    raw: torch.Tensor
    """float32 (slots, positions): log-probabilities under the model."""
    processed: torch.Tensor
    """float32 (slots, positions): after temperature and filters."""


class Space:
    """Intermediate results of steps of `rows` rows with prompts of up to `splits` splits.

    `filters`: how tokens are drawn; None: they are not.
    """

    def __init__(self, weights: Weights, tiles: Tiles, rows: int, splits: int, filters: Filters | None):
        s, device, dtype = weights.shape, weights.embedding.device, weights.embedding.dtype
        self.x = torch.empty(rows, s.width, device=device)
        self.normed = torch.empty(rows, s.width, device=device, dtype=dtype)
        self.branch = torch.empty(rows if s.post_norms else 0, s.width, device=device)
        self.q = torch.empty(rows, s.heads, s.head_dim, device=device, dtype=dtype)
        outputs = (s.heads + 2 * s.kv_heads) * s.head_dim if s.head_norm == "row" else 0
        self.products = torch.empty(rows, outputs, device=device)
        self.prefix_out = torch.empty(splits, rows, s.heads, s.head_dim, device=device)
        self.prefix_lse = torch.empty(splits, rows, s.heads, device=device)
        self.attended = torch.empty(rows, s.heads * s.head_dim, device=device, dtype=dtype)
        self.hidden = torch.empty(rows, s.hidden, device=device, dtype=dtype)
        filtered, plain = (filters is not None and filters.any is any_filter for any_filter in (True, False))
        self.logits = torch.empty(min(FILTER_ROWS, rows) if filtered else 0, s.vocab, device=device)
        of_vocab = -(-s.vocab // tiles.vocabulary) if plain else 0
        self.parts = torch.empty(PARTS, of_vocab, rows, device=device)
        self.draw = Draw.empty(rows, device)


def step(
    weights: Weights, state: State, space: Space, tiles: Tiles, filters: Filters, ops: Operations
) -> None:
    """Read each row's last token, draw its next one and record it."""
    forward(weights, state, space, tiles, ops)
    choose(weights, state, space, tiles, filters, ops)


def forward(weights: Weights, state: State, space: Space, tiles: Tiles, ops: Operations) -> None:
    """The residual stream after the last layer, in ``space.x``; keys and values enter the rows' caches."""
    rows, prompts = state.rows, state.prompts
    q, attended, partial = space.q, space.attended, (space.prefix_out, space.prefix_lse)
    ops.embed(rows, prompts, weights.embedding, weights.positions, space.x, weights.shape)
    for layer, pool, cache in zip(weights.layers, state.pools, state.caches, strict=True):
        shape = layer.shape or weights.shape
        project_in(weights, layer, rows, prompts, cache, space, tiles, ops)
        ops.prefix_attention(q, pool, rows, prompts, state.blocks, *partial, shape, tiles)
        ops.suffix_attention(q, cache, rows, prompts, *partial, attended, shape, tiles)
        project_out(weights, layer, space, tiles, ops)


def read(
    weights: Weights,
    rows: Rows,
    prompts: Prompts,
    blocks: Blocks,
    pools: Sequence[Cache],
    space: Space,
    tiles: Tiles,
    ops: Operations,
) -> None:
    """As `forward`, of rows that are tokens of prompts: their keys and values enter the pools.

    A token's slot is 0, and its position its place in the pool, plus 1; ``prompts.length`` is what to add to
    a place for the token's position in its prompt, − ``prompts.start``.
    """
    ops.embed(rows, prompts, weights.embedding, weights.positions, space.x, weights.shape)
    for layer, pool in zip(weights.layers, pools, strict=True):
        shape = layer.shape or weights.shape
        project_in(weights, layer, rows, prompts, Cache(pool.k[None], pool.v[None]), space, tiles, ops)
        ops.prompt_attention(space.q, pool, rows, prompts, blocks, space.attended, shape, tiles)
        project_out(weights, layer, space, tiles, ops)


def project_in(
    weights: Weights,
    layer: Layer,
    rows: Rows,
    prompts: Prompts,
    cache: Cache,
    space: Space,
    tiles: Tiles,
    ops: Operations,
) -> None:
    """A layer up to attention."""
    rotation = weights.rotation if layer.rotation is None else layer.rotation
    ops.norm(space.x, layer.attn_norm, space.normed, weights.shape)
    ops.qkv(
        space.normed, layer.qkv, layer.head_norm, rotation, rows, prompts, space.q, cache,
        space.products, weights.shape, tiles,
    )  # fmt: skip


def project_out(weights: Weights, layer: Layer, space: Space, tiles: Tiles, ops: Operations) -> None:
    """A layer from attention on."""
    x, normed, shape, hidden = space.x, space.normed, weights.shape, space.hidden

    def add(inputs: torch.Tensor, linear: Linear, norm: Norm | None) -> None:
        if norm is None:
            ops.project(inputs, linear, x, tiles, shape.residual_scale)
        else:
            space.branch.zero_()
            ops.project(inputs, linear, space.branch, tiles)
            ops.add(space.branch, norm, x, shape)

    if not shape.parallel:
        add(space.attended, layer.o, layer.post_attn_norm)
    ops.norm(x, layer.ffn_norm, normed, shape)
    ops.hidden(normed, layer.gate, layer.up, hidden, shape, tiles)
    if shape.parallel:
        add(space.attended, layer.o, layer.post_attn_norm)
    add(hidden, layer.down, layer.post_ffn_norm)


def choose(
    weights: Weights, state: State, space: Space, tiles: Tiles, filters: Filters, ops: Operations
) -> None:
    """Draw a token for each row from ``space.x`` and record it."""
    x, rows, draw, shape = space.normed, state.rows, space.draw, weights.shape
    ops.norm(space.x, weights.norm, x, shape)
    if not filters.any:
        ops.draw(
            x, weights.head, rows, state.temperature, draw, space.parts, shape, tiles, greedy=filters.greedy
        )
    for first in range(0, len(rows) if filters.any else 0, FILTER_ROWS):
        part = slice(first, min(first + FILTER_ROWS, len(rows)))
        some = Rows(rows.table[:, part])
        logits = space.logits[: len(some)]
        ops.logits(x[part], weights.head, logits, shape, tiles)
        drawn = Draw(draw.token[part], draw.raw[part], draw.processed[part])
        ops.choose(logits, some, state.temperature, filters.top_k, filters.top_p, filters.min_p, drawn)
    results = (state.tokens, state.raw, state.processed)
    ops.advance(rows, draw, state.limit, state.stop_tokens, *results)
