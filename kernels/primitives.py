"""Pieces of several kernels: tiles, products, and what every launch is told."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

LAUNCH = {"enable_fp_fusion": False}
"""What every launch is told: no multiplication and addition outside a product becomes one instruction, for
results must not change with a compiler's default."""

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
def capped(x, CAP: tl.constexpr):
    """CAP · tanh(x / CAP); x where CAP is 0."""
    if CAP == 0.0:
        return x
    else:
        return CAP * (2.0 * tl.sigmoid(x * (2.0 / CAP)) - 1.0)


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
def input_tile(x, row, here, start, WIDTH: tl.constexpr, INPUTS: tl.constexpr):
    """Columns start … start + INPUTS of some rows of x (rows, WIDTH)."""
    column = start + tl.arange(0, INPUTS)
    at = x + row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    return tl.load(at, here[:, None] & (column < WIDTH)[None, :], 0.0)


@triton.jit
def weight_tile(weight, output, known, start, WIDTH: tl.constexpr, INPUTS: tl.constexpr):
    """Columns start … start + INPUTS of some outputs of W (outputs, WIDTH), as (INPUTS, outputs)."""
    column = start + tl.arange(0, INPUTS)
    at = weight + output.to(tl.int64)[None, :] * WIDTH + column[:, None]
    return tl.load(at, known[None, :] & (column < WIDTH)[:, None], 0.0)


def pipeline(weight: torch.Tensor) -> dict[str, int]:
    """How many tiles of a product are on their way at once; else as many as the compiler likes.

    With a few rows a product waits for its weights: on an H200 four take 8% off a step of SmolLM2-135M.
    """
    return {} if weight.dtype == torch.float32 or on_amd() else {"num_stages": 4}


def on_amd() -> bool:
    """Whether kernels are compiled for AMD: 64 threads a warp, and less shared memory."""
    return bool(PRECISION.value == "ieee")


def or_placeholder(tensor: torch.Tensor | None, other: torch.Tensor) -> torch.Tensor:
    """A pointer for an argument that the kernel, by a constant, never reads."""
    return other if tensor is None else tensor
