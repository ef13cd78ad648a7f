"""Attention of a prompt's tokens to those before them, while the prompt is read."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Blocks, Cache, Prompts, Rows
from t2fast.kernels.model import Shape, Tiles
from t2fast.kernels.primitives import EVERYTHING, LAUNCH, VARYING, capped, dot


@triton.jit(do_not_specialize=VARYING)
def _prompt_attention(
    q, k, v, block_prompt, block_first, block_count, prompt_start, position, out, pool, scale, window,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, D: tl.constexpr, DIM: tl.constexpr,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, CAP: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    kv_head = tl.program_id(1)
    count = tl.load(block_count + block)
    if count > 0:
        # Query m of the tile: head m % GROUP of the group, of token m // GROUP.
        m = tl.arange(0, QUERIES)
        here = m < count * GROUP
        row = (tl.load(block_first + block) + m // GROUP).to(tl.int64)
        head = kv_head * GROUP + m % GROUP
        d = tl.arange(0, DIM)
        inside = d < D
        known = here[:, None] & inside[None, :]
        query = tl.load(q + (row * HEADS + head)[:, None] * D + d[None, :], known, 0.0)
        end = tl.load(position + row, here, 0)
        last = tl.max(end, 0)
        entries = kv_head.to(tl.int64) * pool * D
        top = tl.full((QUERIES,), float("-inf"), tl.float32)
        total = tl.zeros((QUERIES,), tl.float32)
        value = tl.zeros((QUERIES, DIM), tl.float32)
        for start in range(tl.load(prompt_start + tl.load(block_prompt + block)), last, KEYS):
            n = start + tl.arange(0, KEYS)
            there = n < last
            keys = tl.load(k + entries + n[None, :] * D + d[:, None], inside[:, None] & there[None, :], 0.0)
            scores = dot(query, keys, tl.zeros((QUERIES, KEYS), tl.float32)) * scale
            scores = capped(scores, CAP)
            seen = (n[None, :] < end[:, None]) & (n[None, :] >= (end - window)[:, None])
            scores = tl.where(seen, scores, float("-inf"))
            higher = tl.maximum(top, tl.max(scores, 1))
            # Where nothing is visible yet, any finite number will do in place of −∞.
            shift = tl.where(higher == float("-inf"), 0.0, higher)
            p = tl.exp(scores - shift[:, None])
            keep = tl.exp(top - shift)
            total = total * keep + tl.sum(p, 1)
            values = tl.load(v + entries + n[:, None] * D + d[None, :], there[:, None] & inside[None, :], 0.0)
            value = dot(p.to(values.dtype), values, value * keep[:, None])
            top = higher
        value = value / tl.where(total > 0, total, 1.0)[:, None]
        tl.store(out + (row * HEADS + head)[:, None] * D + d[None, :], value.to(out.dtype.element_ty), known)


def prompt_attention(
    q: torch.Tensor,
    cache: Cache,
    rows: Rows,
    prompts: Prompts,
    blocks: Blocks,
    out: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
) -> None:
    """As `Operations.prompt_attention`: the keys in one order, whole, in one program."""
    dim = max(triton.next_power_of_2(shape.head_dim), 16)
    _prompt_attention[(len(blocks.count), shape.kv_heads)](
        q, cache.k, cache.v, blocks.prompt, blocks.first, blocks.count, prompts.start, rows.position, out,
        cache.k.shape[1], shape.scale, shape.window or EVERYTHING,
        HEADS=shape.heads, KV_HEADS=shape.kv_heads, GROUP=shape.group, D=shape.head_dim, DIM=dim,
        QUERIES=tiles.query_tile(shape), KEYS=tiles.keys, CAP=shape.attention_cap or 0.0,
        num_warps=4 if dim <= 64 and q.dtype != torch.float32 else 8, **LAUNCH,
    )  # fmt: skip
