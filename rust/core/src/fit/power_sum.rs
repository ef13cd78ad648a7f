//! Least squares for y = E + Σⱼ Cⱼ xⱼ^(−eⱼ) with E, C ≥ 0, by variable projection (Golub and Pereyra 1973).
//!
//! Chinchilla is the case x = (N, D), the loss law x = (N, D, k). For fixed exponents the coefficients solve a
//! non-negative linear problem ([`super::projection`]), so only the exponents are searched: a grid over all of them at
//! once, and damped Gauss-Newton steps (Kaufman 1975) from every basin the grid shows.

use crate::cancel::Cancel;
use crate::fit::Outcome;
use crate::fit::projection::{Centred, PRIOR, Projection, dot};
pub use crate::fit::projection::{Data, EXPONENTS};
use crate::levenberg::{self, Minimum, Stop};
use crate::linalg::identified;

/// As [`fit`], with a prior on the exponents of N and D, ln e about ln 0.35 with a deviation of 0.3, as the forecast of
/// losses has it. It weighs as much as an error of 3s does, s the root mean square of the residuals without it.
pub fn fit_regularised<const J: usize>(
    data: &Data<J>,
    start: Option<[f64; J]>,
    cancel: &Cancel,
) -> Option<Outcome> {
    let free = fit(data, start, cancel)?;
    let weight = data.w.map_or(data.y.len() as f64, |w| w.iter().sum());
    let scale = free.objective / (weight - (2 * J + 1) as f64).max(2.0);
    let mut centred = Centred::new(data);
    centred.penalty = 9.0 * scale;
    let from = std::array::from_fn(|j| free.params[J + 1 + j]);
    let usual = std::array::from_fn(|j| if j < 2 { PRIOR.0.exp() } else { free.params[J + 1 + j] });
    let outcome = centred.best(&[from, usual], cancel)?;
    Some(Outcome { evaluations: free.evaluations + outcome.evaluations, ..outcome })
}

/// Fits E, C₁…C_J and e₁…e_J; parameters in that order. `start` replaces the grid by one point (a bootstrap draw
/// starts from the fit to all data). Returns `None` when cancelled.
pub fn fit<const J: usize>(data: &Data<J>, start: Option<[f64; J]>, cancel: &Cancel) -> Option<Outcome> {
    let centred = Centred::new(data);
    let starts = start.map_or_else(|| centred.basins(), |s| vec![s]);
    centred.best(&starts, cancel)
}

/// E, C and the exponents where one start ends, roughly.
pub(crate) fn descend<const J: usize>(
    data: &Data<J>,
    start: [f64; J],
    cancel: &Cancel,
) -> Option<(Vec<f64>, [f64; J])> {
    let centred = Centred::new(data);
    let stop = Stop { evaluations: 100, decrease: 1e-6 };
    let minimum = centred.search(start, stop, cancel)?;
    Some((centred.natural(&centred.project(&minimum.x), &minimum.x), minimum.x))
}

impl<const J: usize> Centred<J> {
    /// The lowest end of all starts.
    fn best(&self, starts: &[[f64; J]], cancel: &Cancel) -> Option<Outcome> {
        let mut best: Option<Minimum<J>> = None;
        let mut evaluations = 0;
        for &start in starts {
            let stop = Stop { evaluations: 300, decrease: 1e-14 };
            let minimum = self.search(start, stop, cancel)?;
            evaluations += minimum.evaluations;
            if best.as_ref().is_none_or(|b| minimum.value < b.value) {
                best = Some(minimum);
            }
        }
        best.map(|minimum| self.outcome(&minimum, evaluations))
    }

    fn search(&self, start: [f64; J], stop: Stop, cancel: &Cancel) -> Option<Minimum<J>> {
        let (lower, upper) = ([EXPONENTS.0; J], [EXPONENTS.1; J]);
        levenberg::minimise(|e| self.model(e), start, &lower, &upper, stop, cancel)
    }

    /// E and C, no longer about the mean of the logs.
    fn natural(&self, p: &Projection<J>, exponents: &[f64; J]) -> Vec<f64> {
        let mut out = vec![p.coefficients[0]];
        out.extend((0..J).map(|j| p.coefficients[j + 1] * (exponents[j] * self.mean[j]).exp()));
        out
    }

    fn outcome(&self, minimum: &Minimum<J>, evaluations: usize) -> Outcome {
        let p = self.project(&minimum.x);
        let mut params = self.natural(&p, &minimum.x);
        params.extend(minimum.x);
        // Sensitivities: the columns themselves, and c ∂φ/∂e, all about the mean of the logs (a change of basis that
        // cannot make a flat direction curved).
        let mut sensitivities: Vec<Vec<f64>> = vec![self.root.clone()];
        sensitivities.extend(p.columns.iter().cloned());
        for j in 0..J {
            let c = p.coefficients[j + 1];
            sensitivities.push(p.columns[j].iter().zip(&self.logs[j]).map(|(f, l)| -c * l * f).collect());
        }
        let mut normal = [[0.0; 7]; 7];
        for i in 0..=2 * J {
            for j in 0..=2 * J {
                normal[i][j] = dot(&sensitivities[i], &sensitivities[j]);
            }
        }
        let mut known = identified(&normal)[..=2 * J].to_vec();
        let mut on_bound: Vec<bool> = (0..=J).map(|i| p.coefficients[i] <= 0.0).collect();
        on_bound[0] |= p.coefficients[0] >= self.e_max;
        on_bound.extend(minimum.x.iter().map(|&e| e <= EXPONENTS.0 || e >= EXPONENTS.1));
        for j in 0..J {
            known[J + 1 + j] &= p.coefficients[j + 1] > 0.0;
        }
        Outcome {
            params,
            objective: dot(&p.residuals, &p.residuals),
            reason: minimum.reason,
            evaluations,
            identified: known,
            on_bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn recovers_noise_free_laws(e in 0.2f64..3.0, at in proptest::array::uniform3(0.1f64..1.5),
                                    exponents in proptest::array::uniform3(0.15f64..0.9)) {
            let (mut n, mut d, mut k) = (vec![], vec![], vec![]);
            for i in 0..7 { for j in 0..7 { for l in 0..6 {
                n.push(5e6 * 4f64.powi(i)); d.push(1e8 * 5f64.powi(j)); k.push(3f64.powi(l));
            }}}
            // Terms of order one in the middle of the grid, so that each is visible.
            let c = [at[0] * 3e8f64.powf(exponents[0]), at[1] * 1e10f64.powf(exponents[1]), at[2] * 4f64.powf(exponents[2])];
            let y: Vec<f64> = (0..n.len()).map(|i| e + c[0] * n[i].powf(-exponents[0]) + c[1] * d[i].powf(-exponents[1])
                + c[2] * k[i].powf(-exponents[2])).collect();
            let data = Data { x: [&n, &d, &k], y: &y, w: None, e_max: f64::INFINITY };
            let fit = fit(&data, None, &Cancel::new(false)).unwrap();
            let truth = [e, c[0], c[1], c[2], exponents[0], exponents[1], exponents[2]];
            for (found, true_value) in fit.params.iter().zip(truth) {
                prop_assert!((found / true_value - 1.0).abs() < 1e-6, "{:?} {:?}", fit, truth);
            }
            prop_assert!(fit.identified.iter().all(|&b| b) && !fit.on_bound.iter().any(|&b| b));
        }
    }

    #[test]
    fn one_k_cannot_tell_the_samples_term_from_the_floor() {
        let (mut n, mut d, mut y) = (vec![], vec![], vec![]);
        for i in 0..6 {
            for j in 0..6 {
                n.push(1e7 * 4f64.powi(i));
                d.push(1e9 * 4f64.powi(j));
                y.push(1.7 + 400.0 * n.last().unwrap().powf(-0.34) + 410.0 * d.last().unwrap().powf(-0.28));
            }
        }
        let ones = vec![1.0; n.len()];
        let data = Data { x: [&n, &d, &ones], y: &y, w: None, e_max: f64::INFINITY };
        let fit = fit(&data, None, &Cancel::new(false)).unwrap();
        assert!(fit.objective < 1e-20);
        assert!(!fit.identified[0] && !fit.identified[3] && !fit.identified[6], "{fit:?}");
        assert!(fit.identified[1] && fit.identified[2] && fit.identified[4] && fit.identified[5]);
    }

    #[test]
    fn a_term_that_the_data_refuse_is_zero_and_says_so() {
        // The loss grows with D: B must be zero, and beta means nothing.
        let (mut n, mut d, mut y) = (vec![], vec![], vec![]);
        for i in 0..6 {
            for j in 0..6 {
                n.push(1e7 * 4f64.powi(i));
                d.push(1e9 * 4f64.powi(j));
                y.push(1.7 + 400.0 * n.last().unwrap().powf(-0.34) + 0.01 * j as f64);
            }
        }
        let data = Data { x: [&n, &d], y: &y, w: None, e_max: f64::INFINITY };
        let fit = fit(&data, None, &Cancel::new(false)).unwrap();
        assert_eq!(fit.params[2], 0.0);
        assert!(fit.on_bound[2] && !fit.identified[4]);
    }
}
