"""The tokenizer inside a GGUF file: `tokenizer.ggml.*` as byte-level BPE, SentencePiece BPE or Unigram.

Needs the package `tokenizers`, and only here.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers

_CONTROL, _USER_DEFINED, _BYTE = 3, 4, 6
"""Token types."""

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def _words_any_case(digits: str) -> str:
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def _words_by_case(digits: str, suffix: str) -> str:
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    sign = r"[^\r\n\p{L}\p{N}]?"
    return (
        f"{sign}{upper}*{lower}+{suffix}|{sign}{upper}+{lower}*{suffix}|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


_DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]

PRE_TOKENIZERS: dict[str, tuple[list[str], bool, bool]] = {
    # name: (patterns that cut the text one after the other, normalise to NFC, whole words skip merges)
    "gpt-2": ([_WORDS], False, False),
    "olmo": ([_WORDS], True, False),
    "smollm": ([r"\p{N}", _WORDS], False, False),
    "llama-bpe": ([_words_any_case(r"\p{N}{1,3}")], False, True),
    "dbrx": ([_words_any_case(r"\p{N}{1,3}")], False, False),
    "tekken": ([_words_by_case(r"\p{N}", "")], False, True),
    "gpt-4o": ([_words_by_case(r"\p{N}{1,3}", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?")], False, False),
    "deepseek-v3": (_DEEPSEEK, False, False),
    "qwen2": ([_words_any_case(r"\p{N}")], True, False),
    "stablelm2": ([_words_any_case(r"\p{N}")], False, False),
}
SAME_AS = {
    "gpt-neox": "olmo",
    "pythia": "olmo",
    "phi-2": "gpt-2",
    "refact": "smollm",
    "starcoder": "smollm",
    "smaug-bpe": "dbrx",
    "llama4": "gpt-4o",
    "lfm2": "llama-bpe",
    "pixtral": "llama-bpe",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "falcon3": "llama-bpe",
    "deepseek-r1-qwen": "qwen2",
}
"""Other names in use for these ways to cut."""


def tokenizer(file: str, metadata: Mapping[str, Any]) -> tuple[tokenizers.Tokenizer, list[int]]:
    """The tokenizer in GGUF metadata, and the tokens that it puts before every prompt.

    Raises:
        ValueError: naming the file, the key and the value that cannot be used.
    """
    keys = _Keys(file, metadata)
    model = keys.text("model")
    try:
        if model == "gpt2":
            backend, wants_bos = _byte_level(keys)
        elif model == "llama":
            backend, wants_bos = _sentencepiece(keys)
        elif model == "t5":
            backend, wants_bos = _unigram(keys), False
        else:
            raise keys.wrong(
                "model", "gpt2, llama and t5 are supported; give a tokenizer.json (--tokenizer, tokenizer=)"
            )
    except ValueError:
        raise
    except Exception as error:  # the package raises plain Exceptions
        raise ValueError(f"{file}: tokenizer.ggml: {' '.join(str(error).split())}") from error
    wants_bos = keys.flag("add_bos_token", wants_bos)
    if keys.flag("add_eos_token", False):
        warnings.warn(
            f"{file} asks for an end-of-text token after every text (add_eos_token): left out, "
            "since a prompt goes on",
            stacklevel=3,
        )
    bos = keys.token("bos") if wants_bos else None
    return backend, [] if bos is None else [bos]


class _Keys:
    """The keys `tokenizer.ggml.*`, checked as they are read."""

    def __init__(self, file: str, metadata: Mapping[str, Any]):
        self.file, self.metadata = file, metadata
        self.tokens = self.texts("tokens")

    def get(self, key: str) -> Any:
        return self.metadata.get(f"tokenizer.ggml.{key}")

    def wrong(self, key: str, why: str, value: Any = None) -> ValueError:
        value = self.get(key) if value is None else value
        return ValueError(f"{self.file}: tokenizer.ggml.{key} is {str(value)!r:.80}: {why}")

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str):
            raise self.wrong(key, "text is expected")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool | int):
            raise self.wrong(key, "true or false is expected")
        return bool(value)

    def texts(self, key: str) -> list[str]:
        return self._list(key, str, "text")

    def numbers(self, key: str, length: int) -> list[float]:
        found = self._list(key, (int, float), "a number")
        if len(found) != length:
            raise self.wrong(key, f"{length} entries are expected, one a token", f"a list of {len(found)}")
        for i, value in enumerate(found):
            if math.isnan(value):
                raise self.wrong(f"{key}[{i}]", "a number is expected", value)
        return found

    def bytes(self, key: str) -> bytes:
        """A list of numbers from 0 to 255, or from -128 to 127."""
        return bytes(int(value) % 256 for value in self._list(key, int, "a byte"))

    def token(self, name: str) -> int | None:
        key = f"{name}_token_id"
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or not 0 <= value < len(self.tokens):
            raise self.wrong(key, f"the vocabulary has {len(self.tokens)} tokens")
        return value

    def _list(self, key: str, kind: Any, what: str) -> list[Any]:
        value = self.get(key)
        if not isinstance(value, list) or not value:
            raise self.wrong(key, "a list is expected")
        for i, one in enumerate(value):
            if not isinstance(one, kind):
                raise self.wrong(f"{key}[{i}]", f"{what} is expected", one)
        return value


def _byte_level(keys: _Keys) -> tuple[tokenizers.Tokenizer, bool]:
    name = keys.get("pre")
    if name is None:
        name = _assumed(keys.tokens)
        warnings.warn(
            f"{keys.file} does not say how text is cut before merging (no tokenizer.ggml.pre): {name} is "
            "assumed, as its tokens suggest. If not, give its tokenizer.json (--tokenizer, tokenizer=)",
            stacklevel=2,
        )
    known = PRE_TOKENIZERS.get(SAME_AS.get(str(name), str(name)))
    if known is None:
        names = ", ".join(sorted({*PRE_TOKENIZERS, *SAME_AS}))
        raise keys.wrong("pre", f"supported are {names}; give its tokenizer.json (--tokenizer, tokenizer=)")
    patterns, nfc, ignore_merges = known
    tk = tokenizers_package()
    vocab = {token: i for i, token in enumerate(keys.tokens)}
    merges = []
    for i, merge in enumerate(keys.texts("merges")):
        left, _, right = merge.partition(" ")
        if left not in vocab or right not in vocab or left + right not in vocab:
            raise keys.wrong(f"merges[{i}]", "two tokens whose union is one are expected", merge)
        merges.append((left, right))
    backend = tk.Tokenizer(tk.models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    if nfc:
        backend.normalizer = tk.normalizers.NFC()
    cuts = [tk.pre_tokenizers.Split(tk.Regex(pattern), "isolated") for pattern in patterns]
    to_bytes = tk.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = tk.pre_tokenizers.Sequence([*cuts, to_bytes])
    backend.decoder = tk.decoders.ByteLevel()
    _add_special(backend, keys)
    return backend, ignore_merges  # of these, Llama 3 alone wants a beginning-of-text token by default


def _assumed(tokens: list[str]) -> str:
    """How text was cut where these tokens were merged, judged by the numbers and words among them.

    Digits come alone (SmolLM, Qwen), in threes (Llama 3) or in runs of any length (GPT-2); Llama 3 and Qwen
    let one sign stand with the word after it.
    """
    digits = max((len(token) for token in tokens if re.fullmatch("[0-9]+", token)), default=0)
    signs = sum(re.fullmatch('[(._"/<-][A-Za-z]{2,}', token) is not None for token in tokens)
    if digits == 3:
        return "llama-bpe"
    if digits == 1:
        return "qwen2" if signs > 10 else "smollm"
    return "gpt-2"


def _sentencepiece(keys: _Keys) -> tuple[tokenizers.Tokenizer, bool]:
    tk = tokenizers_package()
    tokens = keys.tokens
    scores = keys.numbers("scores", len(tokens))
    vocab = {token: i for i, token in enumerate(tokens)}
    # SentencePiece merges the neighbours whose union scores best; BPE wants that order as a list of pairs.
    merges = sorted(
        (-scores[i], vocab[token[:cut]], vocab[token[cut:]], token[:cut], token[cut:])
        for i, token in enumerate(tokens)
        for cut in range(1, len(token))
        if token[:cut] in vocab and token[cut:] in vocab
    )
    unknown = keys.token("unknown")
    backend = tk.Tokenizer(
        tk.models.BPE(
            vocab=vocab,
            merges=[merge[3:] for merge in merges],
            unk_token=tokens[unknown or 0],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    _mark_spaces(backend, keys, [])
    _add_special(backend, keys)
    return backend, True


def _mark_spaces(backend: tokenizers.Tokenizer, keys: _Keys, steps: list[Any]) -> None:
    """Write spaces as SentencePiece does, one before the text among them, after the steps given."""
    tk = tokenizers_package()
    prefix = [tk.normalizers.Prepend("▁")] if keys.flag("add_space_prefix", True) else []
    backend.normalizer = tk.normalizers.Sequence([*steps, *prefix, tk.normalizers.Replace(" ", "▁")])
    backend.decoder = tk.decoders.Sequence(
        [tk.decoders.Replace("▁", " "), tk.decoders.ByteFallback(), tk.decoders.Fuse()]
    )


def _unigram(keys: _Keys) -> tokenizers.Tokenizer:
    """SentencePiece's Unigram: the cut of a text whose tokens have the highest sum of scores."""
    tk = tokenizers_package()
    scores = keys.numbers("scores", len(keys.tokens))
    kinds = keys.get("token_type")
    unknown = keys.token("unknown")
    backend: tokenizers.Tokenizer = tk.Tokenizer(
        tk.models.Unigram(
            list(zip(keys.tokens, scores, strict=True)),
            unk_id=unknown or 0,
            byte_fallback=isinstance(kinds, list) and _BYTE in kinds,
        )
    )
    steps = []
    if keys.get("precompiled_charsmap") is not None:
        steps.append(tk.normalizers.Precompiled(keys.bytes("precompiled_charsmap")))
    if keys.flag("remove_extra_whitespaces", False):
        steps += [
            tk.normalizers.Replace(tk.Regex(r"\A +| +\z"), ""),
            tk.normalizers.Replace(tk.Regex(" {2,}"), " "),
        ]
    _mark_spaces(backend, keys, steps)
    _add_special(backend, keys)
    return backend


def _add_special(backend: tokenizers.Tokenizer, keys: _Keys) -> None:
    """Mark control and user-defined tokens, which are found in text before anything is merged."""
    if keys.get("token_type") is None:
        return
    for token, kind in zip(keys.tokens, keys.numbers("token_type", len(keys.tokens)), strict=True):
        if kind in (_CONTROL, _USER_DEFINED):
            added = tokenizers_package().AddedToken(token, special=kind == _CONTROL, normalized=False)
            backend.add_special_tokens([added]) if kind == _CONTROL else backend.add_tokens([added])


def tokenizers_package() -> Any:
    """The package `tokenizers`, or an ImportError that says how to install it."""
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError("text needs the package tokenizers: pip install 't2fast[decode]'") from error
    return tokenizers
