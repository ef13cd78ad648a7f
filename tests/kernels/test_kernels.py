"""Every kernel beside its oracle, in Triton's interpreter: odd sizes, poisoned outputs, rows alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import kernel_cases as cases
import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from kernel_cases import (
    batch,
    compare,
    layer,
    linear,
    normal,
    parts,
    poisoned,
    products,
    rotation,
    shape,
)
from scipy import stats
from t2fast.kernels import philox, rng, torch_ops, triton_ops
from t2fast.kernels.batch import Blocks, Cache, Draw, Prompts, Rows
from t2fast.kernels.model import Shape, Tiles
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

TILES = Tiles()
SMALL = Tiles(rows=16, columns=16, vocabulary=32, inputs=16, queries=16, keys=16, own_keys=16, split=32)
TYPES = [torch.float32, torch.float16, torch.bfloat16]
SHAPES = {
    "llama": shape(),
    "one head": shape(heads=1, kv_heads=1, head_dim=64),
    "groups of eight": shape(heads=8, kv_heads=1, width=130),
    "qwen3": shape(head_norm="head", heads=4, kv_heads=2, head_dim=128),
    "open-lm": shape(head_norm="row", layer_norm=True, heads=3, kv_heads=3),
    "neox": shape(heads=2, kv_heads=2, head_dim=80, layer_norm=True, activation="gelu", parallel=True),
    "tanh": shape(activation="gelu_tanh", layer_norm=True),
    "window": shape(window=7),
}
CASES = [(name, rows) for name in SHAPES for rows in (3, 63)] + [("llama", 1), ("open-lm", 111)]


def named(found: dict[str, Shape]) -> Any:
    return pytest.mark.parametrize("s", found.values(), ids=found.keys())


@pytest.mark.parametrize(("name", "count"), CASES)
def test_every_operation_of_a_layer_agrees_with_its_oracle(name: str, count: int) -> None:
    s = SHAPES[name]
    check_layer(s, count, torch.float32, Tiles.of(s, torch.float32) if count > 3 else SMALL)


@pytest.mark.parametrize("dtype", TYPES[1:])
def test_operations_agree_in_half_precision(dtype: torch.dtype) -> None:
    for s in (SHAPES["llama"], SHAPES["neox"]):
        check_layer(s, 37, dtype, Tiles.of(s, dtype))


def test_a_thousand_rows() -> None:
    check_layer(shape(heads=2, width=40, hidden=48), 1000, torch.float32, TILES, lengths=(9, 3), positions=4)


def check_layer(s: Shape, count: int, dtype: torch.dtype, tiles: Tiles, **sizes: Any) -> None:
    """Each operation of a layer on inputs of its own, outputs poisoned."""
    empty = (count // 2,) if count > 1 else ()
    own, b = layer(s, dtype, bias=True), batch(count, s, tiles, dtype=dtype, empty=empty, **sizes)
    x, normed = normal(count, s.width, seed=1), poisoned(count, s.width, dtype=dtype)
    compare(triton_ops.norm, torch_ops.norm, lambda a: [a[2]], (x, own.attn_norm, normed, s))
    torch_ops.norm(x, own.attn_norm, normed, s)
    q = poisoned(count, s.heads, s.head_dim, dtype=dtype)
    turn = rotation(s, 100)
    compare(
        triton_ops.qkv,
        torch_ops.qkv,
        lambda a: [a[6], a[7].k, a[7].v],
        (
            normed,
            own.qkv,
            own.head_norm,
            turn,
            b.rows,
            b.prompts,
            q,
            b.own,
            products(count, s),
            s,
            tiles,
        ),
    )
    q = normal(count, s.heads, s.head_dim, seed=2, dtype=dtype)
    out, lse = poisoned(b.splits, count, s.heads, s.head_dim), poisoned(b.splits, count, s.heads)
    arguments = (q, b.pool, b.rows, b.prompts, b.blocks, out, lse, s, tiles)
    compare(triton_ops.prefix_attention, torch_ops.prefix_attention, lambda a: [a[5], a[6]], arguments)
    torch_ops.prefix_attention(*arguments)
    attended = poisoned(count, s.heads * s.head_dim, dtype=dtype)
    compare(
        triton_ops.suffix_attention,
        torch_ops.suffix_attention,
        lambda a: [a[6]],
        (q, b.own, b.rows, b.prompts, out, lse, attended, s, tiles),
    )
    tokens = Rows.empty(count, "cpu")
    tokens.prompt.copy_(torch.arange(count) // 40)
    tokens.slot.zero_()
    first = torch.arange(0, count, 40)
    # Prompts of 40 tokens lie in the pool with gaps; of the second, 25 tokens were read before.
    start, read = 3 + first + 7 * torch.arange(len(first)), torch.where(torch.arange(len(first)) == 1, 25, 0)
    start += read.cumsum(0) - read
    tokens.position.copy_((start + read)[tokens.prompt.long()] + torch.arange(count) % 40 + 1)
    places = Prompts(start.int(), -start.int())
    pool = Cache(
        *(poisoned(s.kv_heads, int(tokens.position.max()) + 9, s.head_dim, dtype=dtype) for _ in "kv")
    )
    for at, length in zip(start.tolist(), (read + 40).tolist(), strict=True):
        for i, stored in enumerate((pool.k, pool.v)):
            room = stored[:, at : at + length]
            room.copy_(normal(*room.shape, seed=at + i, dtype=dtype))
    blocks = Blocks.of(tokens.prompt.tolist(), tiles.prefix_rows(s), None, "cpu")
    compare(
        triton_ops.prompt_attention,
        torch_ops.prompt_attention,
        lambda a: [a[5]],
        (q, pool, tokens, places, blocks, attended, s, tiles),
    )
    y = normal(count, s.heads * s.head_dim, seed=3, dtype=dtype)
    compare(triton_ops.project, torch_ops.project, lambda a: [a[2]], (y, own.o, x, tiles))
    hidden = poisoned(count, s.hidden, dtype=dtype)
    compare(
        triton_ops.hidden,
        torch_ops.hidden,
        lambda a: [a[3]],
        (normed, own.gate, own.up, hidden, s, tiles),
    )
    table = linear(s.vocab, s.width, 9, dtype).weight
    compare(triton_ops.embed, torch_ops.embed, lambda a: [a[2]], (b.rows, table, poisoned(count, s.width)))


def test_a_row_that_has_drawn_nothing_sees_the_prompt_alone() -> None:
    s = SHAPES["llama"]
    b = batch(5, s, TILES)
    b.rows.position.zero_()
    b.own.k.fill_(float("nan"))
    b.own.v.fill_(float("nan"))
    q = normal(5, s.heads, s.head_dim, seed=2)
    out, lse = poisoned(b.splits, 5, s.heads, s.head_dim), poisoned(b.splits, 5, s.heads)
    torch_ops.prefix_attention(q, b.pool, b.rows, b.prompts, b.blocks, out, lse, s, TILES)
    attended = poisoned(5, s.heads * s.head_dim)
    triton_ops.suffix_attention(q, b.own, b.rows, b.prompts, out, lse, attended, s, TILES)
    torch.testing.assert_close(attended, out[0].flatten(1))


def test_a_row_without_a_sample_turns_by_nothing() -> None:
    """With an empty prompt it has no position, and what lies before the table is not its to read."""
    s = SHAPES["llama"]
    own, b = layer(s, torch.float32), batch(3, s, TILES, lengths=(0,), empty=(1,))
    b.rows.position[1] = 0
    table = torch.cat([torch.full((1, 100, s.head_dim // 2), float("nan")), rotation(s, 100)])
    q, room = poisoned(3, s.heads, s.head_dim), products(3, s)
    weights = (own.qkv, own.head_norm, table[1:])
    arguments = (normal(3, s.width, seed=1), *weights, b.rows, b.prompts, q, b.own, room, s, TILES)
    triton_ops.qkv(*arguments)
    assert q.isfinite().all()


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
        logits = poisoned(3, s.vocab)
        triton_ops.logits(x, weights, logits, s, TILES)
        triton_ops.choose(logits, b.rows, torch.ones(1), 20, 0.9, 0.0, out)
        check_no_nan_was_drawn(out, bad)


def check_no_nan_was_drawn(out: Draw, bad: slice) -> None:
    tokens = out.token.tolist()
    assert all(0 <= token < 131 for token in tokens)
    assert bad == slice(0, 131) or not {*tokens} & {*range(bad.start, bad.stop)}
    assert out.raw.isnan().all()


@pytest.mark.parametrize("name", ["llama", "qwen3", "open-lm"])
def test_an_fp8_cache(name: str) -> None:
    s = SHAPES[name]
    own, b = layer(s, torch.float32), batch(21, s, TILES, fp8=True, empty=(4,))
    x, room = normal(21, s.width, seed=1), products(21, s)
    weights = (own.qkv, own.head_norm, rotation(s, 100))
    q = poisoned(21, s.heads, s.head_dim)
    compare(
        triton_ops.qkv,
        torch_ops.qkv,
        lambda a: [a[6], a[7].k_scale, a[7].v_scale],
        (x, *weights, b.rows, b.prompts, q, b.own, room, s, TILES),
    )
    # A stored value is off by at most half a step of its three mantissa bits.
    triton_ops.qkv(x, *weights, b.rows, b.prompts, q, b.own, room, s, TILES)
    exact = Cache(torch.zeros(b.own.k.shape), torch.zeros(b.own.v.shape))
    torch_ops.qkv(x, *weights, b.rows, b.prompts, q, exact, room, s, TILES)
    for row in range(21):
        slot, at = int(b.rows.slot[row]), int(b.rows.position[row]) - 1
        if slot < 0:
            continue
        for stored, scale, true in (
            (b.own.k, b.own.k_scale, exact.k),
            (b.own.v, b.own.v_scale, exact.v),
        ):
            assert scale is not None
            found = stored[slot, :, at].float() * scale[slot, :, at, None]
            step = true[slot, :, at].abs() / 16 + scale[slot, :, at, None] * 2**-9
            assert ((found - true[slot, :, at]).abs() <= step * 1.001).all()
    out, lse = poisoned(b.splits, 21, s.heads, s.head_dim), poisoned(b.splits, 21, s.heads)
    torch_ops.prefix_attention(q, b.pool, b.rows, b.prompts, b.blocks, out, lse, s, TILES)
    attended = poisoned(21, s.heads * s.head_dim)
    compare(
        triton_ops.suffix_attention,
        torch_ops.suffix_attention,
        lambda a: [a[6]],
        (q, b.own, b.rows, b.prompts, out, lse, attended, s, TILES),
    )


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("count", [1, 3, 63])
def test_the_head_draws_the_oracles_tokens(count: int, greedy: bool) -> None:
    """Vocabularies that no tile divides, in a matrix with padding rows that hold what would win."""
    for s in (shape(vocab=131), shape(vocab=514, layer_norm=True)):
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


@named(SHAPES)
def test_a_row_depends_on_nothing_but_itself(s: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: each row of a batch alone, and the batch in another order.

    As on a GPU, an element of a product must not depend on its place in the tile. That of a BLAS, with which
    the interpreter multiplies, does.
    """
    monkeypatch.setattr(InterpreterBuilder, "create_dot", row_by_row)
    count = 29
    own, b = layer(s, torch.float32, bias=True), batch(count, s, TILES)
    weights = linear(s.vocab, s.width, 4, torch.float32)
    x = normal(count, s.width, seed=1)

    def run(order: list[int]) -> list[torch.Tensor]:
        rows = Rows(b.rows.table[:, order].contiguous())
        blocks = Blocks.of(rows.prompt.tolist(), TILES.prefix_rows(s), len(order), "cpu")
        cache, n = Cache(b.own.k.clone(), b.own.v.clone()), len(order)
        stream = x[order].clone()
        q = poisoned(n, s.heads, s.head_dim)
        normed = poisoned(n, s.width)
        triton_ops.norm(stream, own.attn_norm, normed, s)
        triton_ops.qkv(
            normed,
            own.qkv,
            own.head_norm,
            rotation(s, 100),
            rows,
            b.prompts,
            q,
            cache,
            products(n, s),
            s,
            TILES,
        )
        out, lse = poisoned(b.splits, n, s.heads, s.head_dim), poisoned(b.splits, n, s.heads)
        triton_ops.prefix_attention(q, b.pool, rows, b.prompts, blocks, out, lse, s, TILES)
        attended, hidden = poisoned(n, s.heads * s.head_dim), poisoned(n, s.hidden)
        triton_ops.suffix_attention(q, cache, rows, b.prompts, out, lse, attended, s, TILES)
        triton_ops.project(attended, own.o, stream, TILES)
        triton_ops.norm(stream, own.ffn_norm, normed, s)
        triton_ops.hidden(normed, own.gate, own.up, hidden, s, TILES)
        triton_ops.project(hidden, own.down, stream, TILES)
        drawn = Draw.empty(n, "cpu")
        triton_ops.norm(stream, own.attn_norm, normed, s)
        triton_ops.draw(normed, weights, rows, torch.tensor([1.0]), drawn, parts(n, s, TILES), s, TILES)
        return [stream, *(getattr(drawn, field.name) for field in dataclasses.fields(drawn))]

    whole = run(list(range(count)))
    by_prompt = sorted(range(count), key=lambda row: (-int(b.rows.prompt[row]), row * 7 % count))
    for found, expected in zip(run(by_prompt), whole, strict=True):
        assert torch.equal(found, expected[by_prompt])
    for row in range(0, count, 7):
        for found, expected in zip(run([row]), whole, strict=True):
            assert torch.equal(found[0], expected[row])


def row_by_row(self: Any, a: Any, b: Any, acc: Any, *_: Any) -> TensorHandle:
    """A product whose sums all run in one order."""
    return TensorHandle((a.data[:, :, None] * b.data[None]).sum(1) + acc.data, acc.dtype.scalar)


def test_tiles_come_from_the_model_alone() -> None:
    half = torch.bfloat16
    assert Tiles.of(shape(), half) == Tiles.of(shape(layers=30, vocab=50_000), half)
    assert Tiles.of(shape(width=2048), half) != Tiles.of(shape(width=256), half)
    with pytest.raises(ValueError, match="4 rows need 2 tiles, and there are 1"):
        Blocks.of([0, 0, 1, 1], 2, 1, "cpu")
