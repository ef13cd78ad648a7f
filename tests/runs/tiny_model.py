"""A tiny random Llama in Hugging Face's layout, with a tokenizer of characters, written without torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

tokenizers = pytest.importorskip("tokenizers", reason="runs need the decode extra (tokenizers)")

OPTIONS = {"temperature": 0.7, "max_tokens": 4, "dtype": "float32", "progress": False}
"""How the runs of these tests are drawn."""
CHARACTERS = "ĠĊ0123456789+=QA:"  # blank and newline as byte-level tokenizers write them


def write_model(folder: Path, *, seed: int = 0, **config: object) -> Path:
    """Write the model; `config` goes into its config.json as well."""
    folder.mkdir(parents=True)
    vocab = {"<end>": 0} | {character: i + 1 for i, character in enumerate(CHARACTERS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    width, hidden, layers = 16, 24, 1
    settings = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": len(vocab),
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": 0,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    rng = np.random.default_rng(seed)
    shapes = {
        "model.embed_tokens.weight": (len(vocab), width),
        "model.norm.weight": (width,),
        "lm_head.weight": (len(vocab), width),
    }
    for i in range(layers):
        layer = f"model.layers.{i}"
        shapes |= {
            f"{layer}.input_layernorm.weight": (width,),
            f"{layer}.post_attention_layernorm.weight": (width,),
            f"{layer}.self_attn.q_proj.weight": (width, width),
            f"{layer}.self_attn.k_proj.weight": (width // 2, width),
            f"{layer}.self_attn.v_proj.weight": (width // 2, width),
            f"{layer}.self_attn.o_proj.weight": (width, width),
            f"{layer}.mlp.gate_proj.weight": (hidden, width),
            f"{layer}.mlp.up_proj.weight": (hidden, width),
            f"{layer}.mlp.down_proj.weight": (width, hidden),
        }
    header, parts, at = {}, [], 0
    for name, shape in shapes.items():
        values = rng.standard_normal(shape, dtype=np.float32) * (0.3 if len(shape) == 2 else 0.1)
        data = (values if len(shape) == 2 else values + 1).astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    return folder


def write_sums(path: Path, count: int = 60) -> Path:
    """A task of sums below ten, as JSON Lines with columns q and a."""
    rows = [{"q": f"Q:{i // 7 % 10}+{i % 7}+{i}=", "a": str(i % 10)} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but the manifest, whose date differs, and the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("manifest.json", "lock")
    }
