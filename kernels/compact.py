"""The rows of the next steps: rows that have ended leave, the others close up, new ones follow.

Keys and values stay where they are, since a row names its slot: only eight integers a row move.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Rows
from t2fast.kernels.primitives import LAUNCH, VARYING


@triton.jit(do_not_specialize=VARYING)
def _compact(
    table, new, source, to, n_rows, n_new, n_out, FIELDS: tl.constexpr, SLOT: tl.constexpr, TILE: tl.constexpr
):
    row = tl.program_id(0) * TILE + tl.arange(0, TILE)
    here = row < n_out
    at = tl.load(source + row, here, -1)
    stays = (at >= 0) & (at < n_rows)
    comes = at >= n_rows
    for field in tl.static_range(FIELDS):
        nothing = tl.zeros((TILE,), tl.int32) - (1 if field == SLOT else 0)
        old = tl.load(table + field * n_rows + at, stays, 0)
        fresh = tl.load(new + field * n_new + at - n_rows, comes, 0)
        value = tl.where(stays, old, tl.where(comes, fresh, nothing))
        tl.store(to + field * n_out + row, value, here)


def compact(rows: Rows, new: Rows, source: torch.Tensor, out: Rows) -> None:
    """As `Operations.compact`."""
    _compact[(triton.cdiv(len(out), 128),)](
        rows.table, new.table, source, out.table, len(rows), len(new), len(out),
        FIELDS=len(Rows.FIELDS), SLOT=Rows.FIELDS.index("slot"), TILE=128, **LAUNCH,
    )  # fmt: skip
