"""Token embedding: the residual stream before the first layer."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Rows
from t2fast.kernels.primitives import LAUNCH, VARYING


@triton.jit(do_not_specialize=VARYING)
def _embed(token, table, x, WIDTH: tl.constexpr, COLUMNS: tl.constexpr):
    row = tl.program_id(0)
    at = tl.load(token + row).to(tl.int64)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        inside = column < WIDTH
        value = tl.load(table + at * WIDTH + column, inside, 0.0)
        tl.store(x + row.to(tl.int64) * WIDTH + column, value.to(tl.float32), inside)


def embed(rows: Rows, table: torch.Tensor, x: torch.Tensor) -> None:
    """As `Operations.embed`."""
    _embed[(len(rows),)](rows.token, table, x, WIDTH=x.shape[1], COLUMNS=1024, **LAUNCH)
