//! OLMo 2 and 3: norms after the blocks in place of before, norms of queries and keys over all heads; of OLMo 3 three
//! layers in four have a window and rotate without scaling.

use super::layout::Over;
use super::llama::{Parts, SILU, check_activation};
use super::shared::{rope_by_layer, set_windows, windowed, windowed_gguf};
use crate::error::LoadError;
use crate::model::{Model, Rotation};
use crate::rope::{Rope, Scaling, positive};
use crate::settings::Settings;
use crate::weights::Weights;

const OLMO3_BASE: f64 = 500_000.0;

/// From `config.json` and safetensors, of model type `olmo2` or `olmo3`.
pub(crate) fn from_folder(kind: &str, config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    check_activation(config, kind, SILU)?;
    let mut parts = Parts::of_folder(kind, config)?;
    let mut local = None;
    if kind == "olmo3" {
        parts.base = OLMO3_BASE;
        (parts.rope, local) = rope_by_layer(config, parts.rope, &mut parts.notes)?;
    }
    if kind == "olmo3" && local.is_none() && positive(config, "rope_theta")?.is_some_and(|b| b != OLMO3_BASE)
    {
        parts.notes.push(config.note(
            "every layer rotates by rope_theta, as when the model was trained; transformers 5 takes 500000 in layers \
             with a window",
        ));
    }
    parts.layout.pre_norms = [None, None];
    parts.layout.post_norms = [Some("post_attention_layernorm"), Some("post_feedforward_layernorm")];
    parts.layout.qk_norm = Some(("self_attn.q_norm", "self_attn.k_norm", Over::Row));
    let layers = parts.config.layers;
    let mut model = parts.build(config, weights)?;
    if kind == "olmo3" {
        let own = local.as_ref().map_or(Ok(None), |section| positive(section, "rope_theta"))?;
        let base = if own.is_some() { own } else { positive(config, "rope_theta")? };
        mix(
            &mut model,
            windowed(config, layers, pattern)?,
            config.size("sliding_window")?.unwrap_or(4096),
            base,
        );
    }
    Ok(model)
}

/// From a GGUF file of architecture `olmo2`, where OLMo 3 has a window.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let mut parts = Parts::of_gguf("olmo2", config, weights)?;
    parts.layout.pre_norms = [None, None];
    parts.layout.post_norms = [Some("post_attention_norm"), Some("post_ffw_norm")];
    parts.layout.qk_norm = Some(("attn_q_norm", "attn_k_norm", Over::Row));
    let (window, layers) = (parts.config.sliding_window, parts.config.layers);
    let mut model = parts.build_gguf(config, weights)?;
    if let Some(window) = window {
        let own = positive(config, "rope.freq_base_swa")?;
        let base = if own.is_some() { own } else { positive(config, "rope.freq_base")? };
        mix(&mut model, windowed_gguf(config, layers, 4)?, window, base);
    }
    Ok(model)
}

fn pattern(layer: usize) -> bool {
    !(layer + 1).is_multiple_of(4)
}

/// Layers with a window rotate by plain frequencies.
fn mix(model: &mut Model, windowed: Vec<bool>, window: usize, base: Option<f64>) {
    let plain =
        Rope { dim: model.config.rotary_dim, base: base.unwrap_or(OLMO3_BASE), scaling: Scaling::None };
    model.config.local_inv_freq = plain.frequencies().0;
    let differs = model.config.local_inv_freq != model.config.inv_freq || model.config.rope_scale != 1.0;
    for (layer, &windowed) in model.layers.iter_mut().zip(&windowed) {
        if windowed && differs {
            layer.rotation = Rotation::Local;
        }
    }
    set_windows(model, Some(window), &windowed);
}
