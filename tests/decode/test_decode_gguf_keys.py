"""Keys of GGUF files as older and newer converters write them, against transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import decode_models  # noqa: F401 (skips where the extra decode-test is missing)
import gguf
import numpy as np
import pytest
import t2fast.decode
import torch

TOKENS = np.random.default_rng(4).integers(3, 130, 40).tolist()
KIND = gguf.GGUFValueType


def changed(source: Path, target: Path, **keys: Any) -> Path:
    """The file with more keys of its architecture (`__` stands for a dot); None removes one."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    keys = {f"{architecture}.{key.replace('__', '.')}": value for key, value in keys.items()}
    writer = gguf.GGUFWriter(target, architecture)
    for field in reader.fields.values():
        if field.name.startswith(f"{architecture}.") and field.name not in keys:
            writer.add_key_value(field.name, field.contents(), field.types[0])
    for key, value in keys.items():
        kinds = {bool: KIND.BOOL, int: KIND.UINT32, float: KIND.FLOAT32, str: KIND.STRING}
        if value is not None:
            writer.add_key_value(key, value, kinds[type(value)])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def logits(path: Path) -> np.ndarray:
    return t2fast.decode.load(path, dtype="float32").core.logits(TOKENS)


@pytest.fixture
def linear(model):
    """A llama whose positions are stretched by two, and transformers' logits."""
    path, peer = model("llama-linear.gguf")
    with torch.no_grad():
        return path, peer(torch.tensor([TOKENS])).logits[0].numpy()


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"rope__scaling__type": None},  # a factor alone is linear
        {"rope__scaling__type": None, "rope__scaling__factor": None, "rope__scale_linear": 2.0},  # 2023
        {"attention__layer_norm_epsilon": 0.5},  # of a family with the other kind of norm
        {"rope__scaling__attn_factor": 1.0},
        {"attention__key_length_swa": 16, "attention__value_length_swa": 16, "rope__dimension_count_swa": 16},
        {"rope__freq_base_swa": 10000.0},
    ],
)
def test_what_converters_wrote(linear, tmp_path, keys):
    path, expected = linear
    found = logits(changed(path, tmp_path / "m.gguf", **keys))
    assert np.abs(found - expected).max() < 4e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"attention__causal": False}, r"attention\.causal is false: this model is no decoder"),
        (
            {"rope__scaling__attn_factor": 1.5},
            r"rope\.scaling\.attn_factor is supported with YaRN and LongRoPE",
        ),
        ({"attention__key_length_swa": 8}, "key_length_swa of 8 beside 16"),
        ({"attention__value_length_swa": 32}, "value_length_swa of 32 beside 16"),
        ({"rope__dimension_count_swa": 8}, "dimension_count_swa of 8 beside 16"),
        ({"rope__freq_base_swa": 500.0}, "freq_base_swa of 500 beside 10000 is not supported in llama"),
    ],
)
def test_what_is_computed_otherwise_is_refused(linear, tmp_path, keys, message):
    with pytest.raises(ValueError, match=message):
        t2fast.decode.load(changed(linear[0], tmp_path / "m.gguf", **keys))


def test_a_model_for_embeddings_is_remarked_upon(linear, tmp_path):
    with pytest.warns(UserWarning, match="pooling_type says that this model was made to embed"):
        t2fast.decode.load(changed(linear[0], tmp_path / "m.gguf", pooling_type=3))
