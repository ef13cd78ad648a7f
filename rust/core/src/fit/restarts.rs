//! The paper's recipe for the loss law (Roberts et al. 2026, approach 1): least squares in (log E, log C, e) from many
//! random starts. Kept for comparison; [`crate::fit::power_sum`] needs no starts and never does worse.
//!
//! Starts and objective are the paper's. Each start is followed by damped Gauss-Newton steps instead of L-BFGS-B: the
//! valley is so flat that a quasi-Newton search spends thousands of evaluations in it.

use rayon::prelude::*;

use crate::fit::power_sum::Data;
use crate::fit::{Cancel, Outcome};
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

/// Data with every distinct coordinate listed once: exponentials are taken per distinct value, not per point.
struct Problem<'a, const J: usize> {
    logs: [Vec<f64>; J],
    index: [Vec<usize>; J],
    y: &'a [f64],
    root: Vec<f64>,
}

impl<'a, const J: usize> Problem<'a, J> {
    fn new(data: &Data<'a, J>) -> Self {
        let mut index = std::array::from_fn(|_| Vec::new());
        let logs = std::array::from_fn(|j| {
            let mut distinct = data.x[j].to_vec();
            distinct.sort_by(f64::total_cmp);
            distinct.dedup();
            index[j] = data.x[j].iter().map(|x| distinct.partition_point(|d| d < x)).collect();
            distinct.iter().map(|x| x.ln()).collect()
        });
        let root = data.w.map_or_else(|| vec![1.0; data.y.len()], |w| w.iter().map(|w| w.sqrt()).collect());
        Self { logs, index, y: data.y, root }
    }

    fn model<const P: usize>(&self, x: &[f64; P]) -> Model<P> {
        let floor = x[0].exp();
        let terms: [Vec<f64>; J] = std::array::from_fn(|j| {
            self.logs[j].iter().map(|l| (x[1 + j] - x[1 + J + j] * l).exp()).collect()
        });
        let mut m = Model::zero();
        for i in 0..self.y.len() {
            let root = self.root[i];
            let mut r = floor - self.y[i];
            let mut gradient = [0.0; P];
            gradient[0] = root * floor;
            for j in 0..J {
                let u = self.index[j][i];
                let term = terms[j][u];
                r += term;
                gradient[1 + j] = root * term;
                gradient[1 + J + j] = -root * term * self.logs[j][u];
            }
            m.add(root * r, &gradient, 1.0);
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
}
