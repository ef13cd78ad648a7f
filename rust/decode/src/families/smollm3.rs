//! SmolLM3: Llama with layers that do not rotate (every fourth).

use super::layout::Head;
use super::llama::{Parts, SILU, check_activation};
use super::shared::windowed;
use crate::error::LoadError;
use crate::model::{Model, Rotation};
use crate::settings::Settings;
use crate::weights::Weights;

/// Layers between those without rotation.
const INTERVAL: usize = 4;

/// From `config.json` and safetensors.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    check_activation(config, "smollm3", SILU)?;
    if config.flag("use_sliding_window")?.unwrap_or(false) {
        return Err(config.unsupported("smollm3 with use_sliding_window is not supported".into()));
    }
    let mut parts = Parts::of_folder("smollm3", config)?;
    parts.base = 2_000_000.0;
    parts.layout.head = Head::configured(config, "lm_head", true)?;
    let layers = parts.config.layers;
    if windowed(config, layers, |_| false)?.contains(&true) {
        return Err(
            config.unsupported("smollm3 with sliding_attention in layer_types is not supported".into())
        );
    }
    let rotated: Vec<bool> = match config.get("no_rope_layers") {
        Some(serde_json::Value::Array(flags)) if flags.len() == layers => {
            flags.iter().map(|flag| flag.as_u64() != Some(0) && flag.as_bool() != Some(false)).collect()
        }
        Some(other) => {
            return Err(config.malformed(format!("no_rope_layers is {other}, not one entry for each layer")));
        }
        None => {
            let interval = config.size("no_rope_layer_interval")?.unwrap_or(INTERVAL).max(1);
            (0..layers).map(|i| !(i + 1).is_multiple_of(interval)).collect()
        }
    };
    let mut model = parts.build(config, weights)?;
    stop_rotating(&mut model, |i| !rotated[i]);
    Ok(model)
}

/// From a GGUF file of architecture `smollm3`, whose every fourth layer does not rotate.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let mut model = Parts::of_gguf("smollm3", config, weights)?.build_gguf(config, weights)?;
    stop_rotating(&mut model, |i| (i + 1).is_multiple_of(INTERVAL));
    Ok(model)
}

fn stop_rotating(model: &mut Model, still: impl Fn(usize) -> bool) {
    for (_, layer) in model.layers.iter_mut().enumerate().filter(|(i, _)| still(*i)) {
        layer.rotation = Rotation::Absent;
    }
}
