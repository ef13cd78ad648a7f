"""Text to tokens and back, from a `tokenizer.json` or from the vocabulary inside a GGUF file.

Needs the package `tokenizers`, and only here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2fast import _core

if TYPE_CHECKING:
    import tokenizers

_CONTROL, _USER_DEFINED = 3, 4
"""Token types of GGUF vocabularies."""

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def _words_any_case(digits: str) -> str:
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


_PRE_TOKENIZERS: dict[str, tuple[list[str], bool, bool]] = {
    # name: (patterns that cut the text one after the other, normalise to NFC, whole words skip merges)
    "gpt-2": ([_WORDS], False, False),
    "olmo": ([_WORDS], True, False),
    "smollm": ([r"\p{N}", _WORDS], False, False),
    "llama-bpe": ([_words_any_case(r"\p{N}{1,3}")], False, True),
    "qwen2": ([_words_any_case(r"\p{N}")], True, False),
}
_SAME_AS = {
    "gpt-neox": "olmo",
    "pythia": "olmo",
    "phi-2": "gpt-2",
    "starcoder": "smollm",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "deepseek-r1-qwen": "qwen2",
}


class Tokenizer:
    """Encode prompts, decode samples, and give each token's bytes.

    ``bos`` is put before every prompt that does not come from a chat template; None where the model wants
    none or where ``tokenizer.json`` adds it by itself. The text of a token is its own bytes, wherever it
    stands: samples are decoded by joining the bytes of their tokens, special tokens giving none.
    """

    def __init__(self, backend: tokenizers.Tokenizer, bos: int | None = None):
        self.backend = backend
        self.bos = bos

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
    def special(self) -> frozenset[int]:
        """Tokens that are instructions to the model, not text."""
        added = self.backend.get_added_tokens_decoder()
        return frozenset(i for i, token in added.items() if token.special)

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes of every token; a special token has those of its name, so a stop string can be one."""
        added = self.backend.get_added_tokens_decoder()
        vocab = self.backend.get_vocab(with_added_tokens=True)
        decoder = str(json.loads(self.backend.to_str())["decoder"])
        if "ByteLevel" in decoder:
            to_bytes = _byte_level_bytes
        elif "▁" in decoder or "Metaspace" in decoder:
            to_bytes = _sentencepiece_bytes
        else:
            raise ValueError(
                f"this tokenizer's decoder is neither byte-level nor SentencePiece-like: {decoder}"
            )
        table = [b""] * (max(vocab.values()) + 1)
        for text, i in vocab.items():
            table[i] = text.encode() if i in added else to_bytes(text)
        return table


def load(path: str | Path) -> Tokenizer:
    """The tokenizer of a model folder (`tokenizer.json`), of such a file itself, or of a `.gguf` file."""
    path = Path(path)
    if path.suffix == ".gguf":
        return from_gguf(_core.gguf_metadata(str(path)))
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{path} has no tokenizer.json: pass tokenizer= or give prompts as lists of tokens")
    return Tokenizer(_tokenizers().Tokenizer.from_file(str(file)))


def from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer in GGUF metadata (`tokenizer.ggml.*`): byte-level BPE or SentencePiece BPE."""
    model = metadata.get("tokenizer.ggml.model")
    if model == "gpt2":
        backend, wants_bos = _byte_level(metadata)
    elif model == "llama":
        backend, wants_bos = _sentencepiece(metadata)
    else:
        raise ValueError(f"tokenizer model {model!r} is not supported (gpt2 and llama are)")
    wants_bos = bool(metadata.get("tokenizer.ggml.add_bos_token", wants_bos))
    return Tokenizer(backend, metadata.get("tokenizer.ggml.bos_token_id") if wants_bos else None)


def _byte_level(metadata: Mapping[str, Any]) -> tuple[tokenizers.Tokenizer, bool]:
    name = metadata.get("tokenizer.ggml.pre", "gpt-2")
    known = _PRE_TOKENIZERS.get(_SAME_AS.get(name, name))
    if known is None:
        names = ", ".join(sorted({*_PRE_TOKENIZERS, *_SAME_AS}))
        raise ValueError(
            f"pre-tokenizer {name!r} is not supported (known: {names}); "
            "pass tokenizer= with the model's tokenizer.json"
        )
    patterns, nfc, ignore_merges = known
    tk = _tokenizers()
    vocab = {token: i for i, token in enumerate(metadata["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    backend = tk.Tokenizer(tk.models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    if nfc:
        backend.normalizer = tk.normalizers.NFC()
    cuts = [tk.pre_tokenizers.Split(tk.Regex(pattern), "isolated") for pattern in patterns]
    to_bytes = tk.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = tk.pre_tokenizers.Sequence([*cuts, to_bytes])
    backend.decoder = tk.decoders.ByteLevel()
    _add_special(backend, metadata)
    return backend, ignore_merges  # of these, Llama 3 alone wants a beginning-of-text token by default


def _sentencepiece(metadata: Mapping[str, Any]) -> tuple[tokenizers.Tokenizer, bool]:
    tk = _tokenizers()
    tokens, scores = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"]
    vocab = {token: i for i, token in enumerate(tokens)}
    # SentencePiece merges the neighbours whose union scores best; BPE wants that order as a list of pairs.
    merges = sorted(
        (-scores[i], vocab[token[:cut]], vocab[token[cut:]], token[:cut], token[cut:])
        for i, token in enumerate(tokens)
        for cut in range(1, len(token))
        if token[:cut] in vocab and token[cut:] in vocab
    )
    unknown = metadata.get("tokenizer.ggml.unknown_token_id", 0)
    backend = tk.Tokenizer(
        tk.models.BPE(
            vocab=vocab,
            merges=[merge[3:] for merge in merges],
            unk_token=tokens[unknown],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefix = [tk.normalizers.Prepend("▁")] if metadata.get("tokenizer.ggml.add_space_prefix", True) else []
    backend.normalizer = tk.normalizers.Sequence([*prefix, tk.normalizers.Replace(" ", "▁")])
    backend.decoder = tk.decoders.Sequence(
        [tk.decoders.Replace("▁", " "), tk.decoders.ByteFallback(), tk.decoders.Fuse()]
    )
    _add_special(backend, metadata)
    return backend, True


def _add_special(backend: tokenizers.Tokenizer, metadata: Mapping[str, Any]) -> None:
    """Mark control and user-defined tokens, which are found in text before anything is merged."""
    types = metadata.get("tokenizer.ggml.token_type") or []
    for token, kind in zip(metadata["tokenizer.ggml.tokens"], types, strict=False):
        if kind in (_CONTROL, _USER_DEFINED):
            added = _tokenizers().AddedToken(token, special=kind == _CONTROL, normalized=False)
            backend.add_special_tokens([added]) if kind == _CONTROL else backend.add_tokens([added])


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


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError("text needs the package tokenizers: pip install 't2fast[decode]'") from error
    return tokenizers
