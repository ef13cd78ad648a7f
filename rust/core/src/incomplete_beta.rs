//! The regularised incomplete beta function and its inverse, for confidence limits.

use crate::special::log_rising_quotient;

/// I_x(a, b), the probability that X ~ Beta(a, b) is at most x. For a, b > 0 and 0 <= x <= 1, else NaN.
///
/// Continued fraction on the side where it converges; relative error about 1e-13 for a, b up to 1e4, growing
/// in proportion to them beyond.
pub fn regularised(x: f64, a: f64, b: f64) -> f64 {
    if !(a > 0.0 && b > 0.0 && (0.0..=1.0).contains(&x)) {
        return f64::NAN;
    }
    if x == 0.0 || x == 1.0 {
        return x;
    }
    // 1/(a B(a, b)) = (a+b)/... through Γ(a+1)Γ(b+1)/Γ(a+b+1) = exp log F(1; a, b).
    let front = (a * x.ln() + b * (-x).ln_1p() - log_rising_quotient(1.0, a, b)).exp() * (a * b / (a + b));
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of I_x(a, b), by the modified Lentz method.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..100_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        value *= c * d;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

/// The x with I_x(a, b) = probability, by bisection to the last bit. For a, b > 0 and 0 <= probability <= 1, else NaN.
pub fn quantile(probability: f64, a: f64, b: f64) -> f64 {
    if !(a > 0.0 && b > 0.0 && (0.0..=1.0).contains(&probability)) {
        return f64::NAN;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > 1e-15 * high {
        // Halving in the logarithm while the bounds are far apart reaches quantiles near zero.
        let middle = if low == 0.0 && high < 1e-3 { high * 1e-3 } else { 0.5 * (low + high) };
        if middle <= low || middle >= high {
            break;
        }
        if regularised(middle, a, b) < probability {
            low = middle;
        } else {
            high = middle;
        }
        if high < 1e-300 {
            return 0.0;
        }
    }
    0.5 * (low + high)
}
