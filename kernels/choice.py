"""One token from one row of logits, in numpy: what every back end's choice is held to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from t2fast.kernels.rng import gumbel


@dataclass
class Token:
    """One generated token and its log-probability, by the model and after temperature and filters."""

    id: int
    logprob: float
    processed: float


def choose(
    logits: NDArray[np.float32],
    key: int,
    sample: int,
    position: int,
    *,
    temperature: float = 1.0,
    top_k: float = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Token:
    """Draw one token from `logits` (vocab,).

    Filters run in this order: temperature, top-k, renormalise, top-p (the fewest most probable tokens whose
    mass reaches `top_p`), min-p (at least `min_p` times the largest probability). Equal logits rank by
    token id. The token is argmax(logits / T + Gumbel noise) over what is left. Temperature 0 takes the
    largest logit; its distribution after processing is certainty.
    """
    raw = _log_softmax(logits.astype(np.float64))
    if temperature == 0:
        token = int(np.argmax(logits))
        return Token(token, float(raw[token]), 0.0)
    scaled = (logits / np.float32(temperature)).astype(np.float32)
    order = np.argsort(-scaled, kind="stable")
    if top_k:
        order = order[: int(top_k)]
    p = np.exp(_log_softmax(scaled[order].astype(np.float64)))
    keep = (np.cumsum(p) - p < top_p) & (p >= min_p * p[0])
    kept = order[keep]
    processed = np.full(len(logits), -np.inf)
    processed[kept] = _log_softmax(scaled[kept].astype(np.float64))
    noisy = np.full(len(logits), -np.inf, dtype=np.float32)
    noisy[kept] = scaled[kept] + gumbel(key, sample, position, len(logits))[kept]
    token = int(np.argmax(noisy))
    return Token(token, float(raw[token]), float(processed[token]))


def _log_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = x - x.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))
