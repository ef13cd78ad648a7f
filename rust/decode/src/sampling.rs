//! How a token is chosen from logits: temperature, filters, Gumbel-max, and the log-probabilities of the choice.

use crate::kernels::draw::{Noise, Partial, noise_of};
use crate::kernels::simd::Arith;

/// Sampling parameters, the same for every row of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it; 0 takes the most likely token.
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of most likely tokens with at least this probability; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this likely relative to the most likely one; 0 keeps all.
    pub min_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl Sampling {
    /// What is wrong with the parameters, if anything.
    pub fn check(&self) -> Result<(), String> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(format!("temperature must be finite and at least 0, not {}", self.temperature));
        }
        if self.temperature > 0.0 && self.temperature < 1e-30 {
            return Err(format!(
                "temperature {} is too small for float32; use 0 for greedy",
                self.temperature
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(format!("top_p must be above 0 and at most 1, not {}", self.top_p));
        }
        if !(self.min_p >= 0.0 && self.min_p <= 1.0) {
            return Err(format!("min_p must be between 0 and 1, not {}", self.min_p));
        }
        Ok(())
    }

    pub(crate) fn greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// Whether a choice needs more than one pass over the logits.
    pub(crate) fn filters(&self) -> bool {
        !self.greedy() && (self.top_k > 0 || self.top_p < 1.0 || self.min_p > 0.0)
    }
}

/// A chosen token and its log-probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Under the model's own logits.
    pub(crate) raw: f32,
    /// After temperature and filters.
    pub(crate) processed: f32,
}

impl crate::aligned::Plain for Choice {}

/// Log of Σ exp over tiles, from each tile's maximum m and Σ exp(x − m), in the order of the tiles.
fn log_sum(parts: impl Iterator<Item = (f32, f32)> + Clone) -> f64 {
    let top = parts.clone().fold(f32::NEG_INFINITY, |top, (max, _)| top.max(max));
    let top = f64::from(top);
    let sum: f64 = parts.map(|(max, sum)| f64::from(sum) * (f64::from(max) - top).exp()).sum();
    top + sum.ln()
}

/// Log-probability of the token that the tiles were asked about.
pub(crate) fn score(tiles: impl Iterator<Item = Partial> + Clone) -> f32 {
    let target = tiles.clone().fold(f32::NEG_INFINITY, |best, t| best.max(t.raw));
    (f64::from(target) - log_sum(tiles.map(|t| (t.max, t.sum)))) as f32
}

/// The choice of a row without filters, from its tiles in order.
pub(crate) fn choose(tiles: impl Iterator<Item = Partial> + Clone, sampling: &Sampling) -> Choice {
    // Tiles are in the order of token ids, so keeping the first of equals keeps the lowest id.
    let mut best = Partial { best: f32::NEG_INFINITY, ..Partial::default() };
    for tile in tiles.clone() {
        if tile.best > best.best {
            best = tile;
        }
    }
    let raw = (f64::from(best.raw) - log_sum(tiles.clone().map(|t| (t.max, t.sum)))) as f32;
    let processed = if sampling.greedy() {
        0.0
    } else if sampling.temperature == 1.0 {
        raw
    } else {
        let t = sampling.temperature;
        (f64::from(best.raw / t) - log_sum(tiles.map(|p| (p.max / t, p.tempered)))) as f32
    };
    Choice { token: best.token, raw, processed }
}

/// The choice of a row with filters, from all its logits and its raw log-sum-exp.
pub(crate) fn choose_filtered<A: Arith>(
    a: A,
    logits: &[f32],
    tiles: impl Iterator<Item = Partial> + Clone,
    sampling: &Sampling,
    noise: Noise,
) -> Choice {
    let kept = survivors(logits, sampling);
    let z = |token: u32| logits[token as usize] / sampling.temperature;
    let ids: Vec<u32> = {
        let mut ids: Vec<u32> = kept.iter().map(|&(_, token)| token).collect();
        ids.sort_unstable();
        ids
    };
    let mut best = (f32::NEG_INFINITY, ids[0]);
    let mut noises = [0f32; 16];
    for chunk in ids.chunks(16) {
        noise_of(a, noise, chunk, &mut noises);
        for (&token, g) in chunk.iter().zip(noises) {
            if z(token) + g > best.0 {
                best = (z(token) + g, token);
            }
        }
    }
    let token = best.1;
    let top = kept.iter().fold(f32::NEG_INFINITY, |top, &(z, _)| top.max(z));
    let sum: f64 = ids.iter().map(|&t| f64::from(z(t) - top).exp()).sum();
    Choice {
        token,
        raw: (f64::from(logits[token as usize]) - log_sum(tiles.map(|t| (t.max, t.sum)))) as f32,
        processed: (f64::from(z(token) - top) - sum.ln()) as f32,
    }
}

/// Descending by value, ascending by id.
fn order(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Tokens that the filters keep, with their logits over temperature; never empty for finite logits.
pub(crate) fn survivors(logits: &[f32], sampling: &Sampling) -> Vec<(f32, u32)> {
    let t = sampling.temperature;
    let top = logits.iter().fold(f32::NEG_INFINITY, |top, &x| if x > top { x } else { top }) / t;
    let above = |least: f32| -> Vec<(f32, u32)> {
        logits.iter().zip(0u32..).map(|(&x, id)| (x / t, id)).filter(|&(z, _)| z >= least).collect()
    };
    let limited = sampling.top_k > 0 && sampling.top_k < logits.len();
    let mut kept = if limited {
        let mut kept = above(at_least(logits, sampling.top_k) / t);
        if sampling.top_k < kept.len() {
            kept.select_nth_unstable_by(sampling.top_k - 1, order);
            kept.truncate(sampling.top_k);
        }
        kept
    } else {
        Vec::new()
    };
    if sampling.top_p < 1.0 {
        let mass = |z: f32| f64::from(z - top).exp();
        let total: f64 = if limited {
            kept.sort_unstable_by(order);
            kept.iter().map(|&(z, _)| mass(z)).sum()
        } else {
            logits.iter().map(|&x| mass(x / t)).sum()
        };
        let enough = f64::from(sampling.top_p) * total;
        if !limited {
            // The head of the distribution nearly always holds enough; sort the whole vocabulary only if not.
            kept = above(top - 8.0);
            if kept.iter().map(|&(z, _)| mass(z)).sum::<f64>() < enough * 1.000_001 {
                kept = above(f32::NEG_INFINITY);
            }
            kept.sort_unstable_by(order);
        }
        let mut before = 0.0;
        let keep = kept.iter().take_while(|&&(z, _)| {
            let inside = before < enough;
            before += mass(z);
            inside
        });
        let keep = keep.count().max(1);
        kept.truncate(keep);
    } else if !limited {
        kept = above(f32::NEG_INFINITY);
    }
    if sampling.min_p > 0.0 {
        kept.retain(|&(z, _)| f64::from(z - top).exp() >= f64::from(sampling.min_p));
    }
    kept
}

/// A value that at least `k` of the logits reach: the k-th largest maximum of groups, or −∞ where groups are too few.
fn at_least(logits: &[f32], k: usize) -> f32 {
    let group = (logits.len() / (4 * k)).clamp(1, 64);
    if group < 4 {
        return f32::NEG_INFINITY;
    }
    let mut tops: Vec<f32> = logits
        .chunks(group)
        .map(|chunk| chunk.iter().fold(f32::NEG_INFINITY, |top, &x| if x > top { x } else { top }))
        .collect();
    let (_, &mut kth, _) = tops.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    kth
}
