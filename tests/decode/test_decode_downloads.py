"""Folders as downloads and trainers leave them: read whole, or refused by what is missing or foreign."""

from __future__ import annotations

import json
import re
import shutil
import warnings

import decode_models as models
import pytest
import t2fast.decode
import torch
from safetensors.torch import load_file, save_file
from t2fast.decode import text
from test_decode_facts import TOKENS, same_logits
from test_decode_text import byte_level


def copied(model, tmp_path, base="llama-gqa-tied"):
    folder = tmp_path / "model"
    shutil.copytree(model(base)[0], folder)
    return folder


def removed(folder, *patterns):
    for pattern in patterns:
        for file in folder.glob(pattern):
            file.unlink()
    return folder


def refused(folder, match):
    with pytest.raises(ValueError, match=match) as error:
        t2fast.decode.load(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_shards_are_named(model, tmp_path):
    folder = removed(copied(model, tmp_path, "llama-sharded"), "*-00002-of-*", "*-00004-of-*")
    refused(
        folder, r"index\.json: names 5 files, of which 2 are missing: model-00002-of-00005\.safetensors, "
    )
    removed(folder, "model.safetensors.index.json")
    refused(folder, r"but \"model-00001-of-00005\.safetensors\", whose names are .* not listed")


def test_one_file_goes_before_a_list_of_shards(model, tmp_path):
    folder = copied(model, tmp_path, "llama-sharded")
    peer = models.randomise(models._llama(num_key_value_heads=3), seed=5)
    save_file(peer.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    same_logits(folder)


def test_pickles_are_refused_and_how_to_convert_them_is_said(model, tmp_path):
    folder = removed(copied(model, tmp_path), "*.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    refused(folder, r"pytorch_model\.bin.*are not read; convert it with transformers.*save_pretrained")


def test_what_lies_in_a_folder_instead_of_a_model(model, tmp_path):
    folder = removed(copied(model, tmp_path), "*.safetensors")
    (folder / "m.gguf").touch()
    refused(folder, r'holds no safetensors but "m\.gguf": name that file')
    removed(folder, "config.json")
    refused(folder, r'has no config\.json; the folder holds no safetensors but "m\.gguf"')
    refused(removed(folder, "*"), r"has no config\.json; the folder holds neither model\.safetensors nor")


@pytest.mark.parametrize("alone", [True, False])
def test_adapters_are_refused(model, tmp_path, alone):
    """With its weights left out, a tuned model would be sampled as if it were not."""
    folder = copied(model, tmp_path)
    removed(folder, "*") if alone else None
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "base_model_name_or_path": "org/model"}'
    )
    refused(folder, "holds an adapter .*merge it into its model first")


def test_adapters_and_projectors_in_gguf_are_refused(tmp_path):
    for kind in ("adapter", "mmproj"):
        writer = models.gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
        writer.add_type(kind)
        writer.add_tensor("x", torch.zeros(32).numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        refused(tmp_path / "m.gguf", f'holds no model but what its general.type calls "{kind}"')


HARMLESS = {
    "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(5),
    "model.layers.1.attention.masked_bias": torch.zeros(1),
}


def test_tensors_that_have_no_part_are_named(model, tmp_path):
    folder = copied(model, tmp_path)
    tensors = load_file(folder / "model.safetensors") | HARMLESS
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        t2fast.decode.load(folder)
    more = {f"model.layers.{i}.self_attn.q_norm.weight": torch.ones(10) for i in range(3)}
    more["model.layers.0.self_attn.sinks"] = torch.ones(6)
    save_file(tensors | more, folder / "model.safetensors", metadata={"format": "pt"})
    match = r"tensors are stored that .* are not used: .*0\.self_attn\.q_norm\.weight\", .* and 1 more"
    with pytest.warns(UserWarning, match=match):
        t2fast.decode.load(folder)


def test_layouts_of_compressed_tensors(model, tmp_path):
    folder = copied(model, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    for kind, named in (
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, 'as "pack-quantized"'),
        ({"load_in_4bit": True}, 'quantised by "bitsandbytes"'),
    ):
        (folder / "config.json").write_text(json.dumps(config | {"quantization_config": kind}))
        refused(folder, named)
    plain = {"quant_method": "compressed-tensors", "format": "float-quantized"}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": plain}))
    with pytest.warns(UserWarning, match="weights in 8 bits"):
        assert t2fast.decode.load(folder).core.logits(TOKENS[:3]).shape == (3, 131)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 269060552\n".format("4d" * 32)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "generation_config.json"])
def test_a_clone_without_git_lfs(model, tmp_path, name):
    folder = copied(model, tmp_path)
    (folder / name).write_text(POINTER)
    refused(folder, rf"{re.escape(name)}: is a pointer that Git LFS left .*git lfs pull")


def test_a_tokenizer_without_git_lfs(tmp_path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        trained, _ = byte_level("gpt-2")
        trained.save(str(tmp_path / "tokenizer.json"))
        (tmp_path / name).write_text(POINTER)
        with pytest.raises(ValueError, match=rf"{re.escape(name)}: is a pointer that Git LFS left"):
            text.load(tmp_path)


def test_a_cache_whose_weights_were_removed(model, tmp_path):
    """The hub's cache holds links to files; what frees space removes those alone."""
    folder = copied(model, tmp_path)
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to("../blob")
    t2fast.decode.load(folder)
    (tmp_path / "blob").unlink()
    refused(folder, r'holds "model\.safetensors" as a link to a file that is not there')


def test_ends_that_no_token_is(model, tmp_path):
    """Generation settings of a larger vocabulary: what cannot be drawn ends nothing, and is said."""
    folder = copied(model, tmp_path)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 128009]}')
    with pytest.warns(UserWarning, match=r"\[128009\] would end a sample, and cannot be drawn"):
        engine = t2fast.decode.load(folder)
    assert engine.core.model.eos == [2]
    assert len(engine.sample([5, 6], k=3, max_tokens=4).table) == 3
