"""First half of the feed-forward block: up projection and activation, gated or plain."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.model import Linear, Shape, Tiles
from t2fast.kernels.primitives import LAUNCH, VARYING, dot, input_tile, or_placeholder, pipeline, weight_tile


@triton.jit
def _gelu(x):
    return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))


@triton.jit
def _gelu_tanh(x):
    """½ x (1 + tanh(z)) with z = √(2/π) (x + 0.044715 x³), which is x · sigmoid(2 z)."""
    return x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))


@triton.jit(do_not_specialize=VARYING)
def _hidden(
    x, gate, gate_bias, up, up_bias, out, n_rows,
    WIDTH: tl.constexpr, HIDDEN: tl.constexpr,
    GATE_BIAS: tl.constexpr, UP_BIAS: tl.constexpr, ACTIVATION: tl.constexpr,
    GATED: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    output = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = output < HIDDEN
    value = tl.zeros((ROWS, COLUMNS), tl.float32)
    gated = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, WIDTH, INPUTS):
        inputs = input_tile(x, row, here, start, WIDTH, INPUTS)
        value = dot(inputs, weight_tile(up, output, inside, start, WIDTH, INPUTS), value)
        if GATED:
            gated = dot(inputs, weight_tile(gate, output, inside, start, WIDTH, INPUTS), gated)
    if UP_BIAS:
        value += tl.load(up_bias + output, inside, 0.0)[None, :]
    if GATED:
        if GATE_BIAS:
            gated += tl.load(gate_bias + output, inside, 0.0)[None, :]
        value *= gated * tl.sigmoid(gated) if ACTIVATION == "swiglu" else _gelu_tanh(gated)
    elif ACTIVATION == "gelu":
        value = _gelu(value)
    else:
        value = _gelu_tanh(value)
    at = out + row.to(tl.int64)[:, None] * HIDDEN + output[None, :]
    tl.store(at, value.to(out.dtype.element_ty), here[:, None] & inside[None, :])


def hidden(
    x: torch.Tensor,
    gate: Linear | None,
    up: Linear,
    out: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
) -> None:
    """As `Operations.hidden`."""
    gates = gate or up
    _hidden[(triton.cdiv(len(x), tiles.rows), triton.cdiv(shape.hidden, tiles.columns))](
        x, gates.weight, or_placeholder(gates.bias, x), up.weight, or_placeholder(up.bias, x), out, len(x),
        WIDTH=shape.width, HIDDEN=shape.hidden,
        GATE_BIAS=gates.bias is not None, UP_BIAS=up.bias is not None, ACTIVATION=shape.activation,
        GATED=shape.gated,
        ROWS=tiles.rows, COLUMNS=tiles.columns, INPUTS=tiles.inputs,
        num_warps=8 if up.weight.dtype == torch.float32 else 4, **LAUNCH, **pipeline(up.weight),
    )  # fmt: skip
