//! Gemma 2 and 3 (text): scaled embeddings, norms around both blocks that store what is beyond one, GeGLU, windows in
//! some layers. Gemma 2 caps scores and logits; Gemma 3 normalises queries and keys and rotates windowed layers otherwise.

use super::defaults;
use super::layout::{Head, Over};
use super::llama::{Parts, check_activation};
use super::shared::{plus_one, rope_by_layer, set_windows, windowed, windowed_gguf};
use crate::error::LoadError;
use crate::model::{Activation, Model, Rotation};
use crate::rope::{Rope, Scaling, positive};
use crate::settings::Settings;
use crate::weights::Weights;

/// Bases of Gemma 3's rotations, in full and in windowed layers.
const BASES: (f64, f64) = (1_000_000.0, 10_000.0);

/// From `config.json` and safetensors, of model type `gemma2` or `gemma3_text`.
pub(crate) fn from_folder(kind: &str, config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    read(kind, config, weights, "model")
}

/// The text model inside a checkpoint that reads images as well, of model type `gemma3`.
pub(crate) fn from_wrapper(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let Some(text) = config.section("text_config")? else {
        return Err(config.malformed("text_config is missing".into()));
    };
    let text = text.or(defaults::of_transformers("gemma3_text"));
    let stored = |stem: &str| weights.contains(&format!("{stem}.embed_tokens.weight"));
    let found =
        ["language_model.model", "model.language_model", "model"].into_iter().find(|stem| stored(stem));
    let mut model = read("gemma3_text", &text, weights, found.unwrap_or("language_model.model"))?;
    model.notes.push(config.note("the text model alone is loaded: images cannot be given"));
    Ok(model)
}

/// `stem` stands before every name but the head's.
fn read(kind: &str, config: &Settings, weights: &Weights, stem: &str) -> Result<Model, LoadError> {
    check_activation(config, kind, &["gelu_pytorch_tanh"])?;
    let three = kind != "gemma2";
    let mut parts = Parts::of_folder(kind, config)?;
    parts.layout.embedding = format!("{stem}.embed_tokens");
    parts.layout.layers = format!("{stem}.layers.");
    parts.layout.final_norm = format!("{stem}.norm");
    if config.flag("use_bidirectional_attention")?.unwrap_or(false) {
        return Err(config.unsupported(format!("{kind} with use_bidirectional_attention is no decoder")));
    }
    let mut local = None;
    if three {
        parts.base = BASES.0;
        (parts.rope, local) = rope_by_layer(config, parts.rope, &mut parts.notes)?;
        parts.layout.qk_norm = Some(("self_attn.q_norm", "self_attn.k_norm", Over::Head));
    }
    let head = format!("{}lm_head", if stem.starts_with("language_model") { "language_model." } else { "" });
    parts.layout.head = Head::configured(config, &head, true)?;
    parts.layout.post_norms = [Some("post_attention_layernorm"), Some("post_feedforward_layernorm")];
    parts.layout.pre_norms = [Some("input_layernorm"), Some("pre_feedforward_layernorm")];
    let scale = positive(config, "query_pre_attn_scalar")?.unwrap_or(256.0);
    parts.config.attention_scale = scale.powf(-0.5) as f32;
    // Null is no cap; without a word, Gemma 2 has its own.
    let cap = |key: &str, default: f64| {
        let own = positive(config, key)?;
        let silent = !three && !config.mentions(key);
        Ok::<Option<f32>, LoadError>(own.or(silent.then_some(default)).map(|x| x as f32))
    };
    parts.config.logit_softcap = cap("final_logit_softcapping", 30.0)?;
    // Gemma 3 does not cap scores, whatever its configuration says.
    parts.config.attention_softcap = cap("attn_logit_softcapping", 50.0)?.filter(|_| !three);
    let layers = parts.config.layers;
    let every = if three { config.size("sliding_window_pattern")?.unwrap_or(6) } else { 2 }.max(1);
    let local_base = match local.as_ref().map_or(Ok(None), |section| positive(section, "rope_theta"))? {
        None => positive(config, "rope_local_base_freq")?.unwrap_or(BASES.1),
        Some(base) => base,
    };
    let mut model = parts.build(config, weights)?;
    for layer in &mut model.layers {
        let norms = [&mut layer.attn_norm, &mut layer.post_attn_norm, &mut layer.ffn_norm];
        let more = [&mut layer.post_ffn_norm, &mut layer.q_norm, &mut layer.k_norm];
        norms.into_iter().chain(more).flatten().for_each(plus_one);
    }
    plus_one(&mut model.final_norm);
    let windowed = windowed(config, layers, |i| !(i + 1).is_multiple_of(every))?;
    let window = if config.mentions("sliding_window") { config.size("sliding_window")? } else { Some(4096) };
    finish(&mut model, window, &windowed, three.then_some(local_base));
    Ok(model)
}

/// From a GGUF file of architecture `gemma2` or `gemma3`, whose norms have the one already.
pub(crate) fn from_gguf(kind: &str, config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let three = kind == "gemma3";
    let mut parts = Parts::of_gguf(kind, config, weights)?;
    parts.layout.post_norms = [Some("post_attention_norm"), Some("post_ffw_norm")];
    if three {
        parts.layout.qk_norm = Some(("attn_q_norm", "attn_k_norm", Over::Head));
    }
    // The 27B models alone scale by the width of a head that they do not have; the file does not say so.
    let big = if three { 62 } else { 46 };
    if parts.config.layers == big {
        parts.config.attention_scale = ((parts.config.width / parts.config.heads) as f32).powf(-0.5);
    }
    let cap = |key: &str, default: Option<f32>| {
        Ok::<Option<f32>, LoadError>(positive(config, key)?.map(|x| x as f32).or(default))
    };
    parts.config.attention_softcap = cap("attn_logit_softcapping", Some(50.0))?.filter(|_| !three);
    parts.config.logit_softcap = cap("final_logit_softcapping", (!three).then_some(30.0))?;
    let (layers, window) = (parts.config.layers, parts.config.sliding_window.unwrap_or(4096));
    let mut model = parts.build_gguf(config, weights)?;
    let windowed = windowed_gguf(config, layers, if three { 6 } else { 2 })?;
    let local_base = positive(config, "rope.freq_base_swa")?.unwrap_or(BASES.1);
    finish(&mut model, Some(window), &windowed, three.then_some(local_base));
    Ok(model)
}

fn finish(model: &mut Model, window: Option<usize>, windowed: &[bool], local_base: Option<f64>) {
    model.config.activation = Activation::GeGluTanh;
    model.config.embedding_scale = (model.config.width as f32).sqrt();
    if let Some(base) = local_base {
        let plain = Rope { dim: model.config.rotary_dim, base, scaling: Scaling::None };
        model.config.local_inv_freq = plain.frequencies().0;
        for (layer, _) in model.layers.iter_mut().zip(windowed).filter(|(_, windowed)| **windowed) {
            layer.rotation = Rotation::Local;
        }
    }
    set_windows(model, window, windowed);
}
