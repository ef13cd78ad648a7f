"""Norm, query, key and value projection, norm of the heads, RoPE, and the new entry of the suffix cache."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels import primitives
from t2fast.kernels.batch import Cache, Prompts, Rows
from t2fast.kernels.model import Linear, Norm, Shape, Tiles
from t2fast.kernels.primitives import (
    FUSION,
    VARYING,
    after_norm,
    before_norm,
    dot,
    normed,
    or_placeholder,
    to_float8,
    weight_tile,
)

FP8_MAX = tl.constexpr(448.0)
"""Largest float8_e4m3fn."""


@triton.jit
def _finish_head(
    a, b, head, row, here,
    norm_weight, norm_bias, rotation, slot, prompt, position, prompt_length, q, k, v, k_scale, v_scale,
    eps, positions, rotations,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, HALF: tl.constexpr,
    HEAD_NORM: tl.constexpr, LAYER_NORM: tl.constexpr, NORM_BIAS: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """Norm, rotate and store one head of a row tile: a holds coordinates 0 … D/2, b the others."""
    i = tl.arange(0, HALF)
    inside = i < D // 2
    known = here[:, None] & inside[None, :]
    if HEAD_NORM:  # noqa: SIM102 (a constant of the compiler, then a value)
        if head < HEADS + KV_HEADS:
            mean = tl.zeros(row.shape, tl.float32)
            if LAYER_NORM:
                mean = (tl.sum(a, 1) + tl.sum(b, 1)) / D
                a = tl.where(inside[None, :], a - mean[:, None], 0.0)
                b = tl.where(inside[None, :], b - mean[:, None], 0.0)
            scale = 1.0 / tl.sqrt((tl.sum(a * a, 1) + tl.sum(b * b, 1)) / D + eps)
            which = tl.where(head < HEADS, 0, D)
            a = a * scale[:, None] * tl.load(norm_weight + which + i, inside, 0.0)[None, :]
            b = b * scale[:, None] * tl.load(norm_weight + which + D // 2 + i, inside, 0.0)[None, :]
            if NORM_BIAS:
                a += tl.load(norm_bias + which + i, inside, 0.0)[None, :]
                b += tl.load(norm_bias + which + D // 2 + i, inside, 0.0)[None, :]
    own = tl.load(slot + row, here, -1)
    index = tl.load(position + row, here, 1) - 1
    if head < HEADS + KV_HEADS:
        # A row without a sample and with an empty prompt has no position: it turns by nothing.
        at = tl.maximum(index + tl.load(prompt_length + tl.load(prompt + row, here, 0)), 0)
        at = at[:, None] * (D // 2) + i[None, :]
        cos = tl.load(rotation + at, known, 0.0)
        sin = tl.load(rotation + rotations * (D // 2) + at, known, 0.0)
        a, b = a * cos - b * sin, b * cos + a * sin
    if head < HEADS:
        to = q + (row[:, None].to(tl.int64) * HEADS + head) * D + i[None, :]
        tl.store(to, a.to(q.dtype.element_ty), known)
        tl.store(to + D // 2, b.to(q.dtype.element_ty), known)
    else:
        kv_head = (head - HEADS) % KV_HEADS
        entry = (own.to(tl.int64) * KV_HEADS + kv_head) * positions + index
        living = here & (own >= 0)
        if head < HEADS + KV_HEADS:
            _append(a, b, k, k_scale, entry, living, D, HALF, SCALED)
        else:
            _append(a, b, v, v_scale, entry, living, D, HALF, SCALED)


@triton.jit
def _append(a, b, cache, scales, entry, living, D: tl.constexpr, HALF: tl.constexpr, SCALED: tl.constexpr):
    """Store one head of a row tile at its entries of a suffix cache."""
    i = tl.arange(0, HALF)
    to = cache + entry[:, None] * D + i[None, :]
    known = living[:, None] & (i < D // 2)[None, :]
    if SCALED:
        largest = tl.maximum(tl.max(tl.abs(a), 1), tl.max(tl.abs(b), 1))
        scale = tl.where(largest > 0, largest / FP8_MAX, 1.0)
        tl.store(scales + entry, scale, living)
        tl.store(to, to_float8(a / scale[:, None]), known)
        tl.store(to + D // 2, to_float8(b / scale[:, None]), known)
    else:
        tl.store(to, a.to(cache.dtype.element_ty), known)
        tl.store(to + D // 2, b.to(cache.dtype.element_ty), known)


@triton.jit(do_not_specialize=VARYING)
def _qkv(
    x, norm_weight, norm_bias, weight, bias, products,
    head_weight, head_bias, rotation, slot, prompt, position, prompt_length, q, k, v, k_scale, v_scale,
    n_rows, eps, positions, rotations,
    WIDTH: tl.constexpr, HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, HALF: tl.constexpr,
    LAYER_NORM: tl.constexpr, NORM_BIAS: tl.constexpr, BIAS: tl.constexpr, RAW: tl.constexpr,
    HEAD_NORM: tl.constexpr, HEAD_NORM_BIAS: tl.constexpr, SCALED: tl.constexpr,
    ROWS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    head = tl.program_id(1)
    mean, scale = before_norm(x, row, here, eps, WIDTH, INPUTS, LAYER_NORM)
    i = tl.arange(0, HALF)
    inside = i < D // 2
    first = head * D + i
    a = tl.zeros((ROWS, HALF), tl.float32)
    b = tl.zeros((ROWS, HALF), tl.float32)
    square = tl.zeros(row.shape, tl.float32)
    for start in range(0, WIDTH, INPUTS):
        inputs, squares = normed(
            x, norm_weight, norm_bias, row, here, start, mean, scale, WIDTH, INPUTS, NORM_BIAS
        )
        inputs = inputs.to(weight.dtype.element_ty)
        square += squares
        a = dot(inputs, weight_tile(weight, first, inside, start, WIDTH, INPUTS), a)
        b = dot(inputs, weight_tile(weight, first + D // 2, inside, start, WIDTH, INPUTS), b)
    factor = after_norm(square, eps, WIDTH, LAYER_NORM)[:, None]
    a *= factor
    b *= factor
    if BIAS:
        a += tl.load(bias + first, inside, 0.0)[None, :]
        b += tl.load(bias + first + D // 2, inside, 0.0)[None, :]
    if RAW:
        to = products + (row[:, None].to(tl.int64) * (HEADS + 2 * KV_HEADS) + head) * D + i[None, :]
        known = here[:, None] & inside[None, :]
        tl.store(to, a, known)
        tl.store(to + D // 2, b, known)
    else:
        _finish_head(
            a, b, head, row, here,
            head_weight, head_bias, rotation, slot, prompt, position, prompt_length,
            q, k, v, k_scale, v_scale, eps, positions, rotations,
            HEADS, KV_HEADS, D, HALF, HEAD_NORM, LAYER_NORM, HEAD_NORM_BIAS, SCALED,
        )  # fmt: skip


@triton.jit(do_not_specialize=VARYING)
def _norm_of_all_heads(
    products, head_weight, head_bias, rotation, slot, prompt, position, prompt_length, q, k, v, k_scale,
    v_scale, n_rows, eps, positions, rotations,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, HALF: tl.constexpr,
    LAYER_NORM: tl.constexpr, NORM_BIAS: tl.constexpr, SCALED: tl.constexpr,
    ROWS: tl.constexpr, INPUTS: tl.constexpr,
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
        from_ = tl.where(head < HEADS, 0, HEADS * D)
        width = tl.where(head < HEADS, HEADS * D, KV_HEADS * D)
        mean = tl.zeros((ROWS,), tl.float32)
        if LAYER_NORM:
            for start in range(0, width, INPUTS):
                column = start + tl.arange(0, INPUTS)
                there = here[:, None] & (column < width)[None, :]
                mean += tl.sum(tl.load(products + line[:, None] + from_ + column[None, :], there, 0.0), 1)
            mean = mean / width
        square = tl.zeros((ROWS,), tl.float32)
        for start in range(0, width, INPUTS):
            column = start + tl.arange(0, INPUTS)
            there = here[:, None] & (column < width)[None, :]
            value = tl.load(products + line[:, None] + from_ + column[None, :], there, 0.0)
            value = tl.where(there, value - mean[:, None], 0.0)
            square += tl.sum(value * value, 1)
        scale = 1.0 / tl.sqrt(square / width + eps)
        own = head * D + i
        a = (a - mean[:, None]) * scale[:, None] * tl.load(head_weight + own, inside, 0.0)[None, :]
        b = (b - mean[:, None]) * scale[:, None] * tl.load(head_weight + own + D // 2, inside, 0.0)[None, :]
        if NORM_BIAS:
            a += tl.load(head_bias + own, inside, 0.0)[None, :]
            b += tl.load(head_bias + own + D // 2, inside, 0.0)[None, :]
    _finish_head(
        a, b, head, row, here,
        head_weight, head_bias, rotation, slot, prompt, position, prompt_length, q, k, v, k_scale, v_scale,
        eps, positions, rotations,
        HEADS, KV_HEADS, D, HALF, False, LAYER_NORM, NORM_BIAS, SCALED,
    )  # fmt: skip


def qkv(
    x: torch.Tensor,
    norm: Norm,
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
    grid = (triton.cdiv(len(rows), tiles.rows), shape.heads + 2 * shape.kv_heads)
    by_row = shape.head_norm == "row"
    single = linear.weight.dtype == torch.float32
    # Sums of long heads need the registers of more threads, and so do three products in place of one. AMD has
    # a product of float32, and twice the threads a warp.
    few = primitives.PRECISION.value == "ieee" if single else half <= 64
    scaled = cache.k_scale is not None
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
        "ROWS": tiles.rows,
        "INPUTS": tiles.inputs,
        "num_warps": 4 if few else 8,
        "enable_fp_fusion": FUSION,
    }
    own = head_norm or Norm(x)
    head = (own.weight, or_placeholder(own.bias, x), *where, *outputs, *sizes)
    _qkv[grid](
        x, norm.weight, or_placeholder(norm.bias, x), linear.weight, or_placeholder(linear.bias, x), raw,
        *head, WIDTH=shape.width, NORM_BIAS=norm.bias is not None, BIAS=linear.bias is not None, RAW=by_row,
        HEAD_NORM=shape.head_norm == "head", HEAD_NORM_BIAS=own.bias is not None, **common,
    )  # fmt: skip
    if by_row:
        _norm_of_all_heads[grid](raw, *head, NORM_BIAS=own.bias is not None, **common)
