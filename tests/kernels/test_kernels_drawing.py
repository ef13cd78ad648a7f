"""The kernels that draw tokens and move rows beside their oracles, in Triton's interpreter."""

from __future__ import annotations

from typing import Any

import kernel_cases as cases
import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from kernel_cases import (
    SMALL,
    TILES,
    TYPES,
    batch,
    compare,
    linear,
    normal,
    parts,
    poisoned,
    shape,
)
from scipy import stats
from t2fast.kernels import philox, rng, torch_ops, triton_ops
from t2fast.kernels.batch import Draw, Rows


@pytest.mark.parametrize("greedy", [False, True])
def test_a_nan_is_not_drawn(greedy: bool) -> None:
    """Nor padding of the last tile in its place; the log-probabilities say that something is wrong."""
    s = shape(vocab=131)
    b, x = batch(3, s, TILES), normal(3, s.width, seed=3)
    weights = linear(s.vocab, s.width, 4, torch.float32, bias=True)
    assert weights.bias is not None
    for bad in (slice(0, 130), slice(128, 131), slice(0, 131)):
        weights.bias.zero_()
        weights.bias[bad] = float("nan")
        out = Draw.empty(3, "cpu")
        room = parts(3, s, TILES)
        triton_ops.draw(x, weights, b.rows, torch.ones(1), out, room, s, TILES, greedy=greedy)
        check_no_nan_was_drawn(out, bad)
        assert greedy or out.processed.isnan().all()
        logits = poisoned(3, s.vocab)
        triton_ops.logits(x, weights, logits, s, TILES)
        triton_ops.choose(logits, b.rows, torch.ones(1), 20, 0.9, 0.0, out)
        check_no_nan_was_drawn(out, bad)
        assert out.processed.isnan().all()


def check_no_nan_was_drawn(out: Draw, bad: slice) -> None:
    tokens = out.token.tolist()
    assert all(0 <= token < 131 for token in tokens)
    assert bad == slice(0, 131) or not {*tokens} & {*range(bad.start, bad.stop)}
    assert out.raw.isnan().all()


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("count", [1, 3, 63])
def test_the_head_draws_the_oracles_tokens(count: int, greedy: bool) -> None:
    """Vocabularies that no tile divides, in a matrix with padding rows that hold what would win."""
    for s in (shape(vocab=131), shape(vocab=514, layer_norm=True, logit_cap=2.0)):
        weights = linear(s.vocab + 30, s.width, 4, torch.float32, bias=True)
        assert weights.bias is not None
        weights.bias[s.vocab :] = 1e4
        b = batch(count, s, TILES)
        x = normal(count, s.width, seed=3)
        temperature = torch.tensor([0.7])
        out = Draw(torch.full((count,), -7, dtype=torch.int32), poisoned(count), poisoned(count))
        arguments = (x, weights, b.rows, temperature, out, parts(count, s, TILES), s, TILES)

        def both(operation: Any, a: Any) -> None:
            operation(*a, greedy=greedy)

        compare(
            lambda *a: both(triton_ops.draw, a),
            lambda *a: both(torch_ops.draw, a),
            lambda a: [a[4].token, a[4].raw, a[4].processed],
            arguments,
        )
        logits = (x, weights, poisoned(count, s.vocab), s, TILES)
        compare(triton_ops.logits, torch_ops.logits, lambda a: [a[2]], logits)


@pytest.mark.parametrize("dtype", TYPES[1:])
def test_the_head_in_half_precision(dtype: torch.dtype) -> None:
    """A rounding may change who wins; the winner is still within that rounding of the best."""
    s = shape(vocab=300)
    weights, b = linear(s.vocab, s.width, 4, dtype), batch(40, s, TILES)
    x = normal(40, s.width, seed=3, dtype=dtype)
    z, noise = poisoned(40, s.vocab), poisoned(40, s.vocab)
    torch_ops.logits(x, weights, z, s, TILES)
    torch_ops.gumbel(b.rows.key_low, b.rows.key_high, b.rows.sample, b.rows.position, noise)
    out = Draw.empty(40, "cpu")
    triton_ops.draw(x, weights, b.rows, torch.tensor([1.3]), out, parts(40, s, TILES), s, TILES)
    token = out.token.long()[:, None]
    tolerance = cases.TOLERANCE[dtype]
    score = z / 1.3 + noise
    assert (score.gather(1, token)[:, 0] >= score.amax(1) - tolerance).all()
    for found, exact in ((out.raw, z), (out.processed, z / 1.3)):
        torch.testing.assert_close(
            found, exact.log_softmax(1).gather(1, token)[:, 0], atol=tolerance, rtol=tolerance
        )


def test_draws_follow_the_softmax() -> None:
    """Chi-square of 3,000 draws against the exact probabilities."""
    s, count, rounds = shape(vocab=15, width=16), 500, 6
    weights = linear(s.vocab, s.width, 4, torch.float32)
    x = normal(1, s.width, seed=3).expand(count, -1).contiguous()
    z = poisoned(count, s.vocab)
    torch_ops.logits(x, weights, z, s, TILES)
    p = (z[0].double() / 0.8).softmax(0).numpy()
    drawn = np.zeros(s.vocab)
    rows, out, room = Rows.empty(count, "cpu"), Draw.empty(count, "cpu"), parts(count, s, SMALL)
    rows.key_low.fill_(12345)
    rows.sample.copy_(torch.arange(count))
    for position in range(rounds):
        rows.position.fill_(position)
        triton_ops.draw(x, weights, rows, torch.tensor([0.8]), out, room, s, SMALL)
        drawn += np.bincount(out.token.numpy(), minlength=s.vocab)
    assert stats.chisquare(drawn, p * count * rounds).pvalue > 1e-4


FILTERS = [
    (0, 1.0, 0.0),
    (1, 1.0, 0.0),
    (20, 1.0, 0.0),
    (0, 0.8, 0.0),
    (0, 1e-6, 0.0),
    (0, 1.0, 0.1),
    (30, 0.87, 0.05),
]


@pytest.mark.parametrize(("vocab", "settings"), [*((131, f) for f in FILTERS), (2500, FILTERS[-1])])
def test_filters_agree_with_the_reference(vocab: int, settings: tuple[int, float, float]) -> None:
    """Random logits, many equal ones, and a row of nothing but equal ones."""
    logits = normal(6, vocab, seed=vocab, scale=2.0)
    logits[2:4] = (logits[2:4] * 2).round() / 2
    logits[4] = 0.0
    logits[4, ::2] = -0.0
    logits[5, 7:] = -float("inf")
    rows = batch(6, shape(vocab=vocab), TILES).rows
    out = Draw(torch.full((6,), -7, dtype=torch.int32), poisoned(6), poisoned(6))
    arguments = (logits, rows, torch.tensor([1.25]), *settings, out)
    compare(triton_ops.choose, torch_ops.choose, lambda a: [a[6].token, a[6].raw, a[6].processed], arguments)


def test_noise_is_that_of_the_engine() -> None:
    """Every lane, odd vocabularies, keys with the sign bit, and the ends of the range of u."""
    rows = batch(9, shape(), TILES).rows
    for vocab in (1, 3, 131, 1000):
        out = poisoned(9, vocab)
        compare(
            philox.noise,
            torch_ops.gumbel,
            lambda a: [a[4]],
            (rows.key_low, rows.key_high, rows.sample, rows.position, out),
        )
    # The known answer of Random123 for a key and counter of zeros: word 0 is 6627e8d5.
    zero = torch.zeros(1, dtype=torch.int32)
    first = poisoned(1, 4)
    philox.noise(zero, zero, zero, zero, first)
    u = (0x6627E8D5 + 0.5) / 2**32
    assert float(first[0, 0]) == pytest.approx(-np.log(-np.log1p(-u)), rel=1e-6)
    assert rng.gumbel(0, 0, 0, 1)[0] == pytest.approx(float(first[0, 0]), rel=1e-6)


@triton.jit
def _gumbel_of(bits, out, N: tl.constexpr):
    at = tl.arange(0, N)
    tl.store(out + at, philox._gumbel(tl.load(bits + at).to(tl.uint32, bitcast=True)))


def test_gumbel_is_exact_over_the_whole_range() -> None:
    ends = np.concatenate([np.arange(1024), 2**31 + np.arange(-512, 512), 2**32 - 1 - np.arange(1024)])
    middle = np.random.default_rng(0).integers(0, 2**32, 1024)
    bits = np.concatenate([ends, middle]).astype(np.uint32)
    out = poisoned(len(bits))
    _gumbel_of[(1,)](torch.from_numpy(bits.view(np.int32)), out, N=len(bits))
    u = (bits.astype(np.longdouble) + 0.5) * np.longdouble(2.0) ** -32
    exact = -np.log(-np.log1p(-u))
    assert np.abs(out.numpy() - exact).max() < 2e-6


def test_a_drawn_token_moves_its_row_on() -> None:
    count, longest = 300, 10
    rows = batch(count, shape(), TILES, empty=(5, 80)).rows
    rows.done[::7] = 1
    draw = Draw(torch.arange(count, dtype=torch.int32) % 40, normal(count, seed=1), normal(count, seed=2))
    results = (
        torch.full((count + 3, longest), -5, dtype=torch.int32),
        *(poisoned(count + 3, longest) for _ in "ab"),
    )
    for stops, limits in (([], longest), ([3, -1], 7), ([9, 0, 131], longest)):
        limit, ends = (torch.tensor(values, dtype=torch.int32) for values in ([limits], stops))
        arguments = (rows, draw, limit, ends, *results)
        compare(triton_ops.advance, torch_ops.advance, lambda a: [a[0].table, *a[4:]], arguments)


@pytest.mark.parametrize(
    ("count", "coming", "size"), [(1, 0, 16), (63, 5, 64), (1000, 300, 1000), (0, 7, 16)]
)
def test_rows_close_up(count: int, coming: int, size: int) -> None:
    rows, new = (
        batch(n, shape(), TILES, seed=n).rows if n else Rows.empty(0, "cpu") for n in (count, coming)
    )
    source = torch.full((size,), -1, dtype=torch.int32)
    stay = torch.randperm(count, generator=torch.Generator().manual_seed(1))[: size - coming].sort().values
    source[: len(stay)] = stay
    source[len(stay) : len(stay) + coming] = count + torch.arange(coming)
    out = Rows(torch.full((len(Rows.FIELDS), size), 99, dtype=torch.int32))
    compare(triton_ops.compact, torch_ops.compact, lambda a: [a[3].table], (rows, new, source, out))
