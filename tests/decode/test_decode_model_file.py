"""The configuration and tensors that other back ends read are those of the oracle's own loader."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import decode_models  # noqa: F401 (skips where the extra decode-test is missing)
import numpy as np
import pytest
import reference_files
from t2fast._core import DecodeEngine, ModelFile
from t2fast.decode.request import Request, Sampling

NAMES = {
    "attn_norm": "input_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
    "o": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
MODELS = {
    "llama-gqa-tied": "float32",
    "llama-mha-untied-biases": "float32",
    "llama-yarn-rope": "float32",
    "mistral-window": "float32",
    "qwen3": "float32",
    "neox-parallel": "float32",
    "llama-bfloat16": "bfloat16",
    "llama-float16": "float16",
    "open-lm": "float32",
    "llama-q4_0": "q4_0",
    "llama-q4_1-tied": "q4_1",
    "qwen2-q8_0": "q8_0",
    "gptneox-sequential-f32": "float32",
}


@pytest.mark.parametrize("name", MODELS)
def test_tensors_and_configuration_are_those_of_the_reference(model, name):
    path, _ = model(name)
    file, reference = ModelFile(path), reference_files.load(path)
    spec, config = reference.spec, file.config
    expected = dict(reference.weights)

    def check(ours: str, theirs: str) -> None:
        found, wanted = file.tensor(ours), expected.pop(theirs, None)
        assert (found is None) == (wanted is None), ours
        assert (file.tensor_dtype(ours) is None) == (found is None)
        if found is not None:
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, wanted.numpy(), ours)

    for field in ("weight", "bias"):
        for layer in range(spec.layers):
            for ours, theirs in NAMES.items():
                check(f"layers.{layer}.{ours}.{field}", f"layers.{layer}.{theirs}.{field}")
        check(f"norm.{field}", f"norm.{field}")
    if file.tied:
        np.testing.assert_array_equal(file.tensor("head.weight"), file.tensor("embedding"))
        assert expected.pop("lm_head.weight", None) is None
    else:
        check("head.weight", "lm_head.weight")
    check("embedding", "embed_tokens.weight")
    assert not expected
    assert file.tensor_dtype("layers.1.up.weight") == MODELS[name]
    for key in ("layers", "heads", "kv_heads", "head_dim", "rotary_dim", "layer_norm", "parallel"):
        assert config[key] == getattr(spec, key), key
    assert config["vocab"] == spec.vocab
    assert config["interleaved"] == spec.interleaved
    assert config["eps"] == pytest.approx(spec.eps)
    assert config["inv_freq"] == pytest.approx(spec.inv_freq.numpy(), rel=1e-6)
    assert config["rope_scale"] == pytest.approx(spec.rope_scale)
    assert config["activation"] == {None: "swiglu", "none": "gelu", "tanh": "gelu_tanh"}[spec.gelu]
    assert config["window"] == (spec.windows[0] if spec.windows else None)
    engine = DecodeEngine(path).model
    assert (file.n_params, config["eos"], config["bos"]) == (engine.n_params, engine.eos, engine.bos)
    for key in ("architecture", "width", "max_positions"):
        assert config[key] == getattr(engine, key)


def test_what_is_not_there_is_named(model, tmp_path):
    path, _ = model("llama-gqa-tied")
    file = ModelFile(path)
    for name in ("layers.3.q.weight", "layers.-1.q.weight", "layers.0.q.scale", "rotation", "head"):
        with pytest.raises(KeyError, match=name):
            file.tensor(name)
    with pytest.raises(ValueError, match="none"):
        ModelFile(tmp_path / "none")
    shutil.copytree(path, tmp_path / "model")
    weights = next((tmp_path / "model").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(ValueError, match="safetensors"):
        ModelFile(tmp_path / "model")


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": [[1], [5, 131]]},
        {"prompts": [[]] * 2, "max_tokens": 256},
        {"keys": [1]},
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"min_p": 2.0},
        {"max_rows": 0},
        {"ahead": 0},
        {"have": [[0]]},
        {"have": [[0, 0], []]},
        {"have": [[], [2]]},
        {"stop": ["x"], "token_bytes": [b"x"] * 100},
        {"stop_tokens": [131]},
        {"first_sample": 2**32 - 2, "k": [1, 5]},
    ],
)
def test_arguments_are_refused_in_the_same_words(model, change):
    path, _ = model("llama-gqa-tied")
    file, engine = ModelFile(path), DecodeEngine(path)
    sampling = {"max_tokens": 4, "stop_tokens": [2]}
    request = Request([[3, 4], [5]], [1, 2], [1, 2], Sampling(**sampling))
    assert file.sample_prompts(request, 0) == request.prompts
    assert file.sample_prompts(replace(request, prompts=[[], [5]]), 0) == [[file.config["bos"]], [5]]
    own = {
        name: change[name]
        for name in ("prompts", "keys", "k", "first_sample", "have", "max_rows", "ahead")
        if name in change
    }
    table = change.get("token_bytes", [])
    rules = {name: value for name, value in change.items() if name not in {*own, "token_bytes"}}
    request = replace(request, sampling=Sampling(**sampling | rules), **own)
    engine.set_vocabulary(table)
    with pytest.raises(ValueError, match=r"\w") as of_engine:
        engine.sample(request)
    with pytest.raises(ValueError, match=re.escape(str(of_engine.value)) + "$"):
        file.sample_prompts(request, len(table))
