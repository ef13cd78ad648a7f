//! The best N along a budget line: spend both budgets, and one dimension is left.
//!
//! With x = ln N, ln D = min(ln(C_train/6) − x, ln D_max) and ln k = min(ln(C_inf/2) − x, ln k_max), or k fixed. The law
//! along x is smooth but for two corners, x = ln(C_train/(6 D_max)) and ln(C_inf/(2 k_max)), left of which tokens, or
//! samples, no longer move.

use super::failures::Failures;
use super::scalar::root;
use crate::beta;
use crate::laws::{Law, Link, theta};

/// Points of a scan. Of 40,000 random laws from N = 1 on, with exponents up to 2 and theta1 up to 100, 64 points lose the
/// best optimum of none, 48 and 32 that of one each, 16 of 15; of laws as they are fitted 16 lose none either.
const SCAN: usize = 64;
/// How much closer than in a scan three points are, from the vertex of which the slope is followed.
const NEARER: f64 = 0.02;
/// Length in ln N of a secant's last step that leaves no error above [`TOLERANCE`].
const SETTLED: f64 = 1e-8;
/// Accuracy in ln N.
const TOLERANCE: f64 = 1e-12;

/// What the slopes of a law are made of, taken once for all budgets: ln αA, ln βB and ln γG, with the exponents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slopes {
    pub falling: (f64, f64),
    pub tokens: (f64, f64),
    pub samples: (f64, f64),
}

impl Slopes {
    pub fn new(law: Law, params: &[f64]) -> Self {
        let (alpha, beta) = if law == Law::Loss { (params[4], params[5]) } else { (params[3], params[4]) };
        let samples = if law == Law::Loss { ((params[6] * params[3]).ln(), params[6]) } else { NONE };
        Self { falling: ((alpha * params[1]).ln(), alpha), tokens: ((beta * params[2]).ln(), beta), samples }
    }

    /// ln N that minimises the training loss under 6ND = C (Hoffmann et al. 2022, equation 4).
    pub fn chinchilla(&self, log_train: f64) -> f64 {
        balance(self.falling, rising(self.tokens, log_train), NONE)
    }
}

/// The term c/r^γ as one of N, where r = e^log_budget/N.
fn rising((log, gamma): (f64, f64), log_budget: f64) -> (f64, f64) {
    (log - gamma * log_budget, gamma)
}

/// A law with its budgets, as a function of ln N alone.
pub(super) struct Line<'a> {
    pub law: Law,
    pub params: &'a [f64],
    pub slopes: &'a Slopes,
    /// ln(C_train/6).
    pub log_train: f64,
    /// ln(C_inf/2); not used where k is fixed or the law has none.
    pub log_inference: f64,
    /// ln D_max, or infinity.
    pub log_most_tokens: f64,
    /// ln k_max, or infinity.
    pub log_most_samples: f64,
    /// k where it does not follow from N.
    pub fixed_k: Option<f64>,
}

impl Line<'_> {
    /// ln N below which D stays at its maximum.
    pub fn corner(&self) -> f64 {
        self.log_train - self.log_most_tokens
    }

    /// ln N below which k stays at its maximum, or at what it is fixed to.
    fn sample_corner(&self) -> f64 {
        if self.fixed_k.is_some() { f64::INFINITY } else { self.log_inference - self.log_most_samples }
    }

    /// Visits the local optima of the law in [lo, hi] with (ln N, objective to minimise).
    pub fn optima(&self, lo: f64, hi: f64, mut visit: impl FnMut(f64, f64)) {
        match self.law {
            // Convex, so one optimum.
            Law::Chinchilla | Law::Loss => visit(self.power_sum_optimum(lo, hi), 0.0),
            Law::Accuracy | Law::Counts | Law::Direct => {
                // Between two corners the line is smooth.
                let mut corners = [self.corner(), self.sample_corner()].map(|corner| corner.clamp(lo, hi));
                corners.sort_by(f64::total_cmp);
                let [first, second] = corners;
                for (from, to) in [(lo, first), (first, second), (second, hi)] {
                    if to > from {
                        self.scan(from, to, &mut visit);
                    }
                }
                if hi <= lo {
                    self.scan(lo, hi, &mut visit);
                }
            }
        }
    }

    /// The best ln N in [lo, hi].
    pub fn optimum(&self, lo: f64, hi: f64) -> f64 {
        let mut best = (lo, f64::INFINITY);
        self.optima(lo, hi, |x, objective| {
            if objective < best.1 {
                best = (x, objective);
            }
        });
        best.0
    }

    /// Where the falling term of a sum of powers of N balances its rising ones, within [lo, hi]. Convex in ln N, so the
    /// optimum is in the rightmost stretch between corners from whose left end the sum still falls.
    fn power_sum_optimum(&self, lo: f64, hi: f64) -> f64 {
        let Slopes { falling, tokens, samples } = *self.slopes;
        let tokens = (self.corner(), rising(tokens, self.log_train));
        // Without a k that follows from N there is no such term, nor a budget to take the logarithm of.
        let samples = if self.fixed_k.is_none() && samples.0 > f64::NEG_INFINITY {
            (self.sample_corner(), rising(samples, self.log_inference))
        } else {
            (f64::NEG_INFINITY, NONE)
        };
        let (early, late) = if tokens.0 <= samples.0 { (tokens, samples) } else { (samples, tokens) };
        let right = balance(falling, tokens.1, samples.1);
        if right > late.0 {
            return right.clamp(lo, hi);
        }
        let middle = balance(falling, early.1, NONE).min(late.0);
        if middle > early.0 {
            return middle.clamp(lo, hi);
        }
        balance(falling, NONE, NONE).min(early.0).clamp(lo, hi)
    }

    /// ln of the failure probability, which orders choices as pass@k does and still does where that rounds to 1.
    pub fn failure(&self, x: f64) -> f64 {
        let (latent, ..) = self.law.latent(self.params, x, self.log_tokens(x));
        let [a, b] = Link::new(&theta(self.params), latent).ab;
        let value = beta::log_failure(a, b, self.k(x));
        if value.is_nan() { f64::INFINITY } else { value }
    }

    /// What a plan makes small at many ln N: the law's loss, or [`Self::failure`] to a few units in the last place.
    pub fn costs(&self, log_n: &[f64], out: &mut [f64]) {
        if !self.law.maximised() {
            let loss = |x| self.law.slope(self.params, x, self.log_tokens(x), self.log_samples(x)).value;
            return out.iter_mut().zip(log_n).for_each(|(cost, &x)| *cost = loss(x));
        }
        let samples = match self.fixed_k {
            Some(k) => (f64::INFINITY, k.ln()),
            None => (self.log_inference, self.log_most_samples),
        };
        let tokens = (self.log_train, self.log_most_tokens);
        Failures { params: self.params, tokens, samples }.fill(log_n, out);
        for (cost, &x) in out.iter_mut().zip(log_n) {
            if cost.is_nan() {
                *cost = self.failure(x);
            }
        }
    }

    /// The slope of [`Self::failure`] where tokens and samples move or stay as they do at `middle`.
    fn failure_slope(&self, x: f64, middle: f64) -> f64 {
        let (latent, by_n, by_d) = self.law.latent(self.params, x, self.log_tokens(x));
        let link = Link::new(&theta(self.params), latent);
        let k = self.k(x);
        let (_, [by_a, by_b, by_k]) = beta::log_failure_gradient(link.ab[0], link.ab[1], k);
        let through_training = (by_a * link.latent[0] + by_b * link.latent[1])
            * (by_n - if middle > self.corner() { by_d } else { 0.0 });
        through_training - if middle > self.sample_corner() { by_k * k } else { 0.0 }
    }

    /// ln D.
    pub fn log_tokens(&self, x: f64) -> f64 {
        (self.log_train - x).min(self.log_most_tokens)
    }

    /// ln k where it follows from N.
    pub fn log_samples(&self, x: f64) -> f64 {
        (self.log_inference - x).min(self.log_most_samples)
    }

    fn k(&self, x: f64) -> f64 {
        self.fixed_k.unwrap_or_else(|| self.log_samples(x).exp())
    }

    /// Scans a smooth stretch of the line and polishes every local optimum by a root of the slope.
    fn scan(&self, lo: f64, hi: f64, visit: &mut impl FnMut(f64, f64)) {
        let step = (hi - lo) / (SCAN - 1) as f64;
        let at = |i: usize| if i + 1 == SCAN { hi } else { lo + step * i as f64 };
        if hi - lo <= TOLERANCE {
            return visit(lo, self.failure(lo));
        }
        let middle = 0.5 * (lo + hi);
        let places: [f64; SCAN] = std::array::from_fn(at);
        let mut values = [0.0; SCAN];
        self.costs(&places, &mut values);
        for i in 0..SCAN {
            let left = if i == 0 { f64::INFINITY } else { values[i - 1] };
            let right = if i + 1 == SCAN { f64::INFINITY } else { values[i + 1] };
            if !(values[i] < left && values[i] <= right) {
                continue;
            }
            visit(at(i), values[i]);
            if let Some(x) = self.settled(at(i), step, [left, values[i], right], middle) {
                visit(x, self.failure(x));
                continue;
            }
            let slope = self.failure_slope(at(i), middle);
            let downhill = if slope < 0.0 { i + 1 } else { i.wrapping_sub(1) };
            if slope != 0.0 && slope.is_finite() && downhill < SCAN {
                let x = self.polish((at(i), values[i], slope), at(downhill), middle);
                visit(x, self.failure(x));
            }
        }
    }

    /// The bottom about x, with the failures a step to its left, there and a step to its right: the vertex of their
    /// parabola, that of three points close to it, and two steps of the slope; `None` where these do not settle, and at
    /// the ends of a stretch.
    fn settled(&self, x: f64, step: f64, around: [f64; 3], stretch: f64) -> Option<f64> {
        let vertex = |x: f64, step: f64, [left, here, right]: [f64; 3]| {
            let bend = (left - 2.0 * here + right) / (step * step);
            (x - (right - left) / (2.0 * step * bend), bend)
        };
        let (near, _) = vertex(x, step, around);
        if near.is_nan() || (near - x).abs() >= step {
            return None;
        }
        let (closer, mut values) = (NEARER * step, [0.0; 3]);
        self.costs(&[near - closer, near, near + closer], &mut values);
        let (first, bend) = vertex(near, closer, values);
        let slope = self.failure_slope(first, stretch);
        let second = first - slope / bend;
        let next = self.failure_slope(second, stretch);
        // Errors of a secant multiply: where its step is short, what it leaves is shorter by far.
        let last = if next == 0.0 { 0.0 } else { next * (second - first) / (next - slope) };
        let found = second - last;
        (bend > 0.0 && last.abs() <= SETTLED && (found - near).abs() < step).then_some(found)
    }

    /// From a point going downhill toward `end`, which is no lower, to the bottom in between.
    fn polish(&self, start: (f64, f64, f64), end: f64, stretch: f64) -> f64 {
        let (mut x, mut value, mut slope) = start;
        let mut end = end;
        let mut end_slope = self.failure_slope(end, stretch);
        while end_slope * slope > 0.0 && (end - x).abs() > TOLERANCE {
            let middle = 0.5 * (x + end);
            let (there, rate) = (self.failure(middle), self.failure_slope(middle, stretch));
            if rate * slope > 0.0 && there < value {
                (x, value, slope) = (middle, there, rate);
            } else {
                (end, end_slope) = (middle, rate);
            }
        }
        root(|x| self.failure_slope(x, stretch), (x, slope), (end, end_slope))
    }
}

/// A term that is missing.
const NONE: (f64, f64) = (f64::NEG_INFINITY, 0.0);

/// x with e^(falling − αx) = Σ e^(tᵢ + γᵢ x) over two rising terms (tᵢ, γᵢ): ±infinity where a side is missing.
///
/// In logarithms the equation is h(x) = ln Σ e^(tᵢ + γᵢ x) + αx − falling = 0, where h rises, is convex and nearly
/// straight. Either term alone gives a point right of the root, the nearer a good start; Halley's steps, cubic, do the
/// rest.
fn balance((falling, alpha): (f64, f64), first: (f64, f64), second: (f64, f64)) -> f64 {
    if falling == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    let alone = |(t, gamma): (f64, f64)| (falling - t) / (alpha + gamma);
    let mut x = alone(first).min(alone(second));
    if first.0 == f64::NEG_INFINITY || second.0 == f64::NEG_INFINITY {
        return x;
    }
    // A step e leaves an error of the order of left·e³: the slope of h is at least α + min γᵢ, its second derivative
    // at most (γ₁ − γ₂)²/4, its third a tenth of |γ₁ − γ₂|³.
    let gap = (first.1 - second.1).abs();
    let least = alpha + first.1.min(second.1);
    let left = (gap * gap / (8.0 * least)).powi(2) + gap * gap * gap / (60.0 * least);
    for _ in 0..60 {
        let (u, v) = (first.0 + first.1 * x, second.0 + second.1 * x);
        let small = (-(u - v).abs()).exp();
        let major = 1.0 / (1.0 + small);
        let minor = small * major;
        let (of_first, of_second) = if u > v { (major, minor) } else { (minor, major) };
        let h = u.max(v) + small.ln_1p() + alpha * x - falling;
        let slope = of_first * first.1 + of_second * second.1 + alpha;
        let bend = gap * gap * major * minor;
        let step = h * slope / (slope * slope - 0.5 * h * bend);
        x -= step;
        if left * (step * step * step).abs() <= 0.1 * TOLERANCE || step.is_nan() {
            break;
        }
    }
    x
}
