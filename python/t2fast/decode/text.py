"""Text to tokens and back, from a `tokenizer.json` or from the vocabulary inside a GGUF file.

Needs the package `tokenizers`, and only here.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from t2fast import _core
from t2fast.decode import folder, vocabulary

if TYPE_CHECKING:
    import tokenizers


class Tokenizer:
    """Encode prompts, decode samples, and give each token's bytes.

    ``before`` is put before every prompt that does not come from a chat template; None: what
    ``tokenizer.json`` puts there. What it would put after a text is left out, since a prompt goes on. The
    text of a token is its own bytes, wherever it stands: samples are decoded by joining the bytes of their
    tokens, special tokens giving none.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        before: Sequence[int] | None = None,
        file: str = "this tokenizer",
    ):
        self.backend = backend
        self._file = file
        first, after = _frame(backend) if before is None else (list(before), [])
        self.before = first
        """Tokens before every prompt."""
        if after:
            names = " ".join(str(backend.id_to_token(token)) for token in after)
            warnings.warn(
                f"the tokenizer puts {names} after every text: left out, since a prompt goes on", stacklevel=3
            )

    def encode(self, text: str, *, special: bool = True, name: str = "a text") -> list[int]:
        """Tokens of ``text``; ``special`` adds what the model wants before a prompt.

        Raises:
            ValueError: for a lone surrogate, with what the text is called (``name``).
        """
        ids: list[int] = self.backend.encode(require_utf8(text, name), add_special_tokens=False).ids
        self._warn_of_losses(text, ids, name)
        if not special or not self.before:
            return ids
        if ids[: len(self.before)] == self.before:
            token = self.backend.id_to_token(ids[0])
            warnings.warn(
                f"a prompt begins with {token!r}, which is put before every prompt: it is there twice",
                stacklevel=3,
            )
        return [*self.before, *ids]

    def _warn_of_losses(self, text: str, ids: Sequence[int], name: str) -> None:
        """A vocabulary may lack bytes (SmolLM2's some control characters and parts of rare planes)."""
        if self._lacking.isdisjoint(text.encode()):
            return
        normalizer = self.backend.normalizer
        asked = (text if normalizer is None else normalizer.normalize_str(text)).encode()
        found = b"".join(self.token_bytes[token] for token in ids)
        lost = {byte for byte in self._lacking if asked.count(byte) > found.count(byte)}
        if lost:
            characters = dict.fromkeys(c for c in text if not lost.isdisjoint(c.encode()))
            shown = ", ".join(map(ascii, list(characters)[:5])) or "some of its bytes"
            warnings.warn(
                f"{name}: the vocabulary has no tokens for all of {shown}: the model does not see what is "
                "left out, in transformers, too",
                stacklevel=4,
            )

    @cached_property
    def _lacking(self) -> frozenset[int]:
        """Bytes for which a byte-level vocabulary has no token."""
        if self._bytes_of is not _byte_level_bytes:
            return frozenset()
        return frozenset(b for c, b in _ALPHABET.items() if self.backend.token_to_id(c) is None)

    def encode_answer(
        self,
        prompt: str,
        tokens: Sequence[int],
        answer: str,
        *,
        special: bool = True,
        name: str = "a text",
    ) -> list[int]:
        """Tokens of ``answer`` as it continues ``prompt``, whose tokens (as `encode` gave them) stay as
        they are.

        Prompt and answer are encoded together. Where a token would span the border, the answer is encoded
        by itself, since a sample drawn after this prompt could not have changed the prompt's tokens either.
        """
        both = self.encode(prompt + answer, special=special, name=name)
        if both[: len(tokens)] == list(tokens):
            return both[len(tokens) :]
        return self.encode(answer, special=False, name=name)

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of ``tokens``; special tokens are left out, bytes that are no UTF-8 become U+FFFD."""
        joined = b"".join(self.token_bytes[t] for t in tokens if t not in self.special)
        return joined.decode("utf-8", errors="replace")

    @cached_property
    def added(self) -> dict[str, int]:
        """Tokens that are found in text before anything is merged, by their text."""
        return {token.content: i for i, token in self.backend.get_added_tokens_decoder().items()}

    @property
    def size(self) -> int:
        """Tokens, those that were added among them."""
        return int(self.backend.get_vocab_size(with_added_tokens=True))

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
        to_bytes = self._bytes_of
        if to_bytes is None:
            raise ValueError(
                f"{self._file}: its decoder is neither byte-level nor SentencePiece-like: {self._decoder}"
            )
        table = [b""] * (max(vocab.values()) + 1)
        for text, i in vocab.items():
            table[i] = text.encode() if i in added else to_bytes(text)
        return table

    @cached_property
    def _decoder(self) -> str:
        # The decoder alone: all of a big tokenizer as JSON is many megabytes.
        state = b"" if self.backend.decoder is None else self.backend.decoder.__getstate__()
        return str(json.loads(state or "null"))

    @cached_property
    def _bytes_of(self) -> Callable[[str], bytes] | None:
        """The bytes of a token as the vocabulary writes it; None where it is not known how it writes them."""
        if "ByteLevel" in self._decoder:
            return _byte_level_bytes
        return _sentencepiece_bytes if "▁" in self._decoder or "Metaspace" in self._decoder else None


def require_utf8(text: str, name: str) -> str:
    """The text itself, if UTF-8 can write it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: character {error.start} is {text[error.start]!r}, half of a surrogate pair, which is "
            "no text: bytes that are not UTF-8 turn into such"
        ) from error
    return text


def load(path: str | Path) -> Tokenizer:
    """The tokenizer of a model folder (`tokenizer.json`), of such a file itself, or of a `.gguf` file."""
    path = Path(path)
    if path.suffix == ".gguf":
        return Tokenizer(*vocabulary.tokenizer(str(path), _core.gguf_metadata(str(path))))
    return Tokenizer(folder.tokenizer(path), file=str(path))


def _frame(backend: tokenizers.Tokenizer) -> tuple[list[int], list[int]]:
    """What a tokenizer puts before and after every text."""
    plain = backend.encode("a", add_special_tokens=False).ids
    whole = backend.encode("a").ids
    for at in range(len(whole) - len(plain) + 1):
        if whole[at : at + len(plain)] == plain:
            return whole[:at], whole[at + len(plain) :]
    return [], []


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
