//! logit p ~ N(m, s²): the likelihood of counts and pass@k, by the trapezoidal rule in logit p.
//!
//! Both integrands are analytic in a strip about the real line, so the rule converges geometrically. It does better
//! than Gauss-Hermite here, whose polynomials the cut-off at p = 1/n does not resemble, and its nodes do not move with
//! m and s: what depends on the counts is computed once.

/// Distance of nodes in logit p, at most.
const STEP: f64 = 0.2;
/// Logits beyond which no node lies; a problem without a success is as likely at any p far below 1/n.
const RANGE: (f64, f64) = (-60.0, 40.0);
/// ln of what is dropped of the likelihood, relative to its peak.
const NEGLIGIBLE: f64 = -40.0;

/// ln(1 + e^x).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// p^c (1−p)^(n−c) along a grid of logits, relative to its largest value.
pub struct Nodes {
    first: f64,
    step: f64,
    /// ln of the largest value.
    peak: f64,
    values: Vec<f64>,
}

impl Nodes {
    /// For n >= 1 and 0 <= c <= n.
    pub fn new(n: f64, c: f64) -> Self {
        let wrong = n - c;
        let log = |x: f64| -c * softplus(-x) - wrong * softplus(x);
        // Standard deviation of the likelihood in logit p; where c = 0 or c = n it is a step of width 1.
        let step = if c > 0.0 && wrong > 0.0 { STEP.min(0.5 * (n / (c * wrong)).sqrt()) } else { STEP };
        let (centre, peak) = if c == 0.0 {
            (RANGE.0, 0.0)
        } else if wrong == 0.0 {
            (RANGE.1, 0.0)
        } else {
            let centre = (c / wrong).ln();
            (centre, log(centre))
        };
        let out = |direction: f64| {
            (1u32..)
                .map(move |j| centre + direction * f64::from(j) * step)
                .take_while(|&x| (RANGE.0..=RANGE.1).contains(&x) && log(x) - peak > NEGLIGIBLE)
                .map(|x| (log(x) - peak).exp())
        };
        let mut values: Vec<f64> = out(-1.0).collect();
        let first = centre - step * values.len() as f64;
        values.reverse();
        values.push((log(centre) - peak).exp());
        values.extend(out(1.0));
        Self { first, step, peak, values }
    }

    /// ln of the mean of p^c (1−p)^(n−c), and its slopes in m and ln s.
    pub fn log_p(&self, m: f64, s: f64) -> (f64, [f64; 2]) {
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        let (start, step) = ((self.first - m) / s, self.step / s);
        for (j, value) in self.values.iter().enumerate() {
            let z = start + step * j as f64;
            let weight = value * (-0.5 * z * z).exp();
            sum += weight;
            first += weight * z;
            second += weight * z * z;
        }
        if sum < 1e-290 {
            // The likelihood's peak stands for the whole: the prior is many standard deviations away.
            let x = self.first + self.step * self.highest() as f64;
            let z = (x - m) / s;
            return (self.peak - 0.5 * z * z - s.ln() + self.step.ln(), [z / s, z * z - 1.0]);
        }
        let log = self.peak + (sum * step / (2.0 * std::f64::consts::PI).sqrt()).ln();
        (log, [first / sum / s, second / sum - 1.0])
    }

    fn highest(&self) -> usize {
        self.values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(j, _)| j)
    }
}

/// Mean of 1 − (1−p)^k, for real k >= 0.
pub fn pass_at_k(m: f64, s: f64, k: f64) -> f64 {
    if !(m.is_finite() && s > 0.0 && s.is_finite() && k >= 0.0) {
        return f64::NAN;
    }
    let step = STEP.min(0.5 * s);
    let reach = (9.0 * s / step).ceil() as i64;
    let (mut sum, mut total) = (0.0, 0.0);
    for j in -reach..=reach {
        let d = step * j as f64;
        let weight = (-0.5 * (d / s) * (d / s)).exp();
        total += weight;
        sum -= weight * (-k * softplus(m + d)).exp_m1();
    }
    sum / total
}
