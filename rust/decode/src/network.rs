//! A model's weights as the kernels read them.

use crate::aligned::Arena;
use crate::kernels::linear::Linear;
use crate::kernels::rows::{Columns, HeadNorms, Norm};
use crate::model::{self, Config, Model};
use crate::pack::{BLOCK, Packed};
use crate::pool::Pool;
use crate::tensor::Tensor;

/// One layer.
pub(crate) struct Layer {
    pub(crate) attn_norm: Norm,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) head_norms: HeadNorms,
    pub(crate) o: Linear,
    pub(crate) ffn_norm: Norm,
    pub(crate) gate: Option<Linear>,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// All weights.
pub(crate) struct Network {
    pub(crate) config: Config,
    /// None when the head's packed rows serve.
    embedding: Option<Packed>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) final_norm: Norm,
    pub(crate) head: Linear,
    pub(crate) columns: Columns,
}

fn pad(v: &[f32], len: usize) -> Vec<f32> {
    let mut v = v.to_vec();
    v.resize(len.next_multiple_of(BLOCK), 0.0);
    v
}

fn norm(config: &Config, norm: &model::Norm) -> Norm {
    let len = norm.weight.len();
    Norm {
        kind: config.norm,
        eps: config.norm_eps,
        len,
        weight: pad(&norm.weight, len),
        bias: norm.bias.as_ref().map(|bias| pad(bias, len)),
    }
}

impl Network {
    /// Packs a model for float32 or bfloat16 arithmetic.
    pub(crate) fn new(model: Model, bf16: bool, pool: &Pool) -> Result<Network, String> {
        check(&model)?;
        let Model { config, embedding, layers, final_norm, head, tied, .. } = model;
        let of_layers = layers.iter().flat_map(|l| {
            [Some(&l.q), Some(&l.k), Some(&l.v), Some(&l.o), l.gate.as_ref(), Some(&l.up), Some(&l.down)]
        });
        let tensors = of_layers.flatten().map(|l| &l.weight).chain([&head.weight]);
        let tensors = tensors.chain((!tied).then_some(&embedding));
        let mut arena = Arena::new(tensors.map(|tensor| Packed::room(tensor, bf16)).sum());
        let mut matrix = |tensor: &Tensor| Packed::new(tensor, bf16, &mut arena, pool);
        let mut linear = |l: &model::Linear| Linear {
            weights: matrix(&l.weight),
            bias: l.bias.as_ref().map(|bias| pad(bias, l.weight.rows)),
        };
        let layers = layers
            .iter()
            .map(|l| Layer {
                attn_norm: norm(&config, &l.attn_norm),
                q: linear(&l.q),
                k: linear(&l.k),
                v: linear(&l.v),
                head_norms: HeadNorms {
                    q: l.q_norm.as_ref().map(|n| norm(&config, n)),
                    k: l.k_norm.as_ref().map(|n| norm(&config, n)),
                },
                o: linear(&l.o),
                ffn_norm: norm(&config, &l.ffn_norm),
                gate: l.gate.as_ref().map(&mut linear),
                up: linear(&l.up),
                down: linear(&l.down),
            })
            .collect();
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let (k_at, kv) = (q.next_multiple_of(BLOCK), kv.next_multiple_of(BLOCK));
        Ok(Network {
            final_norm: norm(&config, &final_norm),
            head: linear(&head),
            embedding: (!tied).then(|| matrix(&embedding)),
            layers,
            columns: Columns { k: k_at, v: k_at + kv, stride: k_at + 2 * kv },
            config,
        })
    }

    /// Bytes of all packed matrices.
    pub(crate) fn bytes(&self) -> usize {
        let layers = self.layers.iter().flat_map(|l| {
            [Some(&l.q), Some(&l.k), Some(&l.v), Some(&l.o), l.gate.as_ref(), Some(&l.up), Some(&l.down)]
        });
        let linears = layers.chain([Some(&self.head)]).flatten().map(|l| l.weights.bytes());
        linears.sum::<usize>() + self.embedding.as_ref().map_or(0, Packed::bytes)
    }

    /// Width of a head's cached keys and values.
    pub(crate) fn head_width(&self) -> usize {
        self.config.head_dim.next_multiple_of(BLOCK)
    }

    /// Embedding of a token.
    pub(crate) fn embed(&self, token: u32, out: &mut [f32]) {
        self.embedding.as_ref().unwrap_or(&self.head.weights).row(token as usize, out);
    }
}

/// Whether every tensor has the shape that the configuration says.
fn check(model: &Model) -> Result<(), String> {
    let c = &model.config;
    let positive = [c.layers, c.width, c.heads, c.kv_heads, c.head_dim, c.hidden, c.vocab, c.max_positions];
    if positive.contains(&0) || !c.heads.is_multiple_of(c.kv_heads) || model.layers.len() != c.layers {
        return Err(format!("the configuration is inconsistent: {c:?}"));
    }
    if c.rotary_dim > c.head_dim || !c.rotary_dim.is_multiple_of(2) || c.inv_freq.len() != c.rotary_dim / 2 {
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
        if bytes != Some(t.bytes().len()) {
            return Err(format!(
                "{name} has {} bytes, not those of {} × {}",
                t.bytes().len(),
                t.rows,
                t.cols
            ));
        }
        Ok(())
    };
    let linear = |name: &str, l: &model::Linear, rows: usize, cols: usize| {
        tensor(name, &l.weight, rows, cols)?;
        match &l.bias {
            Some(bias) if bias.len() != l.weight.rows => {
                Err(format!("{name} has a bias of {}, expected {rows}", bias.len()))
            }
            _ => Ok(()),
        }
    };
    let norm = |name: &str, n: &model::Norm, lens: &[usize]| {
        let fits =
            lens.contains(&n.weight.len()) && n.bias.as_ref().is_none_or(|b| b.len() == n.weight.len());
        if fits {
            Ok(())
        } else {
            Err(format!("{name} has length {}, expected one of {lens:?}", n.weight.len()))
        }
    };
    let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    tensor("embedding", &model.embedding, c.vocab, c.width)?;
    linear("head", &model.head, c.vocab, c.width)?;
    norm("final norm", &model.final_norm, &[c.width])?;
    for (i, l) in model.layers.iter().enumerate() {
        let layer = |error: String| format!("layer {i}: {error}");
        norm("attention norm", &l.attn_norm, &[c.width]).map_err(layer)?;
        norm("feed-forward norm", &l.ffn_norm, &[c.width]).map_err(layer)?;
        linear("q", &l.q, q, c.width).map_err(layer)?;
        linear("k", &l.k, kv, c.width).map_err(layer)?;
        linear("v", &l.v, kv, c.width).map_err(layer)?;
        linear("o", &l.o, c.width, q).map_err(layer)?;
        linear("up", &l.up, c.hidden, c.width).map_err(layer)?;
        linear("down", &l.down, c.width, c.hidden).map_err(layer)?;
        match (&l.gate, c.activation) {
            (Some(gate), model::Activation::SwiGlu) => {
                linear("gate", gate, c.hidden, c.width).map_err(layer)?
            }
            (None, model::Activation::SwiGlu) => return Err(layer("SwiGLU needs a gate".into())),
            (Some(_), _) => return Err(layer("a gate without SwiGLU".into())),
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
