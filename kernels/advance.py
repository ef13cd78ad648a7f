"""What a drawn token does to its row: it is recorded, and the sample may end."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.batch import Draw, Rows
from t2fast.kernels.primitives import LAUNCH, VARYING


@triton.jit(do_not_specialize=VARYING)
def _advance(
    token, slot, position, done, drawn, drawn_raw, drawn_processed, limit, stop_tokens, tokens, raw,
    processed, n_rows, n_stops, positions, ROWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    own = tl.load(slot + row, here, -1)
    living = here & (own >= 0) & (tl.load(done + row, here, 1) == 0)
    at = tl.load(position + row, living, 0)
    new = tl.load(drawn + row, living, 0)
    to = own.to(tl.int64) * positions + at
    tl.store(tokens + to, new, living)
    tl.store(raw + to, tl.load(drawn_raw + row, living, 0.0), living)
    tl.store(processed + to, tl.load(drawn_processed + row, living, 0.0), living)
    ends = at + 1 >= tl.load(limit)
    for i in range(0, n_stops):
        ends = ends | (new == tl.load(stop_tokens + i))
    tl.store(token + row, new, living)
    tl.store(position + row, at + 1, living)
    tl.store(done + row, ends.to(tl.int32), living)


def advance(
    rows: Rows,
    draw: Draw,
    limit: torch.Tensor,
    stop_tokens: torch.Tensor,
    tokens: torch.Tensor,
    raw: torch.Tensor,
    processed: torch.Tensor,
) -> None:
    """As `Operations.advance`."""
    _advance[(triton.cdiv(len(rows), 128),)](
        rows.token, rows.slot, rows.position, rows.done, draw.token, draw.raw, draw.processed,
        limit, stop_tokens, tokens, raw, processed,
        len(rows), len(stop_tokens), tokens.shape[1], ROWS=128, **LAUNCH,
    )  # fmt: skip
