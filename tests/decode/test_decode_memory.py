"""What a model takes in memory is known before it is loaded, and held against what there is."""

from __future__ import annotations

import json
import math
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import t2fast.decode
from t2fast.cli.main import main
from t2fast.decode import memory

Models = Callable[[str], tuple[Path, Any]]


@pytest.mark.parametrize("name", ["llama-gqa-tied", "llama-q4_0", "gpt2", "neox-parallel", "open-lm"])
@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_weights_are_known_before_loading(model: Models, name: str, dtype: Any) -> None:
    path = model(name)[0]
    need = t2fast.decode.memory_needed(path, dtype=dtype)
    engine = t2fast.decode.load(path, dtype=dtype)
    # Buffers begin at cache lines: at most 63 bytes are lost for each of some dozen matrices.
    assert engine.core.weight_bytes <= need.weights < engine.core.weight_bytes + 64 * 100
    config = t2fast._core.ModelFile(path).config
    head = -(-config["head_dim"] // 32) * 32
    element = 4 if engine.core.dtype == "float32" else 2
    assert need.token == 2 * config["layers"] * config["kv_heads"] * head * element


def test_weights_that_do_not_fit_are_refused(model: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model("llama-gqa-tied")[0]
    monkeypatch.setattr("t2fast.decode.opening.available", lambda: 50_000)
    with pytest.raises(ValueError, match=r"the weights take \d+ KiB of memory and 48.8 KiB are available"):
        t2fast.decode.load(path)


def test_eight_bit_floats_are_not_expanded_before_they_are_known_to_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven GiB of them, in a file that is all hole."""
    width, vocab = 1 << 15, 8
    shapes = {f"self_attn.{x}_proj": (width, width) for x in "qkvo"}
    shapes |= {f"mlp.{x}_proj": (width, width) for x in ("gate", "up", "down")}
    tensors: dict[str, Any] = {}
    for name, shape in shapes.items():
        tensors[f"model.layers.0.{name}.weight"] = ("F8_E4M3", shape, 1)
        tensors[f"model.layers.0.{name}.weight_scale"] = ("F32", (1,), 4)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        tensors[f"model.layers.0.{norm}.weight"] = ("F32", (width,), 4)
    tensors["model.norm.weight"] = ("F32", (width,), 4)
    tensors["model.embed_tokens.weight"] = ("F32", (vocab, width), 4)
    header, end = {}, 0
    for name, (kind, shape, size) in tensors.items():
        start, end = end, end + size * math.prod(shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    config = {"model_type": "llama", "hidden_size": width, "intermediate_size": width, "vocab_size": vocab}
    config |= {"num_hidden_layers": 1, "num_attention_heads": 256, "tie_word_embeddings": True}
    config |= {"rms_norm_eps": 1e-6, "max_position_embeddings": 64, "hidden_act": "silu"}
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "fp8"}})
    )
    monkeypatch.setattr("t2fast.decode.opening.available", lambda: 1 << 32)
    with pytest.raises(ValueError, match=r"the weights take (14|28) GiB of memory and 4 GiB are available"):
        t2fast.decode.load(tmp_path)


def test_samples_that_may_not_fit_are_warned_of(model: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = t2fast.decode.load(model("llama-gqa-tied")[0], dtype="float32")
    # 3 layers, 2 key heads of 10 coordinates in 32: 1,536 bytes a token; 4 samples of 8 and a prompt of 3.
    for there, warned in ((1536 * 35 - 1, True), (1536 * 35, False)):
        monkeypatch.setattr(memory, "available", lambda there=there: there)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            engine.sample([[1, 2, 3]], k=4, max_tokens=8)
        texts = [str(one.message) for one in said]
        assert any("4 samples of 8 tokens at once may take 52.5 KiB" in text for text in texts) == warned


def test_memory_of_this_machine() -> None:
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    total = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal")]
    there = memory.available()
    assert there is None or 0 < there <= (total or [there])[0]


def test_a_control_group_leaves_less(tmp_path: Path) -> None:
    assert memory._of_group(tmp_path) is None
    for name, text in (("memory.current", "900\n"), ("memory.stat", "anon 500\ninactive_file 300\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._of_group(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory._of_group(tmp_path) == 1000 - 900 + 300


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "0.977 KiB"), (98 * 2**20, "98 MiB"), (3e13, "27,940 GiB")],
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert memory.size(count) == text


def test_the_command_says_it_first(smollm2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["sample", str(smollm2), "--prompt", "One", "-k", "3", "--max-tokens", "2", "--dtype", "float32"])
    said = capsys.readouterr()
    # 30 layers, 3 key heads of 64 coordinates, keys and values in 4 bytes: 45 KiB a token.
    assert said.err.startswith("memory: 92 MiB weights + 270 KiB samples (3 x 2 tokens) + 45 KiB a token")
    assert "memory" not in said.out
