"""Prompts on a GPU: read together, and the likelihoods that need nothing else.

Tokens of prompts are rows of the kernels that rows of samples go through, so a prompt's keys and values
depend on nothing but the prompt: not on what is read beside it, nor on where it is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from t2fast.kernels import step
from t2fast.kernels.batch import Blocks, Cache, Prompts, Rows, upload
from t2fast.kernels.model import Tiles, Weights
from t2fast.kernels.ops import Operations

CHUNK = 1024
"""Tokens read together."""
SHARED = 32
"""Tokens from which on the beginning that two prompts share is copied and not read again."""
_LOGITS = 256
"""Positions whose logits are held at a time."""


@dataclass(frozen=True)
class Text:
    """Tokens to read."""

    tokens: Sequence[int]
    start: int
    """Where the keys and values of its prompt begin in the pool."""
    first: int = 0
    """Positions of the prompt that are read already."""


def room(weights: Weights, positions: int) -> list[Cache]:
    """Per layer, a pool for the keys and values of `positions` positions."""
    shape, like = weights.shape, weights.embedding
    size = (shape.kv_heads, positions, shape.head_dim)
    return [Cache(like.new_empty(size), like.new_empty(size)) for _ in range(shape.layers)]


def read(
    weights: Weights, texts: Sequence[Text], pools: Sequence[Cache], tiles: Tiles, ops: Operations
) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
    """Read texts, none empty, some tokens at a time; their keys and values enter the pools.

    Yields for each pack which text every token is of, and the residual streams after the last layer, float32
    (tokens, width).
    """
    of = np.repeat(np.arange(len(texts)), [len(text.tokens) for text in texts])
    place = np.concatenate([text.start + text.first + np.arange(len(text.tokens)) for text in texts])
    tokens = np.concatenate([np.asarray(text.tokens) for text in texts])
    device = weights.embedding.device
    starts = np.array([text.start for text in texts], np.int32)
    prompts = Prompts(*upload(np.stack([starts, -starts]), device))
    for at in range(0, len(of), CHUNK):
        pack = slice(at, at + CHUNK)
        table = np.zeros((len(Rows.FIELDS), len(of[pack])), np.int32)
        for field, values in (("token", tokens), ("prompt", of), ("position", place + 1)):
            table[Rows.FIELDS.index(field)] = values[pack]
        rows = Rows(upload(table, device))
        blocks = Blocks.of(of[pack].tolist(), tiles.prefix_rows(weights.shape), None, device)
        space = step.Space(weights, tiles, len(rows), 0, None)
        step.read(weights, rows, prompts, blocks, pools, space, tiles, ops)
        yield of[pack], space.x


def last(
    weights: Weights, texts: Sequence[Text], pools: Sequence[Cache], tiles: Tiles, ops: Operations
) -> list[torch.Tensor]:
    """Read texts; the residual stream after the last token of each, float32 (1, width)."""
    found: dict[int, torch.Tensor] = {}
    for of, x in read(weights, texts, pools, tiles, ops):
        ends = np.flatnonzero(np.diff(of, append=-1))
        found |= zip(of[ends].tolist(), x[upload(ends, x.device)].split(1), strict=True)
    return [found[i] for i in range(len(texts))]


def last_of_alike(
    weights: Weights,
    texts: Sequence[Text],
    pools: Sequence[Cache],
    tiles: Tiles,
    ops: Operations,
    known: Text | None = None,
) -> list[torch.Tensor]:
    """As `last`, of prompts that may begin alike, as few-shot ones do.

    A beginning shared with `known`, which is in the pools, is copied from there; of the others, one shared
    with the first of them is read once.
    """
    left = copied(texts, known, pools) if known is not None else list(texts)
    fresh = [i for i, text in enumerate(left) if not text.first]
    ends: dict[int, torch.Tensor] = {}
    if any(_alike(left[fresh[0]].tokens, left[i].tokens) for i in fresh[1:]):
        lead, *others = fresh
        ends[lead] = last(weights, [left[lead]], pools, tiles, ops)[0]
        for i, text in zip(others, copied([left[i] for i in others], left[lead], pools), strict=True):
            left[i] = text
    rest = [i for i in range(len(left)) if i not in ends]
    if rest:
        found = last(weights, [left[i] for i in rest], pools, tiles, ops)
        ends |= zip(rest, found, strict=True)
    return [ends[i] for i in range(len(left))]


def copied(texts: Sequence[Text], known: Text, pools: Sequence[Cache]) -> list[Text]:
    """What is left to read of texts of which nothing is, once what they share with `known` is copied."""
    shared = [_alike(known.tokens, text.tokens) for text in texts]
    if any(shared):
        where = [text.start + np.arange(n) for text, n in zip(texts, shared, strict=True)]
        to, source = (
            upload(np.concatenate(places), pools[0].k.device)
            for places in (where, [known.start + np.arange(n) for n in shared])
        )
        for pool in pools:
            for values in (pool.k, pool.v):
                values[:, to] = values[:, source]
    return [replace(text, tokens=text.tokens[n:], first=n) for text, n in zip(texts, shared, strict=True)]


def _alike(known: Sequence[int], tokens: Sequence[int]) -> int:
    """How many tokens two prompts begin alike with, the last of `tokens` aside; 0 for fewer than `SHARED`."""
    most = min(len(known), len(tokens) - 1)
    differs = np.flatnonzero(np.asarray(known[:most]) != np.asarray(tokens[:most]))
    alike = int(differs[0]) if len(differs) else most
    return alike if alike >= SHARED else 0


def logits(weights: Weights, tokens: Sequence[int], tiles: Tiles, ops: Operations) -> torch.Tensor:
    """Logits after every token, float32 (len(tokens), vocab) on the host."""
    pools = room(weights, len(tokens))
    found = [
        _logits(weights, part, tiles, ops).cpu()
        for _, x in read(weights, [Text(tokens, 0)], pools, tiles, ops)
        for part in x.split(_LOGITS)
    ]
    return torch.cat(found)


def score(
    weights: Weights,
    prompt: Sequence[int],
    answers: Sequence[Sequence[int]],
    tiles: Tiles,
    ops: Operations,
) -> list[torch.Tensor]:
    """Log-probability of each token of each answer after the prompt, float32, on the host.

    The prompt is read once; answers are read one by one in the same place.
    """
    if not any(answers):
        return [torch.empty(0) for _ in answers]
    longest = max(map(len, answers))
    pools = room(weights, len(prompt) + longest - 1)
    end = last(weights, [Text(prompt, 0)], pools, tiles, ops)[0]
    out = []
    for answer in answers:
        x = end[: len(answer)]
        if len(answer) > 1:
            text = Text(answer[:-1], 0, len(prompt))
            x = torch.cat([end, *(part for _, part in read(weights, [text], pools, tiles, ops))])
        targets = upload(np.array(answer, np.int64), x.device)
        found = [x.new_empty(0)]
        for some, own in zip(x.split(_LOGITS), targets.split(_LOGITS), strict=True):
            z = _logits(weights, some, tiles, ops)
            found.append(z.gather(1, own[:, None])[:, 0] - z.logsumexp(1))
        out.append(torch.cat(found).cpu())
    return out


def _logits(weights: Weights, x: torch.Tensor, tiles: Tiles, ops: Operations) -> torch.Tensor:
    normed = torch.empty(x.shape, dtype=weights.embedding.dtype, device=x.device)
    ops.norm(x.contiguous(), weights.norm, normed, weights.shape)
    out = x.new_empty((len(x), weights.shape.vocab))
    ops.logits(normed, weights.head, out, weights.shape, tiles)
    return out
