//! Granite 3 and 4 (dense): Llama with factors on embeddings, attention, residuals and logits.

use super::llama::{Parts, SILU, check_activation};
use crate::error::LoadError;
use crate::model::Model;
use crate::rope::positive;
use crate::settings::Settings;
use crate::weights::Weights;

/// From `config.json` and safetensors.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    check_activation(config, "granite", SILU)?;
    let mut parts = Parts::of_folder("granite", config)?;
    let factor = |key: &str| Ok::<f32, LoadError>(positive(config, key)?.unwrap_or(1.0) as f32);
    parts.config.embedding_scale = factor("embedding_multiplier")?;
    parts.config.residual_scale = factor("residual_multiplier")?;
    parts.config.attention_scale = factor("attention_multiplier")?;
    parts.config.logit_scale = 1.0 / factor("logits_scaling")?;
    parts.build(config, weights)
}

/// From a GGUF file of architecture `granite`.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let mut parts = Parts::of_gguf("granite", config, weights)?;
    let factor =
        |key: &str, default: f32| Ok::<f32, LoadError>(positive(config, key)?.map_or(default, |x| x as f32));
    parts.config.embedding_scale = factor("embedding_scale", 1.0)?;
    parts.config.residual_scale = factor("residual_scale", 1.0)?;
    parts.config.attention_scale = factor("attention.scale", parts.config.attention_scale)?;
    parts.config.logit_scale = 1.0 / factor("logit_scale", 1.0)?;
    parts.build_gguf(config, weights)
}
