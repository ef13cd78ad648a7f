//! The paper's recipe for the loss law (Roberts et al. 2026, approach 1): least squares in (log E, log C, e) from many
//! random starts. Kept for comparison; [`crate::fit::power_sum`] needs no starts and never does worse.
//!
//! Starts and objective are the paper's. Each start is followed by damped Gauss-Newton steps instead of L-BFGS-B: the
//! valley is so flat that a quasi-Newton search spends thousands of evaluations in it.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::fit::Outcome;
use crate::fit::power_sum::Data;
use crate::levenberg::{self, Minimum, Model, Stop};
use crate::linalg::identified;

/// Widest range of a log coefficient and of an exponent: far outside anything sensible, so that a search which runs
/// away stops at a number.
const LOG_COEFFICIENT: (f64, f64) = (-700.0, 300.0);
const EXPONENT: (f64, f64) = (-20.0, 20.0);

/// The best of all starts, and the objective that each start reached.
#[derive(Clone, Debug)]
pub struct Restarts {
    /// The best end point, as natural parameters E, C, e.
    pub best: Outcome,
    /// Sum of squares at the end of each start.
    pub objectives: Vec<f64>,
}

/// Fits y = E + Σⱼ Cⱼ xⱼ^(−eⱼ) from every start (log E, log C₁…, e₁…); `P` must be 2J + 1. `None` when cancelled.
pub fn fit<const J: usize, const P: usize>(
    data: &Data<J>,
    starts: &[[f64; P]],
    cancel: &Cancel,
) -> Option<Restarts> {
    const { assert!(P == 2 * J + 1) };
    let problem = Problem::new(data);
    let (mut lower, mut upper) = ([EXPONENT.0; P], [EXPONENT.1; P]);
    lower[..=J].fill(LOG_COEFFICIENT.0);
    upper[..=J].fill(LOG_COEFFICIENT.1);
    let stop = Stop { evaluations: 5000, decrease: 1e-15 };
    let ends: Vec<Minimum<P>> = starts
        .par_iter()
        .map(|start| levenberg::minimise(|x| problem.model(x), *start, &lower, &upper, stop, cancel))
        .collect::<Option<_>>()?;
    let best = ends.iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
    let params: Vec<f64> =
        best.x.iter().enumerate().map(|(i, v)| if i <= J { v.exp() } else { *v }).collect();
    let outcome = Outcome {
        params,
        objective: 2.0 * best.value,
        reason: best.reason,
        evaluations: ends.iter().map(|m| m.evaluations).sum(),
        identified: identified(&problem.model(&best.x).hessian).to_vec(),
        on_bound: (0..P).map(|i| best.x[i] <= lower[i] || best.x[i] >= upper[i]).collect(),
    };
    Some(Restarts { best: outcome, objectives: ends.iter().map(|m| 2.0 * m.value).collect() })
}

/// Data seen through their distinct coordinates. Every derivative of a residual depends on one coordinate, so `JᵀJ` is
/// made of sums over pairs of distinct coordinates: a grid of 432 points has 240 pairs, and 26 exponentials.
struct Problem<const J: usize> {
    /// ln of every distinct coordinate, those of x₀ first.
    logs: Vec<f64>,
    /// Which of them belong to each j.
    ranges: [Range<usize>; J],
    /// Weight of the points at each, and of all points.
    weights: Vec<f64>,
    weight: f64,
    /// For each two of the J, the places (u, v) that occur together and the weight of the points there, in runs of
    /// one u.
    pairs: Vec<(usize, usize, Runs<usize, f64>)>,
    /// The points in runs that share all coordinates but the last: those, then the last, and y and weight.
    points: Runs<[usize; J], (f64, f64)>,
}

/// A sorted list, cut where its leading part `A` changes. Sums of a run do not wait for those of the run before.
struct Runs<A, B> {
    runs: Vec<(A, Range<usize>)>,
    entries: Vec<(usize, B)>,
}

impl<A: PartialEq, B> Runs<A, B> {
    fn new(sorted: impl IntoIterator<Item = (A, usize, B)>) -> Self {
        let mut out = Self { runs: Vec::new(), entries: Vec::new() };
        for (lead, last, rest) in sorted {
            let end = out.entries.len() + 1;
            match out.runs.last_mut() {
                Some((found, range)) if *found == lead => range.end = end,
                _ => out.runs.push((lead, end - 1..end)),
            }
            out.entries.push((last, rest));
        }
        out
    }

    fn iter(&self) -> impl Iterator<Item = (&A, &[(usize, B)])> {
        self.runs.iter().map(|(lead, range)| (lead, &self.entries[range.clone()]))
    }
}

impl<const J: usize> Problem<J> {
    fn new(data: &Data<J>) -> Self {
        let mut logs = Vec::new();
        let mut places = vec![[0; J]; data.y.len()];
        let ranges = std::array::from_fn(|j| {
            let mut distinct = data.x[j].to_vec();
            distinct.sort_by(f64::total_cmp);
            distinct.dedup();
            let before = logs.len();
            for (place, x) in places.iter_mut().zip(data.x[j]) {
                place[j] = before + distinct.partition_point(|d| d < x);
            }
            logs.extend(distinct.iter().map(|x| x.ln()));
            before..logs.len()
        });
        let weight = |i: usize| data.w.map_or(1.0, |w| w[i]);
        let mut weights = vec![0.0; logs.len()];
        let mut pairs = Vec::new();
        for (i, place) in places.iter().enumerate() {
            place.iter().for_each(|&u| weights[u] += weight(i));
        }
        for (first, second) in (0..J).flat_map(|second| (0..second).map(move |first| (first, second))) {
            let mut sums = BTreeMap::new();
            for (i, place) in places.iter().enumerate() {
                *sums.entry((place[first], place[second])).or_insert(0.0) += weight(i);
            }
            pairs.push((first, second, Runs::new(sums.into_iter().map(|((u, v), w)| (u, v, w)))));
        }
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|&i| places[i]);
        let points = Runs::new(order.into_iter().map(|i| {
            let mut lead = places[i];
            lead[J - 1] = 0;
            (lead, places[i][J - 1], (data.y[i], weight(i)))
        }));
        let weight = (0..places.len()).map(weight).sum();
        Self { logs, ranges, weights, weight, pairs, points }
    }

    fn model<const P: usize>(&self, x: &[f64; P]) -> Model<P> {
        let floor = x[0].exp();
        let mut terms = vec![0.0; self.logs.len()];
        for (j, range) in self.ranges.iter().enumerate() {
            for u in range.clone() {
                terms[u] = (x[1 + j] - x[1 + J + j] * self.logs[u]).exp();
            }
        }
        let mut m = Model::zero();
        // The residuals themselves, and their sums over the points that share a coordinate.
        let mut sums = vec![0.0; self.logs.len()];
        let (mut sum, mut squares) = (0.0, 0.0);
        for (lead, points) in self.points.iter() {
            let base = floor + lead[..J - 1].iter().map(|&u| terms[u]).sum::<f64>();
            let (mut here, mut squares_here) = (0.0, 0.0);
            for &(u, (y, w)) in points {
                let r = base + terms[u] - y;
                let wr = w * r;
                here += wr;
                squares_here += wr * r;
                sums[u] += wr;
            }
            lead[..J - 1].iter().for_each(|&u| sums[u] += here);
            sum += here;
            squares += squares_here;
        }
        m.value = 0.5 * squares;
        m.gradient[0] = floor * sum;
        m.hessian[0][0] = floor * floor * self.weight;
        for (j, range) in self.ranges.iter().enumerate() {
            let (c, e) = (1 + j, 1 + J + j);
            for u in range.clone() {
                let (t, l) = (terms[u], self.logs[u]);
                m.gradient[c] += sums[u] * t;
                m.gradient[e] -= sums[u] * t * l;
                let wt = self.weights[u] * t;
                m.hessian[c][0] += floor * wt;
                m.hessian[e][0] -= floor * wt * l;
                m.hessian[c][c] += wt * t;
                m.hessian[e][c] -= wt * t * l;
                m.hessian[e][e] += wt * t * l * l;
            }
        }
        for (first, second, pairs) in &self.pairs {
            let [mut plain, mut by_first, mut by_second, mut by_both] = [0.0; 4];
            for (&u, entries) in pairs.iter() {
                let (mut sum, mut by_log) = (0.0, 0.0);
                for &(v, w) in entries {
                    let wt = w * terms[v];
                    sum += wt;
                    by_log += wt * self.logs[v];
                }
                let (t, l) = (terms[u], self.logs[u]);
                plain += t * sum;
                by_first += t * l * sum;
                by_second += t * by_log;
                by_both += t * l * by_log;
            }
            m.hessian[1 + second][1 + first] = plain;
            m.hessian[1 + J + first][1 + second] = -by_first;
            m.hessian[1 + J + second][1 + first] = -by_second;
            m.hessian[1 + J + second][1 + J + first] = by_both;
        }
        m.symmetrise();
        m
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let (n, d, k) = ([1e7, 1e8, 1e9, 1e7, 3e8], [1e9, 2e10, 1e9, 4e11, 2e10], [1.0, 2.0, 8.0, 64.0, 4.0]);
        let y = [4.0, 3.0, 2.5, 2.2, 2.9];
        let data = Data { x: [&n, &d, &k], y: &y, w: Some(&[1.0, 2.0, 0.5, 1.0, 3.0]), e_max: f64::INFINITY };
        let problem = Problem::new(&data);
        let x = [0.4, 5.0, 5.5, 0.3, 0.33, 0.29, 0.6];
        let m = problem.model(&x);
        for p in 0..7 {
            let (mut up, mut down) = (x, x);
            up[p] += 1e-5;
            down[p] -= 1e-5;
            let slope = (problem.model(&up).value - problem.model(&down).value) / 2e-5;
            assert!((slope - m.gradient[p]).abs() < 1e-6 * m.gradient[p].abs().max(1.0));
        }
    }

    #[test]
    fn pair_sums_are_the_normal_matrix_of_the_points() {
        // Two points share all coordinates, some share two or one.
        let x = [[1e7, 1e7, 1e8, 1e8, 1e7], [1e9, 1e9, 1e9, 2e10, 2e10], [1.0, 1.0, 8.0, 8.0, 64.0]];
        let (y, w) = ([4.0, 3.9, 3.0, 2.5, 2.2], [1.0, 2.0, 0.5, 1.0, 3.0]);
        let data = Data { x: [&x[0], &x[1], &x[2]], y: &y, w: Some(&w), e_max: f64::INFINITY };
        let at = [0.4, 5.0, 5.5, 0.3, 0.33, 0.29, 0.6];
        let m = Problem::new(&data).model(&at);
        let mut direct = Model::<7>::zero();
        for i in 0..5 {
            let term = |j: usize| (at[1 + j] - at[4 + j] * x[j][i].ln()).exp();
            let floor = at[0].exp();
            let mut gradient = [floor; 7];
            for j in 0..3 {
                gradient[1 + j] = term(j);
                gradient[4 + j] = -term(j) * x[j][i].ln();
            }
            direct.add(floor + term(0) + term(1) + term(2) - y[i], &gradient, w[i]);
        }
        direct.symmetrise();
        assert!((m.value - direct.value).abs() < 1e-13 * direct.value);
        for p in 0..7 {
            assert!((m.gradient[p] - direct.gradient[p]).abs() < 1e-12 * direct.gradient[p].abs().max(1.0));
            for q in 0..7 {
                assert!((m.hessian[p][q] - direct.hessian[p][q]).abs() < 1e-13 * direct.hessian[p][q].abs());
            }
        }
    }
}
