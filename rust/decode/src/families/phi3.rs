//! Phi-3 and Phi-4-mini: Llama with queries, keys and values in one matrix, and gate and up in another.
//!
//! Their LongRoPE has two sets of divisors, for contexts up to the length of training and beyond. A prompt's cache is
//! computed once, whatever length its samples will reach, so the first set is used, up to that length.

use super::layout::{FeedForward, Qkv};
use super::llama::{Parts, SILU, check_activation};
use super::shared::SHORT_FACTORS;
use crate::error::LoadError;
use crate::model::Model;
use crate::rope::positive;
use crate::settings::Settings;
use crate::weights::Weights;

/// From `config.json` and safetensors.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    check_activation(config, "phi3", SILU)?;
    let mut parts = Parts::of_folder("phi3", config)?;
    parts.layout.qkv = Qkv::Stacked("self_attn.qkv_proj");
    parts.layout.feed_forward = FeedForward::Stacked("mlp.gate_up_proj");
    parts.config.sliding_window = config.size("sliding_window")?;
    let kind = match &parts.rope {
        Some(section) => section.text("rope_type")?.or(section.text("type")?).unwrap_or("default"),
        None => "default",
    };
    if !["default", "longrope", "su"].contains(&kind) {
        return Err(config.unsupported(format!("RoPE type {kind:?} is not supported in phi3; longrope is")));
    }
    if let Some(section) = &parts.rope
        && kind != "default"
    {
        let original = match positive(config, "original_max_position_embeddings")? {
            Some(own) => own,
            None => positive(section, "original_max_position_embeddings")?.unwrap_or(4096.0),
        };
        shorten(&mut parts, original as usize, config);
    }
    parts.build(config, weights)
}

/// From a GGUF file of architecture `phi3`.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let mut parts = Parts::of_gguf("phi3", config, weights)?;
    parts.layout.qkv = Qkv::Stacked("attn_qkv");
    parts.layout.feed_forward = FeedForward::Stacked("ffn_up");
    if weights.contains(SHORT_FACTORS) {
        let original = config.size("rope.scaling.original_context_length")?;
        shorten(&mut parts, original.unwrap_or(4096), config);
    }
    parts.build_gguf(config, weights)
}

/// The context within which the first set of divisors holds.
fn shorten(parts: &mut Parts, original: usize, config: &Settings) {
    if original < parts.config.max_positions {
        parts.notes.push(config.note(&format!(
            "prompts and samples are limited to the {original} positions of training, not the {} of LongRoPE's \
             second set of frequencies",
            parts.config.max_positions
        )));
        parts.config.max_positions = original;
    }
}
