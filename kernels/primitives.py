"""Pieces of several kernels: norms of a row tile, products, and what every launch is told."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

FUSION = False
"""No multiplication and addition outside a product becomes one instruction: results must not change with a
compiler's default."""

PRECISION = tl.constexpr("ieee" if torch.version.hip else "tf32x3")
"""How float32 operands are multiplied. AMD's matrix cores know float32; on NVIDIA's, three products of TF32
come to the same but for the last bits, and products outside them need more registers than there are."""

VARYING = [
    "block_count",
    "block_first",
    "block_prompt",
    "done",
    "drawn",
    "drawn_processed",
    "drawn_raw",
    "key_high",
    "key_low",
    "limit",
    "n_new",
    "n_out",
    "n_rows",
    "n_stops",
    "n_tiles",
    "new",
    "pool",
    "position",
    "positions",
    "processed",
    "prompt",
    "prompt_length",
    "prompt_start",
    "raw",
    "rotations",
    "sample",
    "slot",
    "source",
    "stop_tokens",
    "to",
    "token",
    "window",
]
"""Arguments that Triton must not look at: each number of rows, and each alignment that follows from it, would
otherwise be compiled anew."""

EVERYTHING = 1 << 30
"""A window that no sequence fills."""

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)
"""Whether numpy stands for the GPU, which does not know every type."""


@triton.jit
def dot(a, b, acc):
    """acc + a b, summed in float32; float32 operands keep float32's precision."""
    if INTERPRETED:
        # numpy has no bfloat16 product; in float32 it is the same, since products of two bfloat16 are exact.
        return tl.dot(a.to(tl.float32), b.to(tl.float32), acc, input_precision="ieee")
    else:
        return tl.dot(a, b, acc, input_precision=PRECISION)


@triton.jit
def no_nan(x):
    """x, with −∞ for a NaN."""
    return tl.where(x == x, x, float("-inf"))  # noqa: PLR0124


@triton.jit
def to_float8(x):
    """x, |x| ≤ 448, as float8_e4m3fn, to the nearest, ties to even."""
    if INTERPRETED:
        # The interpreter drops the carry of a mantissa that rounds up to the next power of two.
        power = (x.to(tl.int32, bitcast=True) & 0x7F800000).to(tl.float32, bitcast=True)
        step = tl.maximum(power * 0.125, 0.001953125)
        x = ((x / step + 12582912.0) - 12582912.0) * step
    return x.to(tl.float8e4nv)


@triton.jit
def before_norm(x, row, here, eps, WIDTH: tl.constexpr, INPUTS: tl.constexpr, LAYER_NORM: tl.constexpr):
    """What a LayerNorm must know before it begins: mean and 1 / standard deviation of the rows of x.

    For RMSNorm 0 and 1: its factor is found on the way, and `after_norm` puts it on the sums.
    """
    mean = tl.zeros(row.shape, tl.float32)
    scale = tl.full(row.shape, 1.0, tl.float32)
    if LAYER_NORM:
        for start in range(0, WIDTH, INPUTS):
            column = start + tl.arange(0, INPUTS)
            known = here[:, None] & (column < WIDTH)[None, :]
            mean += tl.sum(tl.load(x + row[:, None] * WIDTH + column[None, :], known, 0.0), 1)
        mean = mean / WIDTH
        square = tl.zeros(row.shape, tl.float32)
        for start in range(0, WIDTH, INPUTS):
            column = start + tl.arange(0, INPUTS)
            known = here[:, None] & (column < WIDTH)[None, :]
            value = tl.load(x + row[:, None] * WIDTH + column[None, :], known, 0.0)
            value = tl.where(known, value - mean[:, None], 0.0)
            square += tl.sum(value * value, 1)
        scale = 1.0 / tl.sqrt(square / WIDTH + eps)
    return mean, scale


@triton.jit
def normed(
    x, weight, bias, row, here, start, mean, scale,
    WIDTH: tl.constexpr, INPUTS: tl.constexpr, BIAS: tl.constexpr,
):  # fmt: skip
    """Columns start … start + INPUTS of the normalised rows, float32, and their sum of squares before.

    Rows of an RMSNorm still lack the factor that `after_norm` finds from these sums.
    """
    column = start + tl.arange(0, INPUTS)
    inside = column < WIDTH
    known = here[:, None] & inside[None, :]
    value = tl.load(x + row[:, None] * WIDTH + column[None, :], known, 0.0)
    square = tl.sum(value * value, 1)
    value = (value - mean[:, None]) * scale[:, None] * tl.load(weight + column, inside, 0.0)[None, :]
    if BIAS:
        value += tl.load(bias + column, inside, 0.0)[None, :]
    return value, square


@triton.jit
def after_norm(square, eps, WIDTH: tl.constexpr, LAYER_NORM: tl.constexpr):
    """The factor of each row that a product of `normed` rows still lacks: 1 / sqrt(mean square + eps)."""
    if LAYER_NORM:
        return tl.full(square.shape, 1.0, tl.float32)
    else:
        return 1.0 / tl.sqrt(square / WIDTH + eps)


@triton.jit
def weight_tile(weight, output, known, start, WIDTH: tl.constexpr, INPUTS: tl.constexpr):
    """Columns start … start + INPUTS of some outputs of W (outputs, WIDTH), as (INPUTS, outputs)."""
    column = start + tl.arange(0, INPUTS)
    at = weight + output.to(tl.int64)[None, :] * WIDTH + column[:, None]
    return tl.load(at, known[None, :] & (column < WIDTH)[:, None], 0.0)


def or_placeholder(tensor: torch.Tensor | None, other: torch.Tensor) -> torch.Tensor:
    """A pointer for an argument that the kernel, by a constant, never reads."""
    return other if tensor is None else tensor
