"""Token embedding: the residual stream before the first layer."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Prompts, Rows
from t2fast.kernels.model import Shape
from t2fast.kernels.primitives import LAUNCH, VARYING, or_placeholder


@triton.jit(do_not_specialize=VARYING)
def _embed(
    token, prompt, position, prompt_length, table, positions_table, x,
    WIDTH: tl.constexpr, COLUMNS: tl.constexpr, SCALE: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    at = tl.load(token + row).to(tl.int64)
    place = tl.zeros((), tl.int32)
    if POSITIONS:
        # A row without a sample and with an empty prompt has no position.
        place = tl.load(position + row) - 1 + tl.load(prompt_length + tl.load(prompt + row))
        place = tl.maximum(place, 0)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        inside = column < WIDTH
        value = tl.load(table + at * WIDTH + column, inside, 0.0).to(tl.float32)
        if SCALE != 1.0:
            value *= SCALE
        if POSITIONS:
            value += tl.load(positions_table + place.to(tl.int64) * WIDTH + column, inside, 0.0)
        tl.store(x + row.to(tl.int64) * WIDTH + column, value, inside)


def embed(
    rows: Rows,
    prompts: Prompts,
    table: torch.Tensor,
    positions: torch.Tensor | None,
    x: torch.Tensor,
    shape: Shape,
) -> None:
    """As `Operations.embed`."""
    _embed[(len(rows),)](
        rows.token, rows.prompt, rows.position, prompts.length, table, or_placeholder(positions, x), x,
        WIDTH=shape.width, COLUMNS=1024, SCALE=shape.embedding_scale, POSITIONS=positions is not None,
        **LAUNCH,
    )  # fmt: skip
