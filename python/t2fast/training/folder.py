"""A trained model as a Hugging Face folder, in the names of its family."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2fast import atomic
from t2fast.training.model import EPSILON, ROPE_BASE
from t2fast.training.shape import Shape
from t2fast.training.tokens import END

if TYPE_CHECKING:
    from torch import Tensor

_OPEN_LM = {
    "embedding": "tok_embeddings",
    "norm": "norm",
    "output": "output",
    "attention_norm": "attention_norm",
    "attention.qkv": "attention.in_proj",
    "attention.out": "attention.out_proj",
    "attention.q_norm": "attention.q_norm",
    "attention.k_norm": "attention.k_norm",
    "feed_forward_norm": "ffn_norm",
    "feed_forward.gate_up": "feed_forward.w12",
    "feed_forward.down": "feed_forward.w3",
}
_LLAMA = {
    "embedding": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
    "attention_norm": "input_layernorm",
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out": "self_attn.o_proj",
    "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "feed_forward.down": "mlp.down_proj",
}


def save(
    folder: Path, shape: Shape, weights: dict[str, Tensor], tokenizer: str, facts: dict[str, Any]
) -> None:
    """Write weights, tokenizer and, last, the configuration: where that is, the model is whole.

    `weights` is the model's state dict, `tokenizer` the content of a tokenizer.json whose first token ends a
    sample, `facts` what else the configuration is to say (`n_tokens`, …).
    """
    from safetensors.torch import save as to_bytes

    # Readers before safetensors 0.3 and transformers want to be told whose tensors these are.
    named = _named(shape, weights)
    atomic.write(folder / "model.safetensors", [to_bytes(named, metadata={"format": "pt"})])
    atomic.write(folder / "tokenizer.json", [tokenizer.encode()])
    atomic.write(folder / "tokenizer_config.json", [json.dumps(_tokenizer(shape), indent=1).encode(), b"\n"])
    config = json.dumps({**_config(shape), **facts}, indent=1)
    atomic.write(folder / "config.json", [config.encode(), b"\n"])


def weights_in(folder: Path, shape: Shape, names: Iterable[str]) -> dict[str, Tensor]:
    """The weights that `save` wrote, by the model's own names."""
    import torch
    from safetensors.torch import load_file

    there = load_file(folder / "model.safetensors")
    found = {}
    for name in names:
        theirs = _names(shape, "embedding.weight" if shape.tied and name == "output.weight" else name)
        found[name] = torch.cat([there[one] for one in theirs]) if len(theirs) > 1 else there[theirs[0]]
    return found


def _named(shape: Shape, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the family's names."""
    named = {}
    for name, weight in weights.items():
        if name == "output.weight" and shape.tied:
            continue
        theirs = _names(shape, name)
        for piece, one in zip(weight.chunk(len(theirs)), theirs, strict=True):
            named[one] = piece.contiguous().clone()
    return named


def _names(shape: Shape, name: str) -> list[str]:
    """What the family calls a weight: several names where it keeps the rows apart."""
    names: dict[str, Any] = _OPEN_LM if shape.family == "open_lm" else _LLAMA
    prefix = "layers." if shape.family == "open_lm" else "model.layers."
    part, where = name.removesuffix(".weight"), ""
    if part.startswith("layers."):
        _, layer, part = part.split(".", 2)
        where = f"{prefix}{layer}."
    found = names[part]
    return [f"{where}{one}.weight" for one in ((found,) if isinstance(found, str) else found)]


def _tokenizer(shape: Shape) -> dict[str, Any]:
    """What transformers is to make of tokenizer.json.

    Without it that is the class of the family's published models, with special tokens that are not there.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict.fromkeys(("bos_token", "eos_token", "pad_token"), END),
        "model_max_length": shape.context,
        "clean_up_tokenization_spaces": False,
    }


def _config(shape: Shape) -> dict[str, Any]:
    """The family's own configuration."""
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    if shape.family == "open_lm":
        return {
            "model_type": "open_lm",
            "hidden_dim": shape.width,
            "n_layers": shape.layers,
            "n_heads": shape.heads,
            "vocab_size": shape.vocab,
            "seq_len": shape.context,
            "norm_eps": EPSILON,
            "model_norm": "gain_only_layer_norm",
            "qk_norm": True,
            "ffn_type": "swiglu",
            "positional_embedding_type": "rotary",
            "weight_tying": shape.tied,
            **ends,
        }
    return {
        "architectures": [{"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}[shape.family]],
        "model_type": shape.family,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocab,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": EPSILON,
        "rope_theta": ROPE_BASE,
        "tie_word_embeddings": shape.tied,
        "dtype": "float32",
        **ends,
    }
