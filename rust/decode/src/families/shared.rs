//! What families share: settings that several read, and layers that several change.

use crate::error::LoadError;
use crate::model::{Activation, Config, Model, Norm, NormKind, RopePairs};
use crate::rope::{self, Rope, Scaling};
use crate::settings::Settings;
use crate::weights::Weights;

/// What most families share; each overrides the rest.
pub(super) fn base_config(
    architecture: &str,
    layers: usize,
    width: usize,
    heads: usize,
    head_dim: usize,
) -> Config {
    Config {
        architecture: architecture.into(),
        layers,
        width,
        heads,
        kv_heads: heads,
        head_dim,
        hidden: 0,
        vocab: 0,
        max_positions: 0,
        norm: NormKind::Rms,
        norm_eps: 0.0,
        activation: Activation::SwiGlu,
        parallel_residual: false,
        rotary_dim: head_dim,
        rope_pairs: RopePairs::Halves,
        inv_freq: Vec::new(),
        rope_scale: 1.0,
        local_inv_freq: Vec::new(),
        sliding_window: None,
        embedding_scale: 1.0,
        residual_scale: 1.0,
        own_head_norms: false,
        attention_scale: 1.0 / (head_dim as f32).sqrt(),
        attention_softcap: None,
        logit_scale: 1.0,
        logit_softcap: None,
        bos: None,
        eos: Vec::new(),
    }
}

pub(super) fn per_head(config: &Settings, width: usize, heads: usize) -> Result<usize, LoadError> {
    if !width.is_multiple_of(heads) {
        return Err(config.malformed(format!("width {width} does not divide into {heads} heads")));
    }
    Ok(width / heads)
}

pub(super) fn epsilon(config: &Settings, key: &str) -> Result<f32, LoadError> {
    match rope::positive(config, key)? {
        Some(epsilon) => Ok(epsilon as f32),
        None => Err(config.malformed(format!("{key} is missing"))),
    }
}

/// `rope_scaling` (transformers 4), else `rope_parameters` (5): where both are given the first replaces the second, as in
/// transformers.
pub(super) fn rope_section(
    config: &Settings,
    notes: &mut Vec<String>,
) -> Result<Option<Settings>, LoadError> {
    let (new, old) = (config.section("rope_parameters")?, config.section("rope_scaling")?);
    let old = old.filter(|section| !section.is_empty());
    if let (Some(new), Some(old)) = (&new, &old)
        && !new.same(old)
    {
        notes.push(
            config.note("rope_scaling and rope_parameters differ: rope_scaling is used, as by transformers"),
        );
    }
    let section = old.or(new);
    if section.as_ref().is_some_and(|s| s.get("attn_factor").is_some() && s.get("attention_factor").is_none())
    {
        notes.push(
            config.note("attn_factor is not used (nor by transformers, whose key is attention_factor)"),
        );
    }
    Ok(section)
}

/// Rotation of full and of windowed layers, for families that tell them apart: `rope_scaling` then changes full layers
/// alone. `section` is what [`rope_section`] found, which holds for full layers where nothing is said by kind of layer.
pub(super) fn rope_by_layer(
    config: &Settings,
    section: Option<Settings>,
    notes: &mut Vec<String>,
) -> Result<(Option<Settings>, Option<Settings>), LoadError> {
    let Some(new) = config.section("rope_parameters")? else { return Ok((section, None)) };
    let (full, local) = (new.section("full_attention")?, new.section("sliding_attention")?);
    if full.is_none() && local.is_none() {
        if !new.is_empty() {
            notes.push(config.note(
                "rope_parameters does not tell full_attention and sliding_attention apart: it holds for full layers here, \
                 and transformers leaves it aside",
            ));
        }
        return Ok((section, None));
    }
    let old = config.section("rope_scaling")?.filter(|section| !section.is_empty());
    let full = match (full, old) {
        (Some(full), Some(old)) => Some(full.changed_by(&old)),
        (full, old) => full.or(old),
    };
    Ok((full, local))
}

/// Positions that a model serves: LongRoPE's first set of divisors holds up to the length of training. It has a second one
/// for longer contexts, but a prompt's cache is computed once, whatever length its samples will reach.
pub(super) fn served(
    config: &Settings,
    section: Option<&Settings>,
    positions: usize,
    notes: &mut Vec<String>,
) -> Result<usize, LoadError> {
    let Some(section) = section else { return Ok(positions) };
    let kind = section.text("rope_type")?.or(section.text("type")?);
    if !matches!(kind, Some("longrope" | "su")) {
        return Ok(positions);
    }
    let original = rope::original(config, section)?;
    Ok(shortened(original.map_or(positions, |n| n as usize), positions, config, notes))
}

/// The fewer of both lengths, with a note where that is the first.
pub(super) fn shortened(
    original: usize,
    positions: usize,
    config: &Settings,
    notes: &mut Vec<String>,
) -> usize {
    if original < positions {
        notes.push(config.note(&format!(
            "prompts and samples are limited to the {original} positions of training, not the {positions} of LongRoPE's \
             second set of frequencies"
        )));
    }
    original.min(positions)
}

pub(super) fn embedding_rows(weights: &Weights, name: &str) -> Result<usize, LoadError> {
    let shape = weights.shape(name)?;
    shape.first().copied().filter(|&rows| rows > 0).ok_or_else(|| {
        LoadError::malformed(
            weights.path(),
            format!("tensor {name:?} has shape {shape:?}, not tokens by width"),
        )
    })
}

/// LongRoPE's divisors for contexts up to the length of training, in a GGUF file.
pub(super) const SHORT_FACTORS: &str = "rope_factors_short.weight";

/// RoPE of a GGUF file: keys `rope.*`, and the divisors of Llama 3 or LongRoPE in tensors of their own.
pub(super) fn gguf_rope(
    config: &Settings,
    weights: &Weights,
    dim: usize,
    max_positions: usize,
) -> Result<Rope, LoadError> {
    let base = rope::positive(config, "rope.freq_base")?.unwrap_or(10_000.0);
    let scaling = if weights.contains("rope_freqs.weight") {
        Scaling::Divisors(weights.vector("rope_freqs.weight", dim / 2)?)
    } else if weights.contains(SHORT_FACTORS) {
        let attention = rope::positive(config, rope::ATTENTION_FACTOR)?.unwrap_or(1.0) as f32;
        Scaling::Long { divisors: weights.vector(SHORT_FACTORS, dim / 2)?, attention }
    } else {
        rope::scaling_from_gguf(config, max_positions)?
    };
    if !matches!(scaling, Scaling::Long { .. } | Scaling::Yarn { .. })
        && rope::positive(config, rope::ATTENTION_FACTOR)?.is_some_and(|factor| factor != 1.0)
    {
        let key = rope::ATTENTION_FACTOR;
        return Err(config.unsupported(format!("{key} is supported with YaRN and LongRoPE alone")));
    }
    Ok(Rope { dim, base, scaling })
}

/// Which layers have a sliding window: `layer_types`, or the family's own pattern.
pub(super) fn windowed(
    config: &Settings,
    layers: usize,
    pattern: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, LoadError> {
    let Some(serde_json::Value::Array(types)) = config.get("layer_types") else {
        return Ok((0..layers).map(pattern).collect());
    };
    if types.len() != layers {
        return Err(config.malformed(format!("layer_types has {} entries for {layers} layers", types.len())));
    }
    let one = |(i, kind): (usize, &serde_json::Value)| match kind.as_str() {
        Some("sliding_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(config.unsupported(format!(
            "layer_types[{i}] is {kind}; sliding_attention and full_attention are supported"
        ))),
    };
    types.iter().enumerate().map(one).collect()
}

/// The same of a GGUF file: `attention.sliding_window_pattern` has an entry for each layer, or says how often a layer
/// without a window comes.
pub(super) fn windowed_gguf(config: &Settings, layers: usize, every: usize) -> Result<Vec<bool>, LoadError> {
    let key = "attention.sliding_window_pattern";
    let flags = match config.get(key) {
        Some(serde_json::Value::Array(flags)) => flags,
        _ => {
            let every = config.size(key)?.unwrap_or(every);
            return Ok((0..layers).map(|i| every > 0 && !(i + 1).is_multiple_of(every)).collect());
        }
    };
    if flags.len() != layers {
        return Err(config.malformed(format!("{key} has {} entries for {layers} layers", flags.len())));
    }
    let one = |flag: &serde_json::Value| flag.as_bool().or_else(|| flag.as_u64().map(|n| n != 0));
    flags
        .iter()
        .map(|flag| one(flag).ok_or_else(|| config.malformed(format!("{key} has {flag}, not true or false"))))
        .collect()
}

/// Gives the layers that `windowed` names a window; where it names all, the configuration has it, too.
pub(super) fn set_windows(model: &mut Model, window: Option<usize>, windowed: &[bool]) {
    for (layer, &windowed) in model.layers.iter_mut().zip(windowed) {
        layer.window = window.filter(|_| windowed);
    }
    let first = model.layers.first().and_then(|l| l.window);
    model.config.sliding_window = first.filter(|_| model.layers.iter().all(|l| l.window == first));
}

/// Adds one to the weights of a norm: Gemma stores what is beyond it.
pub(super) fn plus_one(norm: &mut Norm) {
    norm.weight.iter_mut().for_each(|w| *w += 1.0);
}
