//! The direct law of arXiv 2512.08894: ln(−ln pass@k) = c0 + c1 ln C + c2 ln k + c3 ln C ln k, linear in its parameters.

use crate::fit::Outcome;
use crate::levenberg::{Model, Reason};
use crate::linalg::{cholesky_solve, identified};

/// Weighted least squares on ln(−ln y) of points with 0 < y < 1; c about the origin of ln C and ln k.
pub fn fit(compute: &[f64], k: &[f64], y: &[f64], w: &[f64]) -> Outcome {
    let logs = |v: &[f64]| v.iter().map(|x| x.ln()).collect::<Vec<f64>>();
    let (log_c, log_k) = (logs(compute), logs(k));
    let weight: f64 = w.iter().sum();
    let mean = |v: &[f64]| v.iter().zip(w).map(|(x, w)| w * x).sum::<f64>() / weight;
    // Centred, so that the columns are far from parallel.
    let (mean_c, mean_k) = (mean(&log_c), mean(&log_k));
    let row = |i: usize| {
        let (c, k) = (log_c[i] - mean_c, log_k[i] - mean_k);
        [1.0, c, k, c * k]
    };
    let target = |i: usize| (-y[i].ln()).ln();
    let mut centred = [0.0; 4];
    // A second solve on the residuals recovers the digits that the normal equations lose.
    for _ in 0..2 {
        let m = model(&centred, w, row, target);
        if let Some(step) = cholesky_solve(&m.hessian, &m.gradient, 4) {
            (0..4).for_each(|p| centred[p] -= step[p]);
        }
    }
    let m = model(&centred, w, row, target);
    let [c0, c1, c2, c3] = centred;
    Outcome {
        params: vec![
            c0 - c1 * mean_c - c2 * mean_k + c3 * mean_c * mean_k,
            c1 - c3 * mean_k,
            c2 - c3 * mean_c,
            c3,
        ],
        objective: 2.0 * m.value,
        reason: if m.value.is_finite() { Reason::Converged } else { Reason::NotFinite },
        evaluations: 3,
        identified: identified(&m.hessian).to_vec(),
        on_bound: vec![false; 4],
    }
}

fn model(
    at: &[f64; 4],
    w: &[f64],
    row: impl Fn(usize) -> [f64; 4],
    target: impl Fn(usize) -> f64,
) -> Model<4> {
    let mut m = Model::zero();
    for i in (0..w.len()).filter(|&i| w[i] > 0.0) {
        let row = row(i);
        let value: f64 = (0..4).map(|p| at[p] * row[p]).sum();
        m.add(value - target(i), &row, w[i]);
    }
    m.symmetrise();
    m
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::Law;

    #[test]
    fn recovers_the_law_and_ignores_points_without_weight() {
        let truth = [9.0, -0.2, -0.9, 0.012];
        let (mut c, mut k, mut y, mut w) = (vec![], vec![], vec![], vec![]);
        for i in 0..6 {
            for j in 0..5 {
                c.push(1e18 * 3f64.powi(i));
                k.push(4f64.powi(j));
                y.push(Law::Direct.value(&truth, 1e8, c.last().unwrap() / 6e8, *k.last().unwrap()));
                w.push(1.0 + f64::from(j));
            }
        }
        y[7] = 0.0;
        w[7] = 0.0;
        let fit = fit(&c, &k, &y, &w);
        for (found, truth) in fit.params.iter().zip(truth) {
            assert!((found - truth).abs() < 1e-9, "{fit:?}");
        }
        assert!(fit.identified.iter().all(|&known| known) && fit.objective < 1e-20);
    }
}
