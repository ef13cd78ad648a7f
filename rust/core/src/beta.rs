//! pass@k when success probabilities follow a Beta distribution, p ~ Beta(a, b), and the Beta-binomial likelihood.

use crate::special::{log_rising_quotient, log_rising_quotient_gradient};

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
