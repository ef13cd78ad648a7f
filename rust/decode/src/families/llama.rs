//! Llama and its kin: Mistral, Ministral, Qwen2, Qwen3. RMSNorm, SwiGLU, rotary embedding of whole heads, grouped queries.
//!
//! What differs: Qwen2 has biases on queries, keys and values; Qwen3 normalises queries and keys per head; Mistral has
//! a sliding window, Ministral and Qwen in some layers. GGUF's `llama` architecture stores query and key rows so that pairs are neighbours.

use super::build::build;
use super::layout::{Bias, FeedForward, Head, Layout, NormWeights, Over, Qkv};
use super::shared::{
    SHORT_FACTORS, base_config, embedding_rows, epsilon, gguf_rope, per_head, rope_section, served,
    set_windows, shortened, windowed,
};
use crate::error::LoadError;
use crate::model::{Config, Model, RopePairs};
use crate::rope::{self, Rope, Scaling};
use crate::settings::Settings;
use crate::weights::Weights;

/// Families that rotate part of each head where the configuration says so.
const PARTLY_ROTATED: &[&str] = &["phi3", "stablelm"];

/// Families that read `attention_bias`.
const BIASED: &[&str] =
    &["llama", "qwen3", "gemma2", "gemma3_text", "olmo2", "olmo3", "granite", "granitemoehybrid", "smollm3"];

/// A model of this kind before its weights are read; other families change what they do otherwise.
pub(crate) struct Parts {
    pub config: Config,
    pub layout: Layout,
    /// The configuration's section on rotation.
    pub rope: Option<Settings>,
    /// Base of the rotation where the files are silent.
    pub base: f64,
    pub notes: Vec<String>,
}

impl Parts {
    /// From `config.json`, in the names transformers gives.
    pub(crate) fn of_folder(kind: &str, config: &Settings) -> Result<Parts, LoadError> {
        let width = config.dimension("hidden_size")?;
        let heads = config.dimension("num_attention_heads")?;
        let mut notes = Vec::new();
        let rope = rope_section(config, &mut notes)?;
        let head_dim = match config.size("head_dim")? {
            Some(n) => n,
            None => per_head(config, width, heads)?,
        };
        let layers = config.dimension("num_hidden_layers")?;
        let flag = |kinds: &[&str], key: &str| {
            Ok::<bool, LoadError>(kinds.contains(&kind) && config.flag(key)?.unwrap_or(false))
        };
        let qkv_bias = kind == "qwen2" || flag(BIASED, "attention_bias")?;
        let vocab = config.dimension("vocab_size")?;
        let norm_key = match kind {
            "stablelm" => "layer_norm_eps",
            "starcoder2" => "norm_epsilon",
            _ => "rms_norm_eps",
        };
        let mut parts = Parts {
            config: Config {
                kv_heads: config.size("num_key_value_heads")?.unwrap_or(heads),
                hidden: config.dimension("intermediate_size")?,
                norm_eps: epsilon(config, norm_key)?,
                max_positions: config.dimension("max_position_embeddings")?,
                vocab,
                ..base_config(kind, layers, width, heads, head_dim)
            },
            layout: Layout {
                embedding: "model.embed_tokens".into(),
                rows: vocab,
                final_norm: "model.norm".into(),
                head: Head::configured(config, "lm_head", false)?,
                layers: "model.layers.".into(),
                pre_norms: [Some("input_layernorm"), Some("post_attention_layernorm")],
                post_norms: [None, None],
                qkv: Qkv::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
                qk_norm: (kind == "qwen3").then_some(("self_attn.q_norm", "self_attn.k_norm", Over::Head)),
                o: "self_attn.o_proj",
                feed_forward: FeedForward::Gated { gate: "mlp.gate_proj", up: "mlp.up_proj" },
                down: "mlp.down_proj",
                attention_bias: Bias::when(qkv_bias),
                o_bias: Bias::when(qkv_bias && kind != "qwen2"),
                ffn_bias: Bias::when(flag(&["llama", "granite", "smollm3"], "mlp_bias")?),
                norms: NormWeights::Weight,
            },
            rope,
            base: 10_000.0,
            notes,
        };
        let rotated = parts.parameter(config, "partial_rotary_factor")?.unwrap_or(1.0);
        if PARTLY_ROTATED.contains(&kind) {
            parts.config.rotary_dim = (head_dim as f64 * rotated) as usize;
        } else if rotated != 1.0 {
            parts.notes.push(config.note(&format!(
                "partial_rotary_factor is not used: {kind} rotates whole heads, in transformers, too"
            )));
        }
        Ok(parts)
    }

    /// A number of the section on rotation, or of the configuration itself.
    pub(crate) fn parameter(&self, config: &Settings, key: &str) -> Result<Option<f64>, LoadError> {
        let inner = self.rope.as_ref().map_or(Ok(None), |section| rope::positive(section, key))?;
        if inner.is_some() { Ok(inner) } else { rope::positive(config, key) }
    }

    /// The model, its weights read.
    pub(crate) fn build(mut self, config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
        let base = self.parameter(config, "rope_theta")?.unwrap_or(self.base);
        let (dim, positions) = (self.config.rotary_dim, self.config.max_positions);
        let section = self.rope.as_ref();
        self.config.max_positions = served(config, section, positions, &mut self.notes)?;
        let mut model = build(weights, &self.layout, self.config, || {
            let scaling =
                section.map_or(Ok(Scaling::None), |r| rope::scaling_from_json(config, r, positions))?;
            Ok(Rope { dim, base, scaling })
        })?;
        model.notes.extend(self.notes);
        Ok(model)
    }

    /// From GGUF metadata; `config` holds the keys of the architecture.
    pub(crate) fn of_gguf(
        architecture: &str,
        config: &Settings,
        weights: &Weights,
    ) -> Result<Parts, LoadError> {
        if config.size("expert_count")?.is_some_and(|n| n > 0) {
            return Err(config.unsupported(format!("{architecture} with experts is not supported")));
        }
        let width = config.dimension("embedding_length")?;
        let heads = config.dimension("attention.head_count")?;
        let head_dim = match config.size("attention.key_length")? {
            Some(n) => n,
            None => per_head(config, width, heads)?,
        };
        if let Some(n) = config.size("attention.value_length")?.filter(|&n| n != head_dim) {
            return Err(config.unsupported(format!(
                "values of {n} coordinates beside keys of {head_dim} are not supported"
            )));
        }
        let rotary_dim = config.size("rope.dimension_count")?.unwrap_or(head_dim);
        same_heads(config, architecture, head_dim, rotary_dim)?;
        let rows = embedding_rows(weights, "token_embd.weight")?;
        // Converters copy whatever the configuration says, so a file may have both.
        let norm_key = if ["stablelm", "starcoder2"].contains(&architecture) {
            "attention.layer_norm_epsilon"
        } else {
            "attention.layer_norm_rms_epsilon"
        };
        let model = Config {
            kv_heads: config.size("attention.head_count_kv")?.unwrap_or(heads),
            hidden: config.dimension("feed_forward_length")?,
            norm_eps: epsilon(config, norm_key)?,
            rotary_dim,
            rope_pairs: if ["llama", "granite", "smollm3"].contains(&architecture) {
                RopePairs::Interleaved
            } else {
                RopePairs::Halves
            },
            sliding_window: config.size("attention.sliding_window")?.filter(|&n| n > 0),
            max_positions: config.dimension("context_length")?,
            vocab: rows,
            ..base_config(architecture, config.dimension("block_count")?, width, heads, head_dim)
        };
        let layout = Layout {
            qk_norm: (architecture == "qwen3").then_some(("attn_q_norm", "attn_k_norm", Over::Head)),
            ..Layout::of_gguf(rows, weights)
        };
        Ok(Parts { config: model, layout, rope: None, base: 10_000.0, notes: Vec::new() })
    }

    /// The model of a GGUF file, its weights read.
    pub(crate) fn build_gguf(mut self, config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
        let (dim, positions) = (self.config.rotary_dim, self.config.max_positions);
        if let Some(original) = config.size("rope.scaling.original_context_length")?
            && weights.contains(SHORT_FACTORS)
        {
            self.config.max_positions = shortened(original, positions, config, &mut self.notes);
        }
        let mut model =
            build(weights, &self.layout, self.config, || gguf_rope(config, weights, dim, positions))?;
        model.notes.extend(self.notes);
        Ok(model)
    }
}

/// What a GGUF file says of layers with a window must be what it says of the others, but for the base of the rotation where
/// the family has two.
fn same_heads(
    config: &Settings,
    architecture: &str,
    head_dim: usize,
    rotary_dim: usize,
) -> Result<(), LoadError> {
    for (key, own) in [
        ("attention.key_length_swa", head_dim),
        ("attention.value_length_swa", head_dim),
        ("rope.dimension_count_swa", rotary_dim),
    ] {
        if let Some(n) = config.size(key)?.filter(|&n| n != own) {
            return Err(
                config.unsupported(format!("{key} of {n} beside {own} in other layers is not supported"))
            );
        }
    }
    let base = rope::positive(config, "rope.freq_base")?.unwrap_or(10_000.0);
    match rope::positive(config, "rope.freq_base_swa")? {
        Some(other) if other != base && !["gemma3", "olmo2"].contains(&architecture) => Err(config
            .unsupported(format!(
                "rope.freq_base_swa of {other} beside {base} is not supported in {architecture}"
            ))),
        _ => Ok(()),
    }
}

/// The activation must be the one that the family is computed with.
pub(crate) fn check_activation(config: &Settings, kind: &str, names: &[&str]) -> Result<(), LoadError> {
    let key = if config.get("hidden_activation").is_some() { "hidden_activation" } else { "hidden_act" };
    match config.text(key)? {
        Some(other) if !names.contains(&other) => Err(config
            .unsupported(format!("{key} {other:?} is not supported in {kind}; {} is", names.join(" or ")))),
        _ => Ok(()),
    }
}

/// Names under which SiLU goes.
pub(crate) const SILU: &[&str] = &["silu", "swish"];

/// From `config.json` and safetensors in the names transformers gives them.
pub(crate) fn from_folder(kind: &str, config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    check_activation(config, kind, SILU)?;
    let mut model = Parts::of_folder(kind, config)?.build(config, weights)?;
    let (window, windowed) = windows(kind, config, model.layers.len())?;
    set_windows(&mut model, window, &windowed);
    Ok(model)
}

/// The window, and which layers have it.
fn windows(kind: &str, config: &Settings, layers: usize) -> Result<(Option<usize>, Vec<bool>), LoadError> {
    let used = match kind {
        "mistral" | "ministral" => true,
        "qwen2" | "qwen3" => config.flag("use_sliding_window")?.unwrap_or(false),
        _ => false,
    };
    if !used {
        return Ok((None, vec![false; layers]));
    }
    // Null says that there is none; without a word, transformers' default holds.
    let window = if config.mentions("sliding_window") { config.size("sliding_window")? } else { Some(4096) };
    let first = match kind {
        "qwen2" | "qwen3" => config.size("max_window_layers")?.unwrap_or(28),
        _ => 0,
    };
    Ok((window, windowed(config, layers, |i| i >= first)?))
}

/// From a GGUF file of architecture `llama`, `qwen2` or `qwen3`.
pub(crate) fn from_gguf(
    architecture: &str,
    config: &Settings,
    weights: &Weights,
) -> Result<Model, LoadError> {
    Parts::of_gguf(architecture, config, weights)?.build_gguf(config, weights)
}
