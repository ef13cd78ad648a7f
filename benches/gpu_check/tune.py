"""Tiles, warps and stages of the products, one at a time in whole steps: what pays without a rewrite."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from t2fast.kernels import triton_ops
from t2fast.kernels.model import Shape, Tiles, Weights
from t2fast.kernels.step import Filters, Space, step
from triton.runtime.jit import JITFunction

from benches.gpu_check.ahead import compile_missing
from benches.gpu_check.bare import REHEARSED
from benches.gpu_check.results import Results, seconds, sync
from benches.gpu_check.work import KS, NEW, OPS, random_weights, sampling, shapes

KERNELS = {"qkv": "_qkv", "project": "_project", "hidden": "_hidden", "draw": "_draw_tile"}
"""The kernel with the product of each operation."""
SHARES = 4
"""Into how many parts the choices of an operation are cut, to be compiled side by side."""


def tune(results: Results) -> None:
    """The best choices of every product and k, for the model in the middle."""
    name, s = list(shapes().items())[len(shapes()) // 2]
    if not REHEARSED:
        compile_missing(results, [f"tune:{operation}:{i}" for operation in KERNELS for i in range(SHARES)])
    with torch.inference_mode():
        weights = random_weights(s)
        for k in KS:
            for operation in KERNELS:
                results.take(
                    "tune", f"{name} {operation} k={k}", lambda k=k, o=operation: best(weights, k, o)
                )


def choices(s: Shape, operation: str) -> list[tuple[Tiles, dict[str, int]]]:
    """Tiles and launch options, today's first. Rows and inputs keep their sizes, and so sums their order.

    Whether they keep their bits is measured.
    """
    now = Tiles.of(s, torch.bfloat16)
    field = "vocabulary" if operation == "draw" else "columns"
    sizes = {"qkv": (now.columns,), "draw": (64, 128, 256)}.get(operation, (16, 32, 64, 128))
    others = [
        (replace(now, **{field: size}), {"num_warps": warps, "num_stages": stages})
        for size in sizes
        for warps in (4, 8)
        for stages in (2, 3, 4)
    ]
    return [(now, {}), *(others[:1] if REHEARSED else others)]


def changed(ops: Any, operation: str, tiles: Tiles, options: dict[str, int]) -> Any:
    """Those operations, one of them with other tiles and its kernel launched otherwise."""

    def run(*arguments: Any, **named: Any) -> None:
        launch = JITFunction.run

        def otherwise(self: Any, *given: Any, **own: Any) -> Any:
            return launch(self, *given, **(own | options if self.__name__ == KERNELS[operation] else own))

        JITFunction.run = otherwise
        try:
            getattr(ops, operation)(*(tiles if isinstance(a, Tiles) else a for a in arguments), **named)
        finally:
            JITFunction.run = launch

    return SimpleNamespace(**{**{name: getattr(ops, name) for name in triton_ops.__all__}, operation: run})


def best(weights: Weights, k: int, operation: str) -> dict[str, Any]:
    """Microseconds of the same step over and over, and whether its bits are today's."""
    batch, state = sampling(weights, k, NEW, prompt=20)
    batch._admit()
    rows = state.state.rows.table
    before, usual, found = rows.clone(), None, []
    for tiles, options in choices(weights.shape, operation):
        space = Space(weights, tiles, k, state.splits, Filters())
        ops = changed(OPS, operation, tiles, options)

        def work(space: Space = space, ops: Any = ops) -> None:
            rows.copy_(before)
            step(weights, state.state, space, state.tiles, Filters(), ops)

        sizes = {"columns": tiles.columns, "vocabulary": tiles.vocabulary, **options}
        shown = " ".join(f"{name} {size}" for name, size in sizes.items())
        try:
            work()
            sync()
            drawn = space.draw
            bits = torch.cat([space.x.flatten(), drawn.token.float(), drawn.raw, drawn.processed])
            usual = bits if usual is None else usual
            state._run = work
            replay = state._captured(state._side).replay if state._side else work
            found.append((round(seconds(replay, 5) * 1e6, 1), shown, torch.equal(bits, usual)))
        except Exception as error:  # a tile that does not fit is no choice
            print(operation, shown, repr(error)[:120])
    return {"now": found[0], "same_bits": sorted(f for f in found if f[2])[:4], "any": sorted(found)[:2]}
