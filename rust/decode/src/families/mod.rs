//! The supported families. Each says where its weights lie (a [`Layout`]); one builder makes the model of them.

pub(crate) mod gemma;
pub(crate) mod gpt2;
pub(crate) mod gpt_neox;
pub(crate) mod granite;
pub(crate) mod llama;
pub(crate) mod olmo;
pub(crate) mod open_lm;
pub(crate) mod phi3;
pub(crate) mod smollm3;
pub(crate) mod stablelm;
pub(crate) mod starcoder2;

use std::sync::Arc;

use crate::error::LoadError;
use crate::model::{Activation, Config, Layer, Linear, Model, Norm, NormKind, RopePairs, Rotation};
use crate::rope::{self, Rope, Scaling};
use crate::settings::Settings;
use crate::tensor::{Storage, Tensor};
use crate::weights::Weights;

/// Names and arrangement of a model's tensors; names without `.weight` and `.bias`.
pub(crate) struct Layout {
    pub embedding: String,
    /// Rows of the embedding, padding included.
    pub rows: usize,
    pub final_norm: String,
    pub head: Head,
    /// What stands before the layer's number.
    pub layers: String,
    /// Before attention and before the feed-forward block.
    pub pre_norms: [Option<&'static str>; 2],
    /// After them.
    pub post_norms: [Option<&'static str>; 2],
    pub qkv: Qkv,
    /// Norms of queries and keys and their length.
    pub qk_norm: Option<(&'static str, &'static str, usize)>,
    pub o: &'static str,
    pub feed_forward: FeedForward,
    pub down: &'static str,
    pub attention_bias: Bias,
    /// Bias of the attention's output projection.
    pub o_bias: Bias,
    pub ffn_bias: Bias,
    pub norms: NormWeights,
}

/// Where the output head lies.
pub(crate) enum Head {
    /// In a matrix of its own.
    Own(String),
    /// It is the embedding; the name under which files may store it once more.
    Tied(Option<String>),
}

impl Head {
    /// A folder's: tied or not as its configuration says, or else the family.
    pub fn configured(config: &Settings, name: &str, family: bool) -> Result<Head, LoadError> {
        let tied = config.flag("tie_word_embeddings")?.unwrap_or(family);
        Ok(if tied { Head::Tied(Some(name.into())) } else { Head::Own(name.into()) })
    }

    /// A GGUF file's, which is tied where no head is stored.
    pub fn stored(weights: &Weights) -> Head {
        if weights.contains("output.weight") { Head::Own("output".into()) } else { Head::Tied(None) }
    }
}

/// How queries, keys and values are stored.
pub(crate) enum Qkv {
    Separate([&'static str; 3]),
    /// One matrix: all queries, then all keys, then all values.
    Stacked(&'static str),
    /// One matrix: the query, key and value rows of the first head, of the second, … (GPT-NeoX).
    ByHead(&'static str),
}

/// How the first feed-forward matrix or matrices are stored.
pub(crate) enum FeedForward {
    Gated {
        gate: &'static str,
        up: &'static str,
    },
    /// One matrix: all gates, then all ups.
    Stacked(&'static str),
    Plain(&'static str),
}

/// Whether a linear map has a bias.
#[derive(Clone, Copy)]
pub(crate) enum Bias {
    Absent,
    Present,
    /// GGUF configurations do not say.
    IfStored,
}

/// Which parameters a normalisation has.
#[derive(Clone, Copy)]
pub(crate) enum NormWeights {
    WeightAndBias,
    Weight,
    Nothing,
}

impl Bias {
    pub fn when(present: bool) -> Self {
        if present { Bias::Present } else { Bias::Absent }
    }
}

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
    model.n_params = count(&model, layout.norms);
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
            Some((q, k, length)) => {
                // Keys may have fewer heads than queries; a norm over all heads follows.
                let k_length = if length == config.head_dim { length } else { kv_rows };
                (Some(self.norm(&name(q), length)?), Some(self.norm(&name(k), k_length)?))
            }
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

    fn norm(&self, name: &str, length: usize) -> Result<Norm, LoadError> {
        read_norm(self.weights, name, length, self.layout.norms)
    }
}

fn read_norm(weights: &Weights, name: &str, length: usize, parts: NormWeights) -> Result<Norm, LoadError> {
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
    };
    Linear {
        weight: Tensor { rows: n, storage, ..weight.clone() },
        bias: all.bias.as_ref().map(|bias| bias[from..from + n].to_vec()),
    }
}

/// Every head's `third` (0 query, 1 key, 2 value) of a map whose rows go head by head.
fn deal_heads(all: &Linear, heads: usize, head_dim: usize, third: usize) -> Linear {
    let weight = &all.weight;
    let head_bytes = weight.dtype.row_bytes(weight.cols) * head_dim;
    let mut bytes = Vec::with_capacity(heads * head_bytes);
    for group in weight.bytes().chunks_exact(3 * head_bytes) {
        bytes.extend_from_slice(&group[third * head_bytes..(third + 1) * head_bytes]);
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
fn count(model: &Model, norms: NormWeights) -> u64 {
    let tensor = |t: &Tensor| t.rows as u64 * t.cols as u64;
    let linear = |l: &Linear| tensor(&l.weight) + l.bias.as_ref().map_or(0, |b| b.len() as u64);
    let norm = |n: &Norm| match norms {
        NormWeights::Nothing => 0,
        _ => n.weight.len() as u64 + n.bias.as_ref().map_or(0, |b| b.len() as u64),
    };
    let layers: u64 = model
        .layers
        .iter()
        .map(|l| {
            [&l.q, &l.k, &l.v, &l.o, &l.up, &l.down].map(linear).iter().sum::<u64>()
                + l.gate.as_ref().map_or(0, linear)
                + [&l.attn_norm, &l.post_attn_norm, &l.ffn_norm, &l.post_ffn_norm, &l.q_norm, &l.k_norm]
                    .into_iter()
                    .flatten()
                    .map(norm)
                    .sum::<u64>()
        })
        .sum();
    let head = if model.tied { 0 } else { linear(&model.head) };
    tensor(&model.embedding) + layers + norm(&model.final_norm) + head
}

/// What most families share; each overrides the rest.
fn base_config(architecture: &str, layers: usize, width: usize, heads: usize, head_dim: usize) -> Config {
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
        attention_scale: 1.0 / (head_dim as f32).sqrt(),
        attention_softcap: None,
        logit_scale: 1.0,
        logit_softcap: None,
        bos: None,
        eos: Vec::new(),
    }
}

fn per_head(config: &Settings, width: usize, heads: usize) -> Result<usize, LoadError> {
    if !width.is_multiple_of(heads) {
        return Err(config.malformed(format!("width {width} does not divide into {heads} heads")));
    }
    Ok(width / heads)
}

fn epsilon(config: &Settings, key: &str) -> Result<f32, LoadError> {
    match rope::positive(config, key)? {
        Some(epsilon) => Ok(epsilon as f32),
        None => Err(config.malformed(format!("{key} is missing"))),
    }
}

/// `rope_scaling` (transformers 4), else `rope_parameters` (5): where both are given the first replaces the second, as in
/// transformers.
fn rope_section(config: &Settings, notes: &mut Vec<String>) -> Result<Option<Settings>, LoadError> {
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

fn embedding_rows(weights: &Weights, name: &str) -> Result<usize, LoadError> {
    let shape = weights.shape(name)?;
    shape.first().copied().filter(|&rows| rows > 0).ok_or_else(|| {
        LoadError::malformed(
            weights.path(),
            format!("tensor {name:?} has shape {shape:?}, not tokens by width"),
        )
    })
}

/// RoPE of a GGUF file: keys `rope.*`, and Llama 3's divisors in a tensor of their own.
fn gguf_rope(
    config: &Settings,
    weights: &Weights,
    dim: usize,
    max_positions: usize,
) -> Result<Rope, LoadError> {
    let base = rope::positive(config, "rope.freq_base")?.unwrap_or(10_000.0);
    let scaling = if weights.contains("rope_freqs.weight") {
        Scaling::Divisors(weights.vector("rope_freqs.weight", dim / 2)?)
    } else {
        rope::scaling_from_gguf(config, max_positions)?
    };
    Ok(Rope { dim, base, scaling })
}

/// Which layers have a sliding window: `layer_types`, or the family's own pattern.
fn windowed(
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

/// Gives the layers that `windowed` names a window; where it names all, the configuration has it, too.
fn set_windows(model: &mut Model, window: Option<usize>, windowed: &[bool]) {
    for (layer, &windowed) in model.layers.iter_mut().zip(windowed) {
        layer.window = window.filter(|_| windowed);
    }
    let first = model.layers.first().and_then(|l| l.window);
    model.config.sliding_window = first.filter(|_| model.layers.iter().all(|l| l.window == first));
}

/// Adds one to the weights of a norm: Gemma stores what is beyond it.
fn plus_one(norm: &mut Norm) {
    norm.weight.iter_mut().for_each(|w| *w += 1.0);
}
