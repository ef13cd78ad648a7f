"""RMSNorm or LayerNorm: of the stream, once for all tiles of the next product, or of what is added to it."""

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
    NORM: tl.constexpr, ADD: tl.constexpr, SCALE: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, COLUMNS)
    inside = column < WIDTH
    value = tl.load(x + row * WIDTH + column, inside, 0.0)
    if NORM:
        if LAYER_NORM:
            value = tl.where(inside, value - tl.sum(value, 0) / WIDTH, 0.0)
        scale = 1.0 / tl.sqrt(tl.sum(value * value, 0) / WIDTH + eps)
        value = value * scale * tl.load(weight + column, inside, 0.0)
        if BIAS:
            value += tl.load(bias + column, inside, 0.0)
    if ADD:
        if SCALE != 1.0:
            value *= SCALE
        value += tl.load(out + row * WIDTH + column, inside, 0.0)
    tl.store(out + row * WIDTH + column, value.to(out.dtype.element_ty), inside)


def norm(x: torch.Tensor, norm: Norm | None, out: torch.Tensor, shape: Shape) -> None:
    """As `Operations.norm`; a program for each row."""
    _launch(x, norm, out, shape, add=False)


def add(branch: torch.Tensor, norm: Norm, x: torch.Tensor, shape: Shape) -> None:
    """As `Operations.add`."""
    _launch(branch, norm, x, shape, add=True)


def _launch(x: torch.Tensor, norm: Norm | None, out: torch.Tensor, shape: Shape, add: bool) -> None:
    own = norm or Norm(x)
    _norm[(len(x),)](
        x, own.weight, or_placeholder(own.bias, x), out, shape.eps,
        WIDTH=shape.width, COLUMNS=triton.next_power_of_2(shape.width),
        LAYER_NORM=shape.layer_norm, BIAS=own.bias is not None,
        NORM=norm is not None, ADD=add, SCALE=shape.residual_scale if add else 1.0, **LAUNCH,
    )  # fmt: skip
