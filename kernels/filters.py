"""Top-k, top-p and min-p without sorting: thresholds by bisection over the bits of a row's logits."""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from t2fast.decode import reference
from t2fast.kernels.layout import Draw, Rows
from t2fast.kernels.philox import gumbel
from t2fast.kernels.primitives import FUSION


@triton.jit
def _scaled(logits, token, coldness, VOCAB: tl.constexpr):
    """logit / T, −∞ beyond the vocabulary, and an unsigned integer in the same order."""
    logit = tl.load(logits + token, token < VOCAB, float("-inf"))
    # + 0 turns −0 into +0: they are equal, and so must their integers be.
    value = logit * coldness + 0.0
    bits = value.to(tl.uint32, bitcast=True)
    return value, tl.where(bits >= 0x80000000, ~bits, bits | 0x80000000)


@triton.jit
def _choose(
    logits, key_low, key_high, sample, position, temperature, token, raw, processed, top_k, top_p, min_p,
    VOCAB: tl.constexpr, TILE: tl.constexpr, TOP_K: tl.constexpr, TOP_P: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    logits += row.to(tl.int64) * VOCAB
    coldness = 1.0 / tl.load(temperature)
    lane = tl.arange(0, TILE)
    top = float("-inf")
    high = float("-inf")
    for start in range(0, VOCAB, TILE):
        value, _order = _scaled(logits, start + lane, coldness, VOCAB)
        top = tl.maximum(top, tl.max(value, 0))
        high = tl.maximum(
            high, tl.max(tl.load(logits + start + lane, start + lane < VOCAB, float("-inf")), 0)
        )
    # Kept so far: integers above `least`, and at `least` the ids up to `last`.
    least = tl.zeros((1,), tl.uint32)
    last = tl.full((1,), VOCAB, tl.int32)
    if TOP_K:
        # The largest integer that at least top_k tokens reach, bit by bit from the highest.
        bit = tl.full((1,), 0x80000000, tl.uint32)
        for _step in range(0, 32):
            candidate = least | bit
            count = 0
            for start in range(0, VOCAB, TILE):
                _value, order = _scaled(logits, start + lane, coldness, VOCAB)
                count += tl.sum(((order >= candidate) & (start + lane < VOCAB)).to(tl.int32), 0)
            least = tl.where(count >= top_k, candidate, least)
            bit = bit >> 1
        above = 0
        for start in range(0, VOCAB, TILE):
            _value, order = _scaled(logits, start + lane, coldness, VOCAB)
            above += tl.sum((order > least).to(tl.int32), 0)
        # Ties rank by id: as many as there is room for stay.
        seen = 0
        for start in range(0, VOCAB, TILE):
            _value, order = _scaled(logits, start + lane, coldness, VOCAB)
            tie = ((order == least) & (start + lane < VOCAB)).to(tl.int32)
            rank = seen + tl.cumsum(tie, 0)
            final = tl.max(tl.where((tie > 0) & (rank == top_k - above), start + lane, -1), 0)
            last = tl.where(final >= 0, final, last)
            seen += tl.sum(tie, 0)
    mass = 0.0
    for start in range(0, VOCAB, TILE):
        value, order = _scaled(logits, start + lane, coldness, VOCAB)
        kept = (order > least) | ((order == least) & (start + lane <= last))
        mass += tl.sum(tl.where(kept, tl.exp(value - top), 0.0), 0)
    if TOP_P:
        # Wanted is the smallest integer with less than top_p of the mass above it: the one after the largest
        # that has at least top_p above it.
        wanted = top_p * mass
        low = tl.zeros((1,), tl.uint32)
        bit = tl.full((1,), 0x80000000, tl.uint32)
        for _step in range(0, 32):
            candidate = low | bit
            over = 0.0
            for start in range(0, VOCAB, TILE):
                value, order = _scaled(logits, start + lane, coldness, VOCAB)
                kept = (order > least) | ((order == least) & (start + lane <= last))
                over += tl.sum(tl.where(kept & (order > candidate), tl.exp(value - top), 0.0), 0)
            low = tl.where(over >= wanted, candidate, low)
            bit = bit >> 1
        border = low + 1
        over = 0.0
        for start in range(0, VOCAB, TILE):
            value, order = _scaled(logits, start + lane, coldness, VOCAB)
            kept = (order > least) | ((order == least) & (start + lane <= last))
            over += tl.sum(tl.where(kept & (order > border), tl.exp(value - top), 0.0), 0)
        # Of equal tokens on the border, those before which less than top_p was reached.
        seen = 0
        cut = tl.full((1,), -1, tl.int32)
        for start in range(0, VOCAB, TILE):
            value, order = _scaled(logits, start + lane, coldness, VOCAB)
            tie = (order == border) & ((border > least) | (start + lane <= last)) & (start + lane < VOCAB)
            before = seen + tl.cumsum(tie.to(tl.int32), 0) - 1
            fits = tie & (over + before.to(tl.float32) * tl.exp(value - top) < wanted)
            cut = tl.maximum(cut, tl.max(tl.where(fits, start + lane, -1), 0))
            seen += tl.sum(tie.to(tl.int32), 0)
        least = border
        last = cut
    best = float("-inf")
    chosen = 0
    all_mass = 0.0
    mass = 0.0
    for start in range(0, VOCAB, TILE):
        value, order = _scaled(logits, start + lane, coldness, VOCAB)
        logit = tl.load(logits + start + lane, start + lane < VOCAB, float("-inf"))
        weight = tl.exp(value - top)
        kept = (order > least) | ((order == least) & (start + lane <= last))
        kept = kept & (weight >= min_p) & (start + lane < VOCAB)
        all_mass += tl.sum(tl.exp(logit - high), 0)
        mass += tl.sum(tl.where(kept, weight, 0.0), 0)
        one = tl.zeros((1,), tl.int32)
        noise = gumbel(
            tl.load(key_low + row) + one,
            tl.load(key_high + row) + one,
            tl.load(sample + row) + one,
            tl.load(position + row) + one,
            start,
            TILE,
        )
        score = tl.where(kept, value + tl.reshape(noise, (TILE,)), float("-inf"))
        highest = tl.max(score, 0)
        at = start + tl.argmax(score, 0, tie_break_left=True)
        chosen = tl.where(highest > best, at, chosen)
        best = tl.maximum(best, highest)
    logit = tl.load(logits + chosen)
    tl.store(token + row, chosen)
    tl.store(raw + row, logit - high - tl.log(all_mass))
    tl.store(processed + row, logit * coldness - top - tl.log(mass))


def choose(
    logits: torch.Tensor,
    rows: Rows,
    temperature: torch.Tensor,
    top_k: int,
    top_p: float,
    min_p: float,
    out: Draw,
) -> None:
    """Draw a token for each row of logits (R, vocab) from what temperature, top-k, top-p and min-p leave.

    As `head.draw`, with the noise's argmax over the tokens that stay: the `top_k` most probable (0: all); of
    their renormalised mass the fewest that reach `top_p`; those with at least `min_p` times the largest
    probability. Equal logits rank by id. One program a row reads the row some 35 times for each of top-k and
    top-p, from the cache, which is cheaper than to sort it.
    """
    vocab = logits.shape[1]
    _choose[(len(rows),)](
        logits, rows.key_low, rows.key_high, rows.sample, rows.position, temperature,
        out.token, out.raw, out.processed, top_k, top_p, min_p,
        VOCAB=vocab, TILE=min(triton.next_power_of_2(vocab), 2048), TOP_K=0 < top_k < vocab, TOP_P=top_p < 1,
        num_warps=8, enable_fp_fusion=FUSION,
    )  # fmt: skip


def naive(
    logits: torch.Tensor,
    rows: Rows,
    temperature: torch.Tensor,
    top_k: int,
    top_p: float,
    min_p: float,
    out: Draw,
) -> None:
    """As `choose`, by the engine's reference."""
    for row, values in enumerate(logits.cpu().numpy()):
        key = (int(rows.key_high[row]) & 0xFFFFFFFF) << 32 | int(rows.key_low[row]) & 0xFFFFFFFF
        drawn = reference.choose(
            values.astype(np.float32),
            key,
            int(rows.sample[row]),
            int(rows.position[row]),
            temperature=float(temperature),
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
        )
        out.token[row], out.raw[row], out.processed[row] = drawn.id, drawn.logprob, drawn.processed
