"""Query, key and value projection, norm of the heads, RoPE, and the new entry of the suffix cache."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Cache, Prompts, Rows
from t2fast.kernels.model import Linear, Norm, Shape, Tiles
from t2fast.kernels.primitives import (
    LAUNCH,
    VARYING,
    dot,
    input_tile,
    on_amd,
    or_placeholder,
    pipeline,
    to_float8,
    weight_tile,
)

ROW_NUMBERS = 4096
"""Of whole rows that a program holds at once."""
FP8_MAX = tl.constexpr(448.0)
"""Largest float8_e4m3fn."""


@triton.jit
def _finish_heads(
    a, b, head, i, row, here,
    norm_weight, norm_bias, rotation, slot, prompt, position, prompt_length, q, k, v, k_scale, v_scale,
    eps, positions, rotations,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr,
    HEAD_NORM: tl.constexpr, OWN_NORM: tl.constexpr, LAYER_NORM: tl.constexpr, NORM_BIAS: tl.constexpr,
    SCALED: tl.constexpr,
):  # fmt: skip
    """Norm, rotate and store heads of a row tile: a column holds coordinate i of its head in a, i + D/2 in b.

    With a norm, and with scales, all columns are of one head.
    """
    inside = (i < D // 2) & (head < HEADS + 2 * KV_HEADS)
    known = here[:, None] & inside[None, :]
    keys, values = HEADS + tl.zeros_like(head), HEADS + KV_HEADS + tl.zeros_like(head)
    turned = head < values
    if HEAD_NORM:
        mean = tl.zeros(row.shape, tl.float32)
        if LAYER_NORM:
            mean = (tl.sum(a, 1) + tl.sum(b, 1)) / D
        own_a = tl.where(inside[None, :], a - mean[:, None], 0.0)
        own_b = tl.where(inside[None, :], b - mean[:, None], 0.0)
        scale = 1.0 / tl.sqrt((tl.sum(own_a * own_a, 1) + tl.sum(own_b * own_b, 1)) / D + eps)
        at = tl.where(head < keys, 0, D) + i
        weighed = inside
        if OWN_NORM:
            at = head * D + i
            weighed = inside & turned
        own_a = own_a * scale[:, None] * tl.load(norm_weight + at, weighed, 0.0)[None, :]
        own_b = own_b * scale[:, None] * tl.load(norm_weight + at + D // 2, weighed, 0.0)[None, :]
        if NORM_BIAS:
            own_a += tl.load(norm_bias + at, inside, 0.0)[None, :]
            own_b += tl.load(norm_bias + at + D // 2, inside, 0.0)[None, :]
        a = tl.where(turned[None, :], own_a, a)
        b = tl.where(turned[None, :], own_b, b)
    own = tl.load(slot + row, here, -1)
    index = tl.load(position + row, here, 1) - 1
    # A row without a sample and with an empty prompt has no position: it turns by nothing.
    at = tl.maximum(index + tl.load(prompt_length + tl.load(prompt + row, here, 0)), 0)
    at = at[:, None] * (D // 2) + i[None, :]
    cos = tl.load(rotation + at, known & turned[None, :], 1.0)
    sin = tl.load(rotation + rotations * (D // 2) + at, known & turned[None, :], 0.0)
    a, b = a * cos - b * sin, b * cos + a * sin
    to = q + (row[:, None].to(tl.int64) * HEADS + head[None, :]) * D + i[None, :]
    asked = known & (head < keys)[None, :]
    tl.store(to, a.to(q.dtype.element_ty), asked)
    tl.store(to + D // 2, b.to(q.dtype.element_ty), asked)
    kv_head = tl.where(turned, head - keys, head - values)
    if SCALED:
        # One head: addresses a row, not an element, leave registers to the elements.
        kv_head = tl.max(kv_head, 0) + tl.zeros((1,), tl.int32)
    entry = (own.to(tl.int64)[:, None] * KV_HEADS + kv_head[None, :]) * positions + index[:, None]
    living = known & (own >= 0)[:, None]
    _append(a, b, i, k, k_scale, entry, living & (turned & (head >= keys))[None, :], D, SCALED)
    _append(a, b, i, v, v_scale, entry, living & (head >= values)[None, :], D, SCALED)


@triton.jit
def _append(a, b, i, cache, scales, entry, known, D: tl.constexpr, SCALED: tl.constexpr):
    """Store heads of a row tile at their entries of a suffix cache."""
    to = cache + entry * D + i[None, :]
    if SCALED:
        largest = tl.maximum(tl.max(tl.abs(a), 1), tl.max(tl.abs(b), 1))
        scale = tl.where(largest > 0, largest / FP8_MAX, 1.0)[:, None]
        tl.store(scales + entry, scale, tl.max(known.to(tl.int32), 1)[:, None] > 0)
        tl.store(to, to_float8(a / scale), known)
        tl.store(to + D // 2, to_float8(b / scale), known)
    else:
        tl.store(to, a.to(cache.dtype.element_ty), known)
        tl.store(to + D // 2, b.to(cache.dtype.element_ty), known)


@triton.jit(do_not_specialize=VARYING)
def _qkv(
    x, weight, bias, products,
    head_weight, head_bias, rotation, slot, prompt, position, prompt_length, q, k, v, k_scale, v_scale,
    n_rows, eps, positions, rotations,
    WIDTH: tl.constexpr, HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, HALF: tl.constexpr,
    PACK: tl.constexpr, LAYER_NORM: tl.constexpr, BIAS: tl.constexpr, RAW: tl.constexpr,
    HEAD_NORM: tl.constexpr, OWN_NORM: tl.constexpr, HEAD_NORM_BIAS: tl.constexpr, SCALED: tl.constexpr,
    ROWS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    column = tl.arange(0, PACK * HALF)
    head, i = tl.program_id(1) * PACK + column // HALF, column % HALF
    inside = (i < D // 2) & (head < HEADS + 2 * KV_HEADS)
    first = head * D + i
    a = tl.zeros((ROWS, PACK * HALF), tl.float32)
    b = tl.zeros((ROWS, PACK * HALF), tl.float32)
    for start in range(0, WIDTH, INPUTS):
        inputs = input_tile(x, row, here, start, WIDTH, INPUTS)
        a = dot(inputs, weight_tile(weight, first, inside, start, WIDTH, INPUTS), a)
        b = dot(inputs, weight_tile(weight, first + D // 2, inside, start, WIDTH, INPUTS), b)
    if BIAS:
        a += tl.load(bias + first, inside, 0.0)[None, :]
        b += tl.load(bias + first + D // 2, inside, 0.0)[None, :]
    if RAW:
        to = products + row[:, None].to(tl.int64) * (HEADS + 2 * KV_HEADS) * D + first[None, :]
        known = here[:, None] & inside[None, :]
        tl.store(to, a, known)
        tl.store(to + D // 2, b, known)
    else:
        _finish_heads(
            a, b, head, i, row, here,
            head_weight, head_bias, rotation, slot, prompt, position, prompt_length,
            q, k, v, k_scale, v_scale, eps, positions, rotations,
            HEADS, KV_HEADS, D, HEAD_NORM, OWN_NORM, LAYER_NORM, HEAD_NORM_BIAS, SCALED,
        )  # fmt: skip


@triton.jit(do_not_specialize=VARYING)
def _norm_of_all_heads(
    products, head_weight, head_bias, rotation, slot, prompt, position, prompt_length, q, k, v, k_scale,
    v_scale, n_rows, eps, positions, rotations,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, HALF: tl.constexpr,
    LAYER_NORM: tl.constexpr, NORM_BIAS: tl.constexpr, SCALED: tl.constexpr,
    ROWS: tl.constexpr, ALL: tl.constexpr,
):  # fmt: skip
    """What `_qkv` left undone for a norm that needs every head of a row."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    head = tl.program_id(1)
    line = row.to(tl.int64) * (HEADS + 2 * KV_HEADS) * D
    i = tl.arange(0, HALF)
    inside = i < D // 2
    known = here[:, None] & inside[None, :]
    a = tl.load(products + line[:, None] + head * D + i[None, :], known, 0.0)
    b = tl.load(products + line[:, None] + head * D + D // 2 + i[None, :], known, 0.0)
    if head < HEADS + KV_HEADS:
        first = tl.where(head < HEADS, 0, HEADS * D)
        width = tl.where(head < HEADS, HEADS * D, KV_HEADS * D)
        column = tl.arange(0, ALL)
        there = here[:, None] & (column < width)[None, :]
        value = tl.load(products + line[:, None] + first + column[None, :], there, 0.0)
        mean = tl.zeros((ROWS,), tl.float32)
        if LAYER_NORM:
            mean = tl.sum(value, 1) / width
            value = tl.where(there, value - mean[:, None], 0.0)
        scale = 1.0 / tl.sqrt(tl.sum(value * value, 1) / width + eps)
        own = head * D + i
        a = (a - mean[:, None]) * scale[:, None] * tl.load(head_weight + own, inside, 0.0)[None, :]
        b = (b - mean[:, None]) * scale[:, None] * tl.load(head_weight + own + D // 2, inside, 0.0)[None, :]
        if NORM_BIAS:
            a += tl.load(head_bias + own, inside, 0.0)[None, :]
            b += tl.load(head_bias + own + D // 2, inside, 0.0)[None, :]
    _finish_heads(
        a, b, head + tl.zeros_like(i), i, row, here,
        head_weight, head_bias, rotation, slot, prompt, position, prompt_length, q, k, v, k_scale, v_scale,
        eps, positions, rotations,
        HEADS, KV_HEADS, D, False, False, LAYER_NORM, NORM_BIAS, SCALED,
    )  # fmt: skip


def qkv(
    x: torch.Tensor,
    linear: Linear,
    head_norm: Norm | None,
    rotation: torch.Tensor,
    rows: Rows,
    prompts: Prompts,
    q: torch.Tensor,
    cache: Cache,
    raw: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
) -> None:
    """As `Operations.qkv`."""
    half = max(triton.next_power_of_2(shape.head_dim // 2), 16)
    tall, heads = triton.cdiv(len(rows), tiles.rows), shape.heads + 2 * shape.kv_heads
    by_row, by_head = shape.head_norm == "row", shape.head_norm in ("head", "own")
    single = linear.weight.dtype == torch.float32
    # Sums of long heads need the registers of more threads, their scales too, and so do three products in
    # place of one. AMD has a product of float32, and twice the threads a warp.
    scaled = cache.k_scale is not None
    few = on_amd() if single else half <= (32 if scaled else 64)
    pack = 1 if by_head or (scaled and not by_row) else tiles.heads
    where = (rotation, rows.slot, rows.prompt, rows.position, prompts.length)
    outputs = (q, cache.k, cache.v, or_placeholder(cache.k_scale, q), or_placeholder(cache.v_scale, q))
    sizes = (len(rows), shape.eps, cache.k.shape[2], rotation.shape[1])
    common = {
        "HEADS": shape.heads,
        "KV_HEADS": shape.kv_heads,
        "D": shape.head_dim,
        "HALF": half,
        "LAYER_NORM": shape.layer_norm,
        "SCALED": scaled,
        **LAUNCH,
    }
    own = head_norm or Norm(x)
    head = (own.weight, or_placeholder(own.bias, x), *where, *outputs, *sizes)
    _qkv[tall, triton.cdiv(heads, pack)](
        x, linear.weight, or_placeholder(linear.bias, x), raw, *head,
        WIDTH=shape.width, PACK=pack, BIAS=linear.bias is not None, RAW=by_row,
        HEAD_NORM=by_head, OWN_NORM=shape.head_norm == "own", HEAD_NORM_BIAS=own.bias is not None,
        ROWS=tiles.rows, INPUTS=tiles.inputs, num_warps=4 if few else 8, **common, **pipeline(linear.weight),
    )  # fmt: skip
    if by_row:
        row = triton.next_power_of_2(shape.heads * shape.head_dim)
        height = max(ROW_NUMBERS // row, 1)
        _norm_of_all_heads[triton.cdiv(len(rows), height), heads](
            raw, *head, NORM_BIAS=own.bias is not None, ROWS=height, ALL=row, **common
        )
