"""Output head: logits, temperature and Gumbel-max, tile by tile, without writing the logits."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Draw, Rows
from t2fast.kernels.model import Linear, Shape, Tiles
from t2fast.kernels.philox import gumbel
from t2fast.kernels.primitives import (
    LAUNCH,
    VARYING,
    capped,
    dot,
    input_tile,
    no_nan,
    or_placeholder,
    pipeline,
    weight_tile,
)


@triton.jit
def _tile_of_logits(
    x, weight, bias, row, here, token,
    WIDTH: tl.constexpr, VOCAB: tl.constexpr, BIAS: tl.constexpr,
    ROWS: tl.constexpr, TILE: tl.constexpr, INPUTS: tl.constexpr, CAP: tl.constexpr,
):  # fmt: skip
    """Logits (ROWS, TILE) of a row tile; −∞ beyond the vocabulary."""
    inside = token < VOCAB
    logit = tl.zeros((ROWS, TILE), tl.float32)
    for start in range(0, WIDTH, INPUTS):
        inputs = input_tile(x, row, here, start, WIDTH, INPUTS)
        logit = dot(inputs, weight_tile(weight, token, inside, start, WIDTH, INPUTS), logit)
    if BIAS:
        logit += tl.load(bias + token, inside, 0.0)[None, :]
    logit = capped(logit, CAP)
    return tl.where(inside[None, :], logit, float("-inf"))


@triton.jit
def log_sum_exp(x, axis: tl.constexpr):
    """log Σ exp of a matrix along an axis."""
    top = tl.max(x, axis, keep_dims=True)
    return tl.log(tl.sum(tl.exp(x - top), axis)) + tl.max(x, axis)


@triton.jit(do_not_specialize=VARYING)
def _draw_tile(
    x, weight, bias, key_low, key_high, sample, position, temperature, parts, tokens, n_rows,
    WIDTH: tl.constexpr, VOCAB: tl.constexpr, BIAS: tl.constexpr, GREEDY: tl.constexpr,
    ROWS: tl.constexpr, TILE: tl.constexpr, INPUTS: tl.constexpr, CAP: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    tile = tl.program_id(1)
    token = tile * TILE + tl.arange(0, TILE)
    logit = _tile_of_logits(x, weight, bias, row, here, token, WIDTH, VOCAB, BIAS, ROWS, TILE, INPUTS, CAP)
    to = tile * n_rows + row
    part = tl.num_programs(1) * n_rows
    tl.store(parts + 2 * part + to, log_sum_exp(logit, 1), here)
    score = logit
    if not GREEDY:
        score = logit * (1.0 / tl.load(temperature))
        tl.store(parts + 3 * part + to, log_sum_exp(score, 1), here)
        score += gumbel(
            tl.load(key_low + row, here, 0),
            tl.load(key_high + row, here, 0),
            tl.load(sample + row, here, 0),
            tl.load(position + row, here, 0),
            tile * TILE,
            TILE,
        )
    # A NaN is never drawn: it would pass for the largest, or let padding win.
    score = no_nan(score)
    best, at = tl.max(score, 1, return_indices=True, return_indices_tie_break_left=True)
    chosen = tl.arange(0, TILE)[None, :] == at[:, None]
    tl.store(parts + to, best, here)
    tl.store(parts + part + to, tl.max(tl.where(chosen, logit, float("-inf")), 1), here)
    tl.store(tokens + to, tile * TILE + at, here)


@triton.jit(do_not_specialize=VARYING)
def _draw_row(
    parts, tokens, temperature, token, raw, processed, n_rows, n_tiles,
    TILES: tl.constexpr, GREEDY: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    tile = tl.arange(0, TILES)
    known = tile < n_tiles
    at = tile * n_rows + row
    part = n_tiles * n_rows
    scores = tl.load(parts + at, known, float("-inf"))
    winner = tl.argmax(scores, 0, tie_break_left=True) * n_rows + row
    logit = tl.load(parts + part + winner)
    tl.store(token + row, tl.load(tokens + winner))
    tl.store(raw + row, logit - _joined(tl.load(parts + 2 * part + at, known, float("-inf"))))
    if GREEDY:
        tl.store(processed + row, 0.0)
    else:
        scaled = logit * (1.0 / tl.load(temperature))
        tl.store(processed + row, scaled - _joined(tl.load(parts + 3 * part + at, known, float("-inf"))))


@triton.jit
def _joined(lse):
    """log Σ exp of a vector."""
    top = tl.max(lse, 0)
    return tl.log(tl.sum(tl.exp(lse - top), 0)) + top


def draw(
    x: torch.Tensor,
    linear: Linear,
    rows: Rows,
    temperature: torch.Tensor,
    out: Draw,
    parts: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
    *,
    greedy: bool = False,
) -> None:
    """As `Operations.draw`, in two kernels: the best of each tile, then the best tile."""
    count, n_tiles = len(rows), triton.cdiv(shape.vocab, tiles.vocabulary)
    tokens = parts[4].view(torch.int32)
    _draw_tile[(triton.cdiv(count, tiles.rows), n_tiles)](
        x, linear.weight, or_placeholder(linear.bias, x),
        rows.key_low, rows.key_high, rows.sample, rows.position, temperature, parts, tokens, count,
        WIDTH=shape.width, VOCAB=shape.vocab, BIAS=linear.bias is not None, GREEDY=greedy,
        ROWS=tiles.rows, TILE=tiles.vocabulary, INPUTS=tiles.inputs, CAP=shape.logit_cap or 0.0, num_warps=8,
        **LAUNCH, **pipeline(linear.weight),
    )  # fmt: skip
    _draw_row[(count,)](
        parts, tokens, temperature, out.token, out.raw, out.processed, count, n_tiles,
        TILES=triton.next_power_of_2(n_tiles), GREEDY=greedy, **LAUNCH,
    )  # fmt: skip


@triton.jit(do_not_specialize=VARYING)
def _logits(
    x, weight, bias, out, n_rows,
    WIDTH: tl.constexpr, VOCAB: tl.constexpr, BIAS: tl.constexpr,
    ROWS: tl.constexpr, TILE: tl.constexpr, INPUTS: tl.constexpr, CAP: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    token = tl.program_id(1) * TILE + tl.arange(0, TILE)
    logit = _tile_of_logits(x, weight, bias, row, here, token, WIDTH, VOCAB, BIAS, ROWS, TILE, INPUTS, CAP)
    at = out + row.to(tl.int64)[:, None] * VOCAB + token[None, :]
    tl.store(at, logit, here[:, None] & (token < VOCAB)[None, :])


def logits(x: torch.Tensor, linear: Linear, out: torch.Tensor, shape: Shape, tiles: Tiles) -> None:
    """As `Operations.logits`."""
    _logits[(triton.cdiv(len(x), tiles.rows), triton.cdiv(shape.vocab, tiles.vocabulary))](
        x, linear.weight, or_placeholder(linear.bias, x), out, len(x),
        WIDTH=shape.width, VOCAB=shape.vocab, BIAS=linear.bias is not None,
        ROWS=tiles.rows, TILE=tiles.vocabulary, INPUTS=tiles.inputs, CAP=shape.logit_cap or 0.0,
        num_warps=4 if linear.weight.dtype == torch.float32 else 8, **LAUNCH,
    )  # fmt: skip
