//! StableLM 2: Llama with LayerNorm, rotation of part of each head and biases on queries, keys and values; the 12B model
//! normalises each head of queries and keys with weights of its own.

use super::layout::{Bias, NormWeights, Over};
use super::llama::{Parts, SILU, check_activation};
use crate::error::LoadError;
use crate::model::{Model, NormKind};
use crate::settings::Settings;
use crate::weights::Weights;

/// From `config.json` and safetensors.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    check_activation(config, "stablelm", SILU)?;
    let mut parts = Parts::of_folder("stablelm", config)?;
    if parts.parameter(config, "partial_rotary_factor")?.is_none() {
        parts.config.rotary_dim = parts.config.head_dim / 4;
    }
    parts.layout.attention_bias = Bias::when(config.flag("use_qkv_bias")?.unwrap_or(false));
    if config.flag("qk_layernorm")?.unwrap_or(false) {
        let names = ("self_attn.q_layernorm.norms", "self_attn.k_layernorm.norms");
        parts.layout.qk_norm = Some((names.0, names.1, Over::OwnHead));
    }
    norms(&mut parts, config.flag("use_parallel_residual")?.unwrap_or(false));
    parts.build(config, weights)
}

/// From a GGUF file of architecture `stablelm`.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let mut parts = Parts::of_gguf("stablelm", config, weights)?;
    if weights.contains("blk.0.attn_q_norm.weight") {
        parts.layout.qk_norm = Some(("attn_q_norm", "attn_k_norm", Over::OwnHead));
    }
    // The key is written for every model; what the file stores says how it is computed.
    norms(&mut parts, !weights.contains("blk.0.ffn_norm.weight"));
    parts.build_gguf(config, weights)
}

/// In parallel, both blocks read what one norm gives.
fn norms(parts: &mut Parts, parallel: bool) {
    if parallel {
        parts.config.parallel_residual = true;
        parts.layout.pre_norms[1] = parts.layout.pre_norms[0];
    }
    parts.config.norm = NormKind::Layer;
    parts.layout.norms = NormWeights::WeightAndBias;
}
