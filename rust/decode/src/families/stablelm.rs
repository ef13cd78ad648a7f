//! StableLM 2: Llama with LayerNorm, rotation of part of each head and biases on queries, keys and values.

use super::layout::{Bias, NormWeights};
use super::llama::{Parts, SILU, check_activation};
use crate::error::LoadError;
use crate::model::{Model, NormKind};
use crate::settings::Settings;
use crate::weights::Weights;

/// From `config.json` and safetensors.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    check_activation(config, "stablelm", SILU)?;
    for key in ["use_parallel_residual", "qk_layernorm"] {
        if config.flag(key)?.unwrap_or(false) {
            return Err(config.unsupported(format!("stablelm with {key} is not supported")));
        }
    }
    let mut parts = Parts::of_folder("stablelm", config)?;
    if parts.parameter(config, "partial_rotary_factor")?.is_none() {
        parts.config.rotary_dim = parts.config.head_dim / 4;
    }
    parts.layout.attention_bias = Bias::when(config.flag("use_qkv_bias")?.unwrap_or(false));
    norms(&mut parts);
    parts.build(config, weights)
}

/// From a GGUF file of architecture `stablelm`.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    if config.flag("use_parallel_residual")?.unwrap_or(false) && !weights.contains("blk.0.ffn_norm.weight") {
        return Err(config.unsupported("stablelm with use_parallel_residual is not supported".into()));
    }
    let mut parts = Parts::of_gguf("stablelm", config, weights)?;
    norms(&mut parts);
    parts.build_gguf(config, weights)
}

fn norms(parts: &mut Parts) {
    parts.config.norm = NormKind::Layer;
    parts.layout.norms = NormWeights::WeightAndBias;
}
