//! A model's weights as the kernels read them.

use crate::aligned::Arena;
use crate::dequant::row_to_f32;
use crate::kernels::linear::Linear;
use crate::kernels::rows::{Columns, HeadNorms, Norm};
use crate::model::{self, Config, Model, Rotation};
use crate::pack::{BLOCK, Packed};
use crate::pool::Pool;
use crate::tensor::Tensor;

/// One layer.
pub(crate) struct Layer {
    pub(crate) window: Option<usize>,
    pub(crate) rotation: Rotation,
    pub(crate) attn_norm: Option<Norm>,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) head_norms: HeadNorms,
    pub(crate) o: Linear,
    pub(crate) post_attn_norm: Option<Norm>,
    pub(crate) ffn_norm: Option<Norm>,
    pub(crate) gate: Option<Linear>,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
    pub(crate) post_ffn_norm: Option<Norm>,
}

/// All weights.
pub(crate) struct Network {
    pub(crate) config: Config,
    /// None when the head's packed rows serve.
    embedding: Option<Packed>,
    /// Learned embeddings of positions, row by row; empty where there are none.
    positions: Vec<f32>,
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

/// Width of a head's cached keys and values.
pub(crate) fn head_width(config: &Config) -> usize {
    config.head_dim.next_multiple_of(BLOCK)
}

impl Network {
    /// Packs a model for float32 or bfloat16 arithmetic.
    pub(crate) fn new(model: Model, bf16: bool, pool: &Pool) -> Result<Network, String> {
        model.check()?;
        let mut arena = Arena::new(Network::room(&model, bf16));
        let Model { config, embedding, positions, layers, final_norm, head, tied, .. } = model;
        let mut matrix = |tensor: &Tensor| Packed::new(tensor, bf16, &mut arena, pool);
        let mut linear = |l: &model::Linear| Linear {
            weights: matrix(&l.weight),
            bias: l.bias.as_ref().map(|bias| pad(bias, l.weight.rows)),
        };
        let optional = |n: &Option<model::Norm>| n.as_ref().map(|n| norm(&config, n));
        let by_head = |n: &Option<model::Norm>| -> Vec<Norm> {
            let Some(n) = n else { return Vec::new() };
            if !config.own_head_norms {
                return vec![norm(&config, n)];
            }
            let own = n.weight.chunks_exact(config.head_dim);
            own.map(|weight| norm(&config, &model::Norm { weight: weight.to_vec(), bias: None })).collect()
        };
        let layers = layers
            .iter()
            .map(|l| Layer {
                window: l.window,
                rotation: l.rotation,
                attn_norm: optional(&l.attn_norm),
                q: linear(&l.q),
                k: linear(&l.k),
                v: linear(&l.v),
                head_norms: HeadNorms { q: by_head(&l.q_norm), k: by_head(&l.k_norm) },
                o: linear(&l.o),
                post_attn_norm: optional(&l.post_attn_norm),
                ffn_norm: optional(&l.ffn_norm),
                gate: l.gate.as_ref().map(&mut linear),
                up: linear(&l.up),
                down: linear(&l.down),
                post_ffn_norm: optional(&l.post_ffn_norm),
            })
            .collect();
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let (k_at, kv) = (q.next_multiple_of(BLOCK), kv.next_multiple_of(BLOCK));
        Ok(Network {
            final_norm: norm(&config, &final_norm),
            head: linear(&head),
            embedding: (!tied).then(|| matrix(&embedding)),
            positions: positions.map_or(Vec::new(), |table| {
                let mut all = vec![0.0; table.rows * table.cols];
                let rows = all.chunks_exact_mut(table.cols).enumerate();
                rows.for_each(|(i, row)| row_to_f32(&table, i, row));
                all
            }),
            layers,
            columns: Columns { k: k_at, v: k_at + kv, stride: k_at + 2 * kv },
            config,
        })
    }

    /// Bytes that a model's matrices take once packed.
    pub(crate) fn room(model: &Model, bf16: bool) -> usize {
        let of_layers = model.layers.iter().flat_map(|l| {
            [Some(&l.q), Some(&l.k), Some(&l.v), Some(&l.o), l.gate.as_ref(), Some(&l.up), Some(&l.down)]
        });
        let tensors = of_layers.flatten().map(|l| &l.weight).chain([&model.head.weight]);
        let tensors = tensors.chain((!model.tied).then_some(&model.embedding));
        tensors.map(|tensor| Packed::room(tensor, bf16)).sum()
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
        head_width(&self.config)
    }

    /// Embedding of a token at a position.
    pub(crate) fn embed(&self, token: u32, position: usize, out: &mut [f32]) {
        self.embedding.as_ref().unwrap_or(&self.head.weights).row(token as usize, out);
        let scale = self.config.embedding_scale;
        if scale != 1.0 {
            out.iter_mut().for_each(|x| *x *= scale);
        }
        if !self.positions.is_empty() {
            let width = self.config.width;
            out.iter_mut().zip(&self.positions[position * width..][..width]).for_each(|(x, p)| *x += p);
        }
    }
}
