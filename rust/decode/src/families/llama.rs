//! Llama and its kin: Mistral, Qwen2, Qwen3. RMSNorm, SwiGLU, rotary embedding of whole heads, grouped queries.
//!
//! What differs: Qwen2 has biases on queries, keys and values; Qwen3 normalises queries and keys per head; Mistral has
//! a sliding window. GGUF's `llama` architecture stores query and key rows so that pairs are neighbours.

use super::{Bias, FeedForward, Head, Layout, NormWeights, Qkv, base_config, build};
use crate::error::LoadError;
use crate::model::{Config, Model, RopePairs};
use crate::rope::{self, Rope, Scaling};
use crate::settings::Settings;
use crate::weights::Weights;

/// From `config.json` and safetensors in the names transformers gives them.
pub(crate) fn from_folder(kind: &str, config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    match config.text("hidden_act")?.unwrap_or("silu") {
        "silu" | "swish" => {}
        other => {
            return Err(
                config.unsupported(format!("hidden_act {other:?} is not supported in {kind}; silu is"))
            );
        }
    }
    let width = config.dimension("hidden_size")?;
    let heads = config.dimension("num_attention_heads")?;
    let mut notes = Vec::new();
    let rope = super::rope_section(config, &mut notes)?;
    let parameter = |key: &str| {
        let inner = rope.as_ref().map_or(Ok(None), |section| rope::positive(section, key))?;
        if inner.is_some() { Ok(inner) } else { rope::positive(config, key) }
    };
    let head_dim = match config.size("head_dim")? {
        Some(n) => n,
        None => super::per_head(config, width, heads)?,
    };
    let layers = config.dimension("num_hidden_layers")?;
    let model = Config {
        kv_heads: config.size("num_key_value_heads")?.unwrap_or(heads),
        hidden: config.dimension("intermediate_size")?,
        norm_eps: super::epsilon(config, "rms_norm_eps")?,
        rotary_dim: (head_dim as f64 * parameter("partial_rotary_factor")?.unwrap_or(1.0)) as usize,
        sliding_window: window(kind, config, layers)?,
        max_positions: config.dimension("max_position_embeddings")?,
        vocab: config.dimension("vocab_size")?,
        ..base_config(kind, layers, width, heads, head_dim)
    };
    let qkv_bias = match kind {
        "qwen2" => true,
        _ => config.flag("attention_bias")?.unwrap_or(false),
    };
    let layout = Layout {
        embedding: "model.embed_tokens".into(),
        rows: model.vocab,
        final_norm: "model.norm".into(),
        head: Head::configured(config, "lm_head", false)?,
        layers: "model.layers.".into(),
        attn_norm: "input_layernorm",
        ffn_norm: "post_attention_layernorm",
        qkv: Qkv::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
        qk_norm: (kind == "qwen3").then_some(("self_attn.q_norm", "self_attn.k_norm", head_dim)),
        o: "self_attn.o_proj",
        feed_forward: FeedForward::Gated { gate: "mlp.gate_proj", up: "mlp.up_proj" },
        down: "mlp.down_proj",
        attention_bias: Bias::when(qkv_bias),
        o_bias: Bias::when(qkv_bias && kind != "qwen2"),
        ffn_bias: Bias::when(config.flag("mlp_bias")?.unwrap_or(false)),
        norms: NormWeights::Weight,
    };
    let (dim, positions) = (model.rotary_dim, model.max_positions);
    let mut model = build(weights, &layout, model, || {
        Ok(Rope {
            dim,
            base: parameter("rope_theta")?.unwrap_or(10_000.0),
            scaling: rope
                .as_ref()
                .map_or(Ok(Scaling::None), |r| rope::scaling_from_json(config, r, positions))?,
        })
    })?;
    model.notes.extend(notes);
    Ok(model)
}

/// The window that every layer has. Models that mix windowed and full layers are refused.
fn window(kind: &str, config: &Settings, layers: usize) -> Result<Option<usize>, LoadError> {
    let size = match kind {
        // Null says that there is none; without a word, transformers' default holds.
        "mistral" if !config.mentions("sliding_window") => return Ok(Some(4096)),
        "mistral" => return config.size("sliding_window"),
        "qwen2" | "qwen3" if config.flag("use_sliding_window")?.unwrap_or(false) => {
            config.size("sliding_window")?
        }
        _ => None,
    };
    if size.is_none() {
        return Ok(None);
    }
    let windowed = match config.get("layer_types") {
        Some(serde_json::Value::Array(types)) => types.iter().filter(|t| *t == "sliding_attention").count(),
        _ => layers.saturating_sub(config.size("max_window_layers")?.unwrap_or(28)),
    };
    match windowed {
        0 => Ok(None),
        n if n == layers => Ok(size),
        n => Err(config.unsupported(format!(
            "{n} of {layers} layers have a sliding window; all or none of them is supported"
        ))),
    }
}

/// From a GGUF file of architecture `llama`, `qwen2` or `qwen3`; `config` holds the keys of that architecture.
pub(crate) fn from_gguf(
    architecture: &str,
    config: &Settings,
    weights: &Weights,
) -> Result<Model, LoadError> {
    if config.size("expert_count")?.is_some_and(|n| n > 0) {
        return Err(config.unsupported(format!("{architecture} with experts is not supported")));
    }
    let width = config.dimension("embedding_length")?;
    let heads = config.dimension("attention.head_count")?;
    let head_dim = match config.size("attention.key_length")? {
        Some(n) => n,
        None => super::per_head(config, width, heads)?,
    };
    if let Some(n) = config.size("attention.value_length")?.filter(|&n| n != head_dim) {
        return Err(config
            .unsupported(format!("values of {n} coordinates beside keys of {head_dim} are not supported")));
    }
    let rows = super::embedding_rows(weights, "token_embd.weight")?;
    let model = Config {
        kv_heads: config.size("attention.head_count_kv")?.unwrap_or(heads),
        hidden: config.dimension("feed_forward_length")?,
        norm_eps: super::epsilon(config, "attention.layer_norm_rms_epsilon")?,
        rotary_dim: config.size("rope.dimension_count")?.unwrap_or(head_dim),
        rope_pairs: if architecture == "llama" { RopePairs::Interleaved } else { RopePairs::Halves },
        sliding_window: config.size("attention.sliding_window")?.filter(|&n| n > 0),
        max_positions: config.dimension("context_length")?,
        vocab: rows,
        ..base_config(architecture, config.dimension("block_count")?, width, heads, head_dim)
    };
    let layout = Layout {
        embedding: "token_embd".into(),
        rows,
        final_norm: "output_norm".into(),
        head: Head::stored(weights),
        layers: "blk.".into(),
        attn_norm: "attn_norm",
        ffn_norm: "ffn_norm",
        qkv: Qkv::Separate(["attn_q", "attn_k", "attn_v"]),
        qk_norm: (architecture == "qwen3").then_some(("attn_q_norm", "attn_k_norm", head_dim)),
        o: "attn_output",
        feed_forward: FeedForward::Gated { gate: "ffn_gate", up: "ffn_up" },
        down: "ffn_down",
        attention_bias: Bias::IfStored,
        o_bias: Bias::IfStored,
        ffn_bias: Bias::IfStored,
        norms: NormWeights::Weight,
    };
    let (dim, positions) = (model.rotary_dim, model.max_positions);
    build(weights, &layout, model, || super::gguf_rope(config, weights, dim, positions))
}
