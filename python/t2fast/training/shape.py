"""The shape of a model to train, and how many parameters that is."""

from __future__ import annotations

from dataclasses import dataclass

FAMILIES = ("open_lm", "llama", "qwen3")
"""OpenLM as in the T² paper; Llama; Qwen3, which is Llama with norms of queries and keys."""


@dataclass(frozen=True)
class Shape:
    """A decoder-only transformer: RoPE, SwiGLU, norms before each half of a layer, no biases.

    `open_lm` has LayerNorms with a gain, of queries and keys over all heads, too, and a feed-forward width
    of 8/3 of the width rounded up to a multiple of 256, which is much for a small model. `llama` has RMSNorms
    and none of queries and keys; `qwen3` has those too, a head at a time.

    Attributes:
        family: of `FAMILIES`.
        width: of the residual stream.
        layers: of attention and feed-forward.
        heads: of attention; they divide the width, and each has an even number of coordinates.
        vocab: tokens.
        context: most tokens that are read at once.
        tied: whether the output shares the embedding's matrix.
    """

    family: str
    width: int
    layers: int
    heads: int
    vocab: int
    context: int = 64
    tied: bool = True

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"no family {self.family!r} to train; there are {', '.join(FAMILIES)}")
        for name in ("width", "layers", "heads", "vocab", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} does not divide into {self.heads} heads of an even number of coordinates"
            )

    @property
    def hidden(self) -> int:
        """The feed-forward layers' width."""
        step = 256 if self.family == "open_lm" else 8
        return -(-8 * self.width // (3 * step)) * step

    @property
    def head_dim(self) -> int:
        """Coordinates of a head."""
        return self.width // self.heads

    @property
    def n_params(self) -> int:
        """N: every weight, a tied output counted once, as the engine counts them."""
        norms = {
            "open_lm": 4 * self.width,
            "llama": 2 * self.width,
            "qwen3": 2 * (self.width + self.head_dim),
        }
        layer = 4 * self.width**2 + 3 * self.width * self.hidden + norms[self.family]
        ends = self.vocab * self.width * (1 if self.tied else 2) + self.width
        return self.layers * layer + ends
