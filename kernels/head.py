"""Output head: final norm, logits, temperature and Gumbel-max, tile by tile, without writing the logits."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels import philox
from t2fast.kernels.layout import Draw, Linear, Norm, Rows, Shape, Tiles
from t2fast.kernels.philox import gumbel
from t2fast.kernels.primitives import (
    FUSION,
    after_norm,
    before_norm,
    dot,
    naive_linear,
    naive_norm,
    normed,
    or_placeholder,
    weight_tile,
)

PARTS = 4
"""Of each tile and row: the best score, its logit, log Σ exp(logit) and log Σ exp(logit / T)."""


@triton.jit
def _tile_of_logits(
    x, norm_weight, norm_bias, weight, bias, row, here, token, eps,
    WIDTH: tl.constexpr, VOCAB: tl.constexpr, LAYER_NORM: tl.constexpr, NORM_BIAS: tl.constexpr,
    BIAS: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    """Logits (ROWS, TILE) of a row tile; −∞ beyond the vocabulary."""
    inside = token < VOCAB
    mean, scale = before_norm(x, row, here, eps, WIDTH, INPUTS, LAYER_NORM)
    logit = tl.zeros((ROWS, TILE), tl.float32)
    square = tl.zeros(row.shape, tl.float32)
    for start in range(0, WIDTH, INPUTS):
        inputs, squares = normed(
            x, norm_weight, norm_bias, row, here, start, mean, scale, WIDTH, INPUTS, NORM_BIAS
        )
        inputs = inputs.to(weight.dtype.element_ty)
        square += squares
        logit = dot(inputs, weight_tile(weight, token, inside, start, WIDTH, INPUTS), logit)
    logit *= after_norm(square, eps, WIDTH, LAYER_NORM)[:, None]
    if BIAS:
        logit += tl.load(bias + token, inside, 0.0)[None, :]
    return tl.where(inside[None, :], logit, float("-inf"))


@triton.jit
def log_sum_exp(x, axis: tl.constexpr):
    """log Σ exp of a matrix along an axis."""
    top = tl.max(x, axis, keep_dims=True)
    return tl.log(tl.sum(tl.exp(x - top), axis)) + tl.max(x, axis)


@triton.jit
def _draw_tile(
    x, norm_weight, norm_bias, weight, bias, key_low, key_high, sample, position, temperature,
    parts, tokens, n_rows, eps,
    WIDTH: tl.constexpr, VOCAB: tl.constexpr, LAYER_NORM: tl.constexpr, NORM_BIAS: tl.constexpr,
    BIAS: tl.constexpr, GREEDY: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    tile = tl.program_id(1)
    token = tile * TILE + tl.arange(0, TILE)
    logit = _tile_of_logits(
        x, norm_weight, norm_bias, weight, bias, row, here, token, eps,
        WIDTH, VOCAB, LAYER_NORM, NORM_BIAS, BIAS, ROWS, TILE, INPUTS,
    )  # fmt: skip
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
    best, at = tl.max(score, 1, return_indices=True, return_indices_tie_break_left=True)
    chosen = tl.arange(0, TILE)[None, :] == at[:, None]
    tl.store(parts + to, best, here)
    tl.store(parts + part + to, tl.max(tl.where(chosen, logit, float("-inf")), 1), here)
    tl.store(tokens + to, tile * TILE + at, here)


@triton.jit
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
    norm: Norm,
    linear: Linear,
    rows: Rows,
    temperature: torch.Tensor,
    out: Draw,
    shape: Shape,
    tiles: Tiles,
    *,
    greedy: bool = False,
) -> None:
    """Draw a token for each row from softmax(z / T), z = W norm(x) + b over the first `vocab` outputs.

    token = argmax(z / T + g), with Gumbel noise g of (key, sample, position, token); `greedy`: argmax z.
    Equal scores go to the lower id. ``raw`` = z_token − log Σ exp(z); ``processed`` = z_token / T −
    log Σ exp(z / T), or 0 if greedy. x: float32 (R, width); temperature: float32 (1,), a tensor so that a
    captured graph can change it.
    """
    count, n_tiles = len(rows), triton.cdiv(shape.vocab, tiles.vocabulary)
    parts = x.new_empty((PARTS, n_tiles, count))
    tokens = out.token.new_empty((n_tiles, count))
    _draw_tile[(triton.cdiv(count, tiles.rows), n_tiles)](
        x, norm.weight, or_placeholder(norm.bias, x), linear.weight, or_placeholder(linear.bias, x),
        rows.key_low, rows.key_high, rows.sample, rows.position, temperature, parts, tokens, count, shape.eps,
        WIDTH=shape.width, VOCAB=shape.vocab, LAYER_NORM=shape.layer_norm, NORM_BIAS=norm.bias is not None,
        BIAS=linear.bias is not None, GREEDY=greedy,
        ROWS=tiles.rows, TILE=tiles.vocabulary, INPUTS=tiles.inputs, num_warps=8, enable_fp_fusion=FUSION,
    )  # fmt: skip
    _draw_row[(count,)](
        parts, tokens, temperature, out.token, out.raw, out.processed, count, n_tiles,
        TILES=triton.next_power_of_2(n_tiles), GREEDY=greedy, enable_fp_fusion=FUSION,
    )  # fmt: skip


def naive(
    x: torch.Tensor,
    norm: Norm,
    linear: Linear,
    rows: Rows,
    temperature: torch.Tensor,
    out: Draw,
    shape: Shape,
    tiles: Tiles,
    *,
    greedy: bool = False,
) -> None:
    """As `draw`."""
    z = torch.empty(len(rows), shape.vocab, device=x.device)
    naive_logits(x, norm, linear, z, shape, tiles)
    scaled = score = z
    if not greedy:
        scaled = z / temperature
        noise = torch.empty_like(z)
        philox.naive(rows.key_low, rows.key_high, rows.sample, rows.position, noise)
        score = scaled + noise
    token = score.argmax(1, keepdim=True)
    out.token.copy_(token[:, 0])
    out.raw.copy_(z.double().log_softmax(1).gather(1, token)[:, 0])
    out.processed.copy_(0 if greedy else scaled.double().log_softmax(1).gather(1, token)[:, 0])


@triton.jit
def _logits(
    x, norm_weight, norm_bias, weight, bias, out, n_rows, eps,
    WIDTH: tl.constexpr, VOCAB: tl.constexpr, LAYER_NORM: tl.constexpr, NORM_BIAS: tl.constexpr,
    BIAS: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    token = tl.program_id(1) * TILE + tl.arange(0, TILE)
    logit = _tile_of_logits(
        x, norm_weight, norm_bias, weight, bias, row, here, token, eps,
        WIDTH, VOCAB, LAYER_NORM, NORM_BIAS, BIAS, ROWS, TILE, INPUTS,
    )  # fmt: skip
    at = out + row.to(tl.int64)[:, None] * VOCAB + token[None, :]
    tl.store(at, logit, here[:, None] & (token < VOCAB)[None, :])


def logits(
    x: torch.Tensor, norm: Norm, linear: Linear, out: torch.Tensor, shape: Shape, tiles: Tiles
) -> None:
    """W norm(x) + b over the first `vocab` outputs, for filters, which need all: out float32 (R, vocab)."""
    _logits[(triton.cdiv(len(x), tiles.rows), triton.cdiv(shape.vocab, tiles.vocabulary))](
        x, norm.weight, or_placeholder(norm.bias, x), linear.weight, or_placeholder(linear.bias, x), out,
        len(x), shape.eps,
        WIDTH=shape.width, VOCAB=shape.vocab, LAYER_NORM=shape.layer_norm, NORM_BIAS=norm.bias is not None,
        BIAS=linear.bias is not None,
        ROWS=tiles.rows, TILE=tiles.vocabulary, INPUTS=tiles.inputs, num_warps=8, enable_fp_fusion=FUSION,
    )  # fmt: skip


def naive_logits(
    x: torch.Tensor, norm: Norm, linear: Linear, out: torch.Tensor, shape: Shape, tiles: Tiles
) -> None:
    """As `logits`."""
    bias = None if linear.bias is None else linear.bias[: shape.vocab]
    out.copy_(naive_linear(naive_norm(x, norm, shape), linear.weight[: shape.vocab], bias))
