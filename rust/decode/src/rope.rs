//! Inverse frequencies of rotary position embeddings and the ways to stretch them.
//!
//! Pair i of a head turns by position · f_i, f_i = base^(−2i/d). Rounded as PyTorch rounds them (exponent, power and
//! quotient in f32), because an error of one ulp in f_i grows with the position.

use crate::error::LoadError;
use crate::settings::Settings;

/// Rotary embedding as a configuration describes it.
pub(crate) struct Rope {
    /// Rotated coordinates of a head; even.
    pub dim: usize,
    /// Base of the geometric series.
    pub base: f64,
    pub scaling: Scaling,
}

/// How frequencies are changed to reach further than the model was first trained for.
pub(crate) enum Scaling {
    None,
    /// f / factor.
    Linear {
        factor: f64,
    },
    /// Llama 3: long waves divided by the factor, short ones kept, a linear blend between (in original/wavelength).
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// YaRN (Peng et al. 2023, arXiv 2309.00071): as Llama 3, blended in the index of the pair; cos and sin scaled.
    Yarn {
        factor: f64,
        fast: f64,
        slow: f64,
        original: f64,
        truncate: bool,
        attention: f64,
    },
    /// A divisor for each pair, as Llama 3 GGUF files store them.
    Divisors(Vec<f32>),
    /// LongRoPE (Ding et al. 2024, arXiv 2402.13753): a divisor for each pair, and a factor on cos and sin.
    Long {
        divisors: Vec<f32>,
        attention: f32,
    },
}

impl Rope {
    /// Inverse frequencies of the dim/2 pairs and the factor on cos and sin.
    pub fn frequencies(&self) -> (Vec<f32>, f32) {
        let powers: Vec<f32> = (0..self.dim / 2)
            .map(|i| f64::from(2.0 * i as f32 / self.dim as f32))
            .map(|exponent| self.base.powf(exponent) as f32)
            .collect();
        let plain = powers.iter().map(|p| 1.0 / p);
        match &self.scaling {
            Scaling::None => (plain.collect(), 1.0),
            Scaling::Linear { factor } => (plain.map(|f| f / *factor as f32).collect(), 1.0),
            Scaling::Divisors(divisors) => (plain.zip(divisors).map(|(f, d)| f / d).collect(), 1.0),
            Scaling::Long { divisors, attention } => {
                (powers.iter().zip(divisors).map(|(p, d)| 1.0 / (d * p)).collect(), *attention)
            }
            &Scaling::Llama3 { factor, low, high, original } => {
                let blend = |f: f32| {
                    let wavelength = 2.0 * std::f32::consts::PI / f;
                    let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
                    if wavelength > (original / low) as f32 {
                        f / factor as f32
                    } else if wavelength < (original / high) as f32 {
                        f
                    } else {
                        (1.0 - smooth) * f / factor as f32 + smooth * f
                    }
                };
                (plain.map(blend).collect(), 1.0)
            }
            &Scaling::Yarn { factor, fast, slow, original, truncate, attention } => {
                let (low, high) = self.yarn_range(fast, slow, original, truncate);
                let blend = |(i, p): (usize, &f32)| {
                    let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
                    let keep = 1.0 - ramp;
                    1.0 / (factor as f32 * p) * (1.0 - keep) + 1.0 / p * keep
                };
                (powers.iter().enumerate().map(blend).collect(), attention as f32)
            }
        }
    }

    /// Pairs below the first index turn often enough to keep; pairs above the second are interpolated in full.
    fn yarn_range(&self, fast: f64, slow: f64, original: f64, truncate: bool) -> (f64, f64) {
        let dim = self.dim as f64;
        let index = |turns: f64| {
            dim * (original / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * self.base.ln())
        };
        let (mut low, mut high) = (index(fast), index(slow));
        if truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(dim - 1.0));
        (low, if low == high { high + 0.001 } else { high })
    }
}

/// Factor on cos and sin that YaRN recommends for a stretch of `factor`.
pub(crate) fn yarn_attention(factor: f64, weight: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 }
}

/// How long contexts were in training: the top level goes before the section, but in families whose sections differ by kind
/// of layer, as in transformers.
pub(crate) fn original(config: &Settings, section: &Settings) -> Result<Option<f64>, LoadError> {
    let key = "original_max_position_embeddings";
    let by_layer = matches!(config.text("model_type")?, None | Some("gemma3_text" | "olmo3"));
    match positive(config, key)? {
        Some(own) if !by_layer => Ok(Some(own)),
        _ => positive(section, key),
    }
}

/// Scaling of a Hugging Face configuration: `rope_parameters` (transformers 5) or `rope_scaling` (4).
///
/// `config` is the whole of it.
pub(crate) fn scaling_from_json(
    config: &Settings,
    section: &Settings,
    max_positions: usize,
) -> Result<Scaling, LoadError> {
    let required = |key: &str| {
        positive(section, key)?.ok_or_else(|| section.malformed(format!("RoPE scaling lacks {key}")))
    };
    let original = || Ok::<f64, LoadError>(original(config, section)?.unwrap_or(max_positions as f64));
    let kind = match section.text("rope_type")? {
        Some(kind) => kind,
        None => section.text("type")?.unwrap_or("default"),
    };
    Ok(match kind {
        // Dynamic NTK only departs from the plain frequencies beyond `max_position_embeddings`.
        "default" | "dynamic" => Scaling::None,
        "linear" => Scaling::Linear { factor: required("factor")? },
        "llama3" => {
            let (low, high) = (required("low_freq_factor")?, required("high_freq_factor")?);
            if high <= low {
                return Err(
                    section.malformed(format!("high_freq_factor {high} is not above low_freq_factor {low}"))
                );
            }
            Scaling::Llama3 { factor: required("factor")?, low, high, original: original()? }
        }
        "yarn" => {
            let original = original()?;
            let factor = positive(section, "factor")?.unwrap_or(max_positions as f64 / original);
            let attention = match (
                positive(section, "attention_factor")?,
                section.number("mscale")?.filter(|&m| m != 0.0),
                section.number("mscale_all_dim")?.filter(|&m| m != 0.0),
            ) {
                (Some(attention), ..) => attention,
                (None, Some(m), Some(all)) => yarn_attention(factor, m) / yarn_attention(factor, all),
                _ => yarn_attention(factor, 1.0),
            };
            Scaling::Yarn {
                factor,
                fast: positive(section, "beta_fast")?.unwrap_or(32.0),
                slow: positive(section, "beta_slow")?.unwrap_or(1.0),
                original,
                truncate: section.flag("truncate")?.unwrap_or(true),
                attention,
            }
        }
        // The divisors of contexts up to the original length (Phi-3); a family that has more limits its positions.
        "longrope" | "su" => {
            let divisors = section
                .numbers("short_factor")?
                .ok_or_else(|| section.malformed("RoPE scaling lacks short_factor".into()))?;
            let original = original()?;
            let reach = positive(section, "factor")?;
            let whole = positive(config, "max_position_embeddings")?.unwrap_or(max_positions as f64);
            let factor = reach.unwrap_or(whole / original);
            let attention = match positive(section, "attention_factor")? {
                Some(own) => own,
                None if factor <= 1.0 => 1.0,
                None => (1.0 + factor.ln() / original.ln()).sqrt(),
            };
            Scaling::Long { divisors, attention: attention as f32 }
        }
        other => {
            return Err(section.unsupported(format!(
                "RoPE type {other:?} is not supported; default, linear, dynamic, llama3, yarn and longrope are"
            )));
        }
    })
}

/// A number that must be finite and above zero where it is given.
pub(crate) fn positive(settings: &Settings, key: &str) -> Result<Option<f64>, LoadError> {
    match settings.number(key)? {
        Some(x) if !(x > 0.0 && x.is_finite() && (x as f32).is_finite() && x as f32 > 0.0) => {
            Err(settings.malformed(format!("{key} is {x}, not a positive number")))
        }
        other => Ok(other),
    }
}

/// Factor on cos and sin in a GGUF file.
pub(crate) const ATTENTION_FACTOR: &str = "rope.scaling.attn_factor";

/// Scaling of a GGUF file's `rope.scaling.*` keys.
pub(crate) fn scaling_from_gguf(config: &Settings, max_positions: usize) -> Result<Scaling, LoadError> {
    let stretch = match positive(config, "rope.scaling.factor")? {
        None => positive(config, "rope.scale_linear")?,
        factor => factor,
    };
    let factor = || stretch.ok_or_else(|| config.malformed("RoPE scaling lacks rope.scaling.factor".into()));
    // Older files have a factor alone.
    let unnamed = if stretch.is_some() { "linear" } else { "none" };
    Ok(match config.text("rope.scaling.type")?.unwrap_or(unnamed) {
        "none" => Scaling::None,
        "linear" => Scaling::Linear { factor: factor()? },
        "yarn" => {
            let factor = factor()?;
            Scaling::Yarn {
                factor,
                fast: positive(config, "rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                slow: positive(config, "rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
                original: positive(config, "rope.scaling.original_context_length")?
                    .unwrap_or(max_positions as f64),
                truncate: true,
                attention: positive(config, "rope.scaling.yarn_attn_factor")?
                    .unwrap_or_else(|| yarn_attention(factor, 1.0))
                    * positive(config, ATTENTION_FACTOR)?.unwrap_or(1.0),
            }
        }
        other => {
            return Err(config.unsupported(format!(
                "RoPE scaling {other:?} is not supported in GGUF; linear and yarn are"
            )));
        }
    })
}
