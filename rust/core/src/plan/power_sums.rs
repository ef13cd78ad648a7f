//! Plans by a sum of powers, eight at once: the same steps as in [`super::line`], without a branch, so that they run in
//! vector registers. Every lane is computed by itself: what it is grouped with changes no bit.

use super::choice::{Bound, Choice, Plan};
use super::line::Slopes;
use super::request::{Constraints, Rule};
use super::span::Span;
use super::task::beside;
use crate::lanes::{LANES, Lanes, exp, fused, lanes, log_1p};
use crate::laws::Law;

/// Whether plans of this kind run in lanes: with any k.
pub(super) fn apply(law: Law, constraints: &Constraints) -> bool {
    matches!(law, Law::Loss | Law::Chinchilla) && !constraints.whole_k
}

/// What is the same for all plans of a problem.
#[derive(Clone, Copy)]
pub(super) struct Common<'a> {
    pub law: Law,
    pub constraints: &'a Constraints,
    /// The sizes listed, if they are, from the smallest, and their logarithms.
    pub sizes: &'a [f64],
    pub log_sizes: &'a [f64],
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

/// As `line::rising`. Without such a term there is no budget to take the logarithm of.
#[inline(always)]
fn rising((log, gamma): (f64, f64), budget: f64) -> f64 {
    if log > f64::NEG_INFINITY { log - gamma * budget } else { log }
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
    /// Sizes listed that can be paid for.
    payable: [usize; LANES],
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
            payable: std::array::from_fn(|i| pairs[i.min(last)].2.payable),
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

    /// N at ln N = x.
    #[inline(always)]
    fn size<const FMA: bool>(&self, x: &Lanes) -> Lanes {
        lanes!(|i| if x[i] >= self.log_most[i] { self.most[i] } else { exp::<FMA>(x[i]) })
    }

    /// N and ln N of the sizes listed on both sides of ln N = x: a sum of powers that is least at x is less at one of the
    /// two than at all others.
    #[inline(always)]
    fn beside(&self, common: &Common, x: &Lanes) -> [[Lanes; 2]; 2] {
        let (mut below, mut above) = ([[0.0; LANES]; 2], [[0.0; LANES]; 2]);
        for i in 0..LANES {
            let [low, high] = beside(&common.log_sizes[..self.payable[i]], x[i]);
            [below[0][i], below[1][i]] = [common.sizes[low], common.log_sizes[low]];
            [above[0][i], above[1][i]] = [common.sizes[high], common.log_sizes[high]];
        }
        [below, above]
    }

    /// What training leaves at ln N = x, and the law's value.
    #[inline(always)]
    fn values<const FMA: bool>(&self, common: &Common, x: &Lanes) -> [Lanes; 2] {
        let [alpha, beta, gamma] = &self.exponents;
        let trained = lanes!(|i| {
            let log_d = (self.log_train[i] - x[i]).min(common.log_most_tokens);
            let terms = self.terms[1][i] * exp::<FMA>(-alpha[i] * x[i])
                + self.terms[2][i] * exp::<FMA>(-beta[i] * log_d);
            self.terms[0][i] + terms
        });
        let value = lanes!(|i| {
            let log_k = (self.log_inference[i] - x[i]).min(common.log_most_samples);
            // A law without samples has no ln k either, and its exponent is 0.
            let log_k = if gamma[i] > 0.0 { log_k } else { 0.0 };
            trained[i] + self.terms[3][i] * exp::<FMA>(-gamma[i] * log_k)
        });
        [trained, value]
    }

    /// N, whose logarithm is x but for rounding, D and k that the budgets then buy, and the value there, as
    /// `Task::choose`.
    #[inline(always)]
    fn choose<const FMA: bool>(&self, common: &Common, n: &Lanes, x: &Lanes) -> Spent {
        let (fewest, most_tokens) = common.constraints.tokens;
        let (least_samples, most_samples) =
            (common.constraints.least_samples, common.constraints.most_samples);
        let n = lanes!(|i| n[i].max(self.least[i]).min(self.most[i]));
        let d = lanes!(|i| affordable(self.train[i], 6.0 * n[i]).max(fewest).min(most_tokens));
        let k = lanes!(|i| {
            let k =
                affordable(self.inference[i].min(f64::MAX), 2.0 * n[i]).min(most_samples).max(least_samples);
            if self.inference[i] == f64::INFINITY { f64::INFINITY } else { k }
        });
        let [_, value] = self.values::<FMA>(common, x);
        Spent { n, d, k, value }
    }
}

/// The second of two sizes where it costs less.
#[inline(always)]
fn nearer(low: &Lanes, below: &[Lanes; 2], high: &Lanes, above: &[Lanes; 2]) -> [Lanes; 2] {
    [
        lanes!(|i| if high[i] < low[i] { above[0][i] } else { below[0][i] }),
        lanes!(|i| if high[i] < low[i] { above[1][i] } else { below[1][i] }),
    ]
}

#[inline(always)]
fn eight<const FMA: bool>(common: &Common, pairs: &[Pair], out: &mut [Plan]) {
    let group = Group::new(common.law, pairs);
    let listed = !common.sizes.is_empty();
    let x = group.optimum::<FMA>(common);
    let [n, x] = if listed {
        let [below, above] = group.beside(common, &x);
        let [_, low] = group.values::<FMA>(common, &below[1]);
        let [_, high] = group.values::<FMA>(common, &above[1]);
        nearer(&low, &below, &high, &above)
    } else {
        [group.size::<FMA>(&x), x]
    };
    let best = group.choose::<FMA>(common, &n, &x);
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
    let [n, x] = if listed {
        let [below, above] = group.beside(common, &reached);
        let (low, high) = match common.rule {
            Rule::Law => {
                let [low, _] = group.values::<FMA>(common, &below[1]);
                let [high, _] = group.values::<FMA>(common, &above[1]);
                (low, high)
            }
            Rule::TokensPerParam(_) => {
                (lanes!(|i| (reached[i] - below[1][i]).abs()), lanes!(|i| (above[1][i] - reached[i]).abs()))
            }
        };
        nearer(&low, &below, &high, &above)
    } else {
        [group.size::<FMA>(&reached), reached]
    };
    let other = group.choose::<FMA>(common, &n, &x);
    for (i, ((_, _, span), plan)) in pairs.iter().zip(out).enumerate() {
        let at =
            |s: &Spent, bound: Bound| Choice { n: s.n[i], d: s.d[i], k: s.k[i], value: s.value[i], bound };
        let bound = span.bound(common.constraints, best.n[i], best.d[i], best.k[i]);
        *plan = Plan { best: at(&best, bound), chinchilla: at(&other, moved[i]) };
    }
}
