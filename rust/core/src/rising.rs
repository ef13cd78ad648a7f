//! Sums over counts of what Beta-binomial likelihoods are made of: Σ w ln Γ(x+m)/Γ(x) and its first two derivatives in x.
//!
//! A likelihood is evaluated at one x and hundreds of m, thousands of times, so what belongs to x is computed once, and m
//! that occur together carry a weight. Errors are relative to the sum, not to what is left where three such sums cancel:
//! a few units of 1e-16 times n ln n, far below any difference in likelihood that matters.

/// Where Stirling's series, cut after seven terms, has a relative remainder below 1e-15.
const ASYMPTOTIC: f64 = 12.0;

/// Σ w ln Γ(x+m)/Γ(x), with its first and second derivative in x.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rising {
    /// The sum.
    pub value: f64,
    /// Σ w (ψ(x+m) − ψ(x)).
    pub slope: f64,
    /// Σ w (ψ'(x+m) − ψ'(x)).
    pub bend: f64,
}

/// What lnΓ, ψ and ψ' at y >= 12 add to (y − ½) ln y − y, ln y and 0.
#[inline]
fn stirling(y: f64) -> Rising {
    let u = 1.0 / y;
    let w = u * u;
    // Bernoulli numbers B_2m over 2m(2m − 1), 2m and 1, in powers of 1/y².
    let value = u
        * (1.0 / 12.0
            - w * (1.0 / 360.0
                - w * (1.0 / 1260.0
                    - w * (1.0 / 1680.0 - w * (1.0 / 1188.0 - w * (691.0 / 360_360.0 - w / 156.0))))));
    let slope = -0.5 * u
        - w * (1.0 / 12.0
            - w * (1.0 / 120.0
                - w * (1.0 / 252.0
                    - w * (1.0 / 240.0 - w * (1.0 / 132.0 - w * (691.0 / 32_760.0 - w / 12.0))))));
    let bend = u
        + 0.5 * w
        + u * w
            * (1.0 / 6.0
                - w * (1.0 / 30.0
                    - w * (1.0 / 42.0
                        - w * (1.0 / 30.0 - w * (5.0 / 66.0 - w * (691.0 / 2730.0 - w * 7.0 / 6.0))))));
    Rising { value, slope, bend }
}

/// lnΓ (less ½ ln 2π), ψ and ψ' at y > 0, moved up to where the series holds.
#[inline]
fn gamma(y: f64) -> Rising {
    let (mut y, mut product, mut slope, mut bend) = (y, 1.0, 0.0, 0.0);
    while y < ASYMPTOTIC {
        let u = 1.0 / y;
        product *= y;
        slope += u;
        bend += u * u;
        y += 1.0;
    }
    let (rest, log) = (stirling(y), y.ln());
    // Most y are large already, and a logarithm costs as much as all the rest.
    let moved = if product == 1.0 { 0.0 } else { f64::ln(product) };
    Rising {
        value: (y - 0.5) * log - y + rest.value - moved,
        slope: log + rest.slope - slope,
        bend: rest.bend + bend,
    }
}

/// The sums at x > 0 over (m, w) with m >= 0.
pub fn rising(x: f64, counts: &[(f64, f64)]) -> Rising {
    let mut sum = Rising::default();
    let mut add = |w: f64, value: f64, slope: f64, bend: f64| {
        sum.value += w * value;
        sum.slope += w * slope;
        sum.bend += w * bend;
    };
    if x < ASYMPTOTIC {
        let from = gamma(x);
        for &(m, w) in counts {
            let to = gamma(x + m);
            add(w, to.value - from.value, to.slope - from.slope, to.bend - from.bend);
        }
    } else {
        // Logarithms of a quotient instead of a difference of logarithms: x may be far above m.
        let from = stirling(x);
        for &(m, w) in counts {
            let (to, log) = (stirling(x + m), (m / x).ln_1p());
            let value = (x - 0.5) * log + m * (x + m).ln() - m + to.value - from.value;
            add(w, value, log + to.slope - from.slope, to.bend - from.bend);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_products_of_whole_numbers() {
        // Γ(x+m)/Γ(x) = x (x+1) … (x+m−1).
        for x in [1e-60, 1e-4, 0.3, 5.0, 11.5, 12.0, 400.0, 1e6, 1e12] {
            for m in [0u32, 1, 2, 5, 11, 30, 1000] {
                let factors = (0..m).map(|i| x + f64::from(i));
                let value: f64 = factors.clone().map(f64::ln).sum();
                let slope: f64 = factors.clone().map(|f| 1.0 / f).sum();
                let bend: f64 = -factors.map(|f| 1.0 / (f * f)).sum::<f64>();
                let sum = rising(x, &[(f64::from(m), 1.5)]);
                let close = |found: f64, expected: f64, scale: f64| {
                    assert!((found - 1.5 * expected).abs() <= 1e-13 * scale, "{x} {m} {sum:?} {expected}");
                };
                close(sum.value, value, value.abs().max(x.ln().abs()).max(10.0));
                close(sum.slope, slope, slope.abs().max(1.0 / x));
                close(sum.bend, bend, bend.abs().max(1.0 / x));
            }
        }
    }
}
