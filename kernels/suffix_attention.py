"""Attention of each row to its own tokens, joined with its attention to the prompt."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Cache, Prompts, Rows
from t2fast.kernels.model import Shape, Tiles
from t2fast.kernels.primitives import EVERYTHING, LAUNCH, VARYING, capped, dot, on_amd, or_placeholder


@triton.jit(do_not_specialize=VARYING)
def _suffix_attention(
    q, k, v, k_scale, v_scale, slot, prompt, position, prompt_length, prefix_out, prefix_lse, out,
    n_rows, positions, scale, window,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HEIGHT: tl.constexpr,
    D: tl.constexpr, DIM: tl.constexpr, KEYS: tl.constexpr, SPLIT: tl.constexpr, SCALED: tl.constexpr,
    CAP: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    kv_head = tl.program_id(1)
    own = tl.load(slot + row)
    g = tl.arange(0, HEIGHT)
    d = tl.arange(0, DIM)
    inside = d < D
    head = row * HEADS + kv_head * GROUP + g
    known = (g < GROUP)[:, None] & inside[None, :]
    to = out + head[:, None] * D + d[None, :]
    if own < 0:
        tl.store(to, tl.zeros((HEIGHT, DIM), out.dtype.element_ty), known)
    else:
        query = tl.load(q + head[:, None] * D + d[None, :], known, 0.0)
        length = tl.load(position + row)
        oldest = tl.maximum(length - window, 0)
        entries = (own.to(tl.int64) * KV_HEADS + kv_head) * positions
        top = tl.full((HEIGHT,), float("-inf"), tl.float32)
        total = tl.zeros((HEIGHT,), tl.float32)
        value = tl.zeros((HEIGHT, DIM), tl.float32)
        for start in range(0, length, KEYS):
            n = start + tl.arange(0, KEYS)
            there = (n < length) & (n >= oldest)
            at = entries + n
            keys = tl.load(k + at[None, :] * D + d[:, None], inside[:, None] & there[None, :], 0.0)
            scores = dot(query, keys.to(query.dtype), tl.zeros((HEIGHT, KEYS), tl.float32)) * scale
            if SCALED:
                scores = scores * tl.load(k_scale + at, there, 0.0)[None, :]
            scores = capped(scores, CAP)
            scores = tl.where(there[None, :], scores, float("-inf"))
            higher = tl.maximum(top, tl.max(scores, 1))
            shift = tl.where(higher == float("-inf"), 0.0, higher)
            p = tl.exp(scores - shift[:, None])
            keep = tl.exp(top - shift)
            total = total * keep + tl.sum(p, 1)
            values = tl.load(v + at[:, None] * D + d[None, :], there[:, None] & inside[None, :], 0.0)
            if SCALED:
                p = p * tl.load(v_scale + at, there, 0.0)[None, :]
            value = dot(p.to(query.dtype), values.to(query.dtype), value * keep[:, None])
            top = higher
        # The splits of the prompt weigh exp(lse), as the sum over the row's own tokens does.
        prefix = tl.load(prompt_length + tl.load(prompt + row))
        for split in range(0, tl.cdiv(prefix, SPLIT)):
            at = head + split * n_rows * HEADS
            lse = tl.load(prefix_lse + at, g < GROUP, float("-inf"))
            higher = tl.maximum(top, lse)
            shift = tl.where(higher == float("-inf"), 0.0, higher)
            keep = tl.exp(top - shift)
            weight = tl.exp(lse - shift)
            total = total * keep + weight
            more = tl.load(prefix_out + at[:, None] * D + d[None, :], known, 0.0)
            value = value * keep[:, None] + more * weight[:, None]
            top = higher
        value = value / tl.where(total > 0, total, 1.0)[:, None]
        tl.store(to, value.to(out.dtype.element_ty), known)


def suffix_attention(
    q: torch.Tensor,
    cache: Cache,
    rows: Rows,
    prompts: Prompts,
    prefix_out: torch.Tensor,
    prefix_lse: torch.Tensor,
    out: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
) -> None:
    """As `Operations.suffix_attention`."""
    dim = max(triton.next_power_of_2(shape.head_dim), 16)
    # Few threads a program: it mostly waits for its keys and values, and more of them fit on a processor.
    warps = 8 if dim > 128 or q.dtype == torch.float32 else 4 if on_amd() else max(dim // 64, 1)
    _suffix_attention[(len(rows), shape.kv_heads)](
        q, cache.k, cache.v, or_placeholder(cache.k_scale, q), or_placeholder(cache.v_scale, q),
        rows.slot, rows.prompt, rows.position, prompts.length, prefix_out, prefix_lse, out,
        len(rows), cache.k.shape[2], shape.scale, shape.window or EVERYTHING,
        HEADS=shape.heads, KV_HEADS=shape.kv_heads, GROUP=shape.group,
        HEIGHT=max(triton.next_power_of_2(shape.group), 16), D=shape.head_dim, DIM=dim,
        KEYS=tiles.own_keys, SPLIT=tiles.split, SCALED=cache.k_scale is not None,
        CAP=shape.attention_cap or 0.0, num_warps=warps, **LAUNCH,
    )  # fmt: skip
