//! Plans by a sum of powers, eight at once: the same steps as in [`super::line`], without a branch, so that they run in
//! vector registers. Every lane is computed by itself: what it is grouped with changes no bit.

use super::choice::{Bound, Choice, Plan};
use super::line::Slopes;
use super::request::{Constraints, Rule, Sizes};
use super::span::Span;
use crate::laws::Law;

/// Plans at once.
pub(super) const LANES: usize = 8;

type Lanes = [f64; LANES];

/// Whether plans of this kind run in lanes: between two ends of N, with any k.
pub(super) fn apply(law: Law, constraints: &Constraints) -> bool {
    matches!(law, Law::Loss | Law::Chinchilla)
        && matches!(constraints.sizes, Sizes::Range(..))
        && !constraints.whole_k
}

/// What is the same for all plans of a problem.
#[derive(Clone, Copy)]
pub(super) struct Common<'a> {
    pub law: Law,
    pub constraints: &'a Constraints,
    pub log_most_tokens: f64,
    pub log_most_samples: f64,
    pub rule: Rule,
}

/// A pair of a law and a budget.
pub(super) type Pair<'a> = (&'a [f64], &'a Slopes, &'a Span);

/// The plans of up to [`LANES`] pairs.
pub(super) fn plans(common: &Common, pairs: &[Pair], out: &mut [Plan]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has the features that the function is compiled for.
        return unsafe { with_avx2(common, pairs, out) };
    }
    eight::<{ cfg!(target_arch = "aarch64") }>(common, pairs, out)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2(common: &Common, pairs: &[Pair], out: &mut [Plan]) {
    eight::<true>(common, pairs, out)
}

/// An expression in every lane. A closure would not be compiled for the features of the function that it is in.
macro_rules! lanes {
    (|$i:ident| $value:expr) => {{
        let mut out = [0.0; LANES];
        for $i in 0..LANES {
            out[$i] = $value;
        }
        out
    }};
}

/// As `line::rising`. Without such a term there is no budget to take the logarithm of.
#[inline(always)]
fn rising((log, gamma): (f64, f64), budget: f64) -> f64 {
    if log > f64::NEG_INFINITY { log - gamma * budget } else { log }
}

#[inline(always)]
fn fused<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x to a few units in the last place, between e^−708 and e^709: x = n ln 2 + r with |r| <= ln 2/2, and the Taylor
/// series of e^r.
#[inline(always)]
fn exp<const FMA: bool>(x: f64) -> f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52: what is added to it is rounded to a whole number
    const HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEFA_3800);
    const LOW: f64 = (std::f64::consts::LN_2 - HIGH) + 2.319_046_813_846_299_6e-17; // what LN_2 lacks of ln 2
    let x = x.clamp(-708.0, 709.0);
    let shifted = fused::<FMA>(x, std::f64::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = fused::<FMA>(-n, LOW, fused::<FMA>(-n, HIGH, x));
    let mut sum = 1.0 / 6_227_020_800.0;
    for factorial in [
        479_001_600.0,
        39_916_800.0,
        3_628_800.0,
        362_880.0,
        40_320.0,
        5_040.0,
        720.0,
        120.0,
        24.0,
        6.0,
        2.0,
        1.0,
        1.0,
    ] {
        sum = fused::<FMA>(sum, r, 1.0 / factorial);
    }
    f64::from_bits(sum.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// ln(1 + s) for s in [0, 1], relative error a few 1e-16: 2 artanh(s/(2 + s)) by its series.
#[inline(always)]
fn log_1p<const FMA: bool>(s: f64) -> f64 {
    let z = s / (2.0 + s);
    let square = z * z;
    let mut sum = 1.0 / 35.0;
    for odd in
        [33.0, 31.0, 29.0, 27.0, 25.0, 23.0, 21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0]
    {
        sum = fused::<FMA>(sum, square, 1.0 / odd);
    }
    2.0 * z * sum
}

/// As `span::affordable`.
#[inline(always)]
fn affordable(budget: f64, cost: f64) -> f64 {
    let z = budget / cost;
    f64::from_bits(z.to_bits() - u64::from(cost * z > budget))
}

/// As `line::balance` of two rising terms.
#[inline(always)]
fn balance<const FMA: bool>(falling: [&Lanes; 2], first: [&Lanes; 2], second: [&Lanes; 2]) -> Lanes {
    let mut x = lanes!(|i| {
        let one = (falling[0][i] - first[0][i]) / (falling[1][i] + first[1][i]);
        one.min((falling[0][i] - second[0][i]) / (falling[1][i] + second[1][i]))
    });
    let gap = lanes!(|i| (first[1][i] - second[1][i]).abs());
    let least = lanes!(|i| falling[1][i] + first[1][i].min(second[1][i]));
    let left = lanes!(|i| {
        let square = gap[i] * gap[i];
        let half = square / (8.0 * least[i]);
        half * half + square * gap[i] / (60.0 * least[i])
    });
    // Where a term is missing the start is the root.
    let mut open = lanes!(|i| {
        let missing = first[0][i] == f64::NEG_INFINITY
            || second[0][i] == f64::NEG_INFINITY
            || falling[0][i] == f64::NEG_INFINITY;
        if missing { 0.0 } else { 1.0 }
    });
    for _ in 0..60 {
        let step = lanes!(|i| {
            let (u, v) = (
                fused::<FMA>(first[1][i], x[i], first[0][i]),
                fused::<FMA>(second[1][i], x[i], second[0][i]),
            );
            let small = exp::<FMA>(-(u - v).abs());
            let major = 1.0 / (1.0 + small);
            let minor = small * major;
            let (of_first, of_second) = if u > v { (major, minor) } else { (minor, major) };
            let h = u.max(v) + log_1p::<FMA>(small) + falling[1][i] * x[i] - falling[0][i];
            let slope = of_first * first[1][i] + of_second * second[1][i] + falling[1][i];
            let bend = gap[i] * gap[i] * major * minor;
            h * slope / (slope * slope - 0.5 * h * bend)
        });
        let mut any = 0.0;
        for i in 0..LANES {
            x[i] = if open[i] > 0.0 { x[i] - step[i] } else { x[i] };
            let small = left[i] * (step[i] * step[i] * step[i]).abs() <= 1e-13 || step[i].is_nan();
            open[i] = if small { 0.0 } else { open[i] };
            any += open[i];
        }
        if any == 0.0 {
            break;
        }
    }
    lanes!(|i| if falling[0][i] == f64::NEG_INFINITY { f64::NEG_INFINITY } else { x[i] })
}

/// The laws' terms and the budgets of eight pairs, a lane each.
struct Group {
    terms: [Lanes; 4],
    exponents: [Lanes; 3],
    falling: Lanes,
    /// ln of c and the exponent, as terms of N.
    tokens: Lanes,
    samples: Lanes,
    train: Lanes,
    inference: Lanes,
    log_train: Lanes,
    log_inference: Lanes,
    least: Lanes,
    most: Lanes,
    log_least: Lanes,
    log_most: Lanes,
}

/// N and what follows from it.
struct Spent {
    n: Lanes,
    d: Lanes,
    k: Lanes,
    value: Lanes,
}

impl Group {
    #[inline(always)]
    fn new(law: Law, pairs: &[Pair]) -> Self {
        let last = pairs.len() - 1;
        macro_rules! of {
            (|$p:ident| $value:expr) => {
                lanes!(|i| {
                    let $p = &pairs[i.min(last)];
                    $value
                })
            };
        }
        let sampled = law == Law::Loss;
        let (alpha, beta) = if sampled { (4, 5) } else { (3, 4) };
        Self {
            terms: [
                of!(|p| p.0[0]),
                of!(|p| p.0[1]),
                of!(|p| p.0[2]),
                of!(|p| if sampled { p.0[3] } else { 0.0 }),
            ],
            exponents: [of!(|p| p.0[alpha]), of!(|p| p.0[beta]), of!(|p| if sampled { p.0[6] } else { 0.0 })],
            falling: of!(|p| p.1.falling.0),
            tokens: of!(|p| rising(p.1.tokens, p.2.log_train)),
            samples: of!(|p| rising(p.1.samples, p.2.log_inference)),
            train: of!(|p| p.2.budget.train),
            inference: of!(|p| p.2.budget.inference),
            log_train: of!(|p| p.2.log_train),
            log_inference: of!(|p| p.2.log_inference),
            least: of!(|p| p.2.least),
            most: of!(|p| p.2.most),
            log_least: of!(|p| p.2.log_least),
            log_most: of!(|p| p.2.log_most),
        }
    }

    /// As `line::power_sum_optimum`.
    #[inline(always)]
    fn optimum<const FMA: bool>(&self, common: &Common) -> Lanes {
        let [alpha, beta, gamma] = &self.exponents;
        let falling = [&self.falling, alpha];
        let right = balance::<FMA>(falling, [&self.tokens, beta], [&self.samples, gamma]);
        lanes!(|i| {
            let corner = self.log_train[i] - common.log_most_tokens;
            let bare = self.samples[i] == f64::NEG_INFINITY;
            let other =
                if bare { f64::NEG_INFINITY } else { self.log_inference[i] - common.log_most_samples };
            let tokens_first = corner <= other;
            let (early, late) = if tokens_first { (corner, other) } else { (other, corner) };
            let (t, exponent) =
                if tokens_first { (self.tokens[i], beta[i]) } else { (self.samples[i], gamma[i]) };
            let middle = ((self.falling[i] - t) / (alpha[i] + exponent)).min(late);
            let nothing_falls = self.falling[i] == f64::NEG_INFINITY;
            let left = if nothing_falls { f64::NEG_INFINITY } else { early };
            let middle = if nothing_falls { f64::NEG_INFINITY } else { middle };
            let x = if middle > early { middle } else { left };
            let x = if right[i] > late { right[i] } else { x };
            x.max(self.log_least[i]).min(self.log_most[i])
        })
    }

    /// N at ln N = x, D and k that the budgets then buy, and the value there, as `Task::choose`.
    #[inline(always)]
    fn choose<const FMA: bool>(&self, common: &Common, x: &Lanes) -> Spent {
        let (fewest, most_tokens) = common.constraints.tokens;
        let most_samples = common.constraints.most_samples;
        let n = lanes!(|i| {
            let n = if x[i] >= self.log_most[i] { self.most[i] } else { exp::<FMA>(x[i]) };
            n.max(self.least[i]).min(self.most[i])
        });
        let d = lanes!(|i| affordable(self.train[i], 6.0 * n[i]).max(fewest).min(most_tokens));
        let k = lanes!(|i| {
            let k = affordable(self.inference[i].min(f64::MAX), 2.0 * n[i]).min(most_samples);
            if self.inference[i] == f64::INFINITY { f64::INFINITY } else { k }
        });
        let value = lanes!(|i| {
            let log_d = (self.log_train[i] - x[i]).min(common.log_most_tokens);
            let log_k = (self.log_inference[i] - x[i]).min(common.log_most_samples);
            let (alpha, beta, gamma) = (self.exponents[0][i], self.exponents[1][i], self.exponents[2][i]);
            // A law without samples has no ln k either, and its exponent is 0.
            let log_k = if gamma > 0.0 { log_k } else { 0.0 };
            let trained =
                self.terms[1][i] * exp::<FMA>(-alpha * x[i]) + self.terms[2][i] * exp::<FMA>(-beta * log_d);
            self.terms[0][i] + trained + self.terms[3][i] * exp::<FMA>(-gamma * log_k)
        });
        Spent { n, d, k, value }
    }
}

#[inline(always)]
fn eight<const FMA: bool>(common: &Common, pairs: &[Pair], out: &mut [Plan]) {
    let group = Group::new(common.law, pairs);
    let best = group.choose::<FMA>(common, &group.optimum::<FMA>(common));
    let target = match common.rule {
        Rule::Law => lanes!(|i| {
            let root = (group.falling[i] - group.tokens[i]) / (group.exponents[0][i] + group.exponents[1][i]);
            if group.falling[i] == f64::NEG_INFINITY { f64::NEG_INFINITY } else { root }
        }),
        Rule::TokensPerParam(ratio) => {
            let log_ratio = ratio.ln();
            lanes!(|i| 0.5 * (group.log_train[i] - log_ratio))
        }
    };
    let mut moved = [Bound::None; LANES];
    let mut reached = [0.0; LANES];
    for (i, (_, _, span)) in pairs.iter().enumerate() {
        (reached[i], moved[i]) = span.reach(target[i], group.log_train[i] - common.log_most_tokens);
    }
    for i in pairs.len()..LANES {
        reached[i] = reached[pairs.len() - 1];
    }
    let other = group.choose::<FMA>(common, &reached);
    for (i, ((_, _, span), plan)) in pairs.iter().zip(out).enumerate() {
        let at =
            |s: &Spent, bound: Bound| Choice { n: s.n[i], d: s.d[i], k: s.k[i], value: s.value[i], bound };
        let bound = span.bound(common.constraints, best.n[i], best.d[i], best.k[i]);
        *plan = Plan { best: at(&best, bound), chinchilla: at(&other, moved[i]) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exponentials_and_logarithms_are_those_of_the_library(x in -700.0f64..700.0, s in 0.0f64..1.0) {
            prop_assert!((exp::<true>(x) / x.exp() - 1.0).abs() < 1e-15);
            prop_assert!((exp::<false>(x) / x.exp() - 1.0).abs() < 1e-15);
            prop_assert!((log_1p::<true>(s) - s.ln_1p()).abs() <= 1e-15 * s.ln_1p());
            prop_assert!((log_1p::<false>(s) - s.ln_1p()).abs() <= 1e-15 * s.ln_1p());
        }
    }
}
