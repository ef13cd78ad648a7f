"""Every kernel beside its oracle, in Triton's interpreter: odd sizes, poisoned outputs, rows alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from kernel_cases import (
    SMALL,
    TILES,
    TYPES,
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
from t2fast.kernels import torch_ops, triton_ops
from t2fast.kernels.batch import Blocks, Cache, Draw, Prompts, Rows
from t2fast.kernels.model import Shape, Tiles
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

SHAPES = {
    "llama": shape(),
    "one head": shape(heads=1, kv_heads=1, head_dim=64),
    "groups of eight": shape(heads=8, kv_heads=1, width=130),
    "qwen3": shape(head_norm="head", heads=4, kv_heads=2, head_dim=128),
    "open-lm": shape(head_norm="row", layer_norm=True, heads=3, kv_heads=3),
    "neox": shape(heads=2, kv_heads=2, head_dim=80, layer_norm=True, activation="gelu", parallel=True),
    "tanh": shape(activation="gelu_tanh", layer_norm=True),
    "window": shape(window=7),
    "stablelm": shape(head_norm="own", layer_norm=True, heads=4, kv_heads=2),
    "gemma": shape(
        activation="geglu_tanh",
        attention_scale=0.3,
        attention_cap=1.5,
        logit_cap=0.7,
        post_norms=True,
        embedding_scale=3.0,
        residual_scale=0.4,
    ),
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
    compare(triton_ops.norm, torch_ops.norm, lambda a: [a[2]], (x, None, normed, s))
    branch = normal(count, s.width, seed=8)
    compare(triton_ops.add, torch_ops.add, lambda a: [a[2]], (branch, own.ffn_norm, x, s))
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
    compare(triton_ops.project, torch_ops.project, lambda a: [a[2]], (y, own.o, x, tiles, s.residual_scale))
    hidden = poisoned(count, s.hidden, dtype=dtype)
    compare(
        triton_ops.hidden,
        torch_ops.hidden,
        lambda a: [a[3]],
        (normed, own.gate, own.up, hidden, s, tiles),
    )
    table = linear(s.vocab, s.width, 9, dtype).weight
    for positions in (None, normal(100, s.width, seed=6)):
        arguments = (b.rows, b.prompts, table, positions, poisoned(count, s.width), s)
        compare(triton_ops.embed, torch_ops.embed, lambda a: [a[4]], arguments)


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


@named(SHAPES)
def test_a_row_depends_on_nothing_but_itself(s: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: each row of a batch alone, and the batch in another order.

    As on a GPU, an element of a product must not depend on its place in the tile. That of a BLAS, with which
    the interpreter multiplies, does.
    """
    monkeypatch.setattr(InterpreterBuilder, "create_dot", row_by_row)
    # A model's own: others need not fit into a processor's memory.
    count, tiles = 29, Tiles.of(s, torch.float32)
    own, b = layer(s, torch.float32, bias=True), batch(count, s, tiles)
    weights = linear(s.vocab, s.width, 4, torch.float32)
    x = normal(count, s.width, seed=1)

    def run(order: list[int]) -> list[torch.Tensor]:
        rows = Rows(b.rows.table[:, order].contiguous())
        blocks = Blocks.of(rows.prompt.tolist(), tiles.prefix_rows(s), len(order), "cpu")
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
            tiles,
        )
        out, lse = poisoned(b.splits, n, s.heads, s.head_dim), poisoned(b.splits, n, s.heads)
        triton_ops.prefix_attention(q, b.pool, rows, b.prompts, blocks, out, lse, s, tiles)
        attended, hidden = poisoned(n, s.heads * s.head_dim), poisoned(n, s.hidden)
        triton_ops.suffix_attention(q, cache, rows, b.prompts, out, lse, attended, s, tiles)
        triton_ops.project(attended, own.o, stream, tiles)
        triton_ops.norm(stream, own.ffn_norm, normed, s)
        triton_ops.hidden(normed, own.gate, own.up, hidden, s, tiles)
        triton_ops.project(hidden, own.down, stream, tiles)
        drawn = Draw.empty(n, "cpu")
        triton_ops.norm(stream, own.attn_norm, normed, s)
        triton_ops.draw(normed, weights, rows, torch.tensor([1.0]), drawn, parts(n, s, tiles), s, tiles)
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
