//! pass@k when success probabilities follow a Beta distribution, p ~ Beta(a, b), and the Beta-binomial likelihood.

use crate::special::{log_rising_quotient, log_rising_quotient_gradient, log_rising_quotient_signed, log1p};

/// ln of the probability that k samples all fail: ln B(a, b+k) − ln B(a, b), for real k >= 0 and a, b > 0.
///
/// Relative error about 1e-15 for a, b in [1e-4, 1e6] and k in [0, 1e9]; NaN outside the domain.
#[inline]
pub fn log_failure(a: f64, b: f64, k: f64) -> f64 {
    log_rising_quotient(b, a, k)
}

/// [`log_failure`] with its derivatives in a, b and k.
#[inline]
pub fn log_failure_gradient(a: f64, b: f64, k: f64) -> (f64, [f64; 3]) {
    let (value, [by_b, by_a, by_k]) = log_rising_quotient_gradient(b, a, k);
    (value, [by_a, by_b, by_k])
}

/// pass@k of p ~ Beta(a, b): 1 − B(a, b+k)/B(a, b), for real k >= 0.
#[inline]
pub fn pass_at_k(a: f64, b: f64, k: f64) -> f64 {
    -log_failure(a, b, k).exp_m1()
}

/// ln B(c+a, n−c+b) − ln B(a, b): the Beta-binomial log-likelihood of c successes in n, less ln C(n, c).
///
/// Written as ln((a)_c/(a+b)_c) + ln((b)_m/(a+b+c)_m) with m = n−c and (x)_j the rising factorial: two
/// terms of one sign, so neither large n nor large a, b cancel.
pub fn log_beta_binomial(c: f64, n: f64, a: f64, b: f64) -> f64 {
    log_rising_quotient(a, b, c) + log_rising_quotient(b, a + c, n - c)
}

/// [`log_beta_binomial`] with its derivatives in a and b.
pub fn log_beta_binomial_gradient(c: f64, n: f64, a: f64, b: f64) -> (f64, [f64; 2]) {
    let (first, [first_a, first_b, _]) = log_rising_quotient_gradient(a, b, c);
    let (second, [second_b, second_a, _]) = log_rising_quotient_gradient(b, a + c, n - c);
    (first + second, [first_a + second_a, first_b + second_b])
}

/// Expected samples until the first success, stopping after `k_max` (a whole number): Σ_{j<k_max} failure(j).
///
/// With k = `k_max` the sum is ((a+b+k−1)·failure(k) − (a+b−1))/(1−a). Two terms taken out, the rest becomes
/// (b+1)·expm1(log F(b+2; a−1, k−2))/(1−a), which keeps its digits through a = 1 and for small a and b. For infinite
/// `k_max` the sum is (a+b−1)/(a−1), or infinite where a <= 1.
pub fn expected_samples(a: f64, b: f64, k_max: f64) -> f64 {
    if !(a > 0.0 && b > 0.0 && k_max >= 0.0) {
        return f64::NAN;
    }
    if k_max <= 1.0 {
        return k_max;
    }
    if k_max == f64::INFINITY {
        return if a > 1.0 { 1.0 + b / (a - 1.0) } else { f64::INFINITY };
    }
    let rest = if a == 1.0 {
        -log_rising_quotient_gradient(b + 2.0, 0.0, k_max - 2.0).1[1]
    } else {
        log_rising_quotient_signed(b + 2.0, a - 1.0, k_max - 2.0).exp_m1() / (1.0 - a)
    };
    1.0 + b / (a + b) * (1.0 + (b + 1.0) * rest)
}

/// The probability that k samples all fail when p = scale·X, X ~ Beta(a, b): E(1 − scale·X)^k = 2F1(−k, a; a+b; scale).
///
/// For real k >= 0 and 0 < scale <= 1; NaN outside. Trapezoidal sums over y = ln(X/(1−X)), which converge
/// geometrically because the integrand is analytic in a strip about the real line. Where a < 1 or b < 1 the density falls
/// too slowly in y, so the line through the integrand's end values is taken off and its mean added back.
pub fn scaled_failure(a: f64, b: f64, scale: f64, k: f64) -> f64 {
    if !(a > 0.0 && b > 0.0 && scale > 0.0 && scale <= 1.0 && k >= 0.0) {
        return f64::NAN;
    }
    if scale == 1.0 {
        return log_failure(a, b, k).exp();
    }
    let scaled = Scaled::new(a, b, scale, k);
    let (sum, total) = scaled.integrate();
    let [at_0, at_1] = scaled.ends;
    (at_0 * b + at_1 * a) / (a + b) + if scaled.weak() { sum * scaled.density() } else { sum / total }
}

struct Scaled {
    a: f64,
    b: f64,
    scale: f64,
    k: f64,
    /// What is taken off at X = 0 and at X = 1: the integrand there, or nothing where the density falls fast.
    ends: [f64; 2],
    step: f64,
}

impl Scaled {
    fn new(a: f64, b: f64, scale: f64, k: f64) -> Scaled {
        let last = (k * (-scale).ln_1p()).exp();
        let ends = [if a < 1.0 { 1.0 } else { 0.0 }, if b < 1.0 { last } else { 0.0 }];
        // The product of density and (1−scale·X)^k has a curvature of at most 2a in y at its peak.
        Scaled { a, b, scale, k, ends, step: 0.3 / (2.0 * a).max(1.0).sqrt() }
    }

    /// Density in y at its peak X = a/(a+b), times the step; needs a < 1 or b < 1, where ln B(a, b) keeps its digits.
    fn density(&self) -> f64 {
        let (a, b) = (self.a, self.b);
        let log_beta = ((a + b) / (a * b)).ln() + log_rising_quotient(1.0, a, b);
        self.step * (-a * (b / a).ln_1p() - b * (a / b).ln_1p() - log_beta).exp()
    }

    /// Density at distance d in y from its peak, relative to the peak; and what remains of the integrand there.
    fn at(&self, d: f64) -> (f64, f64, f64) {
        let Scaled { a, b, scale, k, ends: [at_0, at_1], .. } = *self;
        let (peak, rest) = (a / (a + b), b / (a + b));
        let (left, right) = ((rest * (-d).exp_m1()).ln_1p(), (peak * d.exp_m1()).ln_1p());
        let (x, y) = (peak * (-left).exp(), rest * (-right).exp());
        let log = if x < 0.5 { k * (-scale * x).ln_1p() } else { k * (1.0 - scale + scale * y).ln() };
        let remainder = match (x < 0.5, at_0 > 0.0, at_1 > 0.0) {
            (true, true, _) => log.exp_m1() + (1.0 - at_1) * x,
            (true, false, _) => log.exp() - at_1 * x,
            (false, _, true) => at_1 * (k * log1p(scale * y / (1.0 - scale))).exp_m1() + (at_1 - at_0) * y,
            (false, _, false) => log.exp() - at_0 * y,
        };
        ((-a * left - b * right).exp(), remainder, x)
    }

    /// Whether the density falls so slowly in y that only the integrand with its ends taken off can be summed.
    fn weak(&self) -> bool {
        self.a < 1.0 || self.b < 1.0
    }

    /// Σ density·remainder and Σ density over a grid in y, outwards from the density's peak.
    fn integrate(&self) -> (f64, f64) {
        let (density, remainder, _) = self.at(0.0);
        let (mut sum, mut total, mut size) = (density * remainder, density, (density * remainder).abs());
        for direction in [-1.0, 1.0] {
            for j in 1.. {
                let (density, remainder, x) = self.at(direction * f64::from(j) * self.step);
                let term = density * remainder;
                sum += term;
                total += density;
                size += term.abs();
                // To the left the factor (1−scale·X)^k may still be rising towards the peak of the product.
                let past_peak = direction > 0.0 || self.k * self.scale * x <= 0.5 * self.a;
                let negligible = term.abs() <= 1e-18 * size && (self.weak() || density <= 1e-18 * total);
                if past_peak && negligible {
                    break;
                }
            }
        }
        (sum, total)
    }
}
