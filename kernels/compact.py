"""Rows that have ended leave; the others close up. Caches stay where they are, since a row names its slot."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from t2fast.kernels.layout import Rows
from t2fast.kernels.primitives import FUSION


@triton.jit
def _compact(table, to, n_rows, n_out, FIELDS: tl.constexpr, SLOT: tl.constexpr, DONE: tl.constexpr, TILE: tl.constexpr):
    lane = tl.arange(0, TILE)
    count = 0
    for start in range(0, n_rows, TILE):
        row = start + lane
        here = row < n_rows
        own = tl.load(table + SLOT * n_rows + row, here, -1)
        stays = (own >= 0) & (tl.load(table + DONE * n_rows + row, here, 1) == 0)
        place = count + tl.cumsum(stays.to(tl.int32), 0) - 1
        for field in tl.static_range(FIELDS):
            tl.store(to + field * n_out + place, tl.load(table + field * n_rows + row, here, 0), stays)
        count += tl.sum(stays.to(tl.int32), 0)
    for start in range(0, n_out, TILE):
        row = start + lane
        beyond = (row >= count) & (row < n_out)
        for field in tl.static_range(FIELDS):
            tl.store(to + field * n_out + row, tl.where(row >= 0, -1 if field == SLOT else 0, 0), beyond)


def compact(rows: Rows, out: Rows) -> None:
    """`out` gets the rows of `rows` that have a slot and are not done, in their order; the rest of it is empty.

    `out` may be shorter or longer than `rows`, and must hold those that stay.
    """
    fields = Rows.FIELDS
    _compact[(1,)](
        rows.table, out.table, len(rows), len(out),
        FIELDS=len(fields), SLOT=fields.index("slot"), DONE=fields.index("done"), TILE=1024,
        enable_fp_fusion=FUSION,
    )  # fmt: skip


def naive(rows: Rows, out: Rows) -> None:
    """As `compact`."""
    stays = (rows.slot >= 0) & (rows.done == 0)
    count = int(stays.sum())
    out.table.copy_(Rows.empty(len(out), out.table.device).table)
    out.table[:, :count] = rows.table[:, stays]


