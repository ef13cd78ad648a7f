"""Facts that a model keeps in several files: every row of docs/models.md's table, against transformers."""

from __future__ import annotations

import json
import shutil
import warnings

import decode_models as models
import numpy as np
import pytest
import t2fast.decode
import torch
import transformers
from safetensors.torch import load_file, save_file
from t2fast.decode import chat, text
from test_decode_text import byte_level, from_gguf

MESSAGES = [{"role": "user", "content": "x"}]
TOKENS = np.random.default_rng(0).integers(3, 130, 100).tolist()


def patched(model, tmp_path, change, *, base="llama-gqa-tied", file="config.json"):
    """A copy of a model with keys of one of its files replaced; None removes one."""
    folder = tmp_path / "model"
    shutil.copytree(model(base)[0], folder)
    whole = json.loads((folder / file).read_text()) if (folder / file).exists() else {}
    whole |= change
    (folder / file).write_text(json.dumps({k: v for k, v in whole.items() if v is not Ellipsis}))
    return folder


def same_logits(folder, match=None):
    if match is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine = t2fast.decode.load(folder, dtype="float32")
    else:
        with pytest.warns(UserWarning, match=match):
            engine = t2fast.decode.load(folder, dtype="float32")
    peer = models.transformers_model(folder)
    with torch.no_grad():
        expected = peer(torch.tensor([TOKENS])).logits[0].numpy()
    np.testing.assert_allclose(engine.core.logits(TOKENS), expected, atol=4e-5 * np.abs(expected).max())
    return expected


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
DEFAULT = {"rope_type": "default", "rope_theta": 10000.0}


def test_rope_scaling_replaces_rope_parameters(model, tmp_path):
    plain = same_logits(model("llama-gqa-tied")[0])
    folder = patched(model, tmp_path, {"rope_parameters": DEFAULT, "rope_scaling": YARN})
    both = same_logits(folder, match="rope_scaling is used")
    assert np.abs(both - plain).max() > 0.1


def test_the_longest_position_of_training_is_taken_from_the_top_level(model, tmp_path):
    change = {"rope_parameters": {**DEFAULT, **YARN}, "original_max_position_embeddings": 32}
    same_logits(patched(model, tmp_path, change))


def test_attn_factor_is_not_attention_factor(model, tmp_path):
    change = {"rope_parameters": {**DEFAULT, **YARN, "attn_factor": 3.0}}
    same_logits(patched(model, tmp_path, change), match="attn_factor is not used")
    shutil.rmtree(tmp_path / "model")
    same_logits(patched(model, tmp_path, {"rope_parameters": {**DEFAULT, **YARN, "attention_factor": 3.0}}))


def test_tied_matrices_with_other_values_are_not_tied(model, tmp_path):
    folder = patched(model, tmp_path, {"tie_word_embeddings": True}, base="llama3-rope")
    same_logits(folder, match="ties head and embedding")
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    same_logits(folder)
    del tensors["model.embed_tokens.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    same_logits(folder)


@pytest.mark.parametrize("window", [..., None, 9])
def test_a_mistral_without_a_word_on_windows_has_the_default(model, tmp_path, window):
    folder = patched(model, tmp_path, {"sliding_window": window}, base="mistral-window")
    expected = transformers.AutoConfig.from_pretrained(folder).sliding_window
    assert t2fast._core.ModelFile(folder).config["window"] == expected
    same_logits(folder)


@pytest.mark.parametrize(
    ("config", "generation", "expected", "note"),
    [
        (2, None, [2], None),
        (2, [3, 2], [3, 2], None),
        (2, [3, 4], [3, 4], "which is used"),
        ([2, 5], ..., [2, 5], None),
    ],
)
def test_generation_config_says_when_to_stop(model, tmp_path, config, generation, expected, note):
    folder = patched(model, tmp_path, {"eos_token_id": config})
    (folder / "generation_config.json").unlink(missing_ok=True)
    if generation is not None:
        given = {} if generation is ... else {"eos_token_id": generation}
        (folder / "generation_config.json").write_text(json.dumps(given))
    if note:
        with pytest.warns(UserWarning, match=note):
            engine = t2fast.decode.load(folder)
    else:
        engine = t2fast.decode.load(folder)
    assert engine.core.model.eos == expected
    if generation is not ...:  # there transformers would never stop
        theirs = models.transformers_model(folder).generation_config.eos_token_id
        assert expected == (theirs if isinstance(theirs, list) else [theirs])


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize("old", [{}, {"bos_token": "<|im_start|>"}, {"bos_token": {"content": "<|end|>"}}])
@pytest.mark.parametrize("new", [{}, {"bos_token": "<|end|>"}])
def test_special_tokens_of_templates(tmp_path, decoder, old, new):
    trained, _ = byte_level("gpt-2")
    trained.save(str(tmp_path / "tokenizer.json"))
    added = {"0": {"content": "<|im_start|>", "special": True}} if decoder else {}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "{{ bos_token }}", **new}
    config |= {"added_tokens_decoder": added} if decoder else {}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(old))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    expected = tokenizer.apply_chat_template(MESSAGES, tokenize=False)
    found = chat.template(tmp_path).render(MESSAGES)
    if decoder and old and not new:
        assert expected == ""  # transformers reads one file alone and would lose the token
        expected = "<|im_start|>" if old["bos_token"] == "<|im_start|>" else "<|end|>"
    assert found == expected


def test_the_template_file_goes_before_the_configuration(tmp_path):
    trained, _ = byte_level("gpt-2")
    trained.save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "configuration"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert chat.template(tmp_path).render("x") == "configuration"
    (tmp_path / "chat_template.jinja").write_text("file")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.apply_chat_template(MESSAGES, tokenize=False) == "file"
    assert chat.template(tmp_path).render(MESSAGES) == "file"


TRUNCATION = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": {"Fixed": 12},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 1,
    "pad_type_id": 0,
    "pad_token": "<|end|>",
}


def test_settings_of_training_leave_prompts_alone(tmp_path):
    trained, _ = byte_level("gpt-2")
    plain = json.loads(trained.to_str())
    prompts = ["The quick brown fox jumps", "The quick brown fox jumps over the lazy dog. Q: 7+8? A:"]
    expected = [trained.encode(prompt).ids for prompt in prompts]
    assert len(expected[1]) > len(expected[0]) > 4
    for change in (
        {"truncation": TRUNCATION},
        {"padding": PADDING},
        {"model": {**plain["model"], "dropout": 0.5}},
    ):
        (tmp_path / "tokenizer.json").write_text(json.dumps(plain | change))
        for _ in range(5):
            ours = text.load(tmp_path)
            assert [ours.encode(prompt) for prompt in prompts] == expected


def test_vocabularies_without_a_way_to_cut():
    for name in ("llama-bpe", "smollm", "gpt-2"):
        trained, metadata = byte_level(name)
        del metadata["tokenizer.ggml.pre"]
        with pytest.warns(UserWarning, match=r"no tokenizer\.ggml\.pre.*" + name + " is assumed"):
            made = from_gguf(metadata)
        assert made.encode("1234567 and 12", special=False) == trained.encode("1234567 and 12").ids
        assert made.bos == (0 if name == "llama-bpe" else None)
