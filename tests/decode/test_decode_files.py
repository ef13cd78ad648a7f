"""Model files: metadata and dequantisation against the gguf and safetensors packages, and files that lie."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import t2fast.decode
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast import _core

gguf = pytest.importorskip("gguf", reason="decode tests need the decode-test extra (gguf)")
torch = pytest.importorskip("torch", reason="decode tests need the decode-test extra (torch)")

from safetensors.torch import save_file  # noqa: E402

Q = gguf.GGMLQuantizationType
KINDS = [Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1]


def same_bits(got: np.ndarray, want: np.ndarray) -> None:
    """Equal to the last bit; a NaN's payload, which casts may change, aside."""
    assert got.dtype == np.float32
    assert got.shape == want.shape
    differ = got.view(np.uint32) != np.ascontiguousarray(want).view(np.uint32)
    assert not (differ & ~(np.isnan(got) & np.isnan(want))).any()


def write(
    path: Path, tensors: dict[str, tuple[np.ndarray, Any]], architecture: str = "llama", **metadata: Any
) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    for key, (value, kind) in metadata.items():
        writer.add_key_value(key, value, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 5), blocks=st.integers(1, 4))
def test_any_bytes_dequantise_as_in_gguf(
    tmp_path_factory: pytest.TempPathFactory, kind: Any, seed: int, rows: int, blocks: int
) -> None:
    """Bytes that no quantiser would write are valid too: infinite scales, NaN, negative zero, subnormals."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    raw = np.random.default_rng(seed).integers(0, 256, (rows, 32 * blocks // block * size), dtype=np.uint8)
    data = raw.view(np.float32) if kind == Q.F32 else raw.view(np.float16) if kind == Q.F16 else raw
    path = write(tmp_path_factory.mktemp("gguf") / "x.gguf", {"x": (data, kind)})
    with np.errstate(all="ignore"):
        want = gguf.quants.dequantize(data, kind)
    same_bits(_core.dequantize(path, "x"), want)


def test_every_half_and_every_bfloat(tmp_path: Path) -> None:
    bits = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    halves, bfloats = bits.view(np.float16), bits.view(np.uint8)
    path = write(tmp_path / "x.gguf", {"half": (halves, Q.F16), "bfloat": (bfloats, Q.BF16)})
    same_bits(_core.dequantize(path, "half"), halves.astype(np.float32))
    same_bits(_core.dequantize(path, "bfloat"), (bits.astype(np.uint32) << 16).view(np.float32))


def test_real_model_dequantises_as_in_gguf(smollm2: Path) -> None:
    """Every tensor of SmolLM2: 210 in Q4_1, one in Q8_0, 61 in F32."""
    reader = gguf.GGUFReader(smollm2)
    kinds = {}
    for tensor in reader.tensors:
        kinds[tensor.tensor_type.name] = kinds.get(tensor.tensor_type.name, 0) + 1
        same_bits(
            _core.dequantize(smollm2, tensor.name), gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        )
    assert kinds == {"Q4_1": 210, "Q8_0": 1, "F32": 61}


def test_real_metadata_is_what_gguf_reads(smollm2: Path) -> None:
    reader = gguf.GGUFReader(smollm2)
    want = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    got = _core.gguf_metadata(smollm2)
    assert got == want
    assert len(got["tokenizer.ggml.merges"]) == 48_900


def test_metadata_of_every_type(tmp_path: Path) -> None:
    kinds = gguf.GGUFValueType
    values: dict[str, tuple[Any, Any]] = {
        "u8": (255, kinds.UINT8),
        "i8": (-128, kinds.INT8),
        "u16": (65535, kinds.UINT16),
        "i16": (-32768, kinds.INT16),
        "u32": (2**32 - 1, kinds.UINT32),
        "i32": (-(2**31), kinds.INT32),
        "u64": (2**64 - 1, kinds.UINT64),
        "i64": (-(2**63), kinds.INT64),
        "f32": (0.1, kinds.FLOAT32),
        "f64": (0.1, kinds.FLOAT64),
        "true": (True, kinds.BOOL),
        "false": (False, kinds.BOOL),
        "text": ("Ġ→🙂", kinds.STRING),
        "numbers": ([-1, 2, 3], kinds.ARRAY),
        "texts": (["a", "", "🙂"], kinds.ARRAY),
        "bools": ([True, False], kinds.ARRAY),
        "lists": ([[1, 2], [3]], kinds.ARRAY),
    }
    path = write(tmp_path / "x.gguf", {"x": (np.zeros(1, np.float32), Q.F32)}, **values)
    got = _core.gguf_metadata(path)
    assert got.pop("general.architecture") == "llama"
    want = {key: value for key, (value, _) in values.items()}
    want["f32"] = float(np.float32(0.1))
    assert got == want
    assert type(got["true"]) is bool


def test_safetensors_in_every_float_type(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        str(dtype): torch.randn(3, 5, 7, generator=generator).to(dtype)
        for dtype in (torch.float32, torch.float16, torch.bfloat16)
    }
    save_file({**tensors, "whole": torch.arange(4), "scalar": torch.tensor(2.5)}, tmp_path / "x.safetensors")
    for name, tensor in tensors.items():
        same_bits(_core.dequantize(tmp_path / "x.safetensors", name), tensor.float().numpy())
    assert _core.dequantize(tmp_path / "x.safetensors", "scalar") == 2.5
    with pytest.raises(ValueError, match=r"x\.safetensors: tensor \"whole\" has type I64; supported are F32"):
        _core.dequantize(tmp_path / "x.safetensors", "whole")


def test_sharded_folder(model: Any) -> None:
    """All shards that transformers wrote are found through their index."""
    path, reference = model("llama-sharded")
    assert len(list(path.glob("*.safetensors"))) > 1
    for name, tensor in reference.state_dict().items():
        same_bits(_core.dequantize(path, name), tensor.numpy())


SUPPORTED = [*KINDS, Q.Q5_0, Q.Q5_1, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.IQ4_NL, Q.IQ4_XS, Q.MXFP4]


@pytest.mark.parametrize("kind", [kind for kind in Q if kind not in SUPPORTED], ids=lambda k: k.name)
def test_every_other_type_is_refused_by_name(tmp_path: Path, kind: Any) -> None:
    data = np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)
    path = write(tmp_path / "x.gguf", {"x": (data, kind)})
    with pytest.raises(
        ValueError, match=rf'x\.gguf: tensor "x" has type {kind.name}; supported are F32, F16'
    ):
        _core.dequantize(path, "x")


@pytest.mark.parametrize("kind", ["I8", "I16", "I32", "I64", "U8", "F64", "BOOL", "F8_E5M2", "F8_E4M3"])
def test_every_other_safetensors_type_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    """Written by hand, since torch and numpy lack some of them."""
    size = {"I64": 8, "F64": 8, "I32": 4, "I16": 2}.get(kind, 1)
    header = json.dumps({"x": {"dtype": kind, "shape": [1, 1], "data_offsets": [0, size]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    with pytest.raises(ValueError, match=rf'x\.safetensors: tensor "x" has type {kind}'):
        _core.dequantize(path, "x")


def test_every_other_architecture_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("granitehybrid", "qwen3moe", "gemma3n", "mamba", "bert", "clip"):
        path = write(tmp_path / "m.gguf", {"x": (np.zeros((1, 4), np.float32), Q.F32)}, architecture=name)
        with pytest.raises(ValueError, match=rf'm\.gguf: .*"{name}" is not supported in GGUF; llama, .* are'):
            t2fast.decode.load(path)


def test_absent_tensors_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", {"x": (np.zeros((1, 4), np.float32), Q.F32)})
    with pytest.raises(ValueError, match=r'tensor "y" is missing'):
        _core.dequantize(path, "y")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated"),
        (b"GGUF", "truncated"),
        (b"PK\x03\x04" + bytes(100), "not a GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1; versions 2 and 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "truncated"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "truncated"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "truncated"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 13), 'metadata "k": value type 13'),
        (b"GGUF" + struct.pack("<IQQQ1sIQ2s", 3, 0, 1, 1, b"k", 8, 2, b"\xff\xfe"), "UTF-8"),
    ],
)
def test_malformed_gguf(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        _core.gguf_metadata(path)
    assert "bad.gguf" in str(raised.value)


def test_missing_files_are_value_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        _core.gguf_metadata(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"neither model\.safetensors nor"):
        _core.dequantize(tmp_path, "x")


HEADER = 1_785_664
# Most changes go to the front, where keys and counts are. The number of tensors stays: with none, no data is
# missing.
PLACES = st.integers(16, 2000) | st.integers(16, HEADER - 1)


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(st.tuples(PLACES, st.integers(0, 255)), min_size=1, max_size=20))
def test_real_header_with_changed_bytes(
    tmp_path_factory: pytest.TempPathFactory, smollm2: Path, changes: list[tuple[int, int]]
) -> None:
    """The real file's header, wrong in places and without its data: an error, whatever is wrong."""
    header = bytearray(smollm2.open("rb").read(HEADER))
    for at, byte in changes:
        header[at] = byte
    path = tmp_path_factory.mktemp("gguf") / "x.gguf"
    path.write_bytes(header)
    with pytest.raises(ValueError, match=r"x\.gguf"):
        _core.gguf_metadata(path)


def test_real_header_loads_only_with_its_data(tmp_path: Path, smollm2: Path) -> None:
    content = smollm2.read_bytes()
    (tmp_path / "short.gguf").write_bytes(content[:-1000])
    with pytest.raises(ValueError, match="reaches beyond the file"):
        _core.gguf_metadata(tmp_path / "short.gguf")


def test_header_of_safetensors_is_checked(tmp_path: Path) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 12]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(12))
    with pytest.raises(
        ValueError, match=r'tensor "x" of shape \[2\] and type F32 does not fill bytes 0\.\.12'
    ):
        _core.dequantize(path, "x")


def test_engine_names_what_it_cannot_load(tmp_path: Path, model: Any) -> None:
    """The engine passes the loader's errors on: file, tensor, type."""
    path, _ = model("llama-gqa-tied")
    config = json.loads((path / "config.json").read_text())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes())
    for change, message in [
        ({"model_type": "mamba"}, r'config\.json: model_type "mamba" is not supported; llama, mistral'),
        ({"num_hidden_layers": 4}, r'tensor "model\.layers\.3\.self_attn\.q_proj\.weight" is missing'),
        ({"vocab_size": 132}, r"has shape \[131, 60\] where the configuration asks for \[132, 60\]"),
    ]:
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(ValueError, match=message):
            _core.DecodeEngine(str(folder))
    path = write(tmp_path / "x.gguf", {"x": (np.zeros(1, np.float32), Q.F32)})
    with pytest.raises(ValueError, match=r"x\.gguf: embedding_length is missing"):
        _core.DecodeEngine(str(path))


HALVES = {
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
    "MXFP4": (),
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q8_0": (0,),
}
"""Where a block has its half-precision numbers; any other byte may be anything."""


@pytest.mark.parametrize("name", HALVES)
def test_every_quantised_type_to_the_bit(tmp_path, name):
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    random = np.random.default_rng(1)
    blocks = random.integers(0, 256, (600, size), dtype=np.uint8)
    for at in HALVES[name]:
        halves = random.normal(size=600).astype(np.float16)
        halves[:3] = [0.0, -0.0, 6e-8]  # a subnormal
        blocks[:, at : at + 2] = halves.view(np.uint8).reshape(600, 2)
    if name == "MXFP4":
        blocks[:4, 0] = [0, 1, 2, 254]
    data = blocks.reshape(200, 3 * size)
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_tensor("x", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected = gguf.quants.dequantize(data, kind)
    assert expected.shape == (200, 3 * elements)
    same_bits(_core.dequantize(tmp_path / "x.gguf", "x"), expected)
