"""Gumbel noise for a tile of rows and vocabulary entries."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.primitives import VARYING
from triton.language.random import philox_impl


@triton.jit
def _gumbel(bits):
    """−log(−log1p(−u)) with u = (bits + ½)·2⁻³².

    Whichever of u and 1 − u is at most ½ is exact to the last bit, since the complement + ½ belongs to 1 − u.
    A large u has −log1p(−u) = −log(1 − u), a small one 2 artanh(s) with s = u / (2 − u) ≤ 1/3, by its series
    to s¹⁵.
    """
    low = bits < 0x80000000
    v = (tl.where(low, bits, bits ^ 0xFFFFFFFF).to(tl.float32) + 0.5) * 2.3283064365386963e-10
    s = v / (2.0 - v)
    t = s * s
    series = 1 / 13 + t * (1 / 15)
    series = 1 / 11 + t * series
    series = 1 / 9 + t * series
    series = 1 / 7 + t * series
    series = 1 / 5 + t * series
    series = 1 / 3 + t * series
    exponential = tl.where(low, 2.0 * s * (1.0 + t * series), -tl.log(v))
    return -tl.log(exponential)


@triton.jit
def gumbel(key_low, key_high, sample, position, first, COUNT: tl.constexpr):
    """Noise (rows, COUNT) of vocabulary entries first … first + COUNT, both multiples of 4.

    One Philox call serves four entries: entry t takes lane t & 3 of counter (t >> 2, position, sample, 0).
    """
    four = (first // 4 + tl.arange(0, COUNT // 4)).to(tl.uint32)[None, :]
    zero = tl.zeros((key_low.shape[0], COUNT // 4), tl.uint32)
    a, b, c, d = philox_impl(
        zero + four,
        zero + position.to(tl.uint32, bitcast=True)[:, None],
        zero + sample.to(tl.uint32, bitcast=True)[:, None],
        zero,
        zero + key_low.to(tl.uint32, bitcast=True)[:, None],
        zero + key_high.to(tl.uint32, bitcast=True)[:, None],
    )
    return _gumbel(tl.interleave(tl.interleave(a, c), tl.interleave(b, d)))


@triton.jit(do_not_specialize=VARYING)
def _noise(
    key_low,
    key_high,
    sample,
    position,
    out,
    n_rows,
    COUNT: tl.constexpr,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    first = tl.program_id(1) * TILE
    noise = gumbel(
        tl.load(key_low + row, here, 0),
        tl.load(key_high + row, here, 0),
        tl.load(sample + row, here, 0),
        tl.load(position + row, here, 0),
        first,
        TILE,
    )
    token = first + tl.arange(0, TILE)
    tl.store(out + row[:, None] * COUNT + token[None, :], noise, here[:, None] & (token < COUNT)[None, :])


def noise(
    key_low: torch.Tensor,
    key_high: torch.Tensor,
    sample: torch.Tensor,
    position: torch.Tensor,
    out: torch.Tensor,
) -> None:
    """Gumbel noise of int32 (R,) keys, samples and positions for every vocabulary entry: out (R, vocabulary).

    Kernels draw it themselves, tile by tile, and never store it; this is for looking at it.
    """
    rows, count = out.shape
    _noise[(triton.cdiv(rows, 16), triton.cdiv(count, 128))](
        key_low, key_high, sample, position, out, rows, COUNT=count, ROWS=16, TILE=128, enable_fp_fusion=False
    )
