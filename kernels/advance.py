"""What a drawn token does to its row: it is recorded, and the sample may end."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from t2fast.kernels.layout import Draw, Rows
from t2fast.kernels.primitives import FUSION


@triton.jit
def _advance(
    token, slot, position, done, drawn, drawn_raw, drawn_processed, stop_tokens, tokens, raw, processed,
    n_rows, n_stops, max_tokens, ROWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_rows
    own = tl.load(slot + row, here, -1)
    living = here & (own >= 0) & (tl.load(done + row, here, 1) == 0)
    at = tl.load(position + row, living, 0)
    new = tl.load(drawn + row, living, 0)
    to = own.to(tl.int64) * max_tokens + at
    tl.store(tokens + to, new, living)
    tl.store(raw + to, tl.load(drawn_raw + row, living, 0.0), living)
    tl.store(processed + to, tl.load(drawn_processed + row, living, 0.0), living)
    ends = at + 1 >= max_tokens
    for i in range(0, n_stops):
        ends = ends | (new == tl.load(stop_tokens + i))
    tl.store(token + row, new, living)
    tl.store(position + row, at + 1, living)
    tl.store(done + row, ends.to(tl.int32), living)


def advance(
    rows: Rows,
    draw: Draw,
    stop_tokens: torch.Tensor,
    tokens: torch.Tensor,
    raw: torch.Tensor,
    processed: torch.Tensor,
) -> None:
    """Record each row's draw at ``[slot, position]`` of the results (slots, max_tokens) and move the row on.

    A row is done after a stop token (int32 (n,)) and after `max_tokens` tokens. Rows that are done or have no
    slot stay as they are.
    """
    _advance[(triton.cdiv(len(rows), 128),)](
        rows.token, rows.slot, rows.position, rows.done, draw.token, draw.raw, draw.processed,
        stop_tokens, tokens, raw, processed,
        len(rows), len(stop_tokens), tokens.shape[1], ROWS=128, enable_fp_fusion=FUSION,
    )  # fmt: skip


def naive(
    rows: Rows,
    draw: Draw,
    stop_tokens: torch.Tensor,
    tokens: torch.Tensor,
    raw: torch.Tensor,
    processed: torch.Tensor,
) -> None:
    """As `advance`."""
    living = (rows.slot >= 0) & (rows.done == 0)
    at = rows.slot[living].long(), rows.position[living].long()
    new = draw.token[living]
    tokens[at], raw[at], processed[at] = new, draw.raw[living], draw.processed[living]
    rows.token[living] = new
    rows.position[living] += 1
    ends = torch.isin(new, stop_tokens) | (rows.position[living] >= tokens.shape[1])
    rows.done[living] = ends.int()
