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
from t2fast import _core
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
        assert made.before == ([0] if name == "llama-bpe" else [])


NESTED = {
    "full_attention": {"rope_type": "default", "rope_theta": 4000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
}


@pytest.mark.parametrize("base", ["gemma3", "olmo3"])
def test_rotations_by_kind_of_layer(model, tmp_path, base):
    """rope_scaling changes full layers alone and leaves them their base."""
    scaling = {"rope_type": "linear", "factor": 4.0}
    change = {"rope_parameters": NESTED, "rope_scaling": scaling}
    same_logits(patched(model, tmp_path, change, base=base), match="rope_scaling is used")


@pytest.mark.parametrize("base", ["gemma3", "olmo3"])
def test_rotations_as_older_files_have_them(model, tmp_path, base):
    theta = (
        {"rope_theta": 4000.0, "rope_local_base_freq": 300.0}
        if base == "gemma3"
        else {"rope_theta": 500000.0}
    )
    change = {"rope_parameters": ..., "rope_scaling": {"rope_type": "linear", "factor": 4.0}, **theta}
    same_logits(patched(model, tmp_path, change, base=base))


def test_a_base_that_transformers_5_forgets_is_kept(model, tmp_path):
    change = {"rope_parameters": ..., "rope_scaling": YARN, "rope_theta": 7000.0}
    with pytest.warns(UserWarning, match="every layer rotates by rope_theta"):
        engine = t2fast.decode.load(patched(model, tmp_path, change, base="olmo3"), dtype="float32")
    shutil.rmtree(tmp_path / "model")
    full, plain = {**YARN, "rope_theta": 7000.0}, {**DEFAULT, "rope_theta": 7000.0}
    change = {"rope_parameters": {"full_attention": full, "sliding_attention": plain}}
    expected = same_logits(patched(model, tmp_path, change, base="olmo3"))
    found = engine.core.logits(TOKENS)
    np.testing.assert_allclose(found, expected, atol=4e-5 * np.abs(expected).max())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("base", ["granite", "smollm3", "starcoder2", "qwen3-windows"])
def test_part_of_a_head_is_rotated_where_the_family_does(model, tmp_path, base, inside):
    change = {"partial_rotary_factor": 0.5}
    change = {"rope_parameters": {**DEFAULT, **change}} if inside else change
    same_logits(patched(model, tmp_path, change, base=base), match="partial_rotary_factor is not used")


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ("mistral-window", {"layer_types": ["full_attention"] * 3}),
        ("mistral-window", {"layer_types": ["sliding_attention", "full_attention", "full_attention"]}),
        (
            "qwen3",
            {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1, "layer_types": ...},
        ),
        ("qwen2", {"use_sliding_window": False, "sliding_window": 5, "layer_types": ...}),
        ("gemma2", {"layer_types": ["full_attention"] * 4}),
        ("gemma3", {"layer_types": ..., "sliding_window_pattern": 2}),
        ("gemma3", {"attn_logit_softcapping": 2.0}),
        ("gemma3", {"final_logit_softcapping": 2.0}),
        ("gemma2", {"attn_logit_softcapping": None, "final_logit_softcapping": None}),
        (
            "gemma2",
            {"attn_logit_softcapping": ..., "final_logit_softcapping": ..., "query_pre_attn_scalar": ...},
        ),
        ("granite", {"embedding_multiplier": ..., "residual_multiplier": ..., "logits_scaling": ...}),
        ("smollm3", {"no_rope_layers": ..., "no_rope_layer_interval": 2}),
        ("smollm3", {"no_rope_layers": ...}),
        ("qwen2", {"rope_parameters": ..., "rope_theta": 500.0}),
        ("qwen2", {"rope_parameters": ...}),
        (
            "qwen2",
            {"rope_parameters": ..., "rope_theta": 500.0, "rope_scaling": {**DEFAULT, "rope_theta": 300.0}},
        ),
        ("qwen2", {"rope_parameters": ..., "rope_scaling": {"type": "linear", "factor": 2.0}}),
        ("qwen2", {"rope_parameters": ..., "rope_scaling": {**YARN, "type": "linear"}}),
        ("qwen2", {"rope_parameters": ..., "rope_scaling": {**YARN, "mscale": 0.7, "mscale_all_dim": 0.3}}),
        ("qwen2", {"rope_parameters": ..., "rope_scaling": {**YARN, "truncate": False, "beta_fast": 20}}),
        ("qwen2", {"torch_dtype": "bfloat16", "dtype": ...}),
        ("stablelm", {"rope_parameters": ..., "partial_rotary_factor": 0.5}),
        ("stablelm", {"rope_parameters": ...}),
    ],
)
def test_what_else_configurations_say(model, tmp_path, base, change):
    same_logits(patched(model, tmp_path, change, base=base))


@pytest.mark.parametrize("stem", ["model.language_model.", "language_model.model.", "model."])
def test_names_of_a_text_model_beside_one_of_images(model, tmp_path, stem):
    folder, peer = model("gemma3-with-images")
    shutil.copytree(folder, tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    own = next(name for name in tensors if name.endswith("embed_tokens.weight")).removesuffix(
        "embed_tokens.weight"
    )
    renamed = {
        stem + name.removeprefix(own) if name.startswith(own) else name: t for name, t in tensors.items()
    }
    save_file(renamed, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match="the text model alone is loaded"):
        engine = t2fast.decode.load(tmp_path / "m", dtype="float32")
    with torch.no_grad():
        expected = peer(torch.tensor([TOKENS])).logits[0].numpy()
    np.testing.assert_allclose(engine.core.logits(TOKENS), expected, atol=4e-5 * np.abs(expected).max())
    assert engine.core.model.eos == [2, 7]


@pytest.mark.parametrize(
    ("base", "change", "named"),
    [
        ("qwen2", {"is_causal": False}, "is_causal is false"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ("granite4", {"num_local_experts": 4}, "with experts"),
        ("smollm3", {"layer_types": models.MIXED, "sliding_window": 5}, "sliding_attention in layer_types"),
        ("granite4", {"layer_types": ["mamba", *["attention"] * 3]}, "Mamba layers"),
        ("phi3", {"rope_scaling": YARN}, '"yarn" is not supported in phi3'),
        ("qwen2", {"hidden_act": "relu"}, 'hidden_act "relu"'),
        ("qwen2", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, 'quantised by "gptq"'),
        ("qwen2", {"quantization_config": {"quant_method": "awq"}}, 'quantised by "awq"'),
        ("qwen2", {"quantization_config": {"quant_method": "bitsandbytes"}}, 'quantised by "bitsandbytes"'),
        ("qwen2", {"architectures": ["Qwen2ForSequenceClassification"]}, "language-model head"),
        ("gemma3", {"model_type": "gemma3n"}, 'model_type "gemma3n" is not supported'),
    ],
)
def test_what_is_computed_otherwise_is_refused_by_name(model, tmp_path, base, change, named):
    with pytest.raises(ValueError, match=named):
        t2fast.decode.load(patched(model, tmp_path, change, base=base))


SIZES = {"vocab_size": 133, "hidden_size": 96, "intermediate_size": 160, "num_hidden_layers": 4}
CLASSES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "ministral": "Ministral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "gemma2": "Gemma2",
    "gemma3_text": "Gemma3Text",
    "olmo2": "Olmo2",
    "olmo3": "Olmo3",
    "granite": "Granite",
    "granitemoehybrid": "GraniteMoeHybrid",
    "phi3": "Phi3",
    "gpt2": "GPT2",
    "smollm3": "SmolLM3",
    "starcoder2": "Starcoder2",
    "stablelm": "StableLm",
    "gpt_neox": "GPTNeoX",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_keys_that_are_left_out_have_the_defaults_of_transformers(tmp_path, kind):
    """Sizes alone are said, not even the number of key heads; and nothing of when to stop."""
    key_heads = {"mistral": 8, "ministral": 8, "gemma2": 4, "gemma3_text": 4, "smollm3": 4, "starcoder2": 2}
    heads = {"qwen2": 32, "qwen3": 32, "stablelm": 32}.get(kind, 2 * key_heads.get(kind, 3))
    said = {**SIZES, "num_attention_heads": heads, "hidden_size": 16 * heads}
    if kind == "gpt2":
        said = {"vocab_size": 133, "n_embd": 96, "n_head": 6, "n_layer": 2}
    if kind == "granitemoehybrid":
        said |= {"num_local_experts": 0, "shared_intermediate_size": 160, "layer_types": ["attention"] * 4}
        said |= {"mamba_n_heads": 6}
    if kind == "ministral":
        said |= {"head_dim": 16}  # which transformers cannot do without
    made = getattr(transformers, f"{CLASSES[kind]}Config")(**said, pad_token_id=None)
    name = CLASSES[kind].removesuffix("Text") + ("LMHeadModel" if kind == "gpt2" else "ForCausalLM")
    models.randomise(getattr(transformers, name)(made), 5).save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({**said, "model_type": kind, "pad_token_id": None}))
    theirs = transformers.AutoConfig.from_pretrained(tmp_path)
    end = theirs.eos_token_id
    same_logits(tmp_path, match=None if end is None else f"eos_token_id is missing.*: {end} ends a sample")
    ours = _core.ModelFile(tmp_path).config
    assert ours["eos"] == ([] if end is None or end >= said["vocab_size"] else [end])
    assert ours["max_positions"] == theirs.max_position_embeddings


def test_a_text_model_whose_heads_are_left_out(tmp_path):
    """As in google/gemma-3-4b-it, whose text_config has neither heads nor vocabulary."""
    said = {**SIZES, "vocab_size": 133, "sliding_window": 9}
    models.randomise(
        transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**said)), 5
    ).save_pretrained(tmp_path)
    expected = same_logits(tmp_path)
    config = {"model_type": "gemma3", "eos_token_id": [1, 2], "text_config": said}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="the text model alone"):
        found = t2fast.decode.load(tmp_path, dtype="float32").core.logits(TOKENS)
    np.testing.assert_allclose(found, expected, atol=4e-5 * np.abs(expected).max())


OTHERS = {"layer_norm_eps", "norm_epsilon", "rms_norm_eps", "mlp_bias", "attention_bias"}
READ = {
    "llama": {"rms_norm_eps", "attention_bias", "mlp_bias"},
    "granite": {"rms_norm_eps", "attention_bias", "mlp_bias"},
    "smollm3": {"rms_norm_eps", "attention_bias", "mlp_bias"},
    "mistral": {"rms_norm_eps"},
    "ministral": {"rms_norm_eps"},
    "qwen2": {"rms_norm_eps"},
    "phi3": {"rms_norm_eps"},
    "starcoder2": {"norm_epsilon"},
    "stablelm": {"layer_norm_eps"},
    "neox": {"layer_norm_eps", "attention_bias"},
}
"""Which of them a family reads."""


@pytest.mark.parametrize(
    "base",
    [
        *("llama-gqa-tied", "mistral-window", "ministral", "qwen2", "qwen3", "gemma2", "gemma3", "olmo2"),
        *("olmo3", "granite", "granite4", "phi3", "smollm3", "starcoder2", "stablelm", "neox-parallel"),
    ],
)
def test_keys_of_other_families_are_not_read(model, tmp_path, base):
    own = READ.get(base.split("-")[0], {"rms_norm_eps", "attention_bias"})
    change = {key: 0.3 if "eps" in key else True for key in OTHERS - own}
    same_logits(patched(model, tmp_path, change, base=base))


@pytest.mark.parametrize("base", ["qwen2", "gemma3", "neox-parallel"])
def test_longrope_holds_up_to_the_length_of_training(model, tmp_path, base):
    """Beyond it transformers turns by other frequencies, in every family."""
    folder, _ = model(base)
    config = transformers.AutoConfig.from_pretrained(folder)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    pairs = width // (4 if base == "neox-parallel" else 2)
    scaling = {"rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": len(TOKENS)}
    scaling |= {"short_factor": [1 + 0.1 * i for i in range(pairs)], "long_factor": [2.0] * pairs}
    change = {"rope_parameters": ..., "rope_scaling": scaling, "rotary_pct": 0.5}
    folder = patched(model, tmp_path, change, base=base)
    same_logits(folder, match=f"limited to the {len(TOKENS)} positions of training")
    with pytest.warns(UserWarning, match="positions of training"):
        engine = t2fast.decode.load(folder, dtype="float32")
    with pytest.raises(ValueError, match=f"made for {len(TOKENS)} positions"):
        engine.core.logits([*TOKENS, 5])


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        ("qweight", "weights are quantised"),
        ("weight_packed", "weights are quantised"),
        ("base_layer.weight", "an adapter was saved with its model"),
    ],
)
def test_what_stands_in_a_matrix_s_place_is_named(model, tmp_path, stored, what):
    folder = patched(model, tmp_path, {})
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj."
    tensors[name + stored] = tensors.pop(name + "weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"q_proj\.weight\" is missing; .*{stored}\" is there: {what}"):
        t2fast.decode.load(folder)
