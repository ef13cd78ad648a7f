"""RMSNorm or LayerNorm of the residual stream, once for all the tiles of the product that comes after."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.model import Norm, Shape
from t2fast.kernels.primitives import LAUNCH, VARYING, or_placeholder


@triton.jit(do_not_specialize=VARYING)
def _norm(
    x, weight, bias, out, eps,
    WIDTH: tl.constexpr, COLUMNS: tl.constexpr, LAYER_NORM: tl.constexpr, BIAS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, COLUMNS)
    inside = column < WIDTH
    value = tl.load(x + row * WIDTH + column, inside, 0.0)
    if LAYER_NORM:
        value = tl.where(inside, value - tl.sum(value, 0) / WIDTH, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(value * value, 0) / WIDTH + eps)
    value = value * scale * tl.load(weight + column, inside, 0.0)
    if BIAS:
        value += tl.load(bias + column, inside, 0.0)
    tl.store(out + row * WIDTH + column, value.to(out.dtype.element_ty), inside)


def norm(x: torch.Tensor, norm: Norm, out: torch.Tensor, shape: Shape) -> None:
    """As `Operations.norm`; a program for each row."""
    _norm[(len(x),)](
        x, norm.weight, or_placeholder(norm.bias, x), out, shape.eps,
        WIDTH=shape.width, COLUMNS=triton.next_power_of_2(shape.width),
        LAYER_NORM=shape.layer_norm, BIAS=norm.bias is not None, **LAUNCH,
    )  # fmt: skip
