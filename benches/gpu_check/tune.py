"""Tiles, warps and stages of the products, one at a time in whole steps: what pays without a rewrite."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
import triton
from t2fast.kernels import triton_ops
from t2fast.kernels.model import Shape, Tiles, Weights
from t2fast.kernels.step import Filters, Space, step
from triton.runtime.jit import JITFunction

from benches.gpu_check.bare import REHEARSED
from benches.gpu_check.results import Results, seconds
from benches.gpu_check.work import KS, OPS, random_weights, sampling, shapes

KERNELS = {"qkv": "_qkv", "project": "_project", "hidden": "_hidden", "draw": "_draw_tile"}
"""The kernel with the product of each operation."""


def tune(results: Results) -> None:
    """The best choices of every product and k, for the model in the middle."""
    name, s = list(shapes().items())[len(shapes()) // 2]
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
    batch, state = sampling(weights, k, prompt=20)
    batch._admit()
    rows = state.state.rows.table
    before, usual, found = rows.clone(), None, []
    tried = choices(weights.shape, operation)

    def take(tiles: Tiles, options: dict[str, Any]) -> Space:
        space = Space(weights, tiles, k, state.splits, Filters())
        state._run = lambda: again(space, changed(OPS, operation, tiles, options))
        state._run()
        return space

    def again(space: Space, ops: Any) -> None:
        rows.copy_(before)
        step(weights, state.state, space, state.tiles, Filters(), ops)

    take(*tried[0])
    with ThreadPoolExecutor() as pool, triton.AsyncCompileMode(pool, ignore_errors=True):
        for tiles, options in tried:
            take(tiles, {**options, "warmup": True})  # ends where the kernel is compiled
    for tiles, options in tried:
        sizes = {"columns": tiles.columns, "vocabulary": tiles.vocabulary, **options}
        shown = " ".join(f"{name} {size}" for name, size in sizes.items())
        try:
            space = take(tiles, options)
            bits = torch.cat([space.x.flatten(), *(t.float() for t in vars(space.draw).values())])
            usual = bits if usual is None else usual
            replay = state._captured(state._side).replay if state._side else state._run
            found.append((round(seconds(replay, 5) * 1e6, 1), shown, torch.equal(bits, usual)))
        except Exception as error:  # a tile that does not fit is no choice
            print(operation, shown, repr(error)[:120])
    return {"now": found[0], "same_bits": sorted(f for f in found if f[2])[:4], "any": sorted(found)[:2]}
