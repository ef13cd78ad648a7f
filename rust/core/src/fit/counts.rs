//! The counts law: maximum likelihood of the Beta-binomial on the counts themselves, in one stage.
//!
//! c successes in n samples of a problem have probability ∝ B(c+a, n−c+b)/B(a, b), where (a, b) is the accuracy law's
//! link at the checkpoint's latent loss A/N^α + B/D^β + σ u. The checkpoint effect u ~ N(0, 1) is shared by all its
//! problems and integrated out; without it one badly fitting checkpoint with many samples would decide everything.
//! The likelihood has the same shape whether n was fixed beforehand or sampling stopped at a success, so early stopping
//! does not bias it.

use rayon::prelude::*;

use crate::beta;
use crate::fit::latent::{self, Checkpoints, UNKNOWNS};
use crate::fit::{Cancel, Outcome};
use crate::laws::Link;
use crate::levenberg::{self, Minimum, Model, Stop};
use crate::linalg::{Matrix, identified};
use crate::special::trigamma;

/// Counts of one problem at one checkpoint (or of several problems that are alike, by weight).
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Which checkpoint.
    pub checkpoint: usize,
    /// Samples drawn.
    pub samples: f64,
    /// Samples correct.
    pub correct: f64,
    /// How often this row counts.
    pub w: f64,
}

/// Unknowns: the one-stage accuracy law's eight and ln σ.
const P: usize = UNKNOWNS + 1;
const LOG_SIGMA: (f64, f64) = (-7.0, 1.5);
/// Nodes of the rule for the checkpoint effect: equally spaced on ±4, exponentially accurate for a Gaussian factor.
const NODES: i32 = 12;

/// Counts merged by (n, c) within their checkpoints.
pub struct Likelihood {
    checkpoints: Checkpoints,
    groups: Vec<Vec<Count>>,
    weights: Vec<f64>,
}

/// Log-likelihood of one checkpoint at one value of its effect, differentiated in the eight unknowns and ln σ.
struct Conditional {
    log_p: f64,
    score: [f64; P],
    /// JᵀIJ: information on (a, b), carried to the unknowns.
    information: [[f64; P]; P],
}

fn sigma(x: &[f64; P], effect: bool) -> f64 {
    if effect { x[UNKNOWNS].exp() } else { 0.0 }
}

impl Likelihood {
    /// `n`, `d` and `weights` (of the whole checkpoint, as in a bootstrap draw) are per checkpoint.
    pub fn new(n: &[f64], d: &[f64], counts: &[Count], weights: &[f64]) -> Self {
        let mut groups = vec![Vec::<Count>::new(); n.len()];
        for count in counts.iter().filter(|c| c.w > 0.0) {
            groups[count.checkpoint].push(*count);
        }
        for group in &mut groups {
            group.sort_by(|a, b| a.samples.total_cmp(&b.samples).then(a.correct.total_cmp(&b.correct)));
            group.dedup_by(|next, kept| {
                let same = next.samples == kept.samples && next.correct == kept.correct;
                kept.w += if same { next.w } else { 0.0 };
                same
            });
        }
        Self { checkpoints: Checkpoints::new(n, d), groups, weights: weights.to_vec() }
    }

    /// The link of checkpoint `i` at effect `u`, whose standard deviation on the latent loss is `sigma`, and the
    /// derivatives of its Beta parameters in the unknowns.
    fn link(&self, x: &[f64; P], i: usize, sigma: f64, u: f64) -> (Link, [[f64; 2]; P]) {
        let common = std::array::from_fn(|p| x[p]);
        let (latent, by_latent) = self.checkpoints.latent(&common, i);
        let (link, by_common) = Checkpoints::link(&common, latent + sigma * u, &by_latent);
        let mut by = [[0.0; 2]; P];
        by[..UNKNOWNS].copy_from_slice(&by_common);
        by[UNKNOWNS] = link.latent.map(|g| g * sigma * u);
        (link, by)
    }

    fn conditional(&self, x: &[f64; P], i: usize, sigma: f64, u: f64) -> Conditional {
        let (link, by) = self.link(x, i, sigma, u);
        let (log_p, slope, info) = self.beta_binomial(i, &link);
        let mut out = Conditional { log_p, score: [0.0; P], information: [[0.0; P]; P] };
        for p in 0..P {
            out.score[p] = slope[0] * by[p][0] + slope[1] * by[p][1];
            let row = [info[0] * by[p][0] + info[2] * by[p][1], info[2] * by[p][0] + info[1] * by[p][1]];
            for q in 0..=p {
                out.information[p][q] = row[0] * by[q][0] + row[1] * by[q][1];
            }
        }
        out
    }

    /// Σ w ln [B(c+a, n−c+b)/B(a, b)] over a checkpoint's problems, its slopes in (a, b), and minus its second
    /// derivatives aa, bb, ab.
    fn beta_binomial(&self, i: usize, link: &Link) -> (f64, [f64; 2], [f64; 3]) {
        let [a, b] = link.ab;
        let (at_a, at_b, at_ab) = (trigamma(a), trigamma(b), trigamma(a + b));
        let (mut log_p, mut slope, mut info) = (0.0, [0.0; 2], [0.0; 3]);
        for &Count { samples: n, correct: c, w, .. } in &self.groups[i] {
            let (value, g) = beta::log_beta_binomial_gradient(c, n, a, b);
            log_p += w * value;
            slope[0] += w * g[0];
            slope[1] += w * g[1];
            let shared = trigamma(a + b + n) - at_ab;
            info[0] += w * (at_a - trigamma(a + c) + shared);
            info[1] += w * (at_b - trigamma(b + n - c) + shared);
            info[2] += w * shared;
        }
        (log_p, slope, info)
    }

    /// Minus the marginal log-likelihood of one checkpoint, and what it is like at each node of the effect: the node's
    /// posterior probability, the effect, and the likelihood there.
    fn nodes(&self, x: &[f64; P], i: usize, effect: bool) -> (f64, Vec<(f64, f64, Conditional)>) {
        let sigma = sigma(x, effect);
        let spacing = 4.0 / f64::from(NODES);
        let reach = if effect { NODES } else { 0 };
        let mut nodes: Vec<(f64, f64, Conditional)> = (-reach..=reach)
            .map(|q| {
                let u = spacing * f64::from(q);
                let node = self.conditional(x, i, sigma, u);
                (node.log_p - 0.5 * u * u, u, node)
            })
            .collect();
        let top = nodes.iter().map(|n| n.0).fold(f64::NEG_INFINITY, f64::max);
        let mass: f64 = nodes.iter().map(|n| (n.0 - top).exp()).sum();
        let rule = if effect { spacing / (2.0 * std::f64::consts::PI).sqrt() } else { 1.0 };
        nodes.iter_mut().for_each(|n| n.0 = (n.0 - top).exp() / mass);
        (-(top + (mass * rule).ln()), nodes)
    }

    /// Minus the marginal log-likelihood of one checkpoint, its gradient and information (Louis 1982: the mean
    /// information less the variance of the score).
    fn checkpoint(&self, x: &[f64; P], i: usize, effect: bool) -> Model<P> {
        let (value, nodes) = self.nodes(x, i, effect);
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
        let parts: Vec<Option<Model<P>>> = (0..self.groups.len())
            .into_par_iter()
            .map(|i| {
                let idle = self.groups[i].is_empty() || self.weights[i] == 0.0;
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
        sum.symmetrise();
        sum
    }

    /// Σ w s sᵀ over the scores s of single problems: what the data can tell. The information of [`Self::model`] also
    /// holds the curvature of a misfit, which may bend either way.
    fn scores(&self, x: &[f64; P], effect: bool) -> Matrix<P> {
        let mut sum = [[0.0; P]; P];
        let mut problems = 0.0;
        for (i, &weight) in self.weights.iter().enumerate() {
            for (share, u, _) in self.nodes(x, i, effect).1 {
                let (link, by) = self.link(x, i, sigma(x, effect), u);
                for count in &self.groups[i] {
                    problems += weight * share * count.w;
                    let [a, b] = link.ab;
                    let (_, g) = beta::log_beta_binomial_gradient(count.correct, count.samples, a, b);
                    let score: [f64; P] = std::array::from_fn(|p| g[0] * by[p][0] + g[1] * by[p][1]);
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
        let (mut lower, mut upper) = ([LOG_SIGMA.0; P], [LOG_SIGMA.1; P]);
        lower[..UNKNOWNS].copy_from_slice(&latent::LOWER);
        upper[..UNKNOWNS].copy_from_slice(&latent::UPPER);
        if !effect {
            upper[UNKNOWNS] = lower[UNKNOWNS];
        }
        levenberg::minimise(|x| self.model(x, effect), start, &lower, &upper, stop, cancel)
    }

    /// Maximises the likelihood from the given laws (ten parameters E … θ4, then σ); with `effect` the checkpoint
    /// effect is fitted too, from the best law without it. `None` when cancelled.
    pub fn fit(&self, starts: &[Vec<f64>], effect: bool, cancel: &Cancel) -> Option<Outcome> {
        let unknowns = |p: &[f64]| {
            let mut x = [LOG_SIGMA.0; P];
            x[..UNKNOWNS].copy_from_slice(&self.checkpoints.unknowns(p));
            if p.len() > 10 && p[10] > 0.0 {
                x[UNKNOWNS] = p[10].ln();
            }
            x
        };
        let fitted_before = effect && starts.len() == 1 && starts[0].get(10).is_some_and(|&s| s > 0.0);
        let stop = Stop { evaluations: 300, decrease: 1e-14 };
        let best = if fitted_before {
            // A draw near the fit to all data: more digits than its own sampling error has are wasted.
            let stop = Stop { evaluations: 120, decrease: 1e-10 };
            self.search(unknowns(&starts[0]), true, stop, cancel)?
        } else {
            let ends: Vec<Minimum<P>> = starts
                .iter()
                .map(|p| self.search(unknowns(p), false, stop, cancel))
                .collect::<Option<_>>()?;
            let plain = ends.into_iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
            if effect {
                let mut x = plain.x;
                x[UNKNOWNS] = 0.3f64.ln();
                self.search(x, true, stop, cancel)?
            } else {
                plain
            }
        };
        Some(self.outcome(&best, effect))
    }

    fn outcome(&self, best: &Minimum<P>, effect: bool) -> Outcome {
        let common = std::array::from_fn(|p| best.x[p]);
        let bound: [bool; UNKNOWNS] =
            std::array::from_fn(|i| best.x[i] <= latent::LOWER[i] || best.x[i] >= latent::UPPER[i]);
        let mut params = self.checkpoints.natural(&common);
        params.push(if effect { best.x[UNKNOWNS].exp() } else { 0.0 });
        let mut on_bound = Checkpoints::flags(bound, false);
        on_bound.push(effect && (best.x[UNKNOWNS] <= LOG_SIGMA.0 || best.x[UNKNOWNS] >= LOG_SIGMA.1));
        let known = identified(&self.scores(&best.x, effect));
        let mut flags = Checkpoints::flags(std::array::from_fn(|i| known[i]), true);
        flags.push(!effect || known[UNKNOWNS]);
        Outcome {
            params,
            objective: best.value,
            reason: best.reason,
            evaluations: best.evaluations,
            identified: flags,
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
                let samples = 12.0;
                for c in 0..=12 {
                    let c = f64::from(c);
                    let choose = crate::special::ln_gamma(samples + 1.0)
                        - crate::special::ln_gamma(c + 1.0)
                        - crate::special::ln_gamma(samples - c + 1.0);
                    let w = 100.0 * (choose + beta::log_beta_binomial(c, samples, a, b)).exp();
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
        let start = vec![0.0, 60.0, 200.0, 0.23, 0.22, 2.5, 1.0, 0.9, 0.5, 0.0];
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

    #[test]
    fn the_effect_is_integrated_accurately() {
        let (n, d, counts) = expected_counts();
        let likelihood = Likelihood::new(&n, &d, &counts, &vec![1.0; n.len()]);
        let sigma = 0.4f64;
        let mut x = [sigma.ln(); P];
        x[..UNKNOWNS].copy_from_slice(&likelihood.checkpoints.unknowns(&TRUTH));
        let centre = likelihood.conditional(&x, 7, sigma, 0.0).log_p;
        // A rule 40 times as fine on twice the range.
        let h = 4.0 / 480.0;
        let fine: f64 = (-960..=960)
            .map(|q| {
                let u = h * f64::from(q);
                let log = likelihood.conditional(&x, 7, sigma, u).log_p - 0.5 * u * u;
                h / (2.0 * std::f64::consts::PI).sqrt() * (log - centre).exp()
            })
            .sum();
        assert!((likelihood.checkpoint(&x, 7, true).value + fine.ln() + centre).abs() < 1e-3);
    }
}
