"""Counter-based random numbers: what makes sample i of a problem the same whatever else is drawn.

Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") in numpy, and the key of a
problem. The engine has its own in Rust; this one is the reference and the definition for other back ends.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_TOKEN_NOISE = 0
"""Domain tag of the noise that chooses tokens; another use of the same key takes another tag."""


def hash64(seed: int, problem: object) -> int:
    """The Philox key of a problem: BLAKE2b with 8 bytes of ``"{seed}:{problem}"``, read little endian."""
    digest = hashlib.blake2b(f"{seed}:{problem}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def philox(key: int, counter: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Philox4x32-10 of ``counter`` (n × 4) under a 64-bit ``key``, low word first; n × 4 words."""
    c0, c1, c2, c3 = (counter[:, i].astype(np.uint64) for i in range(4))
    key0, key1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> np.uint64(32)) ^ c1 ^ np.uint64(key0),
            product1 & _LOW,
            (product0 >> np.uint64(32)) ^ c3 ^ np.uint64(key1),
            product0 & _LOW,
        )
        key0, key1 = (key0 + _WEYL[0]) & 0xFFFFFFFF, (key1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def gumbel(key: int, sample: int, position: int, vocab: int) -> NDArray[np.float32]:
    """Standard Gumbel noise for every token id at one position of one sample.

    Token t takes lane ``t & 3`` of counter ``(t >> 2, position, sample, tag)``; with u = (x + ½)·2⁻³² its
    noise is g = −log(−log1p(−u)), in float64 and rounded to float32. ``argmax(logits / T + g)`` is then a
    draw from softmax(logits / T) (the Gumbel-max trick).
    """
    blocks = (vocab + 3) // 4
    counter = np.zeros((blocks, 4), dtype=np.uint32)
    counter[:, 0] = np.arange(blocks, dtype=np.uint32)
    counter[:, 1:] = (position, sample, _TOKEN_NOISE)
    words = philox(key, counter).reshape(-1)[:vocab]
    u = (words.astype(np.float64) + 0.5) * 2.0**-32
    return (-np.log(-np.log1p(-u))).astype(np.float32)
