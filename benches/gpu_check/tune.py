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
from benches.gpu_check.work import KS, NEW, OPS, random_weights, sampling, shapes

KERNELS = {
    "qkv": "_qkv", "project": "_project", "hidden": "_hidden", "draw": "_draw_tile",
    "suffix_attention": "_suffix_attention", "prefix_attention": "_prefix_attention",
}  # fmt: skip
"""The kernel with the products of each operation."""
SIZES = {
    "qkv": ("heads", (1, 2, 4), (4, 8), (3, 4, 5)),
    "project": ("columns", (16, 32, 64), (4, 8), (3, 4, 5, 6)),
    "hidden": ("columns", (32, 64, 128), (4, 8), (2, 3, 4, 5)),
    "draw": ("vocabulary", (64, 128), (4, 8), (2, 3, 4)),
    "suffix_attention": ("own_keys", (16, 32, 64, 128), (1, 2, 4), (1, 2, 3)),
    "prefix_attention": ("keys", (32, 64, 128), (4, 8), (2, 3, 4)),
}
"""A tile's size, then warps and stages."""


def tune(results: Results) -> None:
    """The best choices of every product and k, for the two larger models."""
    for name, s in list(shapes().items())[-2:]:
        with torch.inference_mode():
            weights = random_weights(s)
            for k in (KS[0], KS[-1]):
                for o in KERNELS:
                    results.take("tune", f"{name} {o} k={k}", lambda k=k, o=o, w=weights: best(w, k, o))
        del weights


def choices(s: Shape, operation: str) -> list[tuple[Tiles, dict[str, int]]]:
    """Tiles and launch options, today's first. Rows and inputs keep their sizes, and so sums their order.

    Whether they keep their bits is measured.
    """
    now = Tiles.of(s, torch.bfloat16)
    field, sizes, warps, stages = SIZES[operation]
    others = [
        (replace(now, **{field: size}), {"num_warps": w, "num_stages": n})
        for size in sizes
        for w in warps
        for n in stages
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
    """Microseconds of the same step, in the middle of a sample, over and over; are its bits today's?"""
    batch, state = sampling(weights, k)
    batch._admit()
    state.state.rows.position.fill_(3 * NEW // 4)
    for cache in state.state.caches:
        cache.k.normal_()
        cache.v.normal_()
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
        field = SIZES[operation][0]
        sizes = {field: getattr(tiles, field), **options}
        shown = " ".join(f"{name} {size}" for name, size in sizes.items())
        try:
            space = take(tiles, options)
            bits = torch.cat([space.x.flatten(), *(t.float() for t in vars(space.draw).values())])
            usual = bits if usual is None else usual
            replay = state._captured(state._side).replay if state._side else state._run
            found.append((round(seconds(replay, 4) * 1e6, 1), shown, torch.equal(bits, usual)))
        except Exception as error:  # a tile that does not fit is no choice
            print(operation, shown, repr(error)[:120])
    best = sorted(found)
    return {"now": found[0], "same_bits": [f for f in best if f[2]][:3], "any": best[:3], "all": found}
