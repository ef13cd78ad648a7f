"""Tiles, warps and stages of the products, weights cold: what pays before anything is rewritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from t2fast.kernels.batch import PARTS, Cache, Draw, Prompts, Rows
from t2fast.kernels.model import Linear, Norm, Shape, Tiles
from triton.runtime.jit import JITFunction

from benches.gpu_check.bare import REHEARSED
from benches.gpu_check.results import Results, captured, device, seconds, sync
from benches.gpu_check.work import KS, OPS, shapes

OPERATIONS = ("qkv", "o", "hidden", "down", "head")
Choice = tuple[dict[str, int], dict[str, int]]


def choices(s: Shape, operation: str) -> list[Choice]:
    """Tiles and launch options, today's first. Rows and inputs keep their sizes, and so sums their order.

    Whether they keep their bits is measured.
    """
    now = Tiles.of(s, torch.bfloat16)
    warps = 8 if operation == "head" else 4
    found: list[Choice] = [({}, {"num_warps": warps, "num_stages": 3})]
    if REHEARSED:
        return found
    field, sizes = {
        "qkv": ("columns", (now.columns,)), "head": ("vocabulary", (64, 128, 256))
    }.get(operation, ("columns", (16, 32, 64, 128)))  # fmt: skip
    for size in sizes:
        for warps in (4, 8):
            for stages in (2, 3, 4, 5):
                found.append(({field: size}, {"num_warps": warps, "num_stages": stages}))
    return found


def tune(results: Results) -> None:
    """The best choices of every product and k."""
    name, s = ("tiny", shapes()["tiny"]) if REHEARSED else ("135M", shapes()["135M"])
    launch, options = JITFunction.run, {}

    def run(self: Any, *arguments: Any, **own: Any) -> Any:
        return launch(self, *arguments, **({**own, **options} if self.__name__ != "_draw_row" else own))

    for k in KS:
        for operation in OPERATIONS:
            JITFunction.run = run
            try:
                results.take(
                    "tune", f"{name} {operation} k={k}", lambda k=k, op=operation: best(s, k, op, options)
                )
            finally:
                JITFunction.run = launch


def best(s: Shape, k: int, operation: str, options: dict[str, int]) -> dict[str, Any]:
    """Microseconds a call, and whether the bits are today's."""
    copies = 2 if REHEARSED else 16 if operation == "head" else 128
    call, output = caller(s, k, operation, copies)
    usual, found = None, []
    for tiles, own in choices(s, operation):
        options.clear()
        options.update(own)
        size = Tiles(**{**vars(Tiles.of(s, torch.bfloat16)), **tiles})
        shown = " ".join(f"{a} {b}" for a, b in {**tiles, **own}.items())
        try:
            output.zero_()
            call(size, 0)
            sync()
            bits = output.clone()
            usual = bits if usual is None else usual
            work = captured(lambda size=size: [call(size, i) for i in range(copies)])
            us = seconds(work, 2, 3) * 1e6 / copies
        except Exception as error:
            print(operation, shown, repr(error)[:120])
            continue
        found.append((round(us, 2), shown, torch.equal(bits, usual)))
    options.clear()
    return {"now": found[0], "same_bits": sorted(f for f in found if f[2])[:4], "any": sorted(found)[:2]}


def caller(
    s: Shape, k: int, operation: str, copies: int
) -> tuple[Callable[[Tiles, int], None], torch.Tensor]:
    """``call(tiles, i)``: the operation with the i-th copy of its weights, and where its result lies."""
    where, d = device(), s.head_dim

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(copies, rows, columns, device=where, dtype=torch.bfloat16) * columns**-0.5

    x, norm = torch.randn(k, s.width, device=where), Norm(torch.ones(s.width, device=where))
    rows = Rows.empty(k, where)
    rows.slot.copy_(torch.arange(k, device=where))
    rows.position.fill_(5)
    if operation == "qkv":
        w = matrix((s.heads + 2 * s.kv_heads) * d, s.width)
        q = torch.zeros(k, s.heads, d, device=where, dtype=torch.bfloat16)
        cache = Cache(*(torch.zeros(k, s.kv_heads, 16, d, device=where, dtype=q.dtype) for _ in "kv"))
        prompts = Prompts(*torch.full((2, 1), 7, dtype=torch.int32, device=where))
        turn = torch.ones(2, 64, d // 2, device=where)

        def call(tiles: Tiles, i: int) -> None:
            OPS.qkv(x, norm, Linear(w[i]), None, turn, rows, prompts, q, cache, x, s, tiles)

        return call, q
    if operation in ("o", "down"):
        wide = s.heads * d if operation == "o" else s.hidden
        w, y = matrix(s.width, wide), torch.randn(k, wide, device=where).bfloat16()
        stream = torch.zeros(k, s.width, device=where)
        return lambda tiles, i: OPS.project(y, Linear(w[i]), stream, tiles), stream
    if operation == "hidden":
        gate, up = matrix(s.hidden, s.width), matrix(s.hidden, s.width)
        out = torch.zeros(k, s.hidden, device=where, dtype=torch.bfloat16)
        return lambda tiles, i: OPS.hidden(x, norm, Linear(gate[i]), Linear(up[i]), out, s, tiles), out
    w, drawn, warm = matrix(s.vocab, s.width), Draw.empty(k, where), torch.ones(1, device=where)

    def draw(tiles: Tiles, i: int) -> None:
        parts = torch.empty(PARTS, -(-s.vocab // tiles.vocabulary), k, device=where)
        OPS.draw(x, norm, Linear(w[i]), rows, warm, drawn, parts, s, tiles)

    return draw, drawn.token
