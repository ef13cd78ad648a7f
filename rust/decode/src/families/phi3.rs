//! Phi-3 and Phi-4-mini: Llama with queries, keys and values in one matrix, and gate and up in another.

use super::layout::{FeedForward, Qkv};
use super::llama::{Parts, SILU, check_activation};
use crate::error::LoadError;
use crate::model::Model;
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
    parts.build(config, weights)
}

/// From a GGUF file of architecture `phi3`.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let mut parts = Parts::of_gguf("phi3", config, weights)?;
    parts.layout.qkv = Qkv::Stacked("attn_qkv");
    parts.layout.feed_forward = FeedForward::Stacked("ffn_up");
    parts.build_gguf(config, weights)
}
