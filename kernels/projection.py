"""A linear map added to the residual stream: attention's output, and the second half of the feed-forward."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.model import Linear, Tiles
from t2fast.kernels.primitives import LAUNCH, VARYING, dot, input_tile, or_placeholder, pipeline, weight_tile


@triton.jit(do_not_specialize=VARYING)
def _project(
    x, weight, bias, residual, n_rows,
    WIDTH: tl.constexpr, OUT: tl.constexpr, BIAS: tl.constexpr, SCALE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    output = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = output < OUT
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, WIDTH, INPUTS):
        inputs = input_tile(x, row, here, start, WIDTH, INPUTS)
        total = dot(inputs, weight_tile(weight, output, inside, start, WIDTH, INPUTS), total)
    if BIAS:
        total += tl.load(bias + output, inside, 0.0)[None, :]
    if SCALE != 1.0:
        total *= SCALE
    at = residual + row.to(tl.int64)[:, None] * OUT + output[None, :]
    known = here[:, None] & inside[None, :]
    tl.store(at, tl.load(at, known, 0.0) + total, known)


def project(
    x: torch.Tensor, linear: Linear, residual: torch.Tensor, tiles: Tiles, scale: float = 1.0
) -> None:
    """As `Operations.project`."""
    out, width = linear.weight.shape
    _project[(triton.cdiv(len(x), tiles.rows), triton.cdiv(out, tiles.columns))](
        x, linear.weight, or_placeholder(linear.bias, x), residual, len(x),
        WIDTH=width, OUT=out, BIAS=linear.bias is not None, SCALE=scale,
        ROWS=tiles.rows, COLUMNS=tiles.columns, INPUTS=tiles.inputs, **LAUNCH,
        **pipeline(linear.weight),
    )  # fmt: skip
