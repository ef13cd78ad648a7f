"""Each family in each format it has, against transformers: logits in float32, greedy text, the same bits."""

from __future__ import annotations

import json
import shutil
import warnings

import decode_models as models
import gguf
import numpy as np
import pytest
import t2fast.decode
import torch
import transformers
from safetensors.torch import load_file
from t2fast import _core
from test_decode_files import HALVES

TOKENS = np.random.default_rng(0).integers(3, 130, 60).tolist()
FILES = [*models.MORE, *(f"{name}.gguf" for name, (arch, _) in models.MORE.items() if arch is not None)]


def expected_logits(peer, tokens):
    with torch.no_grad():
        return peer(torch.tensor([tokens])).logits[0].float().numpy()


@pytest.mark.parametrize("name", FILES)
def test_logits_and_greedy_text_are_those_of_transformers(model, name):
    path, peer = model(name)
    expected = expected_logits(peer, TOKENS)
    engine = load(name, path)
    found = engine.core.logits(TOKENS)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 4e-5 * max(1.0, np.abs(expected).max())
    text = getattr(peer.base_model, "language_model", peer)
    assert engine.core.model.n_params == text.num_parameters()
    drawn = engine.sample(TOKENS[:9], k=1, temperature=0, max_tokens=12, stop_tokens=[]).table["tokens"][0]
    theirs = expected_logits(peer, [*TOKENS[:9], *drawn])[8:-1].argmax(-1)
    assert drawn.to_list() == theirs.tolist()
    portable = _core.DecodeEngine(str(path), dtype="float32", kernel="portable").logits(TOKENS[:20])
    assert np.array_equal(engine.core.logits(TOKENS[:20]).view(np.uint32), portable.view(np.uint32))


NOTES = {"phi3-longrope": "limited to the 128 positions of training", "gemma3-with-images": "images cannot"}
"""What is said of a model when it is loaded."""


def load(name, path):
    note = NOTES.get(name.removesuffix(".gguf"))
    if note is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return t2fast.decode.load(path, dtype="float32")
    with pytest.warns(UserWarning, match=note):
        return t2fast.decode.load(path, dtype="float32")


@pytest.mark.parametrize("name", ["gemma3", "olmo2", "granite"])
def test_samples_do_not_depend_on_their_company(model, name):
    engine = t2fast.decode.load(model(name)[0])
    options = {"seed": 3, "max_tokens": 10, "stop_tokens": []}
    many = engine.sample(TOKENS[:30], k=9, **options).table
    few = engine.sample(TOKENS[:30], k=9, max_rows=2, **options).table
    assert many.equals(few)
    scored = engine.score([TOKENS[:30]], [[many["tokens"][4].to_list()]])["logprob"][0]
    assert scored == pytest.approx(many["logprob"][4], abs=1e-3 if engine.core.dtype == "float32" else 0.3)


def quantised(kinds, path):
    """A llama of one layer, its matrices random blocks of these types (the last: the head), and its peer."""
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=256,
        intermediate_size=256,
        num_hidden_layers=1,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=128,
    )
    peer = transformers.LlamaForCausalLM(config).eval()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(256)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(32)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    random = np.random.default_rng(2)
    for hf_name, tensor in peer.state_dict().items():
        name = names.get_name(hf_name, try_suffixes=(".weight",))
        if tensor.dim() == 1:
            writer.add_tensor(name, tensor.numpy())
            continue
        kind = gguf.GGMLQuantizationType[kinds[-1] if "lm_head" in hf_name else kinds[0]]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (tensor.numel() // elements, size), dtype=np.uint8)
        for at in HALVES[kind.name]:
            blocks[:, at : at + 2] = np.frombuffer(np.float16(4e-4).tobytes(), np.uint8)
        if kind.name == "MXFP4":
            blocks[:, 0] = 121
        data = blocks.reshape(tensor.shape[0], -1)
        writer.add_tensor(name, data, raw_dtype=kind)
        values = gguf.quants.dequantize(data, kind)
        heads = {"q_proj": 8, "k_proj": 2}.get(hf_name.split(".")[-2])
        if heads:  # from pairs side by side to halves
            values = values.reshape(heads, -1, 2, 256).swapaxes(1, 2).reshape(values.shape)
        tensor.copy_(torch.from_numpy(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return peer


@pytest.mark.parametrize("kinds", [*([name] for name in HALVES), ["Q4_0", "Q6_K"], ["Q4_K", "Q6_K"]])
def test_quantised_models_are_those_of_their_values(tmp_path, kinds):
    peer = quantised(kinds, tmp_path / "m.gguf")
    tokens = [t % 64 for t in TOKENS[:20]]
    expected = expected_logits(peer, tokens)
    found = t2fast.decode.load(tmp_path / "m.gguf", dtype="float32").core.logits(tokens)
    assert np.abs(found - expected).max() < 4e-5 * np.abs(expected).max()


@pytest.mark.parametrize("kind", HALVES)
def test_quantised_samples_do_not_depend_on_their_company(tmp_path, kind):
    """One row takes another way through the kernels than several do, to the same bits."""
    quantised([kind], tmp_path / "m.gguf")
    for dtype in ("float32", "auto"):
        engine = t2fast.decode.load(tmp_path / "m.gguf", dtype=dtype)
        options = {"max_tokens": 12, "stop_tokens": [], "seed": 3}
        alone = engine.sample([[5, 6, 7]], k=1, **options).table
        beside = engine.sample([[5, 6, 7]], k=19, **options).table
        assert alone["tokens"][0].to_list() == beside["tokens"][0].to_list()
        assert alone["logprob"][0] == beside["logprob"][0]


def test_a_model_in_several_files(tmp_path, model):
    whole, _ = model("llama-f32")
    reader = gguf.GGUFReader(whole)
    halves = np.array_split(np.arange(len(reader.tensors)), 3)
    for i, part in enumerate(halves):
        path = tmp_path / f"m-{i + 1:05}-of-00003.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        for field in reader.fields.values() if i == 0 else ():
            if field.name.startswith("llama."):
                writer.add_key_value(field.name, field.contents(), field.types[0])
        writer.add_uint16("split.no", i)
        writer.add_uint16("split.count", 3)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for at in part:
            tensor = reader.tensors[at]
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    expected = t2fast.decode.load(whole, dtype="float32").core.logits(TOKENS)
    for i in (1, 3):
        found = t2fast.decode.load(tmp_path / f"m-{i:05}-of-00003.gguf", dtype="float32").core.logits(TOKENS)
        assert np.array_equal(found, expected)
    (tmp_path / "m-00002-of-00003.gguf").rename(tmp_path / "elsewhere.gguf")
    with pytest.raises(ValueError, match=r"one is missing: .*m-00002-of-00003\.gguf"):
        t2fast.decode.load(tmp_path / "m-00001-of-00003.gguf")
    with pytest.raises(ValueError, match=r"not named as such: expected NAME-00001-of-00003\.gguf"):
        t2fast.decode.load(tmp_path / "elsewhere.gguf")


def test_an_unknown_family_is_refused_by_name(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    models.save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r'model_type "mamba" is not supported; llama, .*gemma3_text.* are'):
        t2fast.decode.load(tmp_path)


@pytest.mark.parametrize(
    ("base", "blocks"),
    [
        *(("llama-gqa-tied", blocks) for blocks in ((1, 1), (1, None), (128, 128), (48, 40))),
        ("phi3", (128, 128)),  # rows of one matrix go to several
        ("neox-parallel", (1, None)),  # so they do here, dealt by heads
    ],
)
def test_eight_bit_floats_with_their_scales(tmp_path, model, base, blocks):
    """One scale for a matrix, for each row, or for each block, against torch's own conversion."""
    folder, _ = model(base)
    shutil.copytree(folder, tmp_path / "m")
    tensors, plain = {}, {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if tensor.dim() == 1 or "embed" in name:
            tensors[name] = plain[name] = tensor
            continue
        rows, cols = tensor.shape
        height, width = {(1, 1): (rows, cols), (1, None): (1, cols), (128, 128): (32, 32)}.get(blocks, blocks)
        scale = torch.rand(-(-rows // height), -(-cols // width)) * 0.01 + 0.001
        whole = scale.repeat_interleave(height, 0)[:rows].repeat_interleave(width, 1)[:, :cols]
        stored = (tensor / whole).to(torch.float8_e4m3fn)
        tensors[name], plain[name] = stored, stored.float() * whole
        suffix = "weight_scale" if 1 in blocks else "weight_scale_inv"
        tensors[name.removesuffix("weight") + suffix] = scale.reshape(()) if blocks == (1, 1) else scale
    models.save_file(plain, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    expected = expected_logits(models.transformers_model(tmp_path / "m"), TOKENS)
    models.save_file(tensors, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8"}
    if blocks == (48, 40):  # sizes that numbers of scales do not tell
        config["quantization_config"]["weight_block_size"] = list(blocks)
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="weights in 8 bits"):
        found = t2fast.decode.load(tmp_path / "m", dtype="float32").core.logits(TOKENS)
    assert np.abs(found - expected).max() < 4e-5 * max(1.0, np.abs(expected).max())
