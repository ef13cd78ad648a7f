//! Sampling fused with the output head: one pass over a tile of the vocabulary while its logits are in the cache.

use super::math;
use super::simd::{Arith, Isa, Op};
use crate::aligned::Plain;
use crate::philox::philox;

/// Tokens in a tile, a multiple of 64. Fixed, so that sums over the vocabulary have one order.
pub(crate) const TILE: usize = 256;

/// Which random numbers a row draws.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noise {
    pub(crate) key: u64,
    /// Index of the new token in its sample.
    pub(crate) position: u32,
    pub(crate) sample: u32,
}

/// What is wanted of a row's logits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    /// The largest logit.
    Greedy,
    /// The largest logit / temperature + noise.
    Draw { noise: Noise, temperature: f32 },
    /// The logit of one token.
    Score { token: u32 },
}

/// What a tile says about a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Partial {
    /// Largest logit and Σ exp(logit − max).
    pub(crate) max: f32,
    pub(crate) sum: f32,
    /// Σ exp((logit − max) / temperature), where the temperature is not 1.
    pub(crate) tempered: f32,
    /// Best score, its token and the token's logit.
    pub(crate) best: f32,
    pub(crate) token: u32,
    pub(crate) raw: f32,
}
impl Plain for Partial {}

/// Reduces one tile of one row; padded tokens have logit −∞.
#[inline(always)]
pub(crate) fn reduce<S: Isa>(s: S, logits: &[f32; TILE], first: u32, want: Want, bound: f32) -> Partial {
    let lanes = |i: usize| s.load(logits[16 * i..16 * i + 16].try_into().expect("16 floats"));
    let mut top = s.splat(f32::NEG_INFINITY);
    for i in 0..TILE / 16 {
        top = s.max(lanes(i), top);
    }
    let max = s.top(top);
    let mut out = Partial { max, best: f32::NEG_INFINITY, raw: f32::NEG_INFINITY, ..Partial::default() };
    if max == f32::NEG_INFINITY {
        return out;
    }
    let mut sum = s.splat(0.0);
    for i in 0..TILE / 16 {
        sum = s.add(sum, math::exp(s, s.sub(lanes(i), s.splat(max))));
    }
    out.sum = s.sum(sum);
    match want {
        Want::Greedy => {
            let at = logits.iter().position(|&x| x == max).unwrap_or(0);
            out = Partial { best: max, token: first + at as u32, raw: max, ..out };
        }
        Want::Score { token } => {
            if let Some(&x) = token.checked_sub(first).and_then(|i| logits.get(i as usize)) {
                out.raw = x;
            }
        }
        Want::Draw { noise, temperature } => {
            if temperature != 1.0 {
                let high = s.splat(max / temperature);
                let mut sum = s.splat(0.0);
                for i in 0..TILE / 16 {
                    let z = s.div(lanes(i), s.splat(temperature));
                    sum = s.add(sum, math::exp(s, s.sub(z, high)));
                }
                out.tempered = s.sum(sum);
            }
            let (best, at) = best_of(s, logits, first, noise, temperature, bound);
            if best > f32::NEG_INFINITY {
                out = Partial { best, token: first + at as u32, raw: logits[at], ..out };
            }
        }
    }
    out
}

/// Largest logit / temperature + noise of a tile, where it exceeds `bound` (−∞ otherwise), and its index.
///
/// Most tokens cannot win. An upper bound of the noise from the bits' binary exponent, −ln u without a logarithm, tells
/// which: only vectors that might exceed the best so far are computed in full, which never changes the answer.
#[inline(always)]
fn best_of<S: Isa>(
    s: S,
    logits: &[f32; TILE],
    first: u32,
    noise: Noise,
    temperature: f32,
    bound: f32,
) -> (f32, usize) {
    // Lane 4q + i holds counter 4i + q, so that the transposed words are in the order of the tokens.
    let mut order = [0u32; 16];
    for q in 0..4 {
        for i in 0..4 {
            order[4 * q + i] = (4 * i + q) as u32;
        }
    }
    let order = s.load_u(&order);
    let divisor = s.splat(temperature);
    let mut best = (f32::NEG_INFINITY, 0);
    let mut threshold = bound;
    for group in 0..TILE / 64 {
        let z: [S::F; 4] = {
            let mut z = [s.splat(0.0); 4];
            for (i, z) in z.iter_mut().enumerate() {
                let x = s.load(logits[64 * group + 16 * i..][..16].try_into().expect("16 floats"));
                *z = s.div(x, divisor);
            }
            z
        };
        // The largest noise is −ln(−ln(1 − 2⁻³³)) < 22.9.
        let top = s.max(s.max(z[0], z[1]), s.max(z[2], z[3]));
        if !s.any(s.gt(s.add(top, s.splat(22.9)), s.splat(threshold))) {
            continue;
        }
        let counter = s.add_u(order, s.splat_u(first / 4 + 16 * group as u32));
        let words = philox(s, noise.key, counter, [noise.position, noise.sample, 0]);
        let words = s.transpose4(words);
        for i in 0..4 {
            // −ln(1 − u) ≥ u, so the noise is at most −ln u; and log2 of the bits is at least what their float's own bits
            // say, read as a fixed-point number. 0.001 is above every rounding here.
            let float = s.to_bits(s.add(s.float_of_u32(words[i]), s.splat(0.5)));
            const LN2: f32 = std::f32::consts::LN_2;
            let cap = s.fma(
                s.float_of_i32(float),
                s.splat(-LN2 / 8_388_608.0),
                s.splat(LN2 * (127.0 + 32.0) + 0.001),
            );
            if !s.any(s.gt(s.add(z[i], cap), s.splat(threshold))) {
                continue;
            }
            let mut scores = [0f32; 16];
            s.store(s.add(z[i], math::gumbel(s, words[i])), &mut scores);
            for (lane, &score) in scores.iter().enumerate() {
                if score > best.0 {
                    best = (score, 64 * group + 16 * i + lane);
                }
            }
            threshold = threshold.max(best.0);
        }
    }
    best
}

struct NoiseOf<'a> {
    noise: Noise,
    tokens: &'a [u32],
    out: &'a mut [f32; 16],
}

impl<A: Arith> Op<A> for NoiseOf<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        let mut ids = [0u32; 16];
        ids[..self.tokens.len()].copy_from_slice(self.tokens);
        let counter = a.shr(a.load_u(&ids), 2);
        let words = philox(a, self.noise.key, counter, [self.noise.position, self.noise.sample, 0]);
        let mut flat = [[0u32; 16]; 4];
        for (word, flat) in words.into_iter().zip(&mut flat) {
            a.store_u(word, flat);
        }
        let mut bits = [0u32; 16];
        for (lane, bits) in bits.iter_mut().enumerate() {
            *bits = flat[(ids[lane] & 3) as usize][lane];
        }
        a.store(math::gumbel(a, a.load_u(&bits)), self.out);
    }
}

/// Noise of up to sixteen tokens.
pub(crate) fn noise_of<A: Arith>(a: A, noise: Noise, tokens: &[u32], out: &mut [f32; 16]) {
    a.call(NoiseOf { noise, tokens, out });
}
