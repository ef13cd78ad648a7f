"""Floating-point operations of training and of answering queries: by parameters alone, or layer by layer.

Which parameters are counted is explicit. `n_params` of the simple rules is whatever the law was fitted with;
an `Architecture` counts the weights of its matrices with or without the embedding and the head: Kaplan et al.
2020 take neither, Porian et al. 2024 the head, Hoffmann et al. 2022 both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.compute import sample_flops

Floats: TypeAlias = npt.NDArray[np.float64]
Number: TypeAlias = "float | Floats"


def query_flops(n_params: Number, prompt_tokens: Number, output_tokens: Number, k: Number) -> Number:
    """2 N (P + k T): a prompt of P tokens is read once, then k samples of T tokens are written.

    Args:
        n_params: N.
        prompt_tokens: P.
        output_tokens: T, of one sample.
        k: samples.

    Returns:
        FLOPs.
    """
    return sample_flops(n_params, prompt_tokens + k * output_tokens)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Architecture:
    """A decoder-only transformer.

    Attributes:
        layers: blocks.
        width: of the residual stream.
        hidden: of the feed-forward part.
        vocab: tokens there are.
        heads: query heads.
        head_dim: of each.
        kv_heads: key and value heads; as many as `heads` if not given.
        gated: whether the feed-forward part has a gate (three matrices) or not (two).
        tied: whether the head's weights are the embedding's.
    """

    layers: int
    width: int
    hidden: int
    vocab: int
    heads: int
    head_dim: int
    kv_heads: int | None = None
    gated: bool = True
    tied: bool = False

    @property
    def block_params(self) -> int:
        """Weights of the blocks' matrices: attention and feed-forward."""
        query, key = self.heads * self.head_dim, (self.kv_heads or self.heads) * self.head_dim
        attention = self.width * (2 * query + 2 * key)
        return self.layers * (attention + (3 if self.gated else 2) * self.width * self.hidden)

    def n_params(self, *, embedding: bool = True, head: bool = True) -> int:
        """Weights of the blocks, and if asked for of the embedding and of the head (one matrix where
        tied).
        """
        matrices = embedding + head - (self.tied and embedding and head)
        return self.block_params + matrices * self.vocab * self.width

    def forward_flops(
        self,
        tokens: Number,
        context: Number = 0.0,
        *,
        attention: Literal["causal", "full", "none"] = "causal",
    ) -> Number:
        """Operations to read `tokens` tokens after `context` others, the head among them.

        Two a weight of the blocks and of the head, and for attention four a position looked at, query head
        and its dimension (scores and their sum). A token looks at itself and all before it ("causal"); "full"
        counts all positions for each, as Hoffmann et al. 2022 (appendix F) do, without their softmax. The
        embedding is a look-up and costs nothing.
        """
        linear = 2.0 * (self.block_params + self.vocab * self.width) * tokens
        seen = {
            "causal": tokens * context + tokens * (tokens + 1) / 2,
            "full": tokens * (context + tokens),
            "none": 0.0 * tokens,
        }[attention]
        return linear + 4.0 * self.layers * self.heads * self.head_dim * seen

    def train_flops(
        self, n_tokens: Number, sequence: int, *, attention: Literal["causal", "full", "none"] = "causal"
    ) -> Number:
        """Three times the forward pass over sequences of so many tokens: backwards costs twice as much."""
        return 3.0 * self.forward_flops(float(sequence), attention=attention) * (n_tokens / sequence)

    def query_flops(self, prompt_tokens: Number, output_tokens: Number, k: Number) -> Number:
        """A prompt read once, then k samples after it, attention included."""
        sample = self.forward_flops(output_tokens, prompt_tokens)
        return self.forward_flops(prompt_tokens) + k * sample
