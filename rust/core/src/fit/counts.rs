//! The counts law: maximum likelihood of the Beta-binomial on the counts themselves, in one stage.
//!
//! c successes in n samples of a problem have probability ∝ B(c+a, n−c+b)/B(a, b), where (a, b) is the accuracy law's
//! link at the checkpoint's latent loss A/N^α + B/D^β + σ u. The checkpoint effect u ~ N(0, 1) is shared by all its
//! problems and integrated out (`effect`); without it one badly fitting checkpoint with many samples would decide
//! everything. The likelihood has the same shape whether n was fixed beforehand or sampling stopped at a success, so
//! early stopping does not bias it.

use rayon::prelude::*;

use crate::beta;
use crate::cancel::Cancel;
use crate::fit::Outcome;
use crate::fit::effect::{P, Place};
use crate::fit::latent::{self, Checkpoints, LARGEST_CEILING, Prior, UNKNOWNS};
use crate::fit::problems::{Count, Problems};
use crate::levenberg::{self, Minimum, Model, Stop};
use crate::linalg::{Matrix, identified};

/// Bounds of ln σ.
const LOG_SIGMA: (f64, f64) = (-7.0, 1.5);

/// Counts within their checkpoints.
pub struct Likelihood {
    checkpoints: Checkpoints,
    problems: Vec<Problems>,
    weights: Vec<f64>,
    prior: Option<Prior>,
}

fn sigma(x: &[f64; P], effect: bool) -> f64 {
    if effect { x[UNKNOWNS].exp() } else { 0.0 }
}

impl Likelihood {
    /// `n`, `d` and `weights` (of the whole checkpoint, as in a bootstrap draw) are per checkpoint.
    pub fn new(n: &[f64], d: &[f64], counts: &[Count], weights: &[f64]) -> Self {
        let mut problems = vec![Vec::<Count>::new(); n.len()];
        for count in counts.iter().filter(|c| c.w > 0.0) {
            problems[count.checkpoint].push(*count);
        }
        let problems = problems.into_iter().map(Problems::new).collect();
        Self { checkpoints: Checkpoints::new(n, d), problems, weights: weights.to_vec(), prior: None }
    }

    /// With the forecast law's priors on the law.
    pub fn regularised(self) -> Self {
        let top = self.problems.iter().map(Problems::share_correct).fold(0.0, f64::max);
        Self { prior: Some(Prior::new(top)), ..self }
    }

    fn place(&self, x: &[f64; P], i: usize, effect: bool) -> Place<'_> {
        let common = std::array::from_fn(|p| x[p]);
        let (latent, by) = self.checkpoints.latent(&common, i);
        Place { problems: &self.problems[i], common, latent, by, sigma: sigma(x, effect) }
    }

    /// Minus the marginal log-likelihood of one checkpoint, its gradient and information (Louis 1982: the mean
    /// information less the variance of the score).
    fn checkpoint(&self, x: &[f64; P], i: usize, effect: bool) -> Model<P> {
        let (value, nodes) = self.place(x, i, effect).nodes();
        let mut m = Model { value, ..Model::zero() };
        for (share, _, node) in &nodes {
            for p in 0..P {
                m.gradient[p] -= share * node.score[p];
                for q in 0..=p {
                    m.hessian[p][q] += share * (node.information[p][q] - node.score[p] * node.score[q]);
                }
            }
        }
        for p in 0..P {
            for q in 0..=p {
                m.hessian[p][q] += m.gradient[p] * m.gradient[q];
            }
        }
        m
    }

    /// Negative log-likelihood, gradient and information, summed in the order of the checkpoints whatever the threads.
    fn model(&self, x: &[f64; P], effect: bool) -> Model<P> {
        let parts: Vec<Option<Model<P>>> = (0..self.problems.len())
            .into_par_iter()
            .map(|i| {
                let idle = self.problems[i].counts.is_empty() || self.weights[i] == 0.0;
                (!idle).then(|| self.checkpoint(x, i, effect))
            })
            .collect();
        let mut sum = Model::zero();
        for (part, w) in parts.iter().zip(&self.weights) {
            let Some(part) = part else { continue };
            sum.value += w * part.value;
            for p in 0..P {
                sum.gradient[p] += w * part.gradient[p];
                for q in 0..=p {
                    sum.hessian[p][q] += w * part.hessian[p][q];
                }
            }
        }
        if let Some(prior) = &self.prior {
            prior.add(&mut sum, x);
        }
        sum.symmetrise();
        sum
    }

    /// The box of the search.
    fn bounds(&self) -> ([f64; P], [f64; P]) {
        let (mut lower, mut upper) = ([LOG_SIGMA.0; P], [LOG_SIGMA.1; P]);
        lower[..UNKNOWNS].copy_from_slice(&latent::LOWER);
        upper[..UNKNOWNS].copy_from_slice(&latent::UPPER);
        if self.prior.is_some() {
            upper[5] = LARGEST_CEILING;
        }
        (lower, upper)
    }

    /// Σ w s sᵀ over the scores s of single problems: what the data can tell. The information of [`Self::model`] also
    /// holds the curvature of a misfit, which may bend either way.
    fn scores(&self, x: &[f64; P], effect: bool) -> Matrix<P> {
        let mut sum = [[0.0; P]; P];
        let mut problems = 0.0;
        for (i, &weight) in self.weights.iter().enumerate() {
            let place = self.place(x, i, effect);
            for (share, u, _) in place.nodes().1 {
                let ([a, b], by) = place.sensitivities(u);
                for count in &self.problems[i].counts {
                    problems += weight * share * count.w;
                    let (_, g) = beta::log_beta_binomial_gradient(count.correct, count.samples, a, b);
                    let score: [f64; P] = std::array::from_fn(|p| a * g[0] * by[p][0] + b * g[1] * by[p][1]);
                    for p in 0..P {
                        for q in 0..P {
                            sum[p][q] += weight * share * count.w * score[p] * score[q];
                        }
                    }
                }
            }
        }
        // Every unknown is of order one, so a score of order 1e-10 is rounding.
        for p in 0..P {
            if sum[p][p] <= 1e-20 * problems {
                sum[p] = [0.0; P];
                sum.iter_mut().for_each(|row| row[p] = 0.0);
            }
        }
        sum
    }

    fn search(&self, start: [f64; P], effect: bool, stop: Stop, cancel: &Cancel) -> Option<Minimum<P>> {
        let (lower, mut upper) = self.bounds();
        if !effect {
            upper[UNKNOWNS] = lower[UNKNOWNS];
        }
        levenberg::minimise(|x| self.model(x, effect), start, &lower, &upper, stop, cancel)
    }

    /// The unknowns of a law's eleven parameters E … θ4, σ.
    fn unknowns(&self, law: &[f64]) -> [f64; P] {
        let mut x = [LOG_SIGMA.0; P];
        x[..UNKNOWNS].copy_from_slice(&self.checkpoints.unknowns(law));
        x[UNKNOWNS] = law[10].ln().max(LOG_SIGMA.0);
        x
    }

    /// Maximises the likelihood from the best of the given laws (eleven parameters E … θ4, σ); with `effect` the
    /// checkpoint effect is then fitted too. `None` when cancelled.
    pub fn fit(&self, starts: &[Vec<f64>], effect: bool, cancel: &Cancel) -> Option<Outcome> {
        let stop = Stop { evaluations: 10_000, decrease: 1e-13 };
        let ends: Vec<Minimum<P>> = starts
            .iter()
            .map(|law| self.search(self.unknowns(law), false, stop, cancel))
            .collect::<Option<_>>()?;
        let mut best = ends.into_iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
        if effect {
            // A misfit can be explained by a little scatter or by much of it and another law.
            let mut both = Vec::with_capacity(2);
            for first in [0.3f64, 1.5] {
                let mut x = best.x;
                x[UNKNOWNS] = first.ln();
                both.push(self.search(x, true, stop, cancel)?);
            }
            best = both.into_iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
        }
        let mut outcome = self.outcome(&best, effect);
        let known = identified(&self.scores(&best.x, effect));
        outcome.identified = Checkpoints::flags(std::array::from_fn(|i| known[i]), true);
        outcome.identified.push(!effect || known[UNKNOWNS]);
        Some(outcome)
    }

    /// As [`Self::fit`] for counts much like those that `law` was fitted to, as a bootstrap draw is: one search from
    /// there, far closer than the draw's own sampling error. It does not ask what is identified. `None` when cancelled.
    pub fn refit(&self, law: &[f64], effect: bool, cancel: &Cancel) -> Option<Outcome> {
        let stop = Stop { evaluations: 400, decrease: 1e-8 };
        Some(self.outcome(&self.search(self.unknowns(law), effect, stop, cancel)?, effect))
    }

    fn outcome(&self, best: &Minimum<P>, effect: bool) -> Outcome {
        let common = std::array::from_fn(|p| best.x[p]);
        let (lower, upper) = self.bounds();
        let bound: [bool; P] = std::array::from_fn(|i| best.x[i] <= lower[i] || best.x[i] >= upper[i]);
        let mut params = self.checkpoints.natural(&common);
        params.push(sigma(&best.x, effect));
        let mut on_bound = Checkpoints::flags(std::array::from_fn(|i| bound[i]), false);
        on_bound.push(effect && bound[UNKNOWNS]);
        Outcome {
            params,
            objective: best.value,
            reason: best.reason,
            evaluations: best.evaluations,
            identified: Vec::new(),
            on_bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::{Law, Link};

    const TRUTH: [f64; 11] = [0.0, 120.0, 300.0, 0.27, 0.24, 2.1, 1.0, 0.8, 1.0, -0.2, 0.0];

    /// Every possible outcome of n samples, weighted by its probability: the likelihood is then greatest at the truth.
    fn expected_counts() -> (Vec<f64>, Vec<f64>, Vec<Count>) {
        let (mut n, mut d, mut counts) = (vec![], vec![], vec![]);
        for i in 0..5 {
            for j in 0..5 {
                n.push(1e7 * 5f64.powi(i));
                d.push(1e9 * 5f64.powi(j));
                let latent = Law::Counts.latent(&TRUTH, n.last().unwrap().ln(), d.last().unwrap().ln()).0;
                let [a, b] = Link::new(&crate::laws::theta(&TRUTH), latent).ab;
                let (samples, mut choose) = (12.0, 1.0);
                for c in 0..=12 {
                    let c = f64::from(c);
                    let w = 100.0 * choose * beta::log_beta_binomial(c, samples, a, b).exp();
                    choose *= (samples - c) / (c + 1.0);
                    counts.push(Count { checkpoint: n.len() - 1, samples, correct: c, w });
                }
            }
        }
        (n, d, counts)
    }

    #[test]
    fn recovers_the_law_from_expected_counts() {
        let (n, d, counts) = expected_counts();
        let likelihood = Likelihood::new(&n, &d, &counts, &vec![1.0; n.len()]);
        let start = vec![0.0, 60.0, 200.0, 0.23, 0.22, 2.5, 1.0, 0.9, 0.5, 0.0, 0.0];
        let fit = likelihood.fit(&[start], false, &Cancel::new(false)).unwrap();
        for (found, truth) in fit.params.iter().zip(TRUTH) {
            assert!((found - truth).abs() < 2e-5 * truth.abs().max(1e-2), "{fit:?}");
        }
        assert!(fit.identified.iter().all(|&b| b), "{fit:?}");
    }

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let (n, d, counts) = expected_counts();
        let likelihood = Likelihood::new(&n, &d, &counts, &vec![1.0; n.len()]);
        let mut x = [0.0; P];
        x[..UNKNOWNS].copy_from_slice(&likelihood.checkpoints.unknowns(&TRUTH));
        x[UNKNOWNS] = 0.4f64.ln();
        x[4] += 0.2;
        for effect in [false, true] {
            let g = likelihood.model(&x, effect).gradient;
            for p in 0..P {
                let (mut up, mut down) = (x, x);
                up[p] += 1e-5;
                down[p] -= 1e-5;
                let numeric =
                    (likelihood.model(&up, effect).value - likelihood.model(&down, effect).value) / 2e-5;
                assert!(
                    (numeric - g[p]).abs() < 1e-4 * g[p].abs().max(1.0),
                    "{effect} {p} {numeric} {}",
                    g[p]
                );
            }
        }
    }

    #[test]
    fn information_is_the_hessian_at_the_truth() {
        // With expected counts the score vanishes at the truth, and what Gauss-Newton leaves out with it.
        let (n, d, counts) = expected_counts();
        let likelihood = Likelihood::new(&n, &d, &counts, &vec![1.0; n.len()]);
        let mut x = [LOG_SIGMA.0; P];
        x[..UNKNOWNS].copy_from_slice(&likelihood.checkpoints.unknowns(&TRUTH));
        let m = likelihood.model(&x, false);
        for p in 0..UNKNOWNS {
            let (mut up, mut down) = (x, x);
            up[p] += 1e-5;
            down[p] -= 1e-5;
            let (u, v) = (likelihood.model(&up, false), likelihood.model(&down, false));
            for q in 0..UNKNOWNS {
                let numeric = (u.gradient[q] - v.gradient[q]) / 2e-5;
                let scale = (m.hessian[p][p] * m.hessian[q][q]).sqrt();
                assert!((numeric - m.hessian[p][q]).abs() < 1e-5 * scale, "{p} {q}");
            }
        }
    }

    /// The integral over the effect by a rule of 20,001 points on ±20.
    fn fine(likelihood: &Likelihood, x: &[f64; P], i: usize) -> f64 {
        let place = likelihood.place(x, i, true);
        let h = 2e-3;
        let logs: Vec<f64> = (-10_000..=10_000)
            .map(|q| {
                let u = h * f64::from(q);
                let (ab, ..) = place.link(u);
                likelihood.problems[i].beta_binomial(ab).0 - 0.5 * u * u
            })
            .collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mass: f64 = logs.iter().map(|l| (l - top).exp()).sum();
        -(top + (mass * h / std::f64::consts::TAU.sqrt()).ln())
    }

    #[test]
    fn the_effect_is_integrated_accurately_for_one_problem_and_for_thousands() {
        let (n, d, counts) = expected_counts();
        for problems in [0.01, 1.0, 5.0, 50.0] {
            // There are 100 problems a checkpoint to begin with.
            let counts: Vec<Count> = counts.iter().map(|c| Count { w: c.w * problems, ..*c }).collect();
            let likelihood = Likelihood::new(&n, &d, &counts, &vec![1.0; n.len()]);
            for sigma in [0.05f64, 0.4, 1.5] {
                for shift in [0.0, 1.0] {
                    let mut x = [sigma.ln(); P];
                    x[..UNKNOWNS].copy_from_slice(&likelihood.checkpoints.unknowns(&TRUTH));
                    // A law that is off by one in the latent loss: the mode of the effect is far out.
                    x[4] += shift;
                    for i in [0, 24] {
                        let (found, exact) =
                            (likelihood.place(&x, i, true).nodes().0, fine(&likelihood, &x, i));
                        assert!((found - exact).abs() < 1e-3, "{problems} {sigma} {shift} {found} {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_law_that_rules_out_what_was_seen_has_a_finite_likelihood() {
        let (n, d, counts) = expected_counts();
        let likelihood = Likelihood::new(&n, &d, &counts, &vec![1.0; n.len()]);
        for x in [latent::LOWER, latent::UPPER] {
            let mut all = [LOG_SIGMA.1; P];
            all[..UNKNOWNS].copy_from_slice(&x);
            for effect in [false, true] {
                let m = likelihood.model(&all, effect);
                assert!(m.value.is_finite() && m.gradient.iter().all(|g| g.is_finite()), "{m:?}");
            }
        }
    }
}
