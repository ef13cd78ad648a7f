//! The zero-inflated Beta-binomial of counts: a share of the problems has success probabilities p ~ Beta(a, b),
//! the others are never solved. Fitted by maximum likelihood, with a bootstrap over clusters of problems.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::beta::log_beta_binomial_gradient;
use crate::levenberg::{self, Minimum, Model, Stop};
use crate::random::mix;
use crate::special::trigamma;

/// Bounds of a and b.
pub const BOUNDS: (f64, f64) = (1e-4, 1e6);
/// Bounds of the share's logit: as near to 0 and 1 as doubles tell apart.
const LOGIT: (f64, f64) = (-36.0, 36.0);

/// A distribution of success probabilities over problems.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZeroInflated {
    /// Share of problems that can be solved at all.
    pub share: f64,
    /// First Beta parameter.
    pub a: f64,
    /// Second Beta parameter.
    pub b: f64,
}

/// A maximum of the likelihood, or where the search for it ended.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The parameters.
    pub law: ZeroInflated,
    /// Sum over problems of the log-likelihood less ln C(n, c).
    pub log_likelihood: f64,
    /// Whether the gradient vanished.
    pub converged: bool,
}

/// Problems of equal counts: n, c, and how many there are.
struct Group {
    n: f64,
    c: f64,
    weight: f64,
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl ZeroInflated {
    /// At the unknowns of the search: ln a, ln b and the logit of the share.
    fn at(x: &[f64; 3]) -> Self {
        Self { share: logistic(x[2]), a: x[0].exp(), b: x[1].exp() }
    }

    fn unknowns(&self) -> [f64; 3] {
        [self.a.ln(), self.b.ln(), (self.share / (1.0 - self.share)).ln()]
    }
}

/// Minus the log-likelihood in ln a, ln b and the logit of the share, with its gradient and Hessian.
fn model(groups: &[Group], x: &[f64; 3]) -> Model<3> {
    let ZeroInflated { share, a, b } = ZeroInflated::at(x);
    let mut m = Model::zero();
    let (at_a, at_b, at_ab) = (trigamma(a), trigamma(b), trigamma(a + b));
    for &Group { n, c, weight } in groups {
        let (log, [by_a, by_b]) = log_beta_binomial_gradient(c, n, a, b);
        // P(c) = share·BB(c), plus 1 − share where c = 0; `own` is the posterior share of the Beta part.
        let (value, own) = if c > 0.0 {
            (share.ln() + log, 1.0)
        } else {
            let solvable = share * log.exp();
            let all = 1.0 - share + solvable;
            (all.ln(), solvable / all)
        };
        m.value -= weight * value;
        // Slopes of ln BB in the logarithms of a and b, and its second derivatives there.
        let slope = [a * by_a, b * by_b];
        let shared = at_ab - trigamma(a + b + n);
        let bend = [
            a * a * (trigamma(a + c) - at_a + shared) + slope[0],
            b * b * (trigamma(b + n - c) - at_b + shared) + slope[1],
            a * b * shared,
        ];
        // d own/d(anything) = own (1 − own) times the slope of ln BB plus the logit of the share.
        let mixed = own * (1.0 - own);
        m.gradient[0] -= weight * own * slope[0];
        m.gradient[1] -= weight * own * slope[1];
        m.gradient[2] -= weight * (own - share);
        m.hessian[0][0] -= weight * (own * bend[0] + mixed * slope[0] * slope[0]);
        m.hessian[1][0] -= weight * (own * bend[2] + mixed * slope[0] * slope[1]);
        m.hessian[1][1] -= weight * (own * bend[1] + mixed * slope[1] * slope[1]);
        m.hessian[2][0] -= weight * mixed * slope[0];
        m.hessian[2][1] -= weight * mixed * slope[1];
        m.hessian[2][2] -= weight * (mixed - share * (1.0 - share));
    }
    m.symmetrise();
    m
}

/// From one start. Nobody waits long enough for it to want cancelling.
fn search(groups: &[Group], start: &ZeroInflated) -> Option<Minimum<3>> {
    let bound = BOUNDS.0.ln();
    let (lower, upper) = ([bound, bound, LOGIT.0], [BOUNDS.1.ln(), BOUNDS.1.ln(), LOGIT.1]);
    let never = AtomicBool::new(false);
    levenberg::minimise(|x| model(groups, x), start.unknowns(), &lower, &upper, Stop::default(), &never)
}

fn grouped(n: &[u64], c: &[u64], weight: impl Fn(usize) -> f64) -> Vec<Group> {
    let mut order: Vec<usize> = (0..n.len()).filter(|&i| weight(i) > 0.0).collect();
    order.sort_by_key(|&i| (n[i], c[i]));
    let mut groups: Vec<Group> = Vec::new();
    for i in order {
        let (n, c) = (n[i] as f64, c[i] as f64);
        match groups.last_mut() {
            Some(last) if last.n == n && last.c == c => last.weight += weight(i),
            _ => groups.push(Group { n, c, weight: weight(i) }),
        }
    }
    groups
}

fn finish(minimum: &Minimum<3>) -> Fit {
    let law = ZeroInflated::at(&minimum.x);
    Fit { law, log_likelihood: -minimum.value, converged: minimum.reason.converged() }
}

/// Maximum likelihood from six starts, the best of them. Wants n >= 1, c <= n and some c > 0; None otherwise.
pub fn fit(n: &[u64], c: &[u64]) -> Option<Fit> {
    if n.len() != c.len() || c.iter().all(|&c| c == 0) || n.iter().zip(c).any(|(n, c)| c > n) {
        return None;
    }
    let groups = grouped(n, c, |_| 1.0);
    let (correct, drawn) = (c.iter().sum::<u64>() as f64, n.iter().sum::<u64>() as f64);
    let solved = c.iter().filter(|&&c| c > 0).count() as f64 / n.len() as f64;
    let starts = [(0.99, 0.3), (0.99, 2.0), (0.99, 20.0), (solved, 0.3), (solved, 2.0), (solved, 20.0)];
    let ends = starts.into_iter().filter_map(|(share, nu)| {
        let share = f64::clamp(share, 0.01, 0.99);
        let mean = (correct / drawn / share).clamp(1e-3, 0.99);
        search(&groups, &ZeroInflated { share, a: mean * nu, b: (1.0 - mean) * nu })
    });
    ends.min_by(|x, y| x.value.total_cmp(&y.value)).map(|best| finish(&best))
}

/// Fits to `draws` resamples of the clusters of problems, searched from `from`; `cluster[i]` numbers problem i's.
///
/// Draw d depends on (seed, d) alone. None where a resample holds no success.
pub fn bootstrap(
    n: &[u64],
    c: &[u64],
    cluster: &[usize],
    from: &ZeroInflated,
    seed: u64,
    draws: Range<u64>,
) -> Vec<Option<Fit>> {
    let clusters = cluster.iter().max().map_or(0, |&last| last + 1);
    let draw = |draw: u64| {
        let mut times = vec![0.0; clusters];
        for j in 0..clusters as u64 {
            let bits = mix(mix(seed ^ mix(draw)).wrapping_add(j));
            times[((u128::from(bits) * clusters as u128) >> 64) as usize] += 1.0;
        }
        let groups = grouped(n, c, |i| times[cluster[i]]);
        if groups.iter().all(|group| group.c == 0.0) {
            return None;
        }
        search(&groups, from).map(|end| finish(&end))
    };
    draws.into_par_iter().map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let counts: [(u64, u64); 5] = [(10, 0), (10, 3), (40, 0), (40, 1), (7, 7)];
        let (n, c): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
        let groups = grouped(&n, &c, |i| 1.0 + i as f64);
        for at in [[-0.7, 1.1, 0.4], [2.0, 3.0, -1.5], [-3.0, -2.0, 3.0]] {
            let m = model(&groups, &at);
            for p in 0..3 {
                let (mut up, mut down) = (at, at);
                up[p] += 1e-6;
                down[p] -= 1e-6;
                let (up, down) = (model(&groups, &up), model(&groups, &down));
                assert!(((up.value - down.value) / 2e-6 - m.gradient[p]).abs() < 1e-6);
                for q in 0..3 {
                    let numeric = (up.gradient[q] - down.gradient[q]) / 2e-6;
                    assert!((numeric - m.hessian[p][q]).abs() < 1e-6, "{at:?} {p} {q}");
                }
            }
        }
    }
}
