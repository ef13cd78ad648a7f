//! Means of functions of X ~ Beta(a, b), by trapezoidal sums over y = ln(X/(1−X)).
//!
//! They converge geometrically where the integrand is analytic in a strip about the real line, as powers of 1 − sX are.

use crate::special::log_rising_quotient;

/// Steps after which a sum ends in any case.
pub(crate) const MOST: u32 = 200_000;

/// A Beta distribution over y.
pub(crate) struct Logit {
    a: f64,
    b: f64,
    step: f64,
}

impl Logit {
    /// With sums of a step of so many widths of the integrand's peak; their error falls with it as e^(−π²/width) or faster.
    pub fn new(a: f64, b: f64, width: f64) -> Self {
        // The product of density and a power of 1 − sX has a curvature of at most 2a in y at its peak.
        Self { a, b, step: width / (2.0 * a).max(1.0).sqrt() }
    }

    /// Whether the density falls so slowly in y that only an integrand that is 0 at that end can be summed.
    pub fn slow(&self) -> bool {
        self.a < 1.0 || self.b < 1.0
    }

    /// Density in y at its peak X = a/(a+b), times the step; needs a < 1 or b < 1, where ln B(a, b) keeps its digits.
    pub fn density(&self) -> f64 {
        let (a, b) = (self.a, self.b);
        let log_beta = ((a + b) / (a * b)).ln() + log_rising_quotient(1.0, a, b);
        self.step * (-a * (b / a).ln_1p() - b * (a / b).ln_1p() - log_beta).exp()
    }

    /// Density `steps` steps in y from its peak, relative to the peak; X there and 1 − X.
    pub fn at(&self, steps: f64) -> (f64, f64, f64) {
        let (a, b, d) = (self.a, self.b, steps * self.step);
        let (peak, rest) = (a / (a + b), b / (a + b));
        // X/(1 − X) is e^d times that of the peak: one of the two logarithms has no cancellation, and gives the other.
        let (left, right) = if d >= 0.0 {
            let right = (peak * d.exp_m1()).ln_1p();
            (right - d, right)
        } else {
            let left = (rest * (-d).exp_m1()).ln_1p();
            (left, left + d)
        };
        ((-a * left - b * right).exp(), peak * (-left).exp(), rest * (-right).exp())
    }

    /// Means of integrands of X and 1 − X: 0 at X = 0 where a < 1, and at X = 1 where b < 1. To the left of the density's
    /// peak they fall no faster in X than (1 − rate X/k)^k.
    pub fn mean<const N: usize>(&self, rate: f64, integrand: impl Fn(f64, f64) -> [f64; N]) -> [f64; N] {
        let (density, x, y) = self.at(0.0);
        let mut sums = integrand(x, y).map(|value| density * value);
        let mut sizes = sums.map(f64::abs);
        let mut total = density;
        for direction in [-1.0, 1.0] {
            for j in 1..MOST {
                let (density, x, y) = self.at(direction * f64::from(j));
                let values = integrand(x, y);
                total += density;
                let mut negligible = self.slow() || density <= 1e-18 * total;
                for i in 0..N {
                    let term = density * values[i];
                    sums[i] += term;
                    sizes[i] += term.abs();
                    negligible &= term.abs() <= 1e-18 * sizes[i];
                }
                // To the left an integrand may still be rising towards the peak of the product.
                if negligible && (direction > 0.0 || rate * x <= 0.5 * self.a) {
                    break;
                }
            }
        }
        if self.slow() {
            let density = self.density();
            sums.map(|sum| sum * density)
        } else {
            sums.map(|sum| sum / total)
        }
    }
}
