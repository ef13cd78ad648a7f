//! The one builder: reads the weights that a [`Layout`] names and makes the model of them.

use std::sync::Arc;

use super::layout::{Bias, FeedForward, Head, Layout, NormWeights, Over, Qkv};
use crate::dequant::row_to_f32;
use crate::error::LoadError;
use crate::model::{Config, Layer, Linear, Model, Norm, Rotation};
use crate::rope::{Rope, Scaling};
use crate::tensor::{Scales, Storage, Tensor};
use crate::weights::Weights;

/// Reads the weights that `layout` names. `config.inv_freq` and `config.rope_scale` are filled in from `rope` once the
/// weights have shown that the configured dimensions are real.
pub(crate) fn build(
    weights: &Weights,
    layout: &Layout,
    mut config: Config,
    rope: impl FnOnce() -> Result<Rope, LoadError>,
) -> Result<Model, LoadError> {
    let malformed = |message: String| Err(LoadError::malformed(weights.path(), message));
    let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return malformed(format!("{heads} query heads cannot share {kv_heads} key heads"));
    }
    if !config.rotary_dim.is_multiple_of(2) || config.rotary_dim > head_dim {
        return malformed(format!("cannot rotate {} of a head's {head_dim} coordinates", config.rotary_dim));
    }
    if heads.checked_mul(3).and_then(|n| n.checked_mul(head_dim)).is_none()
        || config.hidden.checked_mul(2).is_none()
    {
        return malformed(format!("{heads} heads of {head_dim}, hidden width {} are absurd", config.hidden));
    }

    let reader = Reader { weights, layout, config: &config };
    let mut notes = Vec::new();
    // A tied matrix may be stored under either name; under both, with other values, it is not tied.
    let stored = |name: &str| weights.contains(&weight(name));
    let (embedding_name, head_name) = match &layout.head {
        Head::Own(name) => (&layout.embedding, Some(name)),
        Head::Tied(Some(name)) if !stored(&layout.embedding) && stored(name) => (name, None),
        Head::Tied(Some(name))
            if stored(name) && !weights.equal(&weight(name), &weight(&layout.embedding))? =>
        {
            notes.push(format!(
                "{}: the configuration ties head and embedding, but {:?} and {:?} are stored with different values: \
                 both are used",
                weights.path().display(),
                weight(name),
                weight(&layout.embedding)
            ));
            (&layout.embedding, Some(name))
        }
        Head::Tied(_) => (&layout.embedding, None),
    };
    let embedding = weights.matrix(&weight(embedding_name), layout.rows, config.width)?;
    let mut layers = Vec::new();
    for i in 0..config.layers {
        layers.push(reader.layer(&format!("{}{i}.", layout.layers))?);
    }
    let final_norm = reader.norm(&layout.final_norm, config.width)?;
    let head = match head_name {
        Some(name) => weights.matrix(&weight(name), layout.rows, config.width)?,
        None => embedding.clone(),
    };
    let rope = rope()?;
    if let Scaling::Long { divisors, .. } = &rope.scaling
        && divisors.len() != rope.dim / 2
    {
        let (found, wanted) = (divisors.len(), rope.dim / 2);
        return malformed(format!("{found} divisors of the rotation where {wanted} are needed"));
    }
    (config.inv_freq, config.rope_scale) = rope.frequencies();
    config.own_head_norms = layout.qk_norm.is_some_and(|(.., over)| over == Over::OwnHead);

    let tied = head_name.is_none();
    let mut model = Model {
        config,
        embedding,
        positions: None,
        layers,
        final_norm,
        head: Linear { weight: head, bias: None },
        tied,
        n_params: 0,
        notes,
    };
    model.n_params = count(&model, layout);
    Ok(model)
}

struct Reader<'a> {
    weights: &'a Weights,
    layout: &'a Layout,
    config: &'a Config,
}

impl Reader<'_> {
    fn layer(&self, prefix: &str) -> Result<Layer, LoadError> {
        let (layout, config) = (self.layout, self.config);
        let name = |part: &str| format!("{prefix}{part}");
        let width = config.width;
        let (q_rows, kv_rows) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);

        let [q, k, v] = match layout.qkv {
            Qkv::Separate([q, k, v]) => [
                self.linear(&name(q), q_rows, width, layout.attention_bias)?,
                self.linear(&name(k), kv_rows, width, layout.attention_bias)?,
                self.linear(&name(v), kv_rows, width, layout.attention_bias)?,
            ],
            Qkv::Stacked(part) => {
                let all = self.linear(&name(part), q_rows + 2 * kv_rows, width, layout.attention_bias)?;
                [(0, q_rows), (q_rows, kv_rows), (q_rows + kv_rows, kv_rows)]
                    .map(|(from, n)| rows(&all, from, n))
            }
            Qkv::ByHead(part) => {
                let all = self.linear(&name(part), 3 * q_rows, width, layout.attention_bias)?;
                [0, 1, 2].map(|third| deal_heads(&all, config.heads, config.head_dim, third))
            }
        };
        let (q_norm, k_norm) = match layout.qk_norm {
            None => (None, None),
            Some((q, k, over)) => (
                Some(self.head_norm(&name(q), over, config.heads)?),
                Some(self.head_norm(&name(k), over, config.kv_heads)?),
            ),
        };
        let (gate, up) = match layout.feed_forward {
            FeedForward::Gated { gate, up } => (
                Some(self.linear(&name(gate), config.hidden, width, layout.ffn_bias)?),
                self.linear(&name(up), config.hidden, width, layout.ffn_bias)?,
            ),
            FeedForward::Stacked(part) => {
                let all = self.linear(&name(part), 2 * config.hidden, width, layout.ffn_bias)?;
                (Some(rows(&all, 0, config.hidden)), rows(&all, config.hidden, config.hidden))
            }
            FeedForward::Plain(part) => {
                (None, self.linear(&name(part), config.hidden, width, layout.ffn_bias)?)
            }
        };
        let optional = |part: Option<&str>| part.map(|part| self.norm(&name(part), width)).transpose();
        Ok(Layer {
            window: config.sliding_window,
            rotation: Rotation::Global,
            attn_norm: optional(layout.pre_norms[0])?,
            post_attn_norm: optional(layout.post_norms[0])?,
            q,
            k,
            v,
            q_norm,
            k_norm,
            o: self.linear(&name(layout.o), width, q_rows, layout.o_bias)?,
            ffn_norm: optional(layout.pre_norms[1])?,
            post_ffn_norm: optional(layout.post_norms[1])?,
            gate,
            up,
            down: self.linear(&name(layout.down), width, config.hidden, layout.ffn_bias)?,
        })
    }

    fn linear(&self, name: &str, outputs: usize, inputs: usize, bias: Bias) -> Result<Linear, LoadError> {
        let weight = self.weights.matrix(&weight(name), outputs, inputs)?;
        let bias_name = format!("{name}.bias");
        let stored = self.weights.contains(&bias_name);
        let bias = match bias {
            Bias::Absent if stored => {
                return Err(LoadError::unsupported(
                    self.weights.path(),
                    format!("tensor {bias_name:?} is stored where the configuration has no bias"),
                ));
            }
            Bias::Absent => None,
            Bias::IfStored if !stored => None,
            Bias::Present | Bias::IfStored => Some(self.weights.vector(&bias_name, outputs)?),
        };
        Ok(Linear { weight, bias })
    }

    fn head_norm(&self, name: &str, over: Over, heads: usize) -> Result<Norm, LoadError> {
        let width = self.config.head_dim;
        match over {
            Over::Head => self.norm(name, width),
            Over::Row => self.norm(name, heads * width),
            Over::OwnHead => {
                let mut all = Vec::new();
                if self.weights.contains(&weight(name)) {
                    let rows = self.weights.matrix(&weight(name), heads, width)?;
                    all.resize(heads * width, 0.0);
                    all.chunks_exact_mut(width).enumerate().for_each(|(i, row)| row_to_f32(&rows, i, row));
                } else {
                    for head in 0..heads {
                        all.extend(self.weights.vector(&weight(&format!("{name}.{head}")), width)?);
                    }
                }
                Ok(Norm { weight: all, bias: None })
            }
        }
    }

    fn norm(&self, name: &str, length: usize) -> Result<Norm, LoadError> {
        read_norm(self.weights, name, length, self.layout.norms)
    }
}

pub(super) fn read_norm(
    weights: &Weights,
    name: &str,
    length: usize,
    parts: NormWeights,
) -> Result<Norm, LoadError> {
    let bias = match parts {
        NormWeights::Nothing => return Ok(Norm { weight: vec![1.0; length], bias: None }),
        NormWeights::Weight => None,
        NormWeights::WeightAndBias => Some(weights.vector(&format!("{name}.bias"), length)?),
    };
    Ok(Norm { weight: weights.vector(&weight(name), length)?, bias })
}

fn weight(name: &str) -> String {
    format!("{name}.weight")
}

/// Rows `from..from + n` of a linear map, in place where the weights are mapped.
fn rows(all: &Linear, from: usize, n: usize) -> Linear {
    let weight = &all.weight;
    let row_bytes = weight.dtype.row_bytes(weight.cols);
    let storage = match &weight.storage {
        Storage::Mapped(map, range) => {
            let start = range.start + from * row_bytes;
            Storage::Mapped(map.clone(), start..start + n * row_bytes)
        }
        Storage::Owned(bytes) => {
            Storage::Owned(Arc::new(bytes[from * row_bytes..(from + n) * row_bytes].to_vec()))
        }
        Storage::Scaled(map, range, scales) => {
            let start = range.start + from * weight.cols;
            let scales = Scales { first: scales.first + from, ..scales.clone() };
            Storage::Scaled(map.clone(), start..start + n * weight.cols, scales)
        }
    };
    Linear {
        weight: Tensor { rows: n, storage, ..weight.clone() },
        bias: all.bias.as_ref().map(|bias| bias[from..from + n].to_vec()),
    }
}

/// Every head's `third` (0 query, 1 key, 2 value) of a map whose rows go head by head.
fn deal_heads(all: &Linear, heads: usize, head_dim: usize, third: usize) -> Linear {
    let weight = &all.weight;
    let mut bytes = Vec::with_capacity(weight.dtype.row_bytes(weight.cols) * heads * head_dim);
    for head in 0..heads {
        let first = (3 * head + third) * head_dim;
        bytes.extend_from_slice(&weight.bytes(first..first + head_dim));
    }
    let bias = all.bias.as_ref().map(|bias| {
        bias.chunks_exact(3 * head_dim)
            .flat_map(|group| &group[third * head_dim..(third + 1) * head_dim])
            .copied()
            .collect()
    });
    Linear {
        weight: Tensor { rows: heads * head_dim, storage: Storage::Owned(Arc::new(bytes)), ..weight.clone() },
        bias,
    }
}

/// Parameters, a tied head counted once.
fn count(model: &Model, layout: &Layout) -> u64 {
    let tensor = |t: &Tensor| t.rows as u64 * t.cols as u64;
    let linear = |l: &Linear| tensor(&l.weight) + l.bias.as_ref().map_or(0, |b| b.len() as u64);
    let norm = |n: &Norm| match layout.norms {
        NormWeights::Nothing => 0,
        _ => n.weight.len() as u64 + n.bias.as_ref().map_or(0, |b| b.len() as u64),
    };
    // A norm that feeds both blocks is one.
    let shared = layout.pre_norms[0] == layout.pre_norms[1];
    let layers: u64 = model
        .layers
        .iter()
        .map(|l| {
            let ffn_norm = if shared { &None } else { &l.ffn_norm };
            [&l.q, &l.k, &l.v, &l.o, &l.up, &l.down].map(linear).iter().sum::<u64>()
                + l.gate.as_ref().map_or(0, linear)
                + [&l.attn_norm, &l.post_attn_norm, ffn_norm, &l.post_ffn_norm, &l.q_norm, &l.k_norm]
                    .into_iter()
                    .flatten()
                    .map(norm)
                    .sum::<u64>()
        })
        .sum();
    let head = if model.tied { 0 } else { linear(&model.head) };
    tensor(&model.embedding) + layers + norm(&model.final_norm) + head
}
