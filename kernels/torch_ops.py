"""`Operations` in plain PyTorch: what the kernels are held to, and what runs where there is no GPU.

Every function is the formula of `ops.Operations`, with no thought of speed. Some wait for the device.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from t2fast.kernels import choice, rng
from t2fast.kernels.batch import Blocks, Cache, Draw, Prompts, Rows
from t2fast.kernels.model import Linear, Norm, Shape, Tiles

CAPTURED = False
_FP8_MAX = torch.finfo(torch.float8_e4m3fn).max


def embed(
    rows: Rows,
    prompts: Prompts,
    table: torch.Tensor,
    positions: torch.Tensor | None,
    x: torch.Tensor,
    shape: Shape,
) -> None:
    """As `Operations.embed`."""
    x.copy_(table[rows.token.long()])
    x *= shape.embedding_scale
    if positions is not None:
        x += positions[(rows.position.long() - 1 + prompts.length[rows.prompt.long()]).clamp(min=0)]


def norm(x: torch.Tensor, norm: Norm | None, out: torch.Tensor, shape: Shape) -> None:
    """As `Operations.norm`."""
    out.copy_(x if norm is None else _norm(x, norm, shape))


def add(branch: torch.Tensor, norm: Norm, x: torch.Tensor, shape: Shape) -> None:
    """As `Operations.add`."""
    x += shape.residual_scale * _norm(branch, norm, shape)


def qkv(
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
    """As `Operations.qkv`."""
    d = shape.head_dim
    out = _linear(x, linear.weight, linear.bias)
    parts = out.split([shape.heads * d, shape.kv_heads * d, shape.kv_heads * d], dim=1)
    query, key, value = (part.unflatten(1, (-1, d)) for part in parts)
    if head_norm is not None:
        query, key = _norm_heads(query, key, head_norm, shape)
    index = rows.position.long() - 1
    at = index + prompts.length[rows.prompt.long()]
    cos, sin = rotation[:, at.clamp(min=0), None]
    q.copy_(_rotated(query, cos, sin))
    living = rows.slot >= 0
    slot, index = rows.slot[living].long(), index[living]
    for new, stored, scales in (
        (_rotated(key, cos, sin), cache.k, cache.k_scale),
        (value, cache.v, cache.v_scale),
    ):
        own = new[living]
        if scales is not None:
            scale = own.abs().amax(-1) / _FP8_MAX
            scale = torch.where(scale > 0, scale, 1.0)
            scales[slot, :, index] = scale
            own = own / scale[..., None]
        stored[slot, :, index] = own.to(stored.dtype)


def prefix_attention(
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
    """As `Operations.prefix_attention`."""
    for prompt, first, count in zip(
        *(t.tolist() for t in (blocks.prompt, blocks.first, blocks.count)), strict=True
    ):
        start, length = int(prompts.start[prompt]), int(prompts.length[prompt])
        some = slice(first, first + count)
        newest = rows.position[some].long() - 1 + length - (shape.window or length)
        for split, begin in enumerate(range(0, length, tiles.split) if count else ()):
            at = torch.arange(begin, min(begin + tiles.split, length), device=q.device)
            k, v = (t[:, start + at].float().repeat_interleave(shape.group, 0) for t in (cache.k, cache.v))
            scores = _scores("rhd,hnd->rhn", q[some], k, shape)
            if shape.window is not None:
                scores.masked_fill_((at <= newest[:, None])[:, None], -math.inf)
            lse[split, some] = scores.logsumexp(-1)
            out[split, some] = torch.einsum("rhn,hnd->rhd", scores.softmax(-1).nan_to_num(), v)


def suffix_attention(
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
    """As `Operations.suffix_attention`."""
    for row in range(len(rows)):
        slot, length = int(rows.slot[row]), int(rows.position[row])
        if slot < 0:
            out[row] = 0
            continue
        oldest = max(length - (shape.window or length), 0)
        k, v = (
            (stored[slot, :, oldest:length].float() * (1 if s is None else s[slot, :, oldest:length, None]))
            .repeat_interleave(shape.group, 0)
            for stored, s in ((cache.k, cache.k_scale), (cache.v, cache.v_scale))
        )  # fmt: skip
        scores = _scores("hd,hnd->hn", q[row], k, shape)
        own = torch.einsum("hn,hnd->hd", scores.softmax(-1), v)
        splits = -(-int(prompts.length[int(rows.prompt[row])]) // tiles.split)
        parts = torch.cat([own[None], prefix_out[:splits, row]])
        weights = torch.cat([scores.logsumexp(-1)[None], prefix_lse[:splits, row]]).softmax(0).nan_to_num()
        out[row] = (weights[..., None] * parts).sum(0).flatten()


def prompt_attention(
    q: torch.Tensor,
    cache: Cache,
    rows: Rows,
    prompts: Prompts,
    blocks: Blocks,
    out: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
) -> None:
    """As `Operations.prompt_attention`."""
    for prompt in rows.prompt.unique().tolist():
        own = rows.prompt == prompt
        at = rows.position[own].long()[:, None]
        n = torch.arange(int(prompts.start[prompt]), int(at.max()), device=q.device)
        k, v = (t[:, n].float().repeat_interleave(shape.group, 0) for t in (cache.k, cache.v))
        scores = _scores("rhd,hnd->rhn", q[own], k, shape)
        hidden = (n >= at) | (n < at - (shape.window or int(at.max())))
        p = scores.masked_fill(hidden[:, None], -math.inf).softmax(-1)
        out[own] = torch.einsum("rhn,hnd->rhd", p, v).flatten(1).to(out.dtype)


def project(
    x: torch.Tensor, linear: Linear, residual: torch.Tensor, tiles: Tiles, scale: float = 1.0
) -> None:
    """As `Operations.project`."""
    residual += scale * _linear(x, linear.weight, linear.bias)


def hidden(
    x: torch.Tensor,
    gate: Linear | None,
    up: Linear,
    out: torch.Tensor,
    shape: Shape,
    tiles: Tiles,
) -> None:
    """As `Operations.hidden`."""
    value = _linear(x, up.weight, up.bias)
    if gate is not None:
        opened = _linear(x, gate.weight, gate.bias)
        value *= F.silu(opened) if shape.activation == "swiglu" else F.gelu(opened, approximate="tanh")
    else:
        value = F.gelu(value, approximate="tanh" if shape.activation == "gelu_tanh" else "none")
    out.copy_(value)


def draw(
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
    """As `Operations.draw`."""
    z = torch.empty(len(rows), shape.vocab, device=x.device)
    logits(x, linear, z, shape, tiles)
    scaled = score = z
    if not greedy:
        scaled = z / temperature
        noise = torch.empty_like(z)
        gumbel(rows.key_low, rows.key_high, rows.sample, rows.position, noise)
        score = scaled + noise
    token = score.nan_to_num(-math.inf, math.inf, -math.inf).argmax(1, keepdim=True)
    out.token.copy_(token[:, 0])
    out.raw.copy_(z.double().log_softmax(1).gather(1, token)[:, 0])
    out.processed.copy_(0 if greedy else scaled.double().log_softmax(1).gather(1, token)[:, 0])


def logits(x: torch.Tensor, linear: Linear, out: torch.Tensor, shape: Shape, tiles: Tiles) -> None:
    """As `Operations.logits`."""
    bias = None if linear.bias is None else linear.bias[: shape.vocab]
    out.copy_(_capped(_linear(x, linear.weight[: shape.vocab], bias), shape.logit_cap))


def choose(
    logits: torch.Tensor,
    rows: Rows,
    temperature: torch.Tensor,
    top_k: int,
    top_p: float,
    min_p: float,
    out: Draw,
) -> None:
    """As `Operations.choose`, row by row with numpy's `choice.choose`."""
    for row, values in enumerate(logits.cpu().numpy()):
        drawn = choice.choose(
            values,
            _key(rows.key_low[row], rows.key_high[row]),
            int(rows.sample[row]),
            int(rows.position[row]),
            temperature=float(temperature),
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
        )
        out.token[row], out.raw[row], out.processed[row] = drawn.id, drawn.logprob, drawn.processed


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
    living = (rows.slot >= 0) & (rows.done == 0)
    at = rows.slot[living].long(), rows.position[living].long()
    new = draw.token[living]
    tokens[at], raw[at], processed[at] = new, draw.raw[living], draw.processed[living]
    rows.token[living] = new
    rows.position[living] += 1
    ends = torch.isin(new, stop_tokens) | (rows.position[living] >= limit)
    rows.done[living] = ends.int()


def compact(rows: Rows, new: Rows, source: torch.Tensor, out: Rows) -> None:
    """As `Operations.compact`."""
    nothing = Rows.empty(1, out.table.device).table
    out.table.copy_(torch.cat([rows.table, new.table, nothing], 1)[:, source.long()])


def gumbel(
    key_low: torch.Tensor,
    key_high: torch.Tensor,
    sample: torch.Tensor,
    position: torch.Tensor,
    out: torch.Tensor,
) -> None:
    """Gumbel noise of int32 (R,) keys, samples and positions for every vocabulary entry: out (R, vocab)."""
    for row in range(len(out)):
        key = _key(key_low[row], key_high[row])
        drawn = rng.gumbel(key, int(sample[row]), int(position[row]), out.shape[1])
        out[row] = torch.from_numpy(drawn)


def _key(low: torch.Tensor, high: torch.Tensor) -> int:
    return (int(high) & 0xFFFFFFFF) << 32 | int(low) & 0xFFFFFFFF


def _norm(x: torch.Tensor, norm: Norm, shape: Shape) -> torch.Tensor:
    """The norm of float32 rows."""
    if shape.layer_norm:
        return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, shape.eps)
    return F.rms_norm(x, x.shape[-1:], norm.weight, shape.eps)


def _scores(form: str, q: torch.Tensor, k: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Scaled and capped products of queries and keys."""
    return _capped(torch.einsum(form, q.float(), k) * shape.scale, shape.attention_cap)


def _capped(x: torch.Tensor, cap: float | None) -> torch.Tensor:
    return x if cap is None else cap * torch.tanh(x / cap)


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """W x + b, summed in float32."""
    return F.linear(x.float(), weight.float(), bias)


def _norm_heads(
    q: torch.Tensor, k: torch.Tensor, norm: Norm, shape: Shape
) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys (n, heads, head_dim) normalised, each head by itself or all as one row."""
    if shape.head_norm == "own":
        plain = Norm(torch.ones(q.shape[2], device=q.device))
        parts = norm.weight.unflatten(0, (-1, q.shape[2])).split([q.shape[1], k.shape[1]])
        return _norm(q, plain, shape) * parts[0], _norm(k, plain, shape) * parts[1]
    by_head = shape.head_norm == "head"
    sizes = [t.shape[2] if by_head else t.shape[1] * t.shape[2] for t in (q, k)]
    biases = (None, None) if norm.bias is None else norm.bias.split(sizes)
    out = []
    for t, weight, bias in zip((q, k), norm.weight.split(sizes), biases, strict=True):
        rows = t if by_head else t.flatten(1)
        out.append(_norm(rows, Norm(weight, bias), shape).view(t.shape))
    return out[0], out[1]


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """RoPE on the pairs (i, i + d/2) of the last axis."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
