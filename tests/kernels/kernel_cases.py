"""Random models and rows of odd sizes, and the comparison of a kernel with its oracle."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from t2fast.kernels.batch import PARTS, Blocks, Cache, Prompts, Rows
from t2fast.kernels.model import Layer, Linear, Norm, Shape, Tiles

TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2, torch.float8_e4m3fn: 7e-2}
"""By the least precise type among the arguments: what one rounding more or less changes."""


TILES = Tiles()
SMALL = Tiles(rows=16, columns=16, vocabulary=32, inputs=16, queries=16, keys=16, own_keys=16, split=32)
TYPES = [torch.float32, torch.float16, torch.bfloat16]


def shape(**changes: Any) -> Shape:
    """A small decoder with a width that no tile divides."""
    sizes = {
        "layers": 2, "width": 72, "heads": 3, "kv_heads": 1, "head_dim": 32, "hidden": 100, "vocab": 131,
        "eps": 1e-5,
    }  # fmt: skip
    return Shape(**{**sizes, **changes})


def normal(*size: int, seed: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> torch.Tensor:
    """Normal numbers of the given type, on the default device."""
    generator = torch.Generator(torch.get_default_device()).manual_seed(seed)
    return (torch.randn(*size, generator=generator) * scale).to(dtype)


def norm(n: int, seed: int, bias: bool = False) -> Norm:
    """A norm with weights around 1."""
    return Norm(1 + normal(n, seed=seed, scale=0.2), normal(n, seed=seed + 1, scale=0.2) if bias else None)


def linear(n_out: int, n_in: int, seed: int, dtype: torch.dtype, bias: bool = False) -> Linear:
    """A map that keeps the size of its input."""
    weight = normal(n_out, n_in, seed=seed, dtype=dtype, scale=1 / math.sqrt(n_in))
    return Linear(weight, normal(n_out, seed=seed + 1, scale=0.3) if bias else None)


def layer(s: Shape, dtype: torch.dtype, *, bias: bool = False, seed: int = 0) -> Layer:
    """A layer of the shape."""
    d = s.head_dim
    head_norm = {None: 0, "head": 2 * d}.get(s.head_norm, (s.heads + s.kv_heads) * d)
    return Layer(
        attn_norm=norm(s.width, seed + 1, s.layer_norm and bias),
        qkv=linear((s.heads + 2 * s.kv_heads) * d, s.width, seed + 3, dtype, bias),
        head_norm=norm(head_norm, seed + 5, s.layer_norm and bias and s.head_norm != "own")
        if head_norm
        else None,
        o=linear(s.width, s.heads * d, seed + 7, dtype, bias),
        ffn_norm=norm(s.width, seed + 9, s.layer_norm and bias),
        gate=linear(s.hidden, s.width, seed + 11, dtype, bias) if s.gated else None,
        up=linear(s.hidden, s.width, seed + 13, dtype, bias),
        down=linear(s.width, s.hidden, seed + 15, dtype, bias),
    )


def rotation(s: Shape, positions: int) -> torch.Tensor:
    """Cosines and sines of every position."""
    inverse = 10000.0 ** (-torch.arange(0, s.head_dim, 2) / s.head_dim)
    angle = torch.arange(positions)[:, None] * inverse
    return torch.stack([angle.cos(), angle.sin()])


@dataclasses.dataclass
class Batch:
    """Rows of several prompts with their caches."""

    rows: Rows
    prompts: Prompts
    blocks: Blocks
    pool: Cache
    own: Cache
    splits: int


def batch(
    count: int,
    s: Shape,
    tiles: Tiles,
    *,
    lengths: tuple[int, ...] = (5, 70, 1),
    positions: int = 9,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    empty: tuple[int, ...] = (),
    fp8: bool = False,
) -> Batch:
    """`count` rows spread over prompts of the given lengths; rows in `empty` have no slot.

    Entries of the caches that no row may see are NaN.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = Rows.empty(count, "cpu")
    prompt = torch.randint(len(lengths), (count,), generator=generator).sort().values
    rows.prompt.copy_(prompt)
    slots = count + 3
    rows.slot.copy_(torch.randperm(slots, generator=generator)[:count])
    rows.position.copy_(torch.randint(1, positions + 1, (count,), generator=generator))
    rows.sample.copy_(torch.randint(10_000, (count,), generator=generator))
    rows.token.copy_(torch.randint(s.vocab, (count,), generator=generator))
    for half in (rows.key_low, rows.key_high):
        half.copy_(torch.randint(-(2**31), 2**31, (count,), generator=generator))
    for row in empty:
        rows.slot[row] = -1
    gaps = 2
    starts, end = [], gaps
    for length in lengths:
        starts.append(end)
        end += length + gaps
    prompts = Prompts(*(torch.tensor(t, dtype=torch.int32) for t in (starts, lengths)))
    pool = Cache(*(torch.full((s.kv_heads, end, s.head_dim), math.nan, dtype=dtype) for _ in range(2)))
    for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        for j, stored in enumerate((pool.k, pool.v)):
            filled = normal(s.kv_heads, length, s.head_dim, seed=seed + 10 * i + j, dtype=dtype)
            stored[:, start : start + length] = filled
    stored_type = torch.float8_e4m3fn if fp8 else dtype
    own = Cache(
        *(torch.full((slots, s.kv_heads, positions, s.head_dim), math.nan).to(stored_type) for _ in range(2)),
        *(torch.full((slots, s.kv_heads, positions), math.nan) if fp8 else None for _ in range(2)),
    )
    for row in range(count):
        slot, length = int(rows.slot[row]), int(rows.position[row])
        if slot < 0:
            continue
        for j, (stored, scales) in enumerate(((own.k, own.k_scale), (own.v, own.v_scale))):
            filled = normal(s.kv_heads, length, s.head_dim, seed=seed + 1000 + 2 * row + j)
            if scales is not None:
                scale = filled.abs().amax(-1) / 448
                scales[slot, :, :length] = scale
                filled = filled / scale[..., None]
            stored[slot, :, :length] = filled.to(stored_type)
    blocks = Blocks.of(prompt.tolist(), tiles.prefix_rows(s), count + 2, "cpu")
    return Batch(rows, prompts, blocks, pool, own, -(-max(lengths) // tiles.split))


def poisoned(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """An output that shows what was not written."""
    return torch.full(size, math.nan).to(dtype)


def products(count: int, s: Shape) -> torch.Tensor:
    """Room for a row's products that wait for a norm of all heads."""
    return poisoned(count, (s.heads + 2 * s.kv_heads) * s.head_dim)


def parts(count: int, s: Shape, tiles: Tiles) -> torch.Tensor:
    """Room for what the tiles of the vocabulary leave."""
    return poisoned(PARTS, -(-s.vocab // tiles.vocabulary), count)


def compare(
    kernel: Callable[..., None],
    naive: Callable[..., None],
    outputs: Callable[[Any], list[torch.Tensor]],
    arguments: Any,
) -> None:
    """Run both on copies of the same arguments: what they wrote must agree, and what they left NaN."""
    tolerance = max(TOLERANCE.get(tensor.dtype, 0.0) for tensor in tensors(arguments))
    ours, theirs = copy.deepcopy(arguments), copy.deepcopy(arguments)
    kernel(*ours)
    naive(*theirs)
    for found, expected in zip(outputs(ours), outputs(theirs), strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(
            found.float(), expected.float(), rtol=tolerance, atol=tolerance, equal_nan=True
        )


def tensors(value: Any) -> list[torch.Tensor]:
    """Every tensor of nested arguments."""
    if isinstance(value, torch.Tensor):
        return [value]
    if dataclasses.is_dataclass(value):
        return [t for field in dataclasses.fields(value) for t in tensors(getattr(value, field.name))]
    if isinstance(value, list | tuple):
        return [t for item in value for t in tensors(item)]
    return []
