//! Measured pass@k by checkpoint: what both fits of the accuracy law minimise over, and how they search.

use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::laws::Link;
use crate::levenberg::{self, Minimum, Model, Stop};

/// One measured pass@k of one checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Which checkpoint.
    pub checkpoint: usize,
    /// Samples.
    pub k: f64,
    /// pass@k.
    pub y: f64,
    /// Weight in the sum of squares.
    pub w: f64,
}

/// Points sorted into their checkpoints.
pub(super) struct Grouped {
    groups: Vec<Vec<Point>>,
}

impl Grouped {
    pub fn new(points: &[Point], checkpoints: usize) -> Self {
        let mut groups = vec![Vec::new(); checkpoints];
        for p in points.iter().filter(|p| p.w > 0.0) {
            groups[p.checkpoint].push(*p);
        }
        Self { groups }
    }

    /// Whether nothing was measured at a checkpoint.
    pub fn is_empty(&self, checkpoint: usize) -> bool {
        self.groups[checkpoint].is_empty()
    }

    /// Adds a checkpoint's squared errors, given its Beta parameters and their derivatives in the `P` unknowns.
    pub fn add<const P: usize>(&self, m: &mut Model<P>, checkpoint: usize, link: &Link, by: &[[f64; 2]; P]) {
        for point in &self.groups[checkpoint] {
            let (pass, g, _) = link.pass(point.k);
            let gradient = std::array::from_fn(|p| g[0] * by[p][0] + g[1] * by[p][1]);
            m.add(pass - point.y, &gradient, point.w);
        }
    }

    /// Weighted mean of the points at the smallest k, kept away from 0 and 1.
    pub fn mean_at_least_k(&self) -> (f64, f64) {
        let k = self.groups.iter().flatten().map(|p| p.k).fold(f64::INFINITY, f64::min);
        let (mut sum, mut weight) = (0.0, 0.0);
        for p in self.groups.iter().flatten().filter(|p| p.k == k) {
            sum += p.w * p.y;
            weight += p.w;
        }
        (k, (sum / weight).clamp(1e-9, 1.0 - 1e-9))
    }
}

/// How far a search from a grid of starts goes.
pub(super) const FIT: Stop = Stop { evaluations: 2000, decrease: 1e-15 };
/// How far a bootstrap draw's goes, from the fit: its valley may be flat, and its own sampling error is far larger.
pub(super) const DRAW: Stop = Stop { evaluations: 2000, decrease: 1e-10 };

/// Searches from every start in parallel, the best of them as far as `stop`; `None` when cancelled.
pub(super) fn best_of<const P: usize>(
    model: impl Fn(&[f64; P]) -> Model<P> + Sync,
    starts: &[[f64; P]],
    (lower, upper): (&[f64; P], &[f64; P]),
    stop: Stop,
    cancel: &Cancel,
) -> Option<(Minimum<P>, usize)> {
    let rough = Stop { evaluations: 60, decrease: 1e-7 };
    let mut ends: Vec<Minimum<P>> = starts
        .par_iter()
        .map(|start| levenberg::minimise(&model, *start, lower, upper, rough, cancel))
        .collect::<Option<_>>()?;
    let mut evaluations: usize = ends.iter().map(|m| m.evaluations).sum();
    ends.sort_by(|a, b| a.value.total_cmp(&b.value));
    ends.truncate(8);
    let ends: Vec<Minimum<P>> = ends
        .par_iter()
        .map(|end| levenberg::minimise(&model, end.x, lower, upper, stop, cancel))
        .collect::<Option<_>>()?;
    evaluations += ends.iter().map(|m| m.evaluations).sum::<usize>();
    Some((ends.into_iter().min_by(|a, b| a.value.total_cmp(&b.value))?, evaluations))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::laws::Law;

    /// What the accuracy law says over a grid: N, D and points.
    pub fn table(params: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<Point>) {
        let (mut n, mut d, mut points) = (vec![], vec![], vec![]);
        for i in 0..6 {
            for j in 0..6 {
                n.push(1e7 * 4f64.powi(i));
                d.push(1e9 * 4f64.powi(j));
                for l in 0..6 {
                    let k = 4f64.powi(l);
                    let y = Law::Accuracy.value(params, *n.last().unwrap(), *d.last().unwrap(), k);
                    points.push(Point { checkpoint: n.len() - 1, k, y, w: 1.0 });
                }
            }
        }
        (n, d, points)
    }
}
