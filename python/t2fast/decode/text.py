"""Text to tokens and back, from a `tokenizer.json` or from the vocabulary inside a GGUF file.

Needs the package `tokenizers`, and only here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from t2fast import _core
from t2fast.decode import vocabulary

if TYPE_CHECKING:
    import tokenizers


class Tokenizer:
    """Encode prompts, decode samples, and give each token's bytes.

    ``bos`` is put before every prompt that does not come from a chat template; None where the model wants
    none or where ``tokenizer.json`` adds it by itself. The text of a token is its own bytes, wherever it
    stands: samples are decoded by joining the bytes of their tokens, special tokens giving none.
    """

    def __init__(self, backend: tokenizers.Tokenizer, bos: int | None = None, file: str = "this tokenizer"):
        self.backend = backend
        self.bos = bos
        self._file = file

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Tokens of ``text``; ``special`` adds what the model wants before a prompt."""
        ids: list[int] = self.backend.encode(text, add_special_tokens=special).ids
        return [self.bos, *ids] if special and self.bos is not None else ids

    def encode_answer(
        self, prompt: str, tokens: Sequence[int], answer: str, *, special: bool = True
    ) -> list[int]:
        """Tokens of ``answer`` as it continues ``prompt``, whose tokens (as `encode` gave them) stay as
        they are.

        Prompt and answer are encoded together. Where a token would span the border, the answer is encoded
        by itself, since a sample drawn after this prompt could not have changed the prompt's tokens either.
        """
        both = self.encode(prompt + answer, special=special)
        if both[: len(tokens)] == list(tokens):
            return both[len(tokens) :]
        return self.encode(answer, special=False)

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of ``tokens``; special tokens are left out, bytes that are no UTF-8 become U+FFFD."""
        joined = b"".join(self.token_bytes[t] for t in tokens if t not in self.special)
        return joined.decode("utf-8", errors="replace")

    @cached_property
    def added(self) -> dict[str, int]:
        """Tokens that are found in text before anything is merged, by their text."""
        return {token.content: i for i, token in self.backend.get_added_tokens_decoder().items()}

    @cached_property
    def special(self) -> frozenset[int]:
        """Tokens that are instructions to the model, not text."""
        added = self.backend.get_added_tokens_decoder()
        return frozenset(i for i, token in added.items() if token.special)

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes of every token; a special token has those of its name, so a stop string can be one."""
        added = self.backend.get_added_tokens_decoder()
        vocab = self.backend.get_vocab(with_added_tokens=True)
        # The decoder alone: all of a big tokenizer as JSON is many megabytes.
        state = b"" if self.backend.decoder is None else self.backend.decoder.__getstate__()
        decoder = str(json.loads(state or "null"))
        if "ByteLevel" in decoder:
            to_bytes = _byte_level_bytes
        elif "▁" in decoder or "Metaspace" in decoder:
            to_bytes = _sentencepiece_bytes
        else:
            raise ValueError(
                f"{self._file}: its decoder is neither byte-level nor SentencePiece-like: {decoder}"
            )
        table = [b""] * (max(vocab.values()) + 1)
        for text, i in vocab.items():
            table[i] = text.encode() if i in added else to_bytes(text)
        return table


def load(path: str | Path) -> Tokenizer:
    """The tokenizer of a model folder (`tokenizer.json`), of such a file itself, or of a `.gguf` file."""
    path = Path(path)
    if path.suffix == ".gguf":
        return Tokenizer(*vocabulary.tokenizer(str(path), _core.gguf_metadata(str(path))))
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{path} has no tokenizer.json: pass tokenizer= or give prompts as lists of tokens")
    try:
        backend = vocabulary.tokenizers_package().Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises plain Exceptions
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from error
    ids = backend.get_vocab()
    last = max(ids, key=ids.__getitem__, default="")
    if ids and ids[last] > 4 * len(ids) + 1000:
        raise ValueError(f"{file}: token {last!r:.60} has id {ids[last]} among {len(ids)} tokens")
    # Settings of training that the file may still carry: a prompt is never cut, padded or randomised.
    backend.no_truncation()
    backend.no_padding()
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None
    return Tokenizer(backend, file=str(file))


def _byte_alphabet() -> dict[str, int]:
    """Byte-level BPE writes a byte as one printable character: itself, or U+0100 upwards if unprintable."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


_ALPHABET = _byte_alphabet()


def _byte_level_bytes(token: str) -> bytes:
    if all(c in _ALPHABET for c in token):
        return bytes(_ALPHABET[c] for c in token)
    return token.encode()


def _sentencepiece_bytes(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()
