"""Vocabularies with flipped bytes: they load, or one line names the file and what is wrong with it."""

from __future__ import annotations

import json
import warnings

import gguf
import numpy as np
import pytest
from t2fast.decode import chat, text
from test_decode_text import byte_level


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    """Two files of a vocabulary alone, byte-level and SentencePiece-like."""
    folder = tmp_path_factory.mktemp("vocabularies")
    _, metadata = byte_level("smollm")
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", "a", "b", "ab", "▁ab"]
    plain = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [-float(i) for i in range(len(tokens))],
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, *[1] * 5],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.eos_token_id": 2,
    }
    paths = []
    for name, keys in (("bytes", metadata), ("pieces", plain)):
        path = folder / f"{name}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        for key, value in keys.items():
            add = {str: writer.add_string, int: writer.add_uint32, list: writer.add_array}[type(value)]
            add(key, value)
        writer.add_chat_template(
            "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
        )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        paths.append(path)
    return paths


def message(read):
    """What a ValueError says, if there is one; any other error is a failure."""
    try:
        read()
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("which", [0, 1])
def test_flipped_bytes_end_in_one_line(vocabularies, tmp_path, which):
    whole = np.frombuffer(vocabularies[which].read_bytes(), np.uint8)
    path = tmp_path / "flipped.gguf"
    refused = 0
    for seed in range(150):
        random = np.random.default_rng(seed)
        flipped = whole.copy()
        # Half of the flips go to the front, where keys and lengths are.
        front = len(whole) if seed % 2 else 900
        at = random.integers(24, min(front, len(whole)), random.integers(1, 6))
        flipped[at] = random.integers(0, 256, len(at))
        path.write_bytes(flipped.tobytes())
        for read in (lambda: text.load(path).encode("ab, été 12"), lambda: chat.template(path).render("x")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = message(read)
            refused += said is not None
            assert said is None or (str(path) in said and "\n" not in said)
    assert refused > 20


def test_key_and_value_are_named(vocabularies, tmp_path):
    from t2fast import _core
    from t2fast.decode import vocabulary

    for which, key, value, expected in (
        (0, "merges", ["a b", "no-such token"], r"tokenizer\.ggml\.merges\[\d\] is"),
        (0, "tokens", 7, r"tokenizer\.ggml\.tokens is '7': a list is expected"),
        (0, "bos_token_id", 9999, r"bos_token_id is '9999': the vocabulary has 459 tokens"),
        (1, "scores", [0.0], r"tokenizer\.ggml\.scores is 'a list of 1': 264 entries are expected"),
        (1, "scores", [float("nan")] * 264, r"tokenizer\.ggml\.scores\[0\] is 'nan'"),
        (1, "token_type", ["x"] * 264, r"tokenizer\.ggml\.token_type\[0\] is 'x': a number is expected"),
        (1, "unknown_token_id", -1, r"unknown_token_id is '-1'"),
    ):
        metadata = _core.gguf_metadata(str(vocabularies[which])) | {f"tokenizer.ggml.{key}": value}
        metadata["tokenizer.ggml.add_bos_token"] = True
        with pytest.raises(ValueError, match=r"^m\.gguf: .*" + expected):
            vocabulary.tokenizer("m.gguf", metadata)


def test_what_damage_found(tmp_path):
    """Each once ended in a traceback, in gigabytes, or in a message without its file."""
    trained, _ = byte_level("smollm")
    made = json.loads(trained.to_str())
    made["model"]["vocab"][" "] = 2**31  # a table of all ids up to it was made
    (tmp_path / "far.json").write_text(json.dumps(made))
    (tmp_path / "mute.json").write_text(json.dumps({**json.loads(trained.to_str()), "decoder": None}))
    deep = "[" * 5000 + "]" * 5000
    for name, content, read, expected in (
        ("far.json", None, text.load, r"far\.json: token ' ' has id 2147483648 among 460 tokens"),
        ("mute.json", None, lambda path: text.load(path).token_bytes, r"mute\.json: its decoder is neither"),
        ("tokenizer_config.json", deep, None, r"tokenizer_config\.json: not JSON \(maximum recursion"),
        (
            "tokenizer_config.json",
            '{"chat_template": [{"name": "x"}]}',
            None,
            "chat_template is a list, and not of names",
        ),
        ("chat_template.jinja", b"\xff{{ messages }}", None, r"chat_template\.jinja: not UTF-8"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ValueError, match=expected):
            (read or (lambda file: chat.template(file.parent)))(path)
        if read is None:
            path.write_text("{}")
