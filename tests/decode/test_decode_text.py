"""Tokenizers from GGUF and from folders against their makers', sentencepiece and transformers."""

from __future__ import annotations

import json
import warnings

import decode_models as models
import pytest
import t2fast.decode
import tokenizers
import transformers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from t2fast import _core
from t2fast.decode import text, vocabulary
from tokenizers import decoders, normalizers, pre_tokenizers, trainers

TEXTS = [
    "",
    " ",
    "Hello world",
    "  two  spaces,\tа tab\n\n\nand lines \r\n",
    "def f(x):\n    return x[12345] + 3.14159  # it's, they'LL, don't",
    "naïve café — “quotes” … 你好，世界 ｈａｌｆ Å Å ﬁ",
    "👩‍👩‍👧 flags 🇫🇷, عربي, हिन्दी, \u0000 \ufffd \U0010ffff",
    "<|im_start|>user\nhi<|im_end|>",
    "x" * 300 + " " * 50 + "1" * 30,
]
CORPUS = [
    *TEXTS,
    "the cat sat on the mat 1234 times",
    "It's 12 o'clock; we'll go. " * 5,
    "été naïve " * 5,
] * 3
PRE_TOKENIZERS = {
    "gpt-2": (None, pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "olmo": (normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "smollm": (
        None,
        pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
    ),
}
_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
for _name, _digits, _normalizer in (
    ("llama-bpe", "{1,3}", None),
    ("dbrx", "{1,3}", None),
    ("qwen2", "", normalizers.NFC()),
    ("stablelm2", "", None),
):
    _words = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        + _digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    _split = pre_tokenizers.Split(tokenizers.Regex(_words), "isolated")
    PRE_TOKENIZERS[_name] = (_normalizer, pre_tokenizers.Sequence([_split, _BYTES]))
# As Mistral's tekken.json and OpenAI's o200k_base have them.
for _name, _words in (
    (
        "tekken",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    (
        "gpt-4o",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
):
    _split = pre_tokenizers.Split(tokenizers.Regex(_words), "isolated")
    PRE_TOKENIZERS[_name] = (None, pre_tokenizers.Sequence([_split, _BYTES]))
any_text = st.text(max_size=60)


def byte_level(name: str) -> tuple[tokenizers.Tokenizer, dict]:
    """A small byte-level BPE as its makers configured it, and what GGUF would say about it."""
    trained = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=name in ("llama-bpe", "tekken")))
    trained.normalizer, trained.pre_tokenizer = PRE_TOKENIZERS[name]
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|end|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    trained.train_from_iterator(CORPUS, trainer)
    model = json.loads(trained.to_str())["model"]
    vocab = sorted(trained.get_vocab().items(), key=lambda pair: pair[1])
    return trained, {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": name,
        "tokenizer.ggml.tokens": [token for token, _ in vocab],
        "tokenizer.ggml.token_type": [3 if token in special else 1 for token, _ in vocab],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in model["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
    }


def from_gguf(metadata):
    return text.Tokenizer(*vocabulary.tokenizer("m.gguf", metadata))


BYTE_LEVEL = {
    name: (*pair, from_gguf(pair[1])) for name, pair in ((name, byte_level(name)) for name in PRE_TOKENIZERS)
}


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
@given(any_text)
@example("<|im_start|>it's 12345  \n x<|im_end|>")
@example("Å ﬁ é")
@settings(max_examples=60, deadline=None)
def test_byte_level_vocabulary_from_gguf(name, string):
    trained, _, made = BYTE_LEVEL[name]
    for piece in (string, *TEXTS):
        assert made.encode(piece, special=False) == trained.encode(piece).ids
        assert made.decode(made.encode(piece, special=False)) == trained.decode(trained.encode(piece).ids)


@pytest.fixture(scope="module")
def sentencepiece_model(tmp_path_factory):
    """A small SentencePiece BPE with byte fallback by its own trainer, and what GGUF would hold."""
    spm = pytest.importorskip("sentencepiece", reason="needs the decode-test extra (sentencepiece)")
    folder = tmp_path_factory.mktemp("spm")
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(line for line in CORPUS if "\0" not in line))
    spm.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / "m"),
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    made = spm.SentencePieceProcessor(model_file=str(folder / "m.model"))
    ids = range(made.get_piece_size())
    kinds = [
        6 if made.is_byte(i) else 3 if made.is_control(i) else 2 if made.is_unknown(i) else 1 for i in ids
    ]
    return made, {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [made.id_to_piece(i) for i in ids],
        "tokenizer.ggml.scores": [made.get_score(i) for i in ids],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": made.bos_id(),
        "tokenizer.ggml.unknown_token_id": made.unk_id(),
    }


@given(any_text.filter(lambda s: "\0" not in s and "▁" not in s))
@settings(max_examples=200, deadline=None)
@example("Hello  world, it's été 12")
@example(TEXTS[6].replace("\0", ""))
def test_sentencepiece_vocabulary_from_gguf(sentencepiece_model, string):
    theirs, metadata = sentencepiece_model
    ours = from_gguf(metadata)
    expected = theirs.encode(string)
    assert ours.encode(string, special=False) == expected
    assert ours.encode(string) == [theirs.bos_id(), *expected]
    assert ours.decode(expected) == (" " + string if string else "")


@pytest.fixture(scope="module")
def smollm2_pair(smollm2):
    theirs = transformers.AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    # transformers reads the vocabulary of a GGUF file, but not its pre-tokenizer's name: digits one by one.
    theirs.backend_tokenizer.pre_tokenizer = PRE_TOKENIZERS["smollm"][1]
    return text.load(smollm2), theirs


@pytest.mark.parametrize("string", TEXTS)
def test_smollm2_tokens_are_those_of_transformers(smollm2_pair, string):
    ours, theirs = smollm2_pair
    tokens = ours.encode(string)
    assert tokens == theirs(string).input_ids
    assert ours.decode(tokens) == theirs.decode(tokens, skip_special_tokens=True)


def test_bytes_of_tokens_join_to_the_text(smollm2_pair):
    ours, theirs = smollm2_pair
    assert len(ours.token_bytes) == len(theirs)
    for string in TEXTS:
        assert b"".join(ours.token_bytes[t] for t in ours.encode(string)) == string.encode()
    assert ours.token_bytes[2] == b"<|im_end|>"
    assert ours.special == set(range(17))


def test_folder_tokenizer_is_that_of_transformers(tmp_path):
    trained, _ = byte_level("smollm")
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=trained, bos_token="<|end|>")
    wrapped.save_pretrained(tmp_path)
    ours = text.load(tmp_path)
    for string in TEXTS:
        assert ours.encode(string) == wrapped(string).input_ids
        assert ours.decode(ours.encode(string)) == wrapped.decode(
            wrapped(string).input_ids, skip_special_tokens=True
        )


def test_answers_keep_the_tokens_of_their_prompt(smollm2_pair):
    ours, _ = smollm2_pair
    prompt = ours.encode("The capital of France is")
    assert ours.encode_answer("The capital of France is", prompt, " Paris") == ours.encode(" Paris")
    joined = ours.encode("The capital of Franceville")
    prompt = ours.encode("The capital of Fra")
    assert joined[: len(prompt)] != prompt  # here a token spans the border
    assert ours.encode_answer("The capital of Fra", prompt, "nceville") == ours.encode("nceville")


def test_bytes_that_a_vocabulary_lacks_are_named(tmp_path):
    """Without a token for a byte, byte-level BPE leaves it out: the prompt is another, without a word."""
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<é>"], show_progress=False)
    trained.train_from_iterator(["the cat sat, ü"] * 3, trainer)
    trained.save(str(tmp_path / "tokenizer.json"))
    ours = text.load(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ours.decode(ours.encode("the cat <é>sat, u\u0308")) == "the cat sat, ü"
    with pytest.warns(
        UserWarning, match=r"problem 'a': the vocabulary has no tokens for all of '\\xe9', 'Z'"
    ):
        found = ours.encode("<é> catéZ", name="problem 'a'")
    plain = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert found == plain.encode("<é> catéZ").ids


def test_smollm2_lacks_some_bytes(smollm2_pair):
    ours, theirs = smollm2_pair
    with pytest.warns(UserWarning, match=r"no tokens for all of '\\x04', '\\U00040000'"):
        found = ours.encode("a\x04b\U00040000")
    assert found == theirs("a\x04b\U00040000").input_ids
    assert ours.decode(found[:2]) == "ab"


def test_a_tokenizer_of_another_model_is_said(model, tmp_path):
    """Drawn tokens would be read by another's table without a word."""
    folder, _ = model("llama-gqa-tied")
    rows = t2fast.decode.load(folder).core.model.vocab
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    trained.train_from_iterator(["the cat sat"], trainer)
    trained.save(str(tmp_path / "tokenizer.json"))
    engine = t2fast.decode.load(folder, tokenizer=tmp_path / "tokenizer.json")
    tokens = trained.get_vocab_size()
    assert tokens > rows
    with pytest.warns(UserWarning, match=f"has {tokens:,} tokens and the model {rows:,}: is it this model's"):
        assert engine.tokenizer.size == tokens
    with pytest.raises(ValueError, match=f"is not in the vocabulary of {rows}"):
        engine.sample("the cat sat", k=1, max_tokens=1)


def test_text_that_utf8_cannot_write_is_refused(smollm2):
    engine = t2fast.decode.load(smollm2)
    why = r"character \d+ is '\\udcff', half of a surrogate pair"
    bad = "a\udcffb"
    for prompt, chat in ((bad, False), (bad, True), ([{"role": "user", "content": bad}], True)):
        with pytest.raises(ValueError, match=f"^problem 'x': {why}"):
            engine.sample({"x": prompt}, k=1, max_tokens=1, chat=chat)
    with pytest.raises(ValueError, match=f"^problem 0: {why}"):
        engine.score(["a"], [[bad]])
    with pytest.raises(ValueError, match=f"^stop string .*: {why}"):
        engine.sample("a", k=1, max_tokens=1, stop=bad)


def test_what_is_not_supported_is_named(tmp_path):
    metadata = {**BYTE_LEVEL["gpt-2"][1], "tokenizer.ggml.pre": "new-kind"}
    with pytest.raises(
        ValueError, match=r"m\.gguf: tokenizer\.ggml\.pre is 'new-kind': supported are .*gpt-2"
    ):
        from_gguf(metadata)
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.model is 'bert': gpt2, llama and t5"):
        from_gguf({**BYTE_LEVEL["gpt-2"][1], "tokenizer.ggml.model": "bert"})
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        text.load(tmp_path)


def test_metadata_are_those_of_the_gguf_package(smollm2):
    reader = models.gguf.GGUFReader(smollm2)
    found = _core.gguf_metadata(str(smollm2))
    keys = {key for key in reader.fields if not key.startswith("GGUF.")}
    assert keys <= set(found)
    for key in keys:
        assert (
            found[key] == pytest.approx(reader.fields[key].contents())
            if "eps" in key
            else (found[key] == reader.fields[key].contents())
        )
