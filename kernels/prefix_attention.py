"""Attention of all rows of a prompt to the prompt, whose keys and values they share."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from t2fast.kernels.layout import Blocks, Cache, Prompts, Rows, Shape, Tiles
from t2fast.kernels.primitives import FUSION, dot

EVERYTHING = 1 << 30
"""A window that no sequence fills."""


@triton.jit
def _prefix_attention(
    q, k, v, block_prompt, block_first, block_count, prompt_start, prompt_length, position, out, lse,
    n_rows, pool, scale, window,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, D: tl.constexpr, DIM: tl.constexpr,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    kv_head = tl.program_id(1)
    split = tl.program_id(2).to(tl.int64)
    count = tl.load(block_count + block)
    prompt = tl.load(block_prompt + block)
    length = tl.load(prompt_length + prompt)
    first_key = tl.program_id(2) * SPLIT
    if (count > 0) & (first_key < length):
        # Query m of the tile: head m % GROUP of the group, of row m // GROUP.
        m = tl.arange(0, QUERIES)
        here = m < count * GROUP
        row = (tl.load(block_first + block) + m // GROUP).to(tl.int64)
        head = kv_head * GROUP + m % GROUP
        d = tl.arange(0, DIM)
        inside = d < D
        known = here[:, None] & inside[None, :]
        query = tl.load(q + (row * HEADS + head)[:, None] * D + d[None, :], known, 0.0)
        # The newest position that a row's window leaves out.
        hidden = tl.load(position + row, here, 0) - 1 + length - window
        entries = (kv_head.to(tl.int64) * pool + tl.load(prompt_start + prompt)) * D
        top = tl.full((QUERIES,), float("-inf"), tl.float32)
        total = tl.zeros((QUERIES,), tl.float32)
        value = tl.zeros((QUERIES, DIM), tl.float32)
        for start in range(first_key, tl.minimum(first_key + SPLIT, length), KEYS):
            n = start + tl.arange(0, KEYS)
            there = n < length
            keys = tl.load(k + entries + n[None, :] * D + d[:, None], inside[:, None] & there[None, :], 0.0)
            scores = dot(query, keys, tl.zeros((QUERIES, KEYS), tl.float32)) * scale
            scores = tl.where(there[None, :] & (n[None, :] > hidden[:, None]), scores, float("-inf"))
            higher = tl.maximum(top, tl.max(scores, 1))
            # Where nothing is visible yet, any finite number will do in place of −∞.
            shift = tl.where(higher == float("-inf"), 0.0, higher)
            p = tl.exp(scores - shift[:, None])
            keep = tl.exp(top - shift)
            total = total * keep + tl.sum(p, 1)
            values = tl.load(v + entries + n[:, None] * D + d[None, :], there[:, None] & inside[None, :], 0.0)
            value = dot(p.to(values.dtype), values, value * keep[:, None])
            top = higher
        to = (split * n_rows + row) * HEADS + head
        value = value / tl.where(total > 0, total, 1.0)[:, None]
        tl.store(out + to[:, None] * D + d[None, :], value, known)
        tl.store(lse + to, tl.where(total > 0, top + tl.log(total), float("-inf")), here)


def prefix_attention(
    q: torch.Tensor,
    cache: Cache,
    rows: Rows,
    prompts: Prompts,
    blocks: Blocks,
    out: torch.Tensor,
    lse: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
) -> None:
    """Attention to each split of the prompt, with what is needed to join the splits.

    For split s, positions s · split … of the prompt: ``out[s]`` = Σ softmax(q·k / √d) v, float32
    (splits, R, heads, head_dim), and ``lse[s]`` = log Σ exp(q·k / √d), (splits, R, heads), −∞ where the
    window hides the whole split. Splits past a prompt's end are not written. q: (R, heads, head_dim);
    cache: the pool.
    """
    dim = max(triton.next_power_of_2(shape.head_dim), 16)
    _prefix_attention[(len(blocks.count), shape.kv_heads, len(out))](
        q, cache.k, cache.v, blocks.prompt, blocks.first, blocks.count,
        prompts.start, prompts.length, rows.position, out, lse,
        len(rows), cache.k.shape[1], 1 / math.sqrt(shape.head_dim), shape.window or EVERYTHING,
        HEADS=shape.heads, KV_HEADS=shape.kv_heads, GROUP=shape.group, D=shape.head_dim, DIM=dim,
        QUERIES=max(tiles.queries, triton.next_power_of_2(shape.group)), KEYS=tiles.keys, SPLIT=tiles.split,
        num_warps=4 if dim <= 64 else 8, enable_fp_fusion=FUSION,
    )  # fmt: skip


def naive(
    q: torch.Tensor,
    cache: Cache,
    rows: Rows,
    prompts: Prompts,
    blocks: Blocks,
    out: torch.Tensor,
    lse: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
) -> None:
    """As `prefix_attention`."""
    for prompt, first, count in zip(
        blocks.prompt.tolist(), blocks.first.tolist(), blocks.count.tolist(), strict=True
    ):
        start, length = int(prompts.start[prompt]), int(prompts.length[prompt])
        for row in range(first, first + count):
            oldest = int(rows.position[row]) - 1 + length - (shape.window or EVERYTHING) + 1
            for split, begin in enumerate(range(0, length, tiles.split)):
                end = min(begin + tiles.split, length)
                k, v = (
                    t[:, start + begin : start + end].float().repeat_interleave(shape.group, 0)
                    for t in (cache.k, cache.v)
                )
                scores = torch.einsum("hd,hnd->hn", q[row].float(), k) / math.sqrt(shape.head_dim)
                scores[:, : max(oldest - begin, 0)] = -math.inf
                lse[split, row] = scores.logsumexp(-1)
                out[split, row] = torch.einsum("hn,hnd->hd", scores.softmax(-1).nan_to_num(), v)
