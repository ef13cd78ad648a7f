"""The engine's oracle: the same models and the same sampling in plain PyTorch.

No cache, no batch, no kernels: every token is a full forward pass over one sequence. It defines what
another back end has to reproduce. `reference_files.load` reads Hugging Face folders and GGUF files into it.
Needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from t2fast.kernels.choice import Token, choose

Weights = dict[str, torch.Tensor]


@dataclass
class Spec:
    """Everything about a decoder that is not a weight."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    eps: float
    rotary_dim: int
    inv_freq: torch.Tensor
    rope_scale: float = 1.0
    interleaved: bool = False
    """Rotated pairs are (2i, 2i+1) rather than (i, i + rotary_dim / 2)."""
    layer_norm: bool = False
    """LayerNorm rather than RMSNorm."""
    parallel: bool = False
    """Attention and feed-forward both read the layer's input (GPT-NeoX)."""
    gelu: str | None = None
    """GELU variant (torch's `approximate`) of an ungated feed-forward block; None: SwiGLU."""
    windows: list[int | None] = field(default_factory=list)
    """Per layer, how many positions attention sees, itself included; empty: all."""


class Reference:
    """A model and its forward pass. Weights have the names of Hugging Face's Llama, whatever the family."""

    def __init__(self, spec: Spec, weights: Weights, dtype: torch.dtype = torch.float32):
        self.spec = spec
        self.weights = {name: w.to(dtype) for name, w in weights.items()}

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def _norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")
        if self.spec.layer_norm:
            return F.layer_norm(x, weight.shape, weight, bias, self.spec.eps)
        return F.rms_norm(x, weight.shape, weight, self.spec.eps)

    def _heads(self, x: torch.Tensor, norm: str) -> torch.Tensor:
        """(tokens, heads · d) to (heads, tokens, d), with the query or key norm if the model has one."""
        weight, d = self.weights.get(f"{norm}.weight"), self.spec.head_dim
        if weight is not None and weight.numel() != d:  # OpenLM: one norm over all heads
            x = self._norm(norm, x)
        x = x.view(len(x), -1, d)
        if weight is not None and weight.numel() == d:  # Qwen3: each head by itself
            x = self._norm(norm, x)
        return x.transpose(0, 1)

    def _rotate(self, x: torch.Tensor) -> torch.Tensor:
        """RoPE: coordinate pairs of the first `rotary_dim` coordinates turn by position · inv_freq."""
        spec, r = self.spec, self.spec.rotary_dim
        angle = torch.arange(x.shape[1]).double()[:, None] * spec.inv_freq.double()
        cos, sin = ((f(angle) * spec.rope_scale).to(x.dtype) for f in (torch.cos, torch.sin))
        head, rest = x[..., :r], x[..., r:]
        if spec.interleaved:
            a, b = head[..., 0::2], head[..., 1::2]
            head = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)
        else:
            a, b = head[..., : r // 2], head[..., r // 2 :]
            head = torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
        return torch.cat([head, rest], dim=-1)

    def _attention(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        spec, at = self.spec, f"layers.{layer}.self_attn"
        q = self._rotate(self._heads(self._linear(f"{at}.q_proj", x), f"{at}.q_norm"))
        k = self._rotate(self._heads(self._linear(f"{at}.k_proj", x), f"{at}.k_norm"))
        v = self._heads(self._linear(f"{at}.v_proj", x), "")
        k, v = (t.repeat_interleave(spec.heads // spec.kv_heads, dim=0) for t in (k, v))
        age = torch.arange(len(x))[:, None] - torch.arange(len(x))
        window = spec.windows[layer] if spec.windows else None
        visible = (age >= 0) & (age < (window or len(x)))
        scores = (q @ k.transpose(1, 2) / math.sqrt(spec.head_dim)).masked_fill(~visible, -math.inf)
        return self._linear(f"{at}.o_proj", (scores.softmax(-1) @ v).transpose(0, 1).flatten(1))

    def _feed_forward(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        mlp = f"layers.{layer}.mlp"
        up = self._linear(f"{mlp}.up_proj", x)
        if self.spec.gelu is not None:
            return self._linear(f"{mlp}.down_proj", F.gelu(up, approximate=self.spec.gelu))
        return self._linear(f"{mlp}.down_proj", F.silu(self._linear(f"{mlp}.gate_proj", x)) * up)

    def logits(self, tokens: Sequence[int]) -> torch.Tensor:
        """Logits after each token, (len(tokens), vocab) in float32; row i predicts token i + 1."""
        x = self.weights["embed_tokens.weight"][torch.tensor(tokens)]
        for layer in range(self.spec.layers):
            before = f"layers.{layer}.input_layernorm"
            after = f"layers.{layer}.post_attention_layernorm"
            attended = x + self._attention(layer, self._norm(before, x))
            ffn_input = x if self.spec.parallel else attended
            x = attended + self._feed_forward(layer, self._norm(after, ffn_input))
        head = "lm_head" if "lm_head.weight" in self.weights else "embed_tokens"
        return self._linear(head, self._norm("norm", x))[:, : self.spec.vocab].float()

    def score(self, prompt: Sequence[int], answer: Sequence[int]) -> list[float]:
        """Log-probability of each token of `answer` after `prompt` and the answer's earlier tokens."""
        rows = self.logits([*prompt, *answer])[len(prompt) - 1 : -1].double().log_softmax(-1)
        return [float(row[token]) for row, token in zip(rows, answer, strict=True)]

    def sample(
        self,
        prompt: Sequence[int],
        key: int,
        sample: int,
        *,
        max_tokens: int,
        stop_tokens: Sequence[int] = (),
        **filters: float,
    ) -> list[Token]:
        """Sample `sample` of the problem with Philox key `key`; ends after a stop token, which is kept."""
        drawn: list[Token] = []
        while len(drawn) < max_tokens and not (drawn and drawn[-1].id in stop_tokens):
            row = self.logits([*prompt, *(t.id for t in drawn)])[-1].numpy()
            drawn.append(choose(row, key, sample, len(drawn), **filters))
        return drawn
