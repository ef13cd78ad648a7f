"""Model files for the reference: Hugging Face folders and GGUF, with none of the engine's readers.

Needs torch, safetensors, tokenizers and gguf.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import gguf
import torch
from reference import Reference, Spec, Weights
from safetensors.torch import load_file
from tokenizers import Tokenizer


def load(path: str | Path, dtype: torch.dtype = torch.float32) -> Reference:
    """Load a Hugging Face folder or a `.gguf` file; an unknown architecture is a ValueError that names it."""
    path = Path(path)
    spec, weights = _load_gguf(path) if path.suffix == ".gguf" else _load_folder(path)
    return Reference(spec, weights, dtype)


def _inv_freq(rope: dict[str, Any], rotary_dim: int, trained: int) -> tuple[torch.Tensor, float]:
    """Inverse frequencies base^(−2i/d) under a RoPE scaling rule, and the factor on cos and sin."""
    base = float(rope.get("rope_theta", 10000.0))
    inv = base ** (-torch.arange(0, rotary_dim, 2).double() / rotary_dim)
    kind, factor = rope.get("rope_type", rope.get("type", "default")), float(rope.get("factor") or 1.0)
    trained = int(rope.get("original_max_position_embeddings") or trained)
    if kind in ("default", "none"):
        return inv, 1.0
    if kind == "linear":
        return inv / factor, 1.0
    if kind == "llama3":
        # Long waves are slowed by `factor`, short ones kept, those between blended by their turns over the
        # context of the first training.
        low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
        turns = trained * inv / (2 * math.pi)
        kept = ((turns - low) / (high - low)).clamp(0, 1)
        return inv / factor * (1 - kept) + inv * kept, 1.0
    if kind == "yarn":
        # Peng et al. 2023, eqs. 23 and 22: the same blend, linear in the pair's index.
        def index(turns: float) -> float:
            return rotary_dim * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(base))

        low = max(math.floor(index(float(rope.get("beta_fast") or 32))), 0)
        high = min(math.ceil(index(float(rope.get("beta_slow") or 1))), rotary_dim - 1)
        slowed = ((torch.arange(rotary_dim // 2) - low) / max(high - low, 1e-3)).clamp(0, 1)
        scale = rope.get("attention_factor") or 0.1 * math.log(factor) + 1.0
        return inv / factor * slowed + inv * (1 - slowed), float(scale)
    raise ValueError(f"RoPE scaling {kind!r} is not supported")


def _load_folder(folder: Path) -> tuple[Spec, Weights]:
    config = json.loads((folder / "config.json").read_text())
    weights: Weights = {}
    for shard in sorted(folder.glob("*.safetensors")):
        weights.update(load_file(shard))
    kind = config["model_type"]
    if kind in ("llama", "mistral", "qwen2", "qwen3"):
        return _llama(config, weights)
    if kind == "gpt_neox":
        return _gpt_neox(config, weights)
    if kind in ("openlm", "open_lm"):
        return _open_lm(config, weights, _tokens(folder))
    raise ValueError(f"{folder}: architecture {kind!r} is not supported")


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """The RoPE settings, wherever this version of transformers wrote them."""
    old = {"rope_theta": config.get("rope_theta", 10000.0), **(config.get("rope_scaling") or {})}
    return {**old, **(config.get("rope_parameters") or {})}


def _llama(config: dict[str, Any], weights: Weights) -> tuple[Spec, Weights]:
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    inv_freq, rope_scale = _inv_freq(_rope(config), head_dim, config["max_position_embeddings"])
    layers = config["num_hidden_layers"]
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    kinds = config.get("layer_types") or ["sliding_attention" if window else "full_attention"] * layers
    spec = Spec(
        layers=layers,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=head_dim,
        vocab=config["vocab_size"],
        eps=config["rms_norm_eps"],
        rotary_dim=head_dim,
        inv_freq=inv_freq,
        rope_scale=rope_scale,
        windows=[window if kind == "sliding_attention" else None for kind in kinds],
    )
    weights = {name.removeprefix("model."): w for name, w in weights.items()}
    if config.get("tie_word_embeddings"):
        weights.pop("lm_head.weight", None)
    return spec, weights


def _renamed(name: str, pairs: dict[str, str]) -> str:
    for theirs, ours in pairs.items():
        name = name.replace(theirs, ours)
    return name


_NEOX_NAMES = {
    "embed_in": "embed_tokens",
    "final_layer_norm": "norm",
    "attention.dense": "self_attn.o_proj",
    "mlp.dense_h_to_4h": "mlp.up_proj",
    "mlp.dense_4h_to_h": "mlp.down_proj",
    "embed_out": "lm_head",
}


def _gpt_neox(config: dict[str, Any], weights: Weights) -> tuple[Spec, Weights]:
    heads = config["num_attention_heads"]
    head_dim = config["hidden_size"] // heads
    rope = _rope(config) | ({"rope_theta": config["rotary_emb_base"]} if "rotary_emb_base" in config else {})
    part = rope.get("partial_rotary_factor", config.get("rotary_pct", 0.25))
    rotary_dim = int(head_dim * part)
    inv_freq, rope_scale = _inv_freq(rope, rotary_dim, config["max_position_embeddings"])
    spec = Spec(
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        vocab=config["vocab_size"],
        eps=config["layer_norm_eps"],
        rotary_dim=rotary_dim,
        inv_freq=inv_freq,
        rope_scale=rope_scale,
        layer_norm=True,
        parallel=config.get("use_parallel_residual", True),
        gelu="none" if config["hidden_act"] == "gelu" else "tanh",
    )
    named: Weights = {}
    for full_name, w in weights.items():
        name = _renamed(full_name.removeprefix("gpt_neox."), _NEOX_NAMES)
        if ".query_key_value." in name:  # rows: head, then (query, key, value), then coordinate
            for part_name, rows in zip("qkv", w.unflatten(0, (heads, 3, head_dim)).unbind(1), strict=True):
                to = name.replace("attention.query_key_value", f"self_attn.{part_name}_proj")
                named[to] = rows.flatten(0, 1)
        else:
            named[name] = w
    return spec, named


_OPEN_LM_NAMES = {
    "tok_embeddings": "embed_tokens",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attention.out_proj": "self_attn.o_proj",
    "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
    "feed_forward.w3": "mlp.down_proj",
    "output": "lm_head",
}
_OPEN_LM_SPLIT = {
    "attention.in_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "feed_forward.w12": ("mlp.gate_proj", "mlp.up_proj"),
}


def _tokens(folder: Path) -> int | None:
    """Number of tokens in the folder's tokenizer, if there is one; output rows beyond are padding."""
    file = folder / "tokenizer.json"
    return Tokenizer.from_file(str(file)).get_vocab_size() if file.is_file() else None


def _open_lm(config: dict[str, Any], weights: Weights, tokens: int | None) -> tuple[Spec, Weights]:
    config = {**config, **(config.get("params_args_dict") or {})}
    width = config.get("hidden_dim") or config["dim"]
    heads, head_dim = config["n_heads"], width // config["n_heads"]
    inv_freq, _ = _inv_freq({}, head_dim, config["seq_len"])
    spec = Spec(
        layers=config["n_layers"],
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        vocab=tokens or config["vocab_size"],
        eps=config.get("norm_eps", 1e-5),
        rotary_dim=head_dim,
        inv_freq=inv_freq,
        layer_norm="rms" not in config.get("model_norm", "gain_only_layer_norm"),
    )
    named: Weights = {}
    for full_name, w in weights.items():
        name = _renamed(full_name.removeprefix("model."), _OPEN_LM_NAMES)
        for fused, parts in _OPEN_LM_SPLIT.items():
            if fused in name:
                named |= {
                    name.replace(fused, to): rows for to, rows in zip(parts, w.chunk(len(parts)), strict=True)
                }
                break
        else:
            named[name] = w
    if config.get("weight_tying"):
        named.pop("lm_head.weight", None)
    return spec, named


_GGUF_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "blk.": "layers.",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "attn_qkv": "self_attn.qkv",
    "attn_q.": "self_attn.q_proj.",
    "attn_k.": "self_attn.k_proj.",
    "attn_v.": "self_attn.v_proj.",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "output.": "lm_head.",
}


def _load_gguf(path: Path) -> tuple[Spec, Weights]:
    reader = gguf.GGUFReader(path)
    weights: Weights = {}
    for tensor in reader.tensors:
        name = _renamed(tensor.name, _GGUF_NAMES)
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        weights[name] = torch.from_numpy(values.reshape(tuple(reversed(tensor.shape.tolist()))).copy())
        if ".self_attn.qkv." in name:
            for part, rows in zip("qkv", weights.pop(name).chunk(3), strict=True):
                weights[name.replace("qkv", f"{part}_proj")] = rows

    arch = reader.fields["general.architecture"].contents()
    if arch not in ("llama", "qwen2", "qwen3", "gptneox"):
        raise ValueError(f"{path}: architecture {arch!r} is not supported")

    def get(key: str, default: Any = None) -> Any:
        found = reader.fields.get(f"{arch}.{key}")
        return default if found is None else found.contents()

    heads = get("attention.head_count")
    head_dim = get("attention.key_length") or get("embedding_length") // heads
    rotary_dim = get("rope.dimension_count", head_dim)
    rope = {
        "rope_theta": get("rope.freq_base", 10000.0),
        "rope_type": get("rope.scaling.type", "default"),
        "factor": get("rope.scaling.factor"),
        "original_max_position_embeddings": get("rope.scaling.original_context_length"),
        "attention_factor": get("rope.scaling.attn_factor"),
    }
    inv_freq, rope_scale = _inv_freq(rope, rotary_dim, get("context_length"))
    factors = weights.pop("rope_freqs.weight", None)
    spec = Spec(
        layers=get("block_count"),
        heads=heads,
        kv_heads=get("attention.head_count_kv", heads),
        head_dim=head_dim,
        vocab=len(weights["embed_tokens.weight"]),
        eps=get("attention.layer_norm_rms_epsilon") or get("attention.layer_norm_epsilon"),
        rotary_dim=rotary_dim,
        inv_freq=inv_freq if factors is None else inv_freq / factors.double(),
        rope_scale=rope_scale,
        interleaved=arch == "llama",
        layer_norm=arch == "gptneox",
        parallel=bool(get("use_parallel_residual", False)),
        gelu="none" if arch == "gptneox" else None,
    )
    return spec, weights
