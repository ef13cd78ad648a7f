//! The model once more, as a page of plain float64: the oracle of the engine's tests.

use crate::dequant::row_to_f32;
use crate::model::{Activation, Config, Linear, Model, Norm, NormKind, RopePairs};
use crate::tensor::Tensor;

fn row(tensor: &Tensor, i: usize) -> Vec<f64> {
    let mut out = vec![0.0; tensor.cols];
    row_to_f32(tensor, i, &mut out);
    out.into_iter().map(f64::from).collect()
}

fn apply(l: &Linear, x: &[f64]) -> Vec<f64> {
    (0..l.weight.rows)
        .map(|i| {
            let dot: f64 = row(&l.weight, i).iter().zip(x).map(|(w, x)| w * x).sum();
            dot + l.bias.as_ref().map_or(0.0, |b| f64::from(b[i]))
        })
        .collect()
}

fn normalise(c: &Config, n: &Norm, x: &[f64]) -> Vec<f64> {
    let len = x.len() as f64;
    let mean = if c.norm == NormKind::Layer { x.iter().sum::<f64>() / len } else { 0.0 };
    let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / len;
    let scale = 1.0 / (var + f64::from(c.norm_eps)).sqrt();
    let bias = |i: usize| n.bias.as_ref().map_or(0.0, |b| f64::from(b[i]));
    x.iter().enumerate().map(|(i, x)| (x - mean) * scale * f64::from(n.weight[i]) + bias(i)).collect()
}

fn rotate(c: &Config, x: &mut [f64], position: usize) {
    let half = c.rotary_dim / 2;
    for (i, &f) in c.inv_freq.iter().enumerate() {
        let (a, b) = match c.rope_pairs {
            RopePairs::Halves => (i, i + half),
            RopePairs::Interleaved => (2 * i, 2 * i + 1),
        };
        let (sin, cos) = (position as f64 * f64::from(f)).sin_cos();
        let s = f64::from(c.rope_scale);
        (x[a], x[b]) = (s * (x[a] * cos - x[b] * sin), s * (x[b] * cos + x[a] * sin));
    }
}

fn heads(c: &Config, norm: Option<&Norm>, flat: Vec<f64>, position: Option<usize>) -> Vec<Vec<f64>> {
    flat.chunks(c.head_dim)
        .map(|head| {
            let mut head = norm.map_or(head.to_vec(), |n| normalise(c, n, head));
            if let Some(position) = position {
                rotate(c, &mut head, position);
            }
            head
        })
        .collect()
}

/// Logits after every token.
pub(crate) fn logits(m: &Model, tokens: &[u32]) -> Vec<Vec<f64>> {
    let c = &m.config;
    let mut stream: Vec<Vec<f64>> = tokens.iter().map(|&t| row(&m.embedding, t as usize)).collect();
    for l in &m.layers {
        let normed: Vec<Vec<f64>> =
            stream.iter().map(|x| normalise(c, l.attn_norm.as_ref().unwrap(), x)).collect();
        let part = |linear: &Linear, norm: Option<&Norm>, rotated: bool| -> Vec<Vec<Vec<f64>>> {
            let rows = normed.iter().enumerate();
            rows.map(|(p, x)| heads(c, norm, apply(linear, x), rotated.then_some(p))).collect()
        };
        let q = part(&l.q, l.q_norm.as_ref(), true);
        let k = part(&l.k, l.k_norm.as_ref(), true);
        let v = part(&l.v, None, false);
        let before = stream.clone();
        for (p, x) in stream.iter_mut().enumerate() {
            let mut attended = Vec::new();
            for (h, q) in q[p].iter().enumerate() {
                let kv = h / (c.heads / c.kv_heads);
                let from = l.window.map_or(0, |w| (p + 1).saturating_sub(w));
                let dot = |j: usize| q.iter().zip(&k[j][kv]).map(|(a, b)| a * b).sum::<f64>();
                let scores: Vec<f64> = (from..=p).map(|j| dot(j) / (c.head_dim as f64).sqrt()).collect();
                let top = scores.iter().fold(f64::MIN, |a, &b| a.max(b));
                let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let sum: f64 = weights.iter().sum();
                attended.extend(
                    (0..c.head_dim).map(|d| {
                        weights.iter().zip(&v[from..]).map(|(w, v)| w * v[kv][d]).sum::<f64>() / sum
                    }),
                );
            }
            for (x, y) in x.iter_mut().zip(apply(&l.o, &attended)) {
                *x += y;
            }
        }
        for (x, before) in stream.iter_mut().zip(before) {
            let read = if c.parallel_residual { &before } else { &*x };
            let read = normalise(c, l.ffn_norm.as_ref().unwrap(), read);
            let up = apply(&l.up, &read);
            let hidden: Vec<f64> = match (&l.gate, c.activation) {
                (Some(gate), Activation::SwiGlu) => {
                    let gate = apply(gate, &read);
                    gate.iter().zip(&up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect()
                }
                (None, Activation::GeluTanh) => up
                    .iter()
                    .map(|u| 0.5 * u * (1.0 + (0.797_884_560_802_865_4 * (u + 0.044715 * u.powi(3))).tanh()))
                    .collect(),
                (Some(_), _) => unreachable!("tested against transformers"),
                (None, _) => up.iter().map(|u| 0.5 * u * (1.0 + erf(u / 2f64.sqrt()))).collect(),
            };
            for (x, y) in x.iter_mut().zip(apply(&l.down, &hidden)) {
                *x += y;
            }
        }
    }
    let head = |x: &Vec<f64>| apply(&m.head, &normalise(c, &m.final_norm, x))[..c.vocab].to_vec();
    stream.iter().map(head).collect()
}

/// The error function by its series, for the moderate arguments of the tests.
pub(crate) fn erf(x: f64) -> f64 {
    if x.abs() > 5.5 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}
