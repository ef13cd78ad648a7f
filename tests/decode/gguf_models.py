"""Small random models as GGUF, the way llama.cpp's converter lays each architecture out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from decode_models import GGUFS, MIXED, MORE, Q, gguf, randomise, torch, transformers

PAIRED = ("llama", "granite", "smollm3")
"""Architectures whose query and key rows GGUF reorders."""


def write_gguf(name: str, path: Path) -> Any:
    """Write the named model as GGUF, the way llama.cpp's converter lays each architecture out.

    Returns transformers' model with the very values that the quantised file holds.
    """
    arch, build, kind = GGUFS[name] if name in GGUFS else (*MORE[name.removesuffix(".gguf")], Q.F32)
    model = randomise(build(), seed=len(name))
    config = model.config
    writer = gguf.GGUFWriter(path, arch)
    add_keys(writer, arch, config)
    _add_rope(writer, arch, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    stacked: dict[str, dict[int, np.ndarray]] = {}
    for hf_name, tensor in model.state_dict().items():
        if hf_name == "lm_head.weight" and getattr(config, "tie_word_embeddings", False):
            continue
        if "_layernorm.norms." in hf_name:  # those of a layer are one matrix there
            stem, _, head = hf_name.removesuffix(".weight").rpartition(".norms.")
            stacked.setdefault(stem, {})[int(head)] = tensor.numpy()
            continue
        quantised = kind if tensor.dim() == 2 else Q.F32
        stored = gguf.quants.dequantize(gguf.quants.quantize(tensor.numpy(), quantised), quantised)
        tensor.copy_(torch.from_numpy(stored))
        if "shared_mlp.input_linear" in hf_name:  # gate and up are two matrices there
            stem = hf_name.rpartition("shared_mlp")[0]
            parts = zip(("gate", "up"), np.split(tensor.numpy(), 2), strict=True)
            for part, rows in parts:
                writer.add_tensor(names.get_name(f"{stem}mlp.{part}_proj") + ".weight", rows)
            continue
        values = _arranged(arch, hf_name, tensor.numpy(), config)
        data = gguf.quants.quantize(np.ascontiguousarray(values), quantised)
        named = hf_name.replace("shared_mlp.output_linear", "mlp.down_proj")
        writer.add_tensor(names.get_name(named, try_suffixes=(".weight", ".bias")), data, raw_dtype=quantised)
    for stem, heads in stacked.items():
        writer.add_tensor(names.get_name(stem) + ".weight", np.stack([heads[i] for i in range(len(heads))]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model.eval()


def add_keys(writer: Any, arch: str, config: Any) -> None:
    """The keys that an architecture has in GGUF."""
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    hidden = getattr(config, "shared_intermediate_size", None) or getattr(config, "intermediate_size", None)
    writer.add_feed_forward_length(hidden or 4 * config.hidden_size)
    writer.add_head_count(heads)
    writer.add_vocab_size(config.vocab_size)
    names = ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
    eps = [getattr(config, name) for name in names if getattr(config, name, None)]
    if eps:
        writer.add_layer_norm_eps(eps[0])
    if arch == "gpt2":
        return
    if arch == "gptneox":
        writer.add_parallel_residual(config.use_parallel_residual)
        writer.add_rope_dimension_count(int(head_dim * 0.5))
        return
    if not eps:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    if arch in ("gemma2", "gemma3", "starcoder2") or config.model_type == "olmo3":
        writer.add_sliding_window(config.sliding_window)
    if getattr(config, "layer_types", None) == MIXED:
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in MIXED])
        writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch == "granite":
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_logit_scale(config.logits_scaling)
        if getattr(config, "position_embedding_type", "rope") is None:
            writer.add_rope_scaling_finetuned(False)


def _add_rope(writer: Any, arch: str, config: Any) -> None:
    """The keys and tensors of the rotation."""
    if arch in ("gpt2", "gptneox"):
        return
    rope = config.rope_parameters.get("full_attention") or config.rope_parameters
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rotated = int(head_dim * rope.get("partial_rotary_factor", 1.0))
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(rotated)
    kind, original = rope["rope_type"], rope.get("original_max_position_embeddings")
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(original)
        if "attention_factor" in rope:
            writer.add_rope_scaling_yarn_attn_factor(rope["attention_factor"])
    if kind == "llama3":
        _, factors = rotation(config)
        writer.add_tensor("rope_freqs.weight", factors)
    if kind == "longrope":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_rope_scaling_attn_factors(rotation(config)[0])
        for length in ("long", "short"):
            divisors = np.array(rope[f"{length}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", divisors)


def rotation(config: Any) -> tuple[float, np.ndarray]:
    """The factor on cosine and sine, and how much slower each pair turns than without scaling."""
    rope = config.rope_parameters
    scaled, factor = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[rope["rope_type"]](config)
    plain = rope["rope_theta"] ** -(np.arange(len(scaled)) / len(scaled))
    return factor, (plain / scaled.numpy()).astype(np.float32)


def _arranged(arch: str, name: str, values: np.ndarray, config: Any) -> np.ndarray:
    """A tensor as the architecture's GGUF files have it."""
    heads = config.num_attention_heads
    if arch.startswith("gemma") and name.endswith("norm.weight"):
        return values + 1
    if arch == "gpt2" and ".c_" in name and values.ndim == 2:
        return values.T
    if arch in PAIRED and ".q_proj." in name:
        return _pairs_together(values, heads)
    if arch in PAIRED and ".k_proj." in name:
        return _pairs_together(values, config.num_key_value_heads)
    if ".query_key_value." in name:
        dealt = values.reshape(heads, 3, config.hidden_size // heads, -1)
        return np.concatenate(np.split(dealt, 3, axis=1)).reshape(values.shape)
    return values


def _pairs_together(weight: np.ndarray, heads: int) -> np.ndarray:
    """Reorder each head's rows from halves (i, i + d/2) to pairs (2i, 2i + 1), GGUF's llama layout."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)
