"""A corpus as training reads it: one row of tokens, cut into sequences, in an order that the seed sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from t2fast import atomic

_HELD_OUT = 0.01
_MOST_HELD_OUT = 1 << 17
"""Share of a corpus, and most of its tokens, that no training sees: the loss is measured there."""


def trained_on(length: int) -> int:
    """U: tokens of a corpus of this length that are not held out."""
    return length - min(int(length * _HELD_OUT), _MOST_HELD_OUT)


class Corpus:
    """Tokens of documents, each begun by the tokenizer's first token. The end of the row is held out."""

    def __init__(self, tokens: npt.NDArray[np.uint16]):
        self.tokens = tokens

    @classmethod
    def open(cls, path: str | Path) -> Corpus:
        """The corpus in a file that `write` made, mapped into memory."""
        return cls(np.load(path, mmap_mode="r", allow_pickle=False))

    @classmethod
    def of(cls, documents: Iterable[list[int]], most: float = np.inf) -> Corpus:
        """Documents one after the other, until there are `most` tokens."""
        parts: list[npt.NDArray[np.uint16]] = []
        length = 0
        for document in documents:
            parts.append(np.asarray(document, dtype=np.uint16))
            length += len(document)
            if length >= most:
                break
        if not parts:
            raise ValueError("the corpus has no documents")
        return cls(np.concatenate(parts)[: None if most == np.inf else int(most)])

    def write(self, path: str | Path) -> None:
        """Keep the corpus in a file."""
        with atomic.writer(path) as file:
            np.save(file, self.tokens, allow_pickle=False)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tokens."""
        return hashlib.sha256(np.ascontiguousarray(self.tokens).data).hexdigest()

    @property
    def n_unique(self) -> int:
        """U: tokens there are to train on; those at the end are not."""
        return trained_on(len(self.tokens))

    def held_out(self, context: int) -> npt.NDArray[np.int64]:
        """Sequences of the end, (sequences, context + 1); at least one."""
        start = min(self.n_unique, len(self.tokens) - context - 1)
        if start <= 0:
            raise ValueError(
                f"the corpus has {len(self.tokens)} tokens: too few for a context of {context} and a "
                "part that is held out"
            )
        return _cut(self.tokens, range((len(self.tokens) - 1 - start) // context), context, start)

    def order(self, seed: int, context: int, unique: int | None = None) -> Order:
        """The order in which a run reads the first `unique` tokens (None: all that are not held out)."""
        length = self.n_unique if unique is None else unique
        if length > self.n_unique:
            raise ValueError(f"{length:,} unique tokens are wanted, and the corpus has {self.n_unique:,}")
        if length <= context:
            whose = "the corpus has" if unique is None else "there are"
            raise ValueError(
                f"{whose} {length:,} tokens to train on: too few for one sequence of {context} and the token "
                "after it; give more, or a smaller context"
            )
        return Order(self.tokens[:length], seed, context)


class Order:
    """Sequences without repetition, then again in another order, and so on: an epoch after the other."""

    def __init__(self, tokens: npt.NDArray[np.uint16], seed: int, context: int):
        self.tokens, self.seed, self.context = tokens, seed, context
        self.length = (len(tokens) - 1) // context
        self._epoch, self._order = -1, np.zeros(0, dtype=np.int64)

    def batch(self, step: int, size: int) -> npt.NDArray[np.int64]:
        """The sequences of a step, (size, context + 1): a function of the seed and the step."""
        places = [self._place(i) for i in range(step * size, (step + 1) * size)]
        return _cut(self.tokens, places, self.context)

    def _place(self, index: int) -> int:
        epoch, place = divmod(index, self.length)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng([self.seed, epoch]).permutation(self.length)
        return int(self._order[place])


def _cut(
    tokens: npt.NDArray[np.uint16], places: Iterable[int], context: int, start: int = 0
) -> npt.NDArray[np.int64]:
    rows = [tokens[start + i * context : start + i * context + context + 1] for i in places]
    return np.stack(rows).astype(np.int64)
