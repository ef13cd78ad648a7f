//! Sums over counts of what Beta-binomial likelihoods are made of: Σ w ln Γ(x+m)/Γ(x) and its first two derivatives in x.
//!
//! A likelihood is evaluated at one x and hundreds of m, thousands of times. Γ(x+m)/Γ(x) is a product over the steps from
//! each m to the next larger one, so that steps are what is summed over, weighted by all m beyond: short ones are
//! multiplied out, long ones are differences of Stirling's series. Errors are relative to the sum, not to what is left
//! where three such sums cancel: a few units of 1e-16 times n ln n, far below any difference in likelihood that matters.

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
    let to = whole(y, stirling(y));
    Rising { value: to.value - f64::ln(product), slope: to.slope - slope, bend: to.bend + bend }
}

/// Whole steps from one m to the next that are multiplied out rather than bridged by two series.
const FEW: f64 = 12.0;
/// Largest x at which they are: a product of so many factors does not overflow.
const FACTOR: f64 = 1e20;

/// The next larger m of a sum.
#[derive(Clone, Copy, Debug)]
struct Step {
    from: f64,
    gap: f64,
    /// Weight of all m from here on: each of their terms has the factors between `from` and `from + gap`.
    weight: f64,
}

/// Numbers m > 0 with weights w, to sum over.
#[derive(Clone, Debug)]
pub struct Counts {
    steps: Vec<Step>,
}

impl Counts {
    /// Equal numbers are added up; those of 0 add nothing to any sum.
    pub fn new(values: impl Iterator<Item = (f64, f64)>) -> Self {
        let mut values: Vec<(f64, f64)> = values.filter(|&(m, _)| m > 0.0).collect();
        values.sort_by(|x, y| x.0.total_cmp(&y.0));
        let mut left: f64 = values.iter().map(|v| v.1).sum();
        let (mut steps, mut from) = (Vec::<Step>::with_capacity(values.len()), 0.0);
        for (m, w) in values {
            if m > from {
                steps.push(Step { from, gap: m - from, weight: left });
                from = m;
            }
            left -= w;
        }
        Self { steps }
    }

    /// Σ w m.
    pub fn total(&self) -> f64 {
        self.steps.iter().map(|step| step.weight * step.gap).sum()
    }

    /// The sums at x > 0.
    pub fn rising(&self, x: f64) -> Rising {
        let mut sum = Rising::default();
        // The series at the last m that needed one: most often where the next one begins.
        let mut last: Option<(f64, Rising)> = None;
        for step in &self.steps {
            let y = x + step.from;
            let Rising { value, slope, bend } = if step.gap <= FEW && step.gap.fract() == 0.0 && y < FACTOR {
                product(y, step.gap as usize)
            } else {
                let from = match last {
                    Some((at, known)) if at == step.from => known,
                    _ => series(y),
                };
                let to = series(y + step.gap);
                last = Some((step.from + step.gap, to));
                between(y, from, step.gap, to)
            };
            sum.value += step.weight * value;
            sum.slope += step.weight * slope;
            sum.bend += step.weight * bend;
        }
        sum
    }
}

/// Of one m that is a small whole number: y (y + 1) … (y + m − 1).
#[inline]
fn product(y: f64, m: usize) -> Rising {
    let (mut product, mut slope, mut bend) = (1.0, 0.0, 0.0);
    for i in 0..m {
        let factor = y + i as f64;
        let u = 1.0 / factor;
        product *= factor;
        slope += u;
        bend -= u * u;
    }
    Rising { value: f64::ln(product), slope, bend }
}

/// [`gamma`] below [`ASYMPTOTIC`], [`stirling`] from there on.
#[inline]
fn series(y: f64) -> Rising {
    if y < ASYMPTOTIC { gamma(y) } else { stirling(y) }
}

/// Of one m, from the series at y and y + m.
#[inline]
fn between(y: f64, from: Rising, m: f64, to: Rising) -> Rising {
    if y < ASYMPTOTIC {
        let to = if y + m < ASYMPTOTIC { to } else { whole(y + m, to) };
        return Rising {
            value: to.value - from.value,
            slope: to.slope - from.slope,
            bend: to.bend - from.bend,
        };
    }
    // Logarithms of a quotient instead of a difference of logarithms: y may be far above m.
    let log = (m / y).ln_1p();
    Rising {
        value: (y - 0.5) * log + m * (y + m).ln() - m + to.value - from.value,
        slope: log + to.slope - from.slope,
        bend: to.bend - from.bend,
    }
}

/// [`gamma`] from [`stirling`].
#[inline]
fn whole(y: f64, rest: Rising) -> Rising {
    let log = y.ln();
    Rising { value: (y - 0.5) * log - y + rest.value, slope: log + rest.slope, bend: rest.bend }
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
                let sum = Counts::new(std::iter::once((f64::from(m), 1.5))).rising(x);
                let close = |found: f64, expected: f64, scale: f64| {
                    assert!((found - 1.5 * expected).abs() <= 1e-13 * scale, "{x} {m} {sum:?} {expected}");
                };
                close(sum.value, value, value.abs().max(x.ln().abs()).max(10.0));
                close(sum.slope, slope, slope.abs().max(1.0 / x));
                close(sum.bend, bend, bend.abs().max(1.0 / x));
            }
        }
    }

    #[test]
    fn sums_over_many_are_sums_of_factors() {
        let numbers = [3.0, 0.0, 1.0, 128.0, 127.0, 3.0, 40.0, 41.0, 55.0, 2000.0, 2008.0, 3000.0];
        let each: Vec<(f64, f64)> = numbers.into_iter().zip((1..).map(|w| 0.5 * f64::from(w))).collect();
        let counts = Counts::new(each.iter().copied());
        let total: f64 = each.iter().map(|(m, w)| m * w).sum();
        assert!((counts.total() / total - 1.0).abs() < 1e-14);
        for x in [1e-100, 1e-3, 0.7, 8.0, 30.0, 1e5, 1e19, 1e21] {
            let (mut value, mut slope, mut bend) = (0.0, 0.0, 0.0);
            // From the smallest terms on, or rounding eats them.
            for i in (0..3000).rev() {
                let (i, factor) = (f64::from(i), x + f64::from(i));
                let weight: f64 = each.iter().filter(|(m, _)| *m > i).map(|(_, w)| w).sum();
                value += weight * factor.ln();
                slope += weight / factor;
                bend -= weight / (factor * factor);
            }
            let sum = counts.rising(x);
            for (found, expected) in [(sum.value, value), (sum.slope, slope), (sum.bend, bend)] {
                // Far above all m, differences of ψ and ψ' are lost in them.
                assert!(
                    (found - expected).abs() <= 1e-12 * expected.abs().max(1.0 / x),
                    "{x} {found} {expected}"
                );
            }
        }
    }
}
