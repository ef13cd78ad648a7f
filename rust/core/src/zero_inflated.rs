//! The zero-inflated Beta-binomial of counts: a share of the problems has success probabilities p ~ Beta(a, b),
//! the others are never solved. Fitted by maximum likelihood, with a bootstrap over clusters of problems.

use crate::beta::log_beta_binomial_gradient;
use crate::random::mix;
use rayon::prelude::*;

/// Bounds of a and b.
pub const BOUNDS: (f64, f64) = (1e-4, 1e6);
/// Steps of the quasi-Newton search before it is called unconverged.
const STEPS: usize = 500;
/// Gradient per problem, in search coordinates, at which it stops.
const FLAT: f64 = 1e-9;

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

/// Search coordinates: ln a and ln b as logistic fractions of the way between their bounds, the share as a logistic.
type Point = [f64; 3];

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl ZeroInflated {
    fn at(z: &Point) -> ZeroInflated {
        let span = (BOUNDS.1 / BOUNDS.0).ln();
        let scaled = |z: f64| BOUNDS.0 * (span * logistic(z)).exp();
        ZeroInflated { share: logistic(z[2]), a: scaled(z[0]), b: scaled(z[1]) }
    }

    fn coordinates(&self) -> Point {
        let logit = |x: f64| {
            let x = x.clamp(1e-12, 1.0 - 1e-12);
            (x / (1.0 - x)).ln()
        };
        let span = (BOUNDS.1 / BOUNDS.0).ln();
        [logit((self.a / BOUNDS.0).ln() / span), logit((self.b / BOUNDS.0).ln() / span), logit(self.share)]
    }
}

/// Minus the mean log-likelihood and its gradient in search coordinates.
fn objective(groups: &[Group], z: &Point) -> (f64, Point) {
    let law = ZeroInflated::at(z);
    let (mut value, mut gradient, mut weights) = (0.0, [0.0; 3], 0.0);
    for group in groups {
        let (log, [by_a, by_b]) = log_beta_binomial_gradient(group.c, group.n, law.a, law.b);
        // P(c) = share·BB(c), plus 1 − share where c = 0; `own` is the posterior share of the Beta part.
        let (log, own) = if group.c > 0.0 {
            (law.share.ln() + log, 1.0)
        } else {
            let solvable = law.share * log.exp();
            let all = 1.0 - law.share + solvable;
            (all.ln(), solvable / all)
        };
        value -= group.weight * log;
        gradient[0] -= group.weight * own * by_a;
        gradient[1] -= group.weight * own * by_b;
        gradient[2] -= group.weight * (own - law.share);
        weights += group.weight;
    }
    let span = (BOUNDS.1 / BOUNDS.0).ln();
    for (slope, (z, x)) in gradient.iter_mut().zip(z.iter().zip([law.a, law.b])) {
        *slope *= x * span * logistic(*z) * logistic(-z);
    }
    (value / weights, gradient.map(|slope| slope / weights))
}

fn dot(x: &Point, y: &Point) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// BFGS with backtracking from one start.
fn search(groups: &[Group], start: Point) -> (Point, f64, bool) {
    let mut z = start;
    let (mut value, mut gradient) = objective(groups, &z);
    let mut inverse = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..STEPS {
        if dot(&gradient, &gradient).sqrt() < FLAT {
            return (z, value, true);
        }
        let mut step: Point = std::array::from_fn(|i| -dot(&inverse[i], &gradient));
        if dot(&step, &gradient) >= 0.0 {
            inverse = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
            step = gradient.map(|slope| -slope);
        }
        let longest = step.iter().fold(0.0_f64, |long, step| long.max(step.abs()));
        let mut length = (2.0 / longest).min(1.0);
        let slope = dot(&step, &gradient);
        let (next, next_value, next_gradient) = loop {
            let next: Point = std::array::from_fn(|i| z[i] + length * step[i]);
            let (next_value, next_gradient) = objective(groups, &next);
            // Where the decrease drowns in rounding, the slope along the step tells instead (Hager and Zhang 2005).
            let noise = 8.0 * f64::EPSILON * value.abs();
            let lower = next_value <= value + 1e-4 * length * slope;
            let flatter = next_value <= value + noise && dot(&step, &next_gradient) <= -0.8 * slope;
            if lower || flatter {
                break (next, next_value, next_gradient);
            }
            length *= 0.5;
            if length * longest < 1e-14 {
                // No descent left in double precision: as flat as it gets.
                return (z, value, dot(&gradient, &gradient).sqrt() < 1e-6);
            }
        };
        let moved: Point = std::array::from_fn(|i| next[i] - z[i]);
        let turned: Point = std::array::from_fn(|i| next_gradient[i] - gradient[i]);
        let curvature = dot(&moved, &turned);
        if curvature > 1e-300 {
            let weighted: Point = std::array::from_fn(|i| dot(&inverse[i], &turned));
            let scale = (1.0 + dot(&turned, &weighted) / curvature) / curvature;
            for i in 0..3 {
                for j in 0..3 {
                    inverse[i][j] += scale * moved[i] * moved[j]
                        - (moved[i] * weighted[j] + weighted[i] * moved[j]) / curvature;
                }
            }
        }
        (z, value, gradient) = (next, next_value, next_gradient);
    }
    (z, value, false)
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

fn finish(groups: &[Group], (z, value, converged): (Point, f64, bool)) -> Fit {
    let problems: f64 = groups.iter().map(|group| group.weight).sum();
    Fit { law: ZeroInflated::at(&z), log_likelihood: -value * problems, converged }
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
    let fits = starts.map(|(share, nu)| {
        let share = f64::clamp(share, 0.01, 0.99);
        let mean = (correct / drawn / share).clamp(1e-3, 0.99);
        search(&groups, ZeroInflated { share, a: mean * nu, b: (1.0 - mean) * nu }.coordinates())
    });
    fits.into_iter().min_by(|x, y| x.1.total_cmp(&y.1)).map(|best| finish(&groups, best))
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
    draws: std::ops::Range<u64>,
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
        Some(finish(&groups, search(&groups, from.coordinates())))
    };
    draws.into_par_iter().map(draw).collect()
}
