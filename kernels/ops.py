"""The operations of a step and of reading a prompt: what each takes, and what it leaves.

`triton_ops` has them as kernels, `torch_ops` in plain PyTorch; both modules are `Operations`. Results go to
tensors that are given. Vectors over rows are int32; the residual stream is float32 (R, width). Products take
their inputs x (R, n), the stream's norm among them, in the weights' type.
"""

from __future__ import annotations

from typing import Protocol

import torch
from t2fast.kernels.batch import Blocks, Cache, Draw, Prompts, Rows
from t2fast.kernels.model import Linear, Norm, Shape, Tiles


class Operations(Protocol):
    """One token for every row, operation by operation."""

    CAPTURED: bool
    """Whether nothing waits for the device or allocates, so that a step may become a CUDA graph."""

    def embed(
        self,
        rows: Rows,
        prompts: Prompts,
        table: torch.Tensor,
        positions: torch.Tensor | None,
        x: torch.Tensor,
        shape: Shape,
    ) -> None:
        """x = embedding_scale · table[token] + positions[position in the sequence], where there are any.

        table: (vocabulary, width); positions: float32 (positions, width).
        """

    def norm(self, x: torch.Tensor, norm: Norm | None, out: torch.Tensor, shape: Shape) -> None:
        """out = norm(x), (R, width) in the weights' type: RMSNorm, or LayerNorm where the model has that.

        Without a norm, x itself.
        """

    def add(self, branch: torch.Tensor, norm: Norm, x: torch.Tensor, shape: Shape) -> None:
        """x += residual_scale · norm(branch), in place; both float32 (R, width)."""

    def qkv(
        self,
        x: torch.Tensor,
        linear: Linear,
        head_norm: Norm | None,
        rotation: torch.Tensor,
        rows: Rows,
        prompts: Prompts,
        q: torch.Tensor,
        cache: Cache,
        raw: torch.Tensor,
        shape: Shape,
        tiles: Tiles,
    ) -> None:
        """Queries of every row, and its key and value at the end of its own cache.

        (q, k, v) = W x + b; heads of q and k are normalised where the model says so and turned by RoPE
        to position ``prompt length + position − 1``. Written: q (R, heads, head_dim) and, for rows that have
        a slot, entry ``[slot, kv_head, position − 1]`` of their cache. raw: float32
        (R, (heads + 2 kv_heads) · head_dim), room for products that wait for a norm of all heads.
        """

    def prefix_attention(
        self,
        q: torch.Tensor,
        cache: Cache,
        rows: Rows,
        prompts: Prompts,
        blocks: Blocks,
        out: torch.Tensor,
        lse: torch.Tensor,
        shape: Shape,
        tiles: Tiles,
    ) -> None:
        """Attention to each split of the prompt, with what is needed to join the splits.

        For split s, positions s · split … of the prompt: ``out[s]`` = Σ softmax(z) v, float32
        (splits, R, heads, head_dim), and ``lse[s]`` = log Σ exp(z), (splits, R, heads), −∞ where the
        window hides the whole split; z = scale · q·k, capped where the model does. Splits past a prompt's
        end are not written. cache: the pool.
        """

    def suffix_attention(
        self,
        q: torch.Tensor,
        cache: Cache,
        rows: Rows,
        prompts: Prompts,
        prefix_out: torch.Tensor,
        prefix_lse: torch.Tensor,
        out: torch.Tensor,
        shape: Shape,
        tiles: Tiles,
    ) -> None:
        """Attention to prompt and suffix: out (R, heads · head_dim).

        A row sees the first ``position`` entries of its slot, its current token the last of them. With the
        parts j (the suffix and the prompt's splits): out = Σ_j exp(lse_j) out_j / Σ_j exp(lse_j), which is
        attention over all of them at once. Rows without a slot become zero. An fp8 cache is multiplied in
        q's type; its scales act on scores and weights.
        """

    def prompt_attention(
        self,
        q: torch.Tensor,
        cache: Cache,
        rows: Rows,
        prompts: Prompts,
        blocks: Blocks,
        out: torch.Tensor,
        shape: Shape,
        tiles: Tiles,
    ) -> None:
        """Attention of a prompt's tokens to those before them: out (R, heads · head_dim).

        Rows are tokens here: a row sees the entries ``prompts.start`` … ``position − 1`` of the pool, its own
        the last of them, as far as the window reaches.
        """

    def project(
        self, x: torch.Tensor, linear: Linear, residual: torch.Tensor, tiles: Tiles, scale: float = 1.0
    ) -> None:
        """residual += scale · (W x + b), in place: W (m, n), residual float32 (R, m)."""

    def hidden(
        self,
        x: torch.Tensor,
        gate: Linear | None,
        up: Linear,
        out: torch.Tensor,
        shape: Shape,
        tiles: Tiles,
    ) -> None:
        """SiLU or GELU of G x + g, times (U x + u), or GELU(U x + u): out (R, hidden)."""

    def draw(
        self,
        x: torch.Tensor,
        linear: Linear,
        rows: Rows,
        temperature: torch.Tensor,
        out: Draw,
        parts: torch.Tensor,
        shape: Shape,
        tiles: Tiles,
        *,
        greedy: bool = False,
    ) -> None:
        """Draw a token for each row from softmax(z / T), z = W x + b over the first `vocab` outputs.

        z is capped where the model does. token = argmax(z / T + g), with Gumbel noise g of (key, sample,
        position, token); `greedy`: argmax z. Equal scores go to the lower id. ``raw`` = z_token −
        log Σ exp(z); ``processed`` = z_token / T − log Σ exp(z / T), or 0 if greedy. temperature: float32
        (1,), a tensor so that a captured graph can change it. parts: float32 (5, vocabulary tiles, R), room
        for what the tiles leave. A NaN among the logits is never drawn, and makes the log-probabilities NaN.
        """

    def logits(self, x: torch.Tensor, linear: Linear, out: torch.Tensor, shape: Shape, tiles: Tiles) -> None:
        """W x + b over the first `vocab` outputs, capped, for filters: out float32 (R, vocab)."""

    def choose(
        self,
        logits: torch.Tensor,
        rows: Rows,
        temperature: torch.Tensor,
        top_k: int,
        top_p: float,
        min_p: float,
        out: Draw,
    ) -> None:
        """Draw a token for each row of logits (R, vocab) from what filters leave.

        As `draw`, with the noise's argmax over the tokens that stay: the `top_k` most probable (0: all); of
        their renormalised mass the fewest that reach `top_p`; those with at least `min_p` times the largest
        probability. Equal logits rank by id.
        """

    def advance(
        self,
        rows: Rows,
        draw: Draw,
        limit: torch.Tensor,
        stop_tokens: torch.Tensor,
        tokens: torch.Tensor,
        raw: torch.Tensor,
        processed: torch.Tensor,
    ) -> None:
        """Record each row's draw at ``[slot, position]`` of the results (slots, positions); move the row on.

        A row is done after a stop token (int32 (n,); −1 is none) and after ``limit`` tokens, int32 (1,). Rows
        that are done or have no slot stay as they are.
        """

    def compact(self, rows: Rows, new: Rows, source: torch.Tensor, out: Rows) -> None:
        """Row i of `out` is row ``source[i]`` of `rows` followed by `new`, and empty where it is −1.

        source: int32 (len(out),). `out` is neither of the others.
        """
