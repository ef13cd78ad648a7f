"""What one step works on: the rows that are decoded, their prompts, their caches, and what is drawn.

R rows are decoded in one step, each a sample of one of P problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

PARTS = 5
"""What the output head leaves of each tile of the vocabulary and row: the best score, its logit, log Σ
exp(logit), log Σ exp(logit / T) and, as int32, the best token."""


def upload(values: NDArray[Any], device: torch.device | str) -> torch.Tensor:
    """The array on the device, without waiting for what runs there."""
    tensor, device = torch.from_numpy(values), torch.device(device)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@dataclass
class Rows:
    """What is decoded: one column of `table` a row. Rows of one prompt stand together."""

    table: torch.Tensor
    """int32 (8, R), contiguous; its rows are the properties below, in their order."""

    FIELDS = ("token", "slot", "prompt", "sample", "key_low", "key_high", "position", "done")

    @classmethod
    def empty(cls, count: int, device: torch.device | str) -> Rows:
        """Rows without samples."""
        rows = cls(torch.zeros(len(cls.FIELDS), count, dtype=torch.int32, device=device))
        rows.slot.fill_(-1)
        return rows

    def __len__(self) -> int:
        return int(self.table.shape[1])

    @property
    def token(self) -> torch.Tensor:
        """The last token drawn, whose key and value this step computes."""
        return self.table[0]

    @property
    def slot(self) -> torch.Tensor:
        """Where the sample's cache and results are; −1: the row is empty."""
        return self.table[1]

    @property
    def prompt(self) -> torch.Tensor:
        """Index into `Prompts`."""
        return self.table[2]

    @property
    def sample(self) -> torch.Tensor:
        """Index of the sample, for its noise."""
        return self.table[3]

    @property
    def key_low(self) -> torch.Tensor:
        """Low half of the problem's Philox key, as bits."""
        return self.table[4]

    @property
    def key_high(self) -> torch.Tensor:
        """High half of the key."""
        return self.table[5]

    @property
    def position(self) -> torch.Tensor:
        """Tokens the sample has: the index of the next one. `token` has index position − 1."""
        return self.table[6]

    @property
    def done(self) -> torch.Tensor:
        """1 once the sample has ended."""
        return self.table[7]


@dataclass
class Prompts:
    """Where each prompt's keys and values lie in the pool, int32 (P,)."""

    start: torch.Tensor
    length: torch.Tensor


@dataclass
class Blocks:
    """Tiles of rows for prefix attention, int32: `count` rows from `first` on, all of `prompt`."""

    prompt: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor
    """At most `Tiles.prefix_rows`; 0: an unused tile."""

    @classmethod
    def of(cls, prompts: Sequence[int], height: int, size: int | None, device: torch.device | str) -> Blocks:
        """Tiles of at most `height` rows over rows whose prompts are `prompts`, filled up to `size` tiles.

        None: as many as there are.
        """
        of_row = np.asarray(prompts, dtype=np.int64)
        begins = np.flatnonzero(np.diff(of_row, prepend=-1))
        lengths = np.diff(begins, append=len(of_row))
        tiles = -(-lengths // height)
        size = int(tiles.sum()) if size is None else size
        if tiles.sum() > size:
            raise ValueError(f"{len(of_row)} rows need {tiles.sum()} tiles, and there are {size}")
        run = np.repeat(np.arange(len(begins)), tiles)
        offset = (np.arange(len(run)) - np.repeat(np.cumsum(tiles) - tiles, tiles)) * height
        table = np.zeros((3, size), np.int32)
        table[0, : len(run)] = of_row[begins[run]]
        table[1, : len(run)] = begins[run] + offset
        table[2, : len(run)] = np.minimum(lengths[run] - offset, height)
        return cls(*upload(table, device))


@dataclass
class Cache:
    """Keys and values of one layer.

    A pool of prompts: (kv_heads, pool, head_dim). Samples' own: (slots, kv_heads, positions, head_dim), in
    float8_e4m3fn with a float32 scale for each (slot, kv_head, position): value = stored · scale.
    """

    k: torch.Tensor
    v: torch.Tensor
    k_scale: torch.Tensor | None = None
    v_scale: torch.Tensor | None = None


@dataclass
class Draw:
    """One token a row: its id, and its log-probability under the model and after temperature and filters."""

    token: torch.Tensor
    """int32 (R,)."""
    raw: torch.Tensor
    """float32 (R,)."""
    processed: torch.Tensor

    @classmethod
    def empty(cls, count: int, device: torch.device | str) -> Draw:
        """Room for `count` rows."""
        token = torch.zeros(count, dtype=torch.int32, device=device)
        return cls(token, *(torch.zeros(count, device=device) for _ in range(2)))
