"""What lies on the device while calls draw: caches, rows, and the steps that work on them.

Nothing here waits for the device. What the host wants to know is copied to it behind the steps, in a
`Window`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from t2fast.decode.gpu import prefill
from t2fast.kernels.batch import PARTS, Blocks, Cache, Prompts, Rows, upload
from t2fast.kernels.model import Tiles, Weights
from t2fast.kernels.ops import Operations
from t2fast.kernels.step import FILTER_ROWS, Filters, Space, State, choose, step

BUCKETS = (16, 64, 256, 1024, 4096)
"""Numbers of rows that steps are captured for, besides the number of slots; a batch takes the smallest that
holds it."""


@dataclass(frozen=True)
class Sizes:
    """How much is held at once."""

    slots: int
    """Samples."""
    pool: int
    """Positions of prompts."""
    longest: int
    """Positions of the longest prompt."""
    max_tokens: int
    problems: int
    """Prompts of a call, those without a sample included."""
    bytes: int = 0
    """What all of it takes."""

    @classmethod
    def within(
        cls,
        budget: int,
        weights: Weights,
        tiles: Tiles,
        *,
        problems: int,
        prompts: list[int],
        rows: int,
        max_tokens: int,
        filters: Filters,
        fp8: bool,
    ) -> Sizes:
        """As many of `rows` samples, and of the prompts of these lengths, as `budget` bytes hold.

        Prompts beyond a quarter of the budget wait for others to leave. Intermediate results are counted for
        first tokens, for steps of all rows, and for those of each bucket.
        """
        s, wide = weights.shape, weights.embedding.element_size()
        longest = max(prompts)
        of_prompt = s.layers * 2 * s.kv_heads * s.head_dim * wide
        own = of_prompt // wide + s.layers * 2 * s.kv_heads * 4 if fp8 else of_prompt
        first = wide * (s.width + 2 * s.heads * s.head_dim + s.hidden) + 4 * (s.width + 11)
        if s.post_norms:
            first += 4 * s.width
        if s.head_norm == "row":
            first += 4 * (s.heads + 2 * s.kv_heads) * s.head_dim
        if not filters.any:
            first += 4 * PARTS * -(-s.vocab // tiles.vocabulary)
        step = first + 4 * -(-longest // tiles.split) * s.heads * (s.head_dim + 1)
        # The buckets below a number of slots are less than 4/3 of it together.
        of_slot = max_tokens * (own + 12) + first + step + -(-4 * step // 3)
        pool = min(sum(sorted(prompts)[-rows - 1 :]), max(longest, budget // 4 // of_prompt))
        fixed = pool * of_prompt
        if filters.any:
            heights = [rows, rows, *(b for b in BUCKETS if b < rows)]
            fixed += 4 * s.vocab * sum(min(height, FILTER_ROWS) for height in heights)
        slots = min((budget - fixed) // of_slot, rows)
        if slots < 1:
            raise ValueError(
                f"a prompt of {longest} tokens and a sample of {max_tokens} need "
                f"{fixed + of_slot:,} bytes, and the GPU has {budget:,} to give: "
                "shorten them or use device='cpu'"
            )
        return cls(slots, pool, longest, max_tokens, problems, fixed + slots * of_slot)

    def hold(self, others: Sizes) -> bool:
        """Whether whatever fits into `others` fits here."""
        return all(own >= other for own, other in zip(self._all(), others._all(), strict=True))

    def _all(self) -> tuple[int, ...]:
        return self.slots, self.pool, self.longest, self.max_tokens, self.problems


@dataclass
class Window:
    """What some steps did, on its way to the host."""

    copied: torch.Tensor
    arrived: Any
    """A CUDA event; None where the copy is there at once."""
    width: int

    def wait(self) -> NDArray[np.int32]:
        """int32 (rows, 2 + 3 · width): done, position, then tokens, raw and processed log-probabilities
        as bits, from the position that was asked for.
        """
        while self.arrived is not None and not self.arrived.query():
            time.sleep(1e-4)  # unlike CUDA's own waiting, this lets Ctrl-C through
        values: NDArray[np.int32] = self.copied.numpy()
        return values


class DeviceState:
    """The device's side of a batch: made for some sizes and filters, and used for one call after another."""

    def __init__(
        self,
        weights: Weights,
        tiles: Tiles,
        ops: Operations,
        sizes: Sizes,
        *,
        filters: Filters,
        stop_tokens: int,
        fp8: bool,
    ):
        """`stop_tokens`: how many there may be."""
        self.weights, self.tiles, self.ops, self.filters = weights, tiles, ops, filters
        self.sizes = sizes
        self.device = weights.embedding.device
        device, results = self.device, (sizes.slots, sizes.max_tokens)
        self.splits = -(-sizes.longest // tiles.split)
        self.state = State(
            rows=Rows.empty(0, device),
            blocks=Blocks.of([], 1, 0, device),
            prompts=Prompts(*torch.zeros(2, sizes.problems, dtype=torch.int32, device=device)),
            pools=prefill.room(weights, sizes.pool),
            caches=[_suffix(weights, results, fp8) for _ in weights.layers],
            temperature=torch.ones(1, device=device),
            limit=torch.full((1,), sizes.max_tokens, dtype=torch.int32, device=device),
            stop_tokens=torch.full((stop_tokens,), -1, dtype=torch.int32, device=device),
            tokens=torch.zeros(results, dtype=torch.int32, device=device),
            raw=torch.zeros(results, device=device),
            processed=torch.zeros(results, device=device),
        )
        self._rows: dict[int, Rows] = {}
        self._spaces: dict[int, Space] = {}
        self._blocks: dict[tuple[int, int], Blocks] = {}
        self._warm: set[tuple[int, int]] = set()
        self._graphs: dict[tuple[int, int], Any] = {}
        self._side = torch.cuda.Stream(device) if device.type == "cuda" and ops.CAPTURED else None

    def begin(self, temperature: float, max_tokens: int, stop_tokens: Sequence[int]) -> None:
        """Settings of a new call; rows of the last one are gone."""
        state = self.state
        self.state = replace(state, rows=Rows.empty(0, self.device))
        state.temperature.fill_(temperature)
        state.limit.fill_(max_tokens)
        padded = np.full(len(state.stop_tokens), -1, np.int32)
        padded[: len(stop_tokens)] = stop_tokens
        state.stop_tokens.copy_(upload(padded, self.device))

    def read_prompts(
        self, prompts: Sequence[tuple[int, Sequence[int], int]], known: tuple[Sequence[int], int] | None
    ) -> list[torch.Tensor]:
        """Put prompts (index, tokens, start) into the pool; the last residual stream (1, width) of each.

        `known` (tokens, start) is there already: what prompts share with its beginning is copied.
        """
        index, starts, lengths = (
            upload(np.array(values, np.int64), self.device)
            for values in zip(*((i, start, len(tokens)) for i, tokens, start in prompts), strict=True)
        )
        self.state.prompts.start[index] = starts.int()
        self.state.prompts.length[index] = lengths.int()
        texts = [prefill.Text(tokens, start) for _, tokens, start in prompts]
        source = None if known is None else prefill.Text(*known)
        return prefill.last_of_alike(self.weights, texts, self.state.pools, self.tiles, self.ops, source)

    def place(
        self,
        kept: NDArray[np.int64],
        new: NDArray[np.int32],
        last: list[torch.Tensor],
        order: NDArray[np.int64],
    ) -> None:
        """Rows of the next steps: those at the indices `kept` of the present ones and `new`, in this order.

        ``new`` (8, n) has the fields of `Rows`, and ``last`` the residual streams that their first tokens are
        drawn from, n rows in all.
        """
        started = Rows(upload(new, self.device))
        if len(started):
            space = Space(self.weights, self.tiles, len(started), 0, self.filters)
            space.x = torch.cat(last)
            state = replace(self.state, rows=started)
            choose(self.weights, state, space, self.tiles, self.filters, self.ops)
        present, count = len(self.state.rows), len(kept) + len(started)
        size = next((b for b in BUCKETS if count <= b < self.sizes.slots), self.sizes.slots)
        source = np.full(size, -1, np.int32)
        source[:count] = np.concatenate([kept, present + np.arange(len(started))])[order]
        rows = Rows.empty(size, self.device)
        self.ops.compact(self.state.rows, started, upload(source, self.device), rows)
        if size in self._rows:
            self._rows[size].table.copy_(rows.table)  # where a captured step looks for them
        else:
            self._rows[size] = rows
            self._spaces[size] = Space(self.weights, self.tiles, size, self.splits, self.filters)
        self.state = replace(self.state, rows=self._rows[size])

    def tile(self, prompts: NDArray[np.int64]) -> None:
        """Tiles for rows whose prompts are these."""
        size, height = len(self.state.rows), self.tiles.prefix_rows(self.weights.shape)
        counts = np.unique(prompts, return_counts=True)[1]
        needed = int((-(-counts // height)).sum())
        room = max(1 << (needed - 1).bit_length(), -(-size // height))
        new = Blocks.of(prompts.tolist(), height, room, "cpu")
        if (size, room) not in self._blocks:
            self._blocks[size, room] = Blocks.of([], height, room, self.device)
        blocks = self._blocks[size, room]
        for to, values in ((blocks.prompt, new.prompt), (blocks.first, new.first), (blocks.count, new.count)):
            to.copy_(upload(values.numpy(), self.device))
        self.state = replace(self.state, blocks=blocks)

    def launch(self, steps: int, seen: NDArray[np.int64], width: int) -> Window:
        """Take some steps, then send the rows' tokens from the positions `seen` on, `width` of each."""
        for _ in range(steps):
            self._step()
        state, count = self.state, len(seen)
        rows = state.rows
        at = upload(seen, self.device)[:, None] + torch.arange(width, device=self.device)
        where = rows.slot[:count, None].long(), at.clamp(max=self.sizes.max_tokens - 1)
        drawn = state.tokens[where], *(t[where].view(torch.int32) for t in (state.raw, state.processed))
        found = torch.cat([rows.done[:count, None], rows.position[:count, None], *drawn], 1)
        if self.device.type != "cuda":
            return Window(found, None, width)
        copied = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        copied.copy_(found, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return Window(copied, arrived, width)

    def _step(self) -> None:
        """One token for every row; on a GPU, kernels are captured at the second step of each size."""
        key = len(self.state.rows), len(self.state.blocks.count)
        if self._side is None or key not in self._warm:
            self._run()
            self._warm.add(key)
            return
        if key not in self._graphs:
            self._graphs[key] = self._captured(self._side)
        self._graphs[key].replay()

    def _captured(self, side: Any) -> Any:
        """The step as a CUDA graph; other threads' use of the device goes on meanwhile."""
        graph = torch.cuda.CUDAGraph()
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                self._run()
            finally:
                graph.capture_end()
        return graph

    def _run(self) -> None:
        space = self._spaces[len(self.state.rows)]
        step(self.weights, self.state, space, self.tiles, self.filters, self.ops)


def _suffix(weights: Weights, results: tuple[int, int], fp8: bool) -> Cache:
    """One layer's cache for (slots, max_tokens)."""
    like, (slots, positions) = weights.embedding, results
    size = (slots, weights.shape.kv_heads, positions, weights.shape.head_dim)
    dtype = torch.float8_e4m3fn if fp8 else like.dtype
    k, v = (like.new_empty(size, dtype=dtype) for _ in range(2))
    if not fp8:
        return Cache(k, v)
    return Cache(k, v, *(like.new_empty(size[:3], dtype=torch.float32) for _ in range(2)))
