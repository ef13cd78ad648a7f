"""The model that is trained: a decoder-only transformer in plain PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2fast.training.shape import Shape

EPSILON = 1e-5
ROPE_BASE = 10_000.0


class Transformer(nn.Module):
    """Tokens in, logits of the next token out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.n_params = shape.n_params
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = _norm(shape, shape.width)
        self.output = nn.Linear(shape.width, shape.vocab, bias=False)
        if shape.tied:
            self.output.weight = self.embedding.weight
        angles = torch.outer(torch.arange(shape.context), _frequencies(shape.head_dim))
        self.register_buffer("cos", angles.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", angles.sin().repeat(1, 2), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, (rows, positions, vocabulary), for tokens, (rows, positions)."""
        x = self.embedding(tokens)
        turn = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, turn)
        return self.output(self.norm(x))

    def initialise(self, seed: int) -> None:
        """Normal weights of variance 1 over the inputs; what writes to the residual stream less, by depth.

        A function of the seed and the shape alone.
        """
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() == 1:
                nn.init.ones_(weight)
                continue
            spread = weight.shape[1] ** -0.5
            if name.endswith(("attention.out.weight", "feed_forward.down.weight")):
                spread *= (2 * len(self.layers)) ** -0.5
            values = torch.randn(weight.shape, generator=generator) * spread
            with torch.no_grad():
                weight.copy_(values)


class Layer(nn.Module):
    """Attention, then the feed-forward half, each on its own norm of the residual stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = _norm(shape, shape.width)
        self.attention = Attention(shape)
        self.feed_forward_norm = _norm(shape, shape.width)
        self.feed_forward = FeedForward(shape)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """The stream after this layer."""
        x = x + self.attention(self.attention_norm(x), turn)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Attention(nn.Module):
    """Causal attention of several heads, rotated by position."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        # Norms keep attention's logits small: over all heads at once in OpenLM, a head at a time in Qwen3.
        self.whole = shape.family == "open_lm"
        length = {"open_lm": shape.width, "qwen3": shape.head_dim}.get(shape.family)
        self.q_norm = nn.Identity() if length is None else _norm(shape, length)
        self.k_norm = nn.Identity() if length is None else _norm(shape, length)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """What the heads read."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.whole:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (part.unflatten(-1, (self.heads, -1)) for part in (q, k, v))
        if not self.whole:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(_rotate(q, *turn), _rotate(k, *turn), v, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU: SiLU of one projection gates another."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_up = nn.Linear(shape.width, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Position by position."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


def _norm(shape: Shape, length: int) -> nn.Module:
    if shape.family == "open_lm":
        return nn.LayerNorm(length, eps=EPSILON, bias=False)
    return nn.RMSNorm(length, eps=EPSILON)


def _frequencies(head_dim: int) -> Tensor:
    return ROPE_BASE ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn coordinate i and i + half of every head by the position's angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
