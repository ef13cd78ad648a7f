//! Chinchilla by the robust objective of Hoffmann et al. 2022 (approach 3):
//! Σ Huber_δ(log(E + A/N^α + B/D^β) − log L), over the logs a = log A, b = log B, e = log E and the exponents.
//!
//! Three steps from every start. Variable projection on relative residuals finds the basin: it replaces the start's
//! coefficients by the best ones for its exponents, so starts that differ in coefficients alone are one start. Least
//! squares on the log residuals follows; then δ is tightened step by step to its value, tracking the minimum.

use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::fit::Outcome;
use crate::fit::power_sum::{self, Data};
use crate::levenberg::{self, Minimum, Model, Stop};
use crate::linalg::identified;

const LOWER: [f64; 5] = [-60.0, -60.0, -60.0, 0.0, 0.0];
const UPPER: [f64; 5] = [120.0, 120.0, 20.0, 5.0, 5.0];
const LEAST_START: f64 = 0.05;

/// The robust objective and its data: `n`, `d` and `loss` of every point, all positive.
#[derive(Clone, Debug)]
pub struct Huber {
    log_n: Vec<f64>,
    log_d: Vec<f64>,
    log_loss: Vec<f64>,
    weights: Vec<f64>,
    delta: f64,
}

/// The best of all starts, and the objective that each start reached.
#[derive(Clone, Debug)]
pub struct HuberFit {
    /// The best end point, as E, A, B, α, β.
    pub best: Outcome,
    /// Objective at the end of each start.
    pub objectives: Vec<f64>,
}

impl Huber {
    /// Takes logs once.
    pub fn new(n: &[f64], d: &[f64], loss: &[f64], weights: Option<&[f64]>, delta: f64) -> Self {
        let log = |v: &[f64]| v.iter().map(|x| x.ln()).collect();
        let weights = weights.map_or_else(|| vec![1.0; n.len()], <[f64]>::to_vec);
        Self { log_n: log(n), log_d: log(d), log_loss: log(loss), weights, delta }
    }

    /// Value, gradient and Hessian at (a, b, e, α, β), the Huber threshold being `delta`.
    pub fn model(&self, x: &[f64; 5], delta: f64) -> Model<5> {
        let [a, b, e, alpha, beta] = *x;
        let mut m = Model::zero();
        let floor = e.exp();
        for i in 0..self.log_n.len() {
            let (ln, ld) = (self.log_n[i], self.log_d[i]);
            let (tn, td) = ((a - alpha * ln).exp(), (b - beta * ld).exp());
            let sum = tn + td + floor;
            let r = sum.ln() - self.log_loss[i];
            let (pn, pd, pe) = (tn / sum, td / sum, floor / sum);
            let g = [pn, pd, pe, -pn * ln, -pd * ld];
            let (value, slope, curvature) = if r.abs() <= delta {
                (0.5 * r * r, r, 1.0)
            } else {
                (delta * (r.abs() - 0.5 * delta), delta * r.signum(), 0.0)
            };
            let w = self.weights[i];
            m.value += w * value;
            // ∇²r = Σ p v vᵀ − g gᵀ, v the gradients of the three exponents.
            let (outer, ws) = (w * (curvature - slope), w * slope);
            for p in 0..5 {
                m.gradient[p] += ws * g[p];
                for q in 0..=p {
                    m.hessian[p][q] += outer * g[p] * g[q];
                }
            }
            m.hessian[0][0] += ws * pn;
            m.hessian[1][1] += ws * pd;
            m.hessian[2][2] += ws * pe;
            m.hessian[3][0] -= ws * pn * ln;
            m.hessian[4][1] -= ws * pd * ld;
            m.hessian[3][3] += ws * pn * ln * ln;
            m.hessian[4][4] += ws * pd * ld * ld;
        }
        m.symmetrise();
        m
    }

    /// Sensitivities' normal matrix and value of the least-squares problem (δ = ∞), without second derivatives: always
    /// positive semi-definite.
    fn gauss_newton(&self, x: &[f64; 5]) -> Model<5> {
        let [a, b, e, alpha, beta] = *x;
        let mut m = Model::zero();
        let floor = e.exp();
        for i in 0..self.log_n.len() {
            let (ln, ld) = (self.log_n[i], self.log_d[i]);
            let (tn, td) = ((a - alpha * ln).exp(), (b - beta * ld).exp());
            let sum = tn + td + floor;
            let (pn, pd) = (tn / sum, td / sum);
            m.add(sum.ln() - self.log_loss[i], &[pn, pd, floor / sum, -pn * ln, -pd * ld], self.weights[i]);
        }
        m.symmetrise();
        m
    }

    /// Follows one start to its minimum.
    fn descend(&self, start: [f64; 5], cancel: &Cancel) -> Option<Minimum<5>> {
        let rough = Stop { evaluations: 200, decrease: 1e-6 };
        let mut here = levenberg::minimise(|x| self.gauss_newton(x), start, &LOWER, &UPPER, rough, cancel)?;
        let mut evaluations = here.evaluations;
        let mut delta = 1.0;
        while delta > self.delta {
            delta = (delta * 0.25).max(self.delta);
            let stop = if delta > self.delta { rough } else { Stop { evaluations: 1000, decrease: 1e-15 } };
            here = levenberg::minimise(|x| self.model(x, delta), here.x, &LOWER, &UPPER, stop, cancel)?;
            evaluations += here.evaluations;
        }
        Some(Minimum { evaluations, ..here })
    }

    /// Minimises from every start (a, b, e, α, β). `None` when cancelled.
    pub fn fit(&self, starts: &[[f64; 5]], cancel: &Cancel) -> Option<HuberFit> {
        // A term with exponent zero is a second floor, from which the search cannot tell where to go.
        let pair = |s: &[f64; 5]| [s[3].max(LEAST_START), s[4].max(LEAST_START)];
        let mut exponents: Vec<[f64; 2]> = starts.iter().map(pair).collect();
        exponents.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
        exponents.dedup();
        let place = |s: &[f64; 5]| exponents.partition_point(|e| *e < pair(s));
        let exp = |v: &[f64]| v.iter().map(|x| x.exp()).collect::<Vec<_>>();
        let (n, d, loss) = (exp(&self.log_n), exp(&self.log_d), exp(&self.log_loss));
        // (fit − L)² / L² is the squared log residual to first order.
        let w: Vec<f64> = loss.iter().zip(&self.weights).map(|(l, w)| w / (l * l)).collect();
        let data = Data { x: [&n, &d], y: &loss, w: Some(&w), e_max: f64::INFINITY };
        let ends: Vec<Minimum<5>> = exponents
            .par_iter()
            .map(|&[alpha, beta]| {
                // A coefficient of zero has no logarithm: a term that is small but can still grow stands in for it.
                let (c, [alpha, beta]) = power_sum::descend(&data, [alpha, beta], cancel)?;
                let least = 1e-3 * (c[0] + c[1] * n[0].powf(-alpha) + c[2] * d[0].powf(-beta));
                let log = |v: f64, log_x: f64, e: f64| v.max(least * (e * log_x).exp()).ln();
                let start = [
                    log(c[1], self.log_n[0], alpha),
                    log(c[2], self.log_d[0], beta),
                    log(c[0], 0.0, 0.0),
                    alpha,
                    beta,
                ];
                self.descend(start, cancel)
            })
            .collect::<Option<_>>()?;
        let best = ends.iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
        let [a, b, e, alpha, beta] = best.x;
        let (known, at) = (identified(&self.gauss_newton(&best.x).hessian), |i: usize| {
            best.x[i] <= LOWER[i] || best.x[i] >= UPPER[i]
        });
        let order = [2, 0, 1, 3, 4];
        let outcome = Outcome {
            params: vec![e.exp(), a.exp(), b.exp(), alpha, beta],
            objective: best.value,
            reason: best.reason,
            evaluations: ends.iter().map(|m| m.evaluations).sum(),
            identified: order.map(|i| known[i]).to_vec(),
            on_bound: order.map(at).to_vec(),
        };
        Some(HuberFit { best: outcome, objectives: starts.iter().map(|s| ends[place(s)].value).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Huber {
        let n = [1e7, 1e8, 1e9, 3e8, 5e7];
        let d = [1e9, 2e10, 1e9, 4e11, 3e9];
        Huber::new(&n, &d, &[4.0, 3.0, 2.9, 2.4, 3.3], Some(&[1.0, 2.0, 0.5, 1.0, 1.0]), 0.05)
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let (huber, x) = (points(), [6.0, 6.1, 0.5, 0.34, 0.28]);
        let m = huber.model(&x, 0.05);
        for p in 0..5 {
            let (mut up, mut down) = (x, x);
            up[p] += 1e-6;
            down[p] -= 1e-6;
            let (u, v) = (huber.model(&up, 0.05), huber.model(&down, 0.05));
            assert!(((u.value - v.value) / 2e-6 - m.gradient[p]).abs() < 1e-8);
            for q in 0..5 {
                assert!(((u.gradient[q] - v.gradient[q]) / 2e-6 - m.hessian[p][q]).abs() < 1e-5);
            }
        }
        // The wide threshold is least squares.
        let (wide, ls) = (huber.model(&x, 1e9), huber.gauss_newton(&x));
        assert!((wide.value - ls.value).abs() < 1e-15);
    }
}
