//! pass@k when success probabilities follow a Beta distribution, p ~ Beta(a, b), and the Beta-binomial likelihood.

use crate::logit::Logit;
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

/// ln ν outside this range is held: all problems alike, or each always or never solved.
const LOG_NU: (f64, f64) = (-10.0, 14.0);

/// a and b of the Beta distribution whose pass@1 and pass@k are those given, each as ln(−ln(1 − pass)).
///
/// The first is its mean μ = a/(a+b), the other decides ν = a+b, in which pass@k rises; where no ν gives it, the nearest.
pub fn through(first: f64, kth: f64, k: f64) -> [f64; 2] {
    let hazard = first.exp();
    let (mean, rest) = (-(-hazard).exp_m1(), (-hazard).exp());
    let ab = |log_nu: f64| {
        let nu = log_nu.exp();
        [(mean * nu).max(f64::MIN_POSITIVE), (rest * nu).max(f64::MIN_POSITIVE)]
    };
    // ln(−ln(1 − pass@k)) less what it is to be, and its slope in ln ν.
    let gap = |log_nu: f64| {
        let [a, b] = ab(log_nu);
        let (log_failure, [by_a, by_b, _]) = log_failure_gradient(a, b, k);
        ((-log_failure).ln() - kth, (a * by_a + b * by_b) / log_failure)
    };
    let (mut low, mut high) = LOG_NU;
    let mut log_nu = 0.0;
    for _ in 0..60 {
        let (off, slope) = gap(log_nu);
        if off < 0.0 {
            low = log_nu;
        } else {
            high = log_nu;
        }
        let newton = log_nu - off / slope;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - log_nu).abs() <= 1e-10 || off == 0.0 {
            break;
        }
        log_nu = next;
    }
    ab(log_nu)
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
/// For real k >= 0 and 0 < scale <= 1; NaN outside. A mean over ln(X/(1−X)), see [`Logit`]. Where a < 1 or b < 1 the density
/// falls too slowly there, so the line through the integrand's end values is taken off and its mean added back.
pub fn scaled_failure(a: f64, b: f64, scale: f64, k: f64) -> f64 {
    if !(a > 0.0 && b > 0.0 && scale > 0.0 && scale <= 1.0 && k >= 0.0) {
        return f64::NAN;
    }
    if scale == 1.0 {
        return log_failure(a, b, k).exp();
    }
    let logit = Logit::new(a, b, 0.3);
    let last = (k * (-scale).ln_1p()).exp();
    // What is taken off at X = 0 and at X = 1.
    let (at_0, at_1) = (if a < 1.0 { 1.0 } else { 0.0 }, if b < 1.0 { last } else { 0.0 });
    let remainder = |x: f64, y: f64| {
        let log = if x < 0.5 { k * (-scale * x).ln_1p() } else { k * (1.0 - scale + scale * y).ln() };
        [match (x < 0.5, at_0 > 0.0, at_1 > 0.0) {
            (true, true, _) => log.exp_m1() + (1.0 - at_1) * x,
            (true, false, _) => log.exp() - at_1 * x,
            (false, _, true) => at_1 * (k * log1p(scale * y / (1.0 - scale))).exp_m1() + (at_1 - at_0) * y,
            (false, _, false) => log.exp() - at_0 * y,
        }]
    };
    (at_0 * b + at_1 * a) / (a + b) + logit.mean(k * scale, remainder)[0]
}
