"""Top-k, top-p and min-p without sorting: thresholds by a search over the bits of a row's logits."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Draw, Rows
from t2fast.kernels.philox import gumbel
from t2fast.kernels.primitives import LAUNCH, VARYING, no_nan


@triton.jit
def _scaled(logits, token, coldness, VOCAB: tl.constexpr):
    """logit / T, −∞ for a NaN and beyond the vocabulary, and an unsigned integer in the same order."""
    logit = tl.load(logits + token, token < VOCAB, float("-inf"))
    # + 0 turns −0 into +0: they are equal, and so must their integers be.
    value = no_nan(logit) * coldness + 0.0
    bits = value.to(tl.uint32, bitcast=True)
    return value, tl.where(bits >= 0x80000000, bits ^ 0xFFFFFFFF, bits | 0x80000000)


@triton.jit
def _weighed(logits, token, coldness, top, least, last, VOCAB: tl.constexpr, BY_MASS: tl.constexpr):
    """Each token's integer, and what it weighs: its probability or 1, and 0 if it is not kept."""
    value, order = _scaled(logits, token, coldness, VOCAB)
    kept = ((order > least) | ((order == least) & (token <= last))) & (token < VOCAB)
    weight = tl.where(kept, tl.exp(value - top) if BY_MASS else 1.0, 0.0)
    return order, weight


@triton.jit
def _border(
    logits, coldness, top, least, last, wanted,
    VOCAB: tl.constexpr, TILE: tl.constexpr, BY_MASS: tl.constexpr,
):  # fmt: skip
    """The largest integer that tokens of weight `wanted` reach, and the last of the tokens at it that stay.

    Two bits a pass: three candidates are weighed at once, and each lane adds up its own until the pass ends.
    Of tokens at the border those stay, in order of id, before which less than `wanted` was reached.
    """
    lane = tl.arange(0, TILE)
    border = tl.full((), 0, tl.uint32)
    step = tl.full((), 0x40000000, tl.uint32)
    above = 0.0
    for _two_bits in range(0, 16):
        one = border + step
        two = one + step
        three = two + step
        first = tl.zeros((TILE,), tl.float32)
        second = tl.zeros((TILE,), tl.float32)
        third = tl.zeros((TILE,), tl.float32)
        for start in range(0, VOCAB, TILE):
            order, weight = _weighed(logits, start + lane, coldness, top, least, last, VOCAB, BY_MASS)
            first += tl.where(order >= one, weight, 0.0)
            second += tl.where(order >= two, weight, 0.0)
            third += tl.where(order >= three, weight, 0.0)
        reach_one = tl.sum(first, 0)
        reach_two = tl.sum(second, 0)
        reach_three = tl.sum(third, 0)
        if reach_three >= wanted:
            border = three
        elif reach_two >= wanted:
            border = two
            above = reach_three
        elif reach_one >= wanted:
            border = one
            above = reach_two
        else:
            above = reach_one
        step = step >> 2
    ties = tl.zeros((TILE,), tl.float32)
    for start in range(0, VOCAB, TILE):
        order, weight = _weighed(logits, start + lane, coldness, top, least, last, VOCAB, BY_MASS)
        ties += tl.where((order == border) & (weight > 0), 1.0, 0.0)
    cut = tl.full((), VOCAB, tl.int32)
    if tl.sum(ties, 0) > 1:
        cut = tl.full((), -1, tl.int32)
        seen = 0
        for start in range(0, VOCAB, TILE):
            order, weight = _weighed(logits, start + lane, coldness, top, least, last, VOCAB, BY_MASS)
            tie = (order == border) & (weight > 0)
            before = seen + tl.cumsum(tie.to(tl.int32), 0) - 1
            fits = tie & (above + before.to(tl.float32) * weight < wanted)
            cut = tl.maximum(cut, tl.max(tl.where(fits, start + lane, -1), 0))
            seen += tl.sum(tie.to(tl.int32), 0)
    return border, cut


@triton.jit(do_not_specialize=VARYING)
def _choose(
    logits, key_low, key_high, sample, position, temperature, token, raw, processed, top_k, top_p, min_p,
    VOCAB: tl.constexpr, TILE: tl.constexpr, TOP_K: tl.constexpr, TOP_P: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    logits += row.to(tl.int64) * VOCAB
    coldness = 1.0 / tl.load(temperature)
    lane = tl.arange(0, TILE)
    highest = tl.full((TILE,), float("-inf"), tl.float32)
    for start in range(0, VOCAB, TILE):
        logit = tl.load(logits + start + lane, start + lane < VOCAB, float("-inf"))
        highest = tl.maximum(highest, no_nan(logit))
    high = tl.max(highest, 0)
    top = high * coldness
    # Kept so far: integers above `least`, and at `least` the ids up to `last`.
    least = tl.full((), 0, tl.uint32)
    last = tl.full((), VOCAB, tl.int32)
    if TOP_K:
        least, last = _border(logits, coldness, top, least, last, top_k, VOCAB, TILE, False)
    if TOP_P:
        masses = tl.zeros((TILE,), tl.float32)
        for start in range(0, VOCAB, TILE):
            _order, weight = _weighed(logits, start + lane, coldness, top, least, last, VOCAB, True)
            masses += weight
        wanted = top_p * tl.sum(masses, 0)
        border, cut = _border(logits, coldness, top, least, last, wanted, VOCAB, TILE, True)
        last = tl.where(border == least, tl.minimum(last, cut), cut)
        least = border
    bests = tl.full((TILE,), float("-inf"), tl.float32)
    ids = lane
    all_masses = tl.zeros((TILE,), tl.float32)
    masses = tl.zeros((TILE,), tl.float32)
    one = tl.zeros((1,), tl.int32)
    for start in range(0, VOCAB, TILE):
        here = start + lane
        value, order = _scaled(logits, here, coldness, VOCAB)
        weight = tl.exp(value - top)
        kept = ((order > least) | ((order == least) & (here <= last))) & (here < VOCAB)
        kept = kept & (weight >= min_p)
        all_masses += tl.exp(tl.load(logits + here, here < VOCAB, float("-inf")) - high)
        masses += tl.where(kept, weight, 0.0)
        if tl.max(kept.to(tl.int32), 0) > 0:  # noise is dear, and most tiles keep nothing
            noise = gumbel(
                tl.load(key_low + row) + one,
                tl.load(key_high + row) + one,
                tl.load(sample + row) + one,
                tl.load(position + row) + one,
                start,
                TILE,
            )
            score = tl.where(kept, value + tl.reshape(noise, (TILE,)), float("-inf"))
            ids = tl.where(score > bests, here, ids)
            bests = tl.maximum(bests, score)
    best = tl.max(bests, 0)
    # A row of NaN has no best: its token is one of the vocabulary all the same.
    chosen = tl.minimum(tl.min(tl.where(bests == best, ids, VOCAB), 0), VOCAB - 1)
    logit = tl.load(logits + chosen)
    tl.store(token + row, chosen)
    whole = tl.sum(all_masses, 0)
    tl.store(raw + row, logit - high - tl.log(whole))
    # Filters leave no NaN among the masses: that there was one, the whole row's says.
    mass = tl.where(whole == whole, tl.sum(masses, 0), whole)  # noqa: PLR0124
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
    """As `Operations.choose`.

    One program a row reads the row 17 times for each of top-k and top-p, from the cache, which is cheaper
    than to sort it; once more where the border cuts between equal tokens.
    """
    vocab = logits.shape[1]
    _choose[(len(rows),)](
        logits, rows.key_low, rows.key_high, rows.sample, rows.position, temperature,
        out.token, out.raw, out.processed, float(top_k), top_p, min_p,
        VOCAB=vocab, TILE=min(triton.next_power_of_2(vocab), 1024), TOP_K=0 < top_k < vocab, TOP_P=top_p < 1,
        num_warps=16, **LAUNCH,
    )  # fmt: skip
