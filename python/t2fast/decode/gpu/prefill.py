"""Prompts on a GPU: read once, each by itself, in plain PyTorch; and the likelihoods that need nothing else.

A prompt's keys and values depend on nothing but the prompt. Products take the weights' type and give it back;
norms, rotation, softmax and the residual stream are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from t2fast.kernels.layout import Cache, Layer, Linear, Shape, Tiles, Weights
from t2fast.kernels.primitives import naive_norm
from t2fast.kernels.qkv import norm_heads, rotated

CHUNK = 1024
"""Positions read together."""
_LOGITS = 256
"""Positions whose logits are held at a time."""


def upload(values: NDArray[Any], device: torch.device) -> torch.Tensor:
    """The array on the device, without waiting for what runs there."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def room(weights: Weights, positions: int) -> list[Cache]:
    """Per layer, a pool for the keys and values of `positions` positions."""
    shape, like = weights.shape, weights.embedding
    size = (shape.kv_heads, positions, shape.head_dim)
    return [Cache(like.new_empty(size), like.new_empty(size)) for _ in range(shape.layers)]


def view(pools: Sequence[Cache], start: int, length: int) -> list[Cache]:
    """A stretch of a pool."""
    part = slice(start, start + length)
    return [Cache(pool.k[:, part], pool.v[:, part]) for pool in pools]


def read(weights: Weights, tokens: Sequence[int], caches: Sequence[Cache], first: int = 0) -> torch.Tensor:
    """Read `tokens` at positions `first` …, after what the caches hold of the positions before.

    Writes their keys and values. Returns the residual stream after the last layer, float32
    (len(tokens), width).
    """
    out = []
    for at in range(0, len(tokens), CHUNK):
        part = upload(np.array(tokens[at : at + CHUNK]), weights.embedding.device)
        x = weights.embedding[part].float()
        for layer, cache in zip(weights.layers, caches, strict=True):
            attended = _attention(weights, layer, x, cache, first + at)
            if weights.shape.parallel:
                x = x + attended + _feed_forward(layer, x, weights.shape)
            else:
                x = x + attended
                x = x + _feed_forward(layer, x, weights.shape)
        out.append(x)
    return torch.cat(out) if len(out) > 1 else out[0]


def logits(weights: Weights, tokens: Sequence[int], tiles: Tiles, ops: SimpleNamespace) -> torch.Tensor:
    """Logits after every token, float32 (len(tokens), vocab) on the host."""
    x = read(weights, tokens, room(weights, len(tokens)))
    return torch.cat([_logits(weights, part, tiles, ops).cpu() for part in x.split(_LOGITS)])


def score(
    weights: Weights,
    prompt: Sequence[int],
    answers: Sequence[Sequence[int]],
    tiles: Tiles,
    ops: SimpleNamespace,
) -> list[torch.Tensor]:
    """Log-probability of each token of each answer after the prompt, float32, on the host.

    The prompt is read once; answers are read one by one, so that none depends on its neighbours.
    """
    if not any(answers):
        return [torch.empty(0) for _ in answers]
    longest = max(map(len, answers))
    caches = room(weights, len(prompt) + longest - 1)
    last = read(weights, prompt, caches)[-1:].clone()
    out = []
    for answer in answers:
        x = last[: len(answer)]
        if len(answer) > 1:
            x = torch.cat([last, read(weights, answer[:-1], caches, len(prompt))])
        targets = upload(np.array(answer, np.int64), x.device)
        found = [x.new_empty(0)]
        for some, own in zip(x.split(_LOGITS), targets.split(_LOGITS), strict=True):
            z = _logits(weights, some, tiles, ops)
            found.append(z.gather(1, own[:, None])[:, 0] - z.logsumexp(1))
        out.append(torch.cat(found).cpu())
    return out


def _logits(weights: Weights, x: torch.Tensor, tiles: Tiles, ops: SimpleNamespace) -> torch.Tensor:
    out = x.new_empty((len(x), weights.shape.vocab))
    ops.logits(x.contiguous(), weights.norm, weights.head, out, weights.shape, tiles)
    return out


def _linear(x: torch.Tensor, linear: Linear) -> torch.Tensor:
    out = F.linear(x.to(linear.weight.dtype), linear.weight).float()
    return out if linear.bias is None else out + linear.bias


def _attention(weights: Weights, layer: Layer, x: torch.Tensor, cache: Cache, first: int) -> torch.Tensor:
    """Attention's part of the residual stream; keys and values of x enter the cache at `first` …"""
    shape, n = weights.shape, len(x)
    heads = (shape.heads, shape.kv_heads, shape.kv_heads)
    parts = _linear(naive_norm(x, layer.attn_norm, shape), layer.qkv).split(
        [h * shape.head_dim for h in heads], 1
    )
    q, k, v = (part.unflatten(1, (-1, shape.head_dim)) for part in parts)
    if layer.head_norm is not None:
        q, k = norm_heads(q, k, layer.head_norm, shape)
    cos, sin = weights.rotation[:, first : first + n, None]
    end = first + n
    cache.k[:, first:end] = rotated(k, cos, sin).transpose(0, 1).to(cache.k.dtype)
    cache.v[:, first:end] = v.transpose(0, 1).to(cache.v.dtype)
    q = rotated(q, cos, sin).transpose(0, 1).to(cache.k.dtype)
    age = torch.arange(first, end, device=x.device)[:, None] - torch.arange(end, device=x.device)
    visible = (age >= 0) & (age < (shape.window or end))
    # Torch's fast attention with a mask knows no groups of heads.
    k, v = (stored[:, :end].repeat_interleave(shape.group, 0) for stored in (cache.k, cache.v))
    out = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=visible)
    return _linear(out[0].transpose(0, 1).flatten(1), layer.o)


def _feed_forward(layer: Layer, x: torch.Tensor, shape: Shape) -> torch.Tensor:
    x = naive_norm(x, layer.ffn_norm, shape)
    up = _linear(x, layer.up)
    if layer.gate is not None:
        return _linear(F.silu(_linear(x, layer.gate)) * up, layer.down)
    return _linear(F.gelu(up, approximate="tanh" if shape.activation == "gelu_tanh" else "none"), layer.down)
