//! Small random models for the tests of this crate.

use std::sync::Arc;

use crate::model::*;
use crate::tensor::{DType, Storage, Tensor};

/// A deterministic stream of numbers in (−1, 1).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn next(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn vec(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.next() * scale).collect()
    }
}

/// A random tensor of any element type; blocks of the quantised kinds have small random scales.
pub(crate) fn tensor(numbers: &mut Numbers, dtype: DType, rows: usize, cols: usize, scale: f32) -> Tensor {
    let mut bytes = Vec::new();
    let half = |x: f32| ((x.to_bits() >> 13 & 0x3ff) | ((x.to_bits() >> 23 & 0xff) + 15 - 127) << 10) as u16;
    for _ in 0..rows {
        match dtype {
            DType::F32 => {
                numbers.vec(cols, scale).iter().for_each(|x| bytes.extend(x.to_le_bytes()));
            }
            DType::BF16 => numbers
                .vec(cols, scale)
                .iter()
                .for_each(|&x| bytes.extend(crate::pack::f32_to_bf16(x).to_le_bytes())),
            DType::F16 => numbers.vec(cols, scale).iter().for_each(|&x| {
                let sign = (x.to_bits() >> 16 & 0x8000) as u16;
                let size = x.abs().max(1e-4);
                bytes.extend((half(size) | sign).to_le_bytes());
            }),
            _ if dtype.layout().1 > 1 && !matches!(dtype, DType::Q8_0 | DType::Q4_0 | DType::Q4_1) => {
                let (_, elements, size) = dtype.layout();
                for _ in 0..cols / elements {
                    let mut block: Vec<u8> = (0..size).map(|_| numbers.bits() as u8).collect();
                    let step = half((scale / 200.0).max(1e-4)).to_le_bytes();
                    for at in halves(dtype) {
                        block[*at..at + 2].copy_from_slice(&step);
                    }
                    if dtype == DType::Mxfp4 {
                        block[0] = 121 + block[0] % 3;
                    }
                    bytes.extend(block);
                }
            }
            DType::Q8_0 | DType::Q4_0 | DType::Q4_1 => {
                for _ in 0..cols / 32 {
                    let levels = if dtype == DType::Q8_0 { 127.0 } else { 8.0 };
                    let size = (numbers.next().abs() + 0.5) * scale / levels;
                    bytes.extend(half(size.max(1e-4)).to_le_bytes());
                    if dtype == DType::Q4_1 {
                        let low = (size * 8.0).max(1e-4);
                        bytes.extend((half(low) | 0x8000).to_le_bytes());
                    }
                    let quants = if dtype == DType::Q8_0 { 32 } else { 16 };
                    bytes.extend((0..quants).map(|_| numbers.bits() as u8));
                }
            }
            _ => unreachable!("a type with a grid"),
        }
    }
    Tensor { dtype, rows, cols, storage: Storage::Owned(Arc::new(bytes)) }
}

/// Where a block has its half-precision scales.
fn halves(dtype: DType) -> &'static [usize] {
    match dtype {
        DType::Q5_0 | DType::Iq4Nl | DType::Iq4Xs => &[0],
        DType::Q5_1 | DType::Q4K | DType::Q5K => &[0, 2],
        DType::Q2K => &[80, 82],
        DType::Q3K => &[108],
        DType::Q6K => &[208],
        _ => &[],
    }
}

/// The shape of a random model.
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) dtype: DType,
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) hidden: usize,
    pub(crate) vocab: usize,
    /// GPT-NeoX's features: LayerNorm, biases, GELU, parallel residual, partial rotary; else Llama's.
    pub(crate) neox: bool,
    pub(crate) window: Option<usize>,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            seed: 1,
            dtype: DType::F32,
            layers: 2,
            width: 48,
            heads: 4,
            kv_heads: 2,
            head_dim: 12,
            hidden: 80,
            vocab: 301,
            neox: false,
            window: None,
        }
    }
}

/// A random model.
pub(crate) fn model(shape: &Shape) -> Model {
    let numbers = &mut Numbers::new(shape.seed);
    let &Shape { dtype, layers, width, heads, kv_heads, head_dim, hidden, vocab, neox, window, .. } = shape;
    let (q, kv) = (heads * head_dim, kv_heads * head_dim);
    let linear = |numbers: &mut Numbers, rows: usize, cols: usize| Linear {
        weight: tensor(numbers, dtype, rows, cols, 1.5 / (cols as f32).sqrt()),
        bias: neox.then(|| numbers.vec(rows, 0.2)),
    };
    let norm = |numbers: &mut Numbers, len: usize| Norm {
        weight: numbers.vec(len, 0.3).iter().map(|x| x + 1.0).collect(),
        bias: neox.then(|| numbers.vec(len, 0.1)),
    };
    let layers_ = (0..layers)
        .map(|_| Layer {
            window,
            rotation: Rotation::Global,
            attn_norm: Some(norm(numbers, width)),
            q: linear(numbers, q, width),
            k: linear(numbers, kv, width),
            v: linear(numbers, kv, width),
            q_norm: (!neox).then(|| norm(numbers, head_dim)),
            k_norm: (!neox).then(|| norm(numbers, head_dim)),
            o: linear(numbers, width, q),
            post_attn_norm: None,
            ffn_norm: Some(norm(numbers, width)),
            gate: (!neox).then(|| linear(numbers, hidden, width)),
            up: linear(numbers, hidden, width),
            down: linear(numbers, width, hidden),
            post_ffn_norm: None,
        })
        .collect();
    let rotary_dim = if neox { head_dim / 4 * 2 } else { head_dim };
    let embedding = tensor(numbers, dtype, vocab + 3, width, 1.0);
    let final_norm = norm(numbers, width);
    let head =
        Linear { weight: tensor(numbers, dtype, vocab + 3, width, 4.0 / (width as f32).sqrt()), bias: None };
    Model {
        config: Config {
            architecture: "test".into(),
            layers,
            width,
            heads,
            kv_heads,
            head_dim,
            hidden,
            vocab,
            max_positions: 512,
            norm: if neox { NormKind::Layer } else { NormKind::Rms },
            norm_eps: 1e-5,
            activation: if neox { Activation::Gelu } else { Activation::SwiGlu },
            parallel_residual: neox,
            rotary_dim,
            rope_pairs: if neox { RopePairs::Interleaved } else { RopePairs::Halves },
            inv_freq: (0..rotary_dim / 2).map(|i| 100f32.powf(-2.0 * i as f32 / rotary_dim as f32)).collect(),
            rope_scale: 1.0,
            local_inv_freq: Vec::new(),
            sliding_window: window,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            own_head_norms: false,
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
            attention_softcap: None,
            logit_scale: 1.0,
            logit_softcap: None,
            bos: None,
            eos: vec![0],
        },
        embedding,
        positions: None,
        layers: layers_,
        final_norm,
        head,
        tied: false,
        n_params: 1,
        notes: Vec::new(),
    }
}
