//! One description of every supported decoder: configuration and weights, whatever family and file they came from.

use crate::tensor::Tensor;

/// Which normalisation a model uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// x / rms(x) · weight.
    Rms,
    /// (x − mean) / std · weight + bias.
    Layer,
}

/// The feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// SiLU(gate) · up (SwiGLU).
    SwiGlu,
    /// GELU (tanh approximation) of the gate · up (GeGLU).
    GeGluTanh,
    /// GELU (erf) of `up`, no gate.
    Gelu,
    /// GELU, tanh approximation, of `up`, no gate.
    GeluTanh,
}

/// How pairs of a head's coordinates are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// (i, i + rotary/2): Hugging Face, NeoX.
    Halves,
    /// (2i, 2i + 1): GGUF's llama layout, Meta's original.
    Interleaved,
}

/// Everything that is not a weight.
#[derive(Clone, Debug)]
pub struct Config {
    /// Architecture as the file names it (`llama`, `qwen3`, `gpt_neox`, `open_lm`, …).
    pub architecture: String,
    /// Layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads (a divisor of `heads`).
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the feed-forward block.
    pub hidden: usize,
    /// Rows of the output head that are real tokens; padded rows beyond are never sampled.
    pub vocab: usize,
    /// Longest sequence the model was made for.
    pub max_positions: usize,
    /// Normalisation.
    pub norm: NormKind,
    /// Epsilon of every normalisation.
    pub norm_eps: f32,
    /// Feed-forward kind.
    pub activation: Activation,
    /// Attention and feed-forward both read the layer's input (GPT-NeoX's parallel residual).
    pub parallel_residual: bool,
    /// How many of a head's coordinates are rotated (partial rotary: fewer than `head_dim`).
    pub rotary_dim: usize,
    /// Which coordinates form a pair.
    pub rope_pairs: RopePairs,
    /// Inverse frequency of each of the `rotary_dim / 2` pairs, with any RoPE scaling already applied.
    pub inv_freq: Vec<f32>,
    /// Factor on cos and sin (YaRN's attention factor; 1 elsewhere).
    pub rope_scale: f32,
    /// Inverse frequencies of layers whose rotation is [`Rotation::Local`]; empty where there are none.
    pub local_inv_freq: Vec<f32>,
    /// The window of every layer, where all have the same: see [`Layer::window`].
    pub sliding_window: Option<usize>,
    /// Factor on embeddings.
    pub embedding_scale: f32,
    /// Factor on what attention and feed-forward add to the residual stream.
    pub residual_scale: f32,
    /// Norms of queries and keys over each head have weights of their own for each (StableLM 12B).
    pub own_head_norms: bool,
    /// Factor on query · key; 1 / √head_dim for most.
    pub attention_scale: f32,
    /// c in c · tanh(x / c), for scaled query · key.
    pub attention_softcap: Option<f32>,
    /// Factor on logits.
    pub logit_scale: f32,
    /// c in c · tanh(x / c), for logits.
    pub logit_softcap: Option<f32>,
    /// Beginning-of-sequence token, where the files name one; whether a prompt begins with it is the tokenizer's business.
    pub bos: Option<u32>,
    /// Tokens that end a sample.
    pub eos: Vec<u32>,
}

/// A normalisation's weights.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Scale.
    pub weight: Vec<f32>,
    /// Shift, LayerNorm only.
    pub bias: Option<Vec<f32>>,
}

/// A linear map y = W x + b.
#[derive(Clone)]
pub struct Linear {
    /// W, outputs × inputs.
    pub weight: Tensor,
    /// b.
    pub bias: Option<Vec<f32>>,
}

/// Which frequencies a layer rotates by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// [`Config::inv_freq`].
    Global,
    /// [`Config::local_inv_freq`].
    Local,
    /// None: the layer does not know positions.
    Absent,
}

/// One transformer layer.
#[derive(Clone)]
pub struct Layer {
    /// A query at position i sees keys at j > i − window, itself included, where the layer has a sliding window.
    pub window: Option<usize>,
    /// How queries and keys turn.
    pub rotation: Rotation,
    /// Before attention.
    pub attn_norm: Option<Norm>,
    /// Queries.
    pub q: Linear,
    /// Keys.
    pub k: Linear,
    /// Values.
    pub v: Linear,
    /// Norm of queries before RoPE, over each head (length `head_dim`: Qwen3), or over all heads or each with weights of its
    /// own (length `heads * head_dim`: OpenLM, StableLM; see [`Config::own_head_norms`]).
    pub q_norm: Option<Norm>,
    /// Norm of keys, likewise.
    pub k_norm: Option<Norm>,
    /// Output projection.
    pub o: Linear,
    /// After attention, before it is added to the residual stream.
    pub post_attn_norm: Option<Norm>,
    /// Before the feed-forward block.
    pub ffn_norm: Option<Norm>,
    /// Gate (SwiGLU and GeGLU).
    pub gate: Option<Linear>,
    /// Up projection.
    pub up: Linear,
    /// Down projection.
    pub down: Linear,
    /// After the feed-forward block, before it is added to the residual stream.
    pub post_ffn_norm: Option<Norm>,
}

/// A whole model, weights still in the file's precision.
#[derive(Clone)]
pub struct Model {
    /// Configuration.
    pub config: Config,
    /// Token embedding, vocabulary × width.
    pub embedding: Tensor,
    /// Learned embeddings of positions, positions × width.
    pub positions: Option<Tensor>,
    /// Layers, first to last.
    pub layers: Vec<Layer>,
    /// Before the head.
    pub final_norm: Norm,
    /// Output head; the embedding's own tensor when tied.
    pub head: Linear,
    /// Whether head and embedding are one tensor.
    pub tied: bool,
    /// Parameters, embedding counted once if tied.
    pub n_params: u64,
    /// Where the files disagree or say nothing, and what was taken.
    pub notes: Vec<String>,
}

impl Model {
    /// Whether every tensor has the shape that the configuration says.
    pub fn check(&self) -> Result<(), String> {
        let c = &self.config;
        let positive =
            [c.layers, c.width, c.heads, c.kv_heads, c.head_dim, c.hidden, c.vocab, c.max_positions];
        if positive.contains(&0) || !c.heads.is_multiple_of(c.kv_heads) || self.layers.len() != c.layers {
            return Err(format!("the configuration is inconsistent: {c:?}"));
        }
        if c.rotary_dim > c.head_dim
            || !c.rotary_dim.is_multiple_of(2)
            || c.inv_freq.len() != c.rotary_dim / 2
        {
            return Err(format!(
                "{} rotated of {} coordinates with {} frequencies",
                c.rotary_dim,
                c.head_dim,
                c.inv_freq.len()
            ));
        }
        let tensor = |name: &str, t: &Tensor, rows: usize, cols: usize| {
            let bytes = t.rows.checked_mul(t.dtype.row_bytes(t.cols));
            if t.rows < rows || (name != "head" && name != "embedding" && t.rows != rows) || t.cols != cols {
                return Err(format!("{name} is {} × {}, expected {rows} × {cols}", t.rows, t.cols));
            }
            if bytes != Some(t.size()) {
                return Err(format!("{name} has {} bytes, not those of {} × {}", t.size(), t.rows, t.cols));
            }
            Ok(())
        };
        let linear = |name: &str, l: &Linear, rows: usize, cols: usize| {
            tensor(name, &l.weight, rows, cols)?;
            match &l.bias {
                Some(bias) if bias.len() != l.weight.rows => {
                    Err(format!("{name} has a bias of {}, expected {rows}", bias.len()))
                }
                _ => Ok(()),
            }
        };
        let norm = |name: &str, n: &Norm, lens: &[usize]| {
            let fits =
                lens.contains(&n.weight.len()) && n.bias.as_ref().is_none_or(|b| b.len() == n.weight.len());
            if fits {
                Ok(())
            } else {
                Err(format!("{name} has length {}, expected one of {lens:?}", n.weight.len()))
            }
        };
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        tensor("embedding", &self.embedding, c.vocab, c.width)?;
        if let Some(positions) = &self.positions {
            tensor("positions", positions, c.max_positions, c.width)?;
        }
        linear("head", &self.head, c.vocab, c.width)?;
        norm("final norm", &self.final_norm, &[c.width])?;
        for (i, l) in self.layers.iter().enumerate() {
            let layer = |error: String| format!("layer {i}: {error}");
            for (name, n) in [
                ("attention norm", &l.attn_norm),
                ("norm after attention", &l.post_attn_norm),
                ("feed-forward norm", &l.ffn_norm),
                ("norm after the feed-forward block", &l.post_ffn_norm),
            ] {
                n.as_ref().map_or(Ok(()), |n| norm(name, n, &[c.width])).map_err(layer)?;
            }
            if l.rotation == Rotation::Local && c.local_inv_freq.len() != c.inv_freq.len() {
                return Err(layer("local rotation without its frequencies".into()));
            }
            linear("q", &l.q, q, c.width).map_err(layer)?;
            linear("k", &l.k, kv, c.width).map_err(layer)?;
            linear("v", &l.v, kv, c.width).map_err(layer)?;
            linear("o", &l.o, c.width, q).map_err(layer)?;
            linear("up", &l.up, c.hidden, c.width).map_err(layer)?;
            linear("down", &l.down, c.width, c.hidden).map_err(layer)?;
            match (&l.gate, c.activation) {
                (Some(gate), Activation::SwiGlu | Activation::GeGluTanh) => {
                    linear("gate", gate, c.hidden, c.width).map_err(layer)?;
                }
                (None, Activation::SwiGlu | Activation::GeGluTanh) => {
                    return Err(layer("the activation needs a gate".into()));
                }
                (Some(_), _) => return Err(layer("a gate that the activation does not use".into())),
                (None, _) => {}
            }
            for (name, n, all) in [("query norm", &l.q_norm, q), ("key norm", &l.k_norm, kv)] {
                if let Some(n) = n {
                    norm(name, n, &[c.head_dim, all]).map_err(layer)?;
                }
            }
        }
        Ok(())
    }
}
