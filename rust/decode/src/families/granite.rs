//! Granite 3 and 4 (dense): Llama with factors on embeddings, attention, residuals and logits.

use super::layout::FeedForward;
use super::llama::{Parts, SILU, check_activation};
use crate::error::LoadError;
use crate::model::{Model, Rotation};
use crate::rope::positive;
use crate::settings::Settings;
use crate::weights::Weights;

/// From `config.json` and safetensors.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    scaled("granite", config)?.build(config, weights)
}

/// Granite 4 without experts and without Mamba layers, of model type `granitemoehybrid`: gate and up lie in one matrix,
/// and layers rotate only where `position_embedding_type` says so.
pub(crate) fn from_hybrid(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    if config.size("num_local_experts")?.unwrap_or(8) > 0 {
        return Err(
            config.unsupported("granitemoehybrid with experts (num_local_experts) is not supported".into())
        );
    }
    let types = ["layer_types", "layers_block_type"].into_iter().find_map(|key| config.get(key));
    let attends = |kind: &serde_json::Value| matches!(kind.as_str(), Some("attention" | "full_attention"));
    if !types.and_then(|types| types.as_array()).is_some_and(|types| types.iter().all(attends)) {
        return Err(
            config.unsupported("granitemoehybrid with Mamba layers (layer_types) is not supported".into())
        );
    }
    let mut parts = scaled("granitemoehybrid", config)?;
    parts.config.hidden = config.dimension("shared_intermediate_size")?;
    parts.layout.feed_forward = FeedForward::Stacked("shared_mlp.input_linear");
    parts.layout.down = "shared_mlp.output_linear";
    let rotates = config.text("position_embedding_type")? == Some("rope");
    Ok(rotated(parts.build(config, weights)?, rotates))
}

fn scaled(kind: &str, config: &Settings) -> Result<Parts, LoadError> {
    check_activation(config, kind, SILU)?;
    let mut parts = Parts::of_folder(kind, config)?;
    let factor = |key: &str| Ok::<f32, LoadError>(positive(config, key)?.unwrap_or(1.0) as f32);
    parts.config.embedding_scale = factor("embedding_multiplier")?;
    parts.config.residual_scale = factor("residual_multiplier")?;
    parts.config.attention_scale = factor("attention_multiplier")?;
    parts.config.logit_scale = 1.0 / factor("logits_scaling")?;
    Ok(parts)
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
    // In this architecture the key says whether layers rotate at all.
    let rotates = config.flag("rope.scaling.finetuned")?.unwrap_or(true);
    Ok(rotated(parts.build_gguf(config, weights)?, rotates))
}

fn rotated(mut model: Model, rotates: bool) -> Model {
    if !rotates {
        model.layers.iter_mut().for_each(|layer| layer.rotation = Rotation::Absent);
    }
    model
}
