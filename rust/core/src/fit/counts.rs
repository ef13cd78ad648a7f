//! The counts law: maximum likelihood of the Beta-binomial on the counts themselves, in one stage.
//!
//! c successes in n samples of a problem have probability ∝ B(c+a, n−c+b)/B(a, b), where (a, b) is the accuracy law's
//! link at the checkpoint's latent loss A/N^α + B/D^β + σ u. The checkpoint effect u ~ N(0, 1) is shared by all its
//! problems and integrated out, by a Gauss-Hermite rule centred and scaled at the mode of its posterior (Liu and Pierce
//! 1994), which is the narrower the more problems there are; without the effect one badly fitting checkpoint with many
//! samples would decide everything. The likelihood has the same shape whether n was fixed beforehand or sampling stopped
//! at a success, so early stopping does not bias it.

use rayon::prelude::*;

use crate::beta;
use crate::fit::latent::{self, Checkpoints, LARGEST_CEILING, Prior, UNKNOWNS};
use crate::fit::{Cancel, Outcome};
use crate::laws::Link;
use crate::levenberg::{self, Minimum, Model, Stop};
use crate::linalg::{Matrix, identified};
use crate::rising::rising;

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
/// a and b are kept above this, so that a law has a likelihood, however small, where it rules out what was seen.
const LEAST_AB: f64 = 1e-100;
/// Roots x >= 0 of the Hermite polynomial H₁₅, and their weights times e^(x²) (Abramowitz and Stegun 25.4.46).
const HERMITE: [(f64, f64); 8] = [
    (0.0, 0.5641003087264176),
    (0.5650695832555758, 0.567021153446604),
    (1.1361155852109206, 0.5761933502834996),
    (1.7199925751864888, 0.5930274497642095),
    (2.3257324861738575, 0.6206626035270372),
    (2.967166927905603, 0.6661660051090439),
    (3.6699503734044527, 0.7486073660169063),
    (4.499990707309392, 0.9483689708276052),
];
/// The same of H₇, for a posterior so narrow that it is nearly normal.
const HERMITE_NARROW: [(f64, f64); 4] = [
    (0.0, 0.8102646175568073),
    (0.8162878828589647, 0.8286873032836393),
    (1.6735516287674714, 0.8971846002251841),
    (2.6519613568352334, 1.1013307296103223),
];
/// Standard deviation of the effect's posterior, beside 1 of its prior, below which it is narrow.
const NARROW: f64 = 0.2;
/// Most steps towards the mode of a checkpoint's effect.
const MODE_STEPS: usize = 30;

/// Counts within their checkpoints.
pub struct Likelihood {
    checkpoints: Checkpoints,
    groups: Vec<Group>,
    weights: Vec<f64>,
    prior: Option<Prior>,
}

/// The problems of one checkpoint: merged by (n, c), and as what the likelihood sums over, each number with its weight.
#[derive(Clone, Debug)]
struct Group {
    counts: Vec<Count>,
    correct: Vec<(f64, f64)>,
    failed: Vec<(f64, f64)>,
    samples: Vec<(f64, f64)>,
}

/// Weights of equal numbers added up, ascending; without zeros, which add nothing to a sum over rising factorials.
fn merged(values: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut values: Vec<(f64, f64)> = values.filter(|&(m, _)| m > 0.0).collect();
    values.sort_by(|x, y| x.0.total_cmp(&y.0));
    values.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0.0 };
        same
    });
    values
}

impl Group {
    fn new(mut counts: Vec<Count>) -> Self {
        counts.sort_by(|a, b| a.samples.total_cmp(&b.samples).then(a.correct.total_cmp(&b.correct)));
        counts.dedup_by(|next, kept| {
            let same = next.samples == kept.samples && next.correct == kept.correct;
            kept.w += if same { next.w } else { 0.0 };
            same
        });
        Self {
            correct: merged(counts.iter().map(|c| (c.correct, c.w))),
            failed: merged(counts.iter().map(|c| (c.samples - c.correct, c.w))),
            samples: merged(counts.iter().map(|c| (c.samples, c.w))),
            counts,
        }
    }

    /// Σ w ln [B(c+a, n−c+b)/B(a, b)], its slopes in ln a and ln b, and a²∂²/∂a², b²∂²/∂b² and ab ∂²/∂a∂b of minus it.
    fn beta_binomial(&self, [a, b]: [f64; 2]) -> (f64, [f64; 2], [f64; 3]) {
        let (of_a, of_b) = (rising(a, &self.correct), rising(b, &self.failed));
        let both = rising(a + b, &self.samples);
        (
            of_a.value + of_b.value - both.value,
            [a * (of_a.slope - both.slope), b * (of_b.slope - both.slope)],
            [a * a * (both.bend - of_a.bend), b * b * (both.bend - of_b.bend), a * b * both.bend],
        )
    }
}

/// Log-likelihood of one checkpoint at one value of its effect, differentiated in the eight unknowns and ln σ.
struct Conditional {
    log_p: f64,
    score: [f64; P],
    /// JᵀIJ: information on (ln a, ln b), carried to the unknowns.
    information: [[f64; P]; P],
}

/// A checkpoint's latent loss without effect, with its derivatives in the first unknowns.
struct Place {
    common: [f64; UNKNOWNS],
    latent: f64,
    by: [f64; 4],
    sigma: f64,
}

impl Place {
    /// a and b at effect `u`, the link there, and derivatives of a and b in the unknowns but ln σ.
    fn link(&self, u: f64) -> ([f64; 2], Link, [[f64; 2]; UNKNOWNS]) {
        let (link, by) = Checkpoints::link(&self.common, self.latent + self.sigma * u, &self.by);
        (link.ab.map(|v| v.max(LEAST_AB)), link, by)
    }

    /// a and b at effect `u`, and the derivatives of their logarithms in all unknowns.
    fn sensitivities(&self, u: f64) -> ([f64; 2], [[f64; 2]; P]) {
        let (ab, link, by_common) = self.link(u);
        let mut by = [[0.0; 2]; P];
        for p in 0..UNKNOWNS {
            by[p] = [by_common[p][0] / ab[0], by_common[p][1] / ab[1]];
        }
        by[UNKNOWNS] = [0, 1].map(|i| link.latent[i] / ab[i] * self.sigma * u);
        (ab, by)
    }
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
        let groups = groups.into_iter().map(Group::new).collect();
        Self { checkpoints: Checkpoints::new(n, d), groups, weights: weights.to_vec(), prior: None }
    }

    /// With the forecast law's priors on the law.
    pub fn regularised(self) -> Self {
        let share = |group: &Group| {
            let sum = |counts: &[(f64, f64)]| counts.iter().map(|(m, w)| m * w).sum::<f64>();
            sum(&group.correct) / sum(&group.samples).max(1.0)
        };
        let top = self.groups.iter().map(share).fold(0.0, f64::max);
        Self { prior: Some(Prior::new(top)), ..self }
    }

    fn place(&self, x: &[f64; P], i: usize, effect: bool) -> Place {
        let common = std::array::from_fn(|p| x[p]);
        let (latent, by) = self.checkpoints.latent(&common, i);
        Place { common, latent, by, sigma: sigma(x, effect) }
    }

    fn conditional(&self, place: &Place, i: usize, u: f64) -> Conditional {
        let (ab, by) = place.sensitivities(u);
        let (log_p, slope, info) = self.groups[i].beta_binomial(ab);
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

    /// Mode of the effect's posterior, and the standard deviation that its curvature there stands for.
    fn mode(&self, place: &Place, i: usize) -> (f64, f64) {
        let at = |u: f64| {
            let (ab, link, _) = place.link(u);
            let (log_p, slope, info) = self.groups[i].beta_binomial(ab);
            let by = [0, 1].map(|i| link.latent[i] / ab[i] * place.sigma);
            let gain = slope[0] * by[0] + slope[1] * by[1] - u;
            let bend = info[0] * by[0] * by[0] + info[1] * by[1] * by[1] + 2.0 * info[2] * by[0] * by[1];
            (log_p - 0.5 * u * u, gain, 1.0 + bend.max(0.0))
        };
        let mut u = 0.0;
        let mut here = at(u);
        for _ in 0..MODE_STEPS {
            let mut step = (here.1 / here.2).clamp(-3.0, 3.0);
            // A thousandth of the posterior's width does not matter to the rule.
            if step.abs() * here.2.sqrt() < 1e-3 {
                break;
            }
            let mut there = at(u + step);
            while there.0 < here.0 && step.abs() * here.2.sqrt() > 1e-3 {
                step *= 0.25;
                there = at(u + step);
            }
            if there.0 < here.0 {
                break;
            }
            (u, here) = (u + step, there);
        }
        (u, here.2.sqrt().recip())
    }

    /// Minus the marginal log-likelihood of one checkpoint, and what it is like at each node of the effect: the node's
    /// posterior probability, the effect, and the likelihood there.
    fn nodes(&self, x: &[f64; P], i: usize, effect: bool) -> (f64, Vec<(f64, f64, Conditional)>) {
        let place = self.place(x, i, effect);
        if !effect {
            let only = self.conditional(&place, i, 0.0);
            return (-only.log_p, vec![(1.0, 0.0, only)]);
        }
        let (mode, deviation) = self.mode(&place, i);
        let scale = std::f64::consts::SQRT_2 * deviation;
        let rule: &[(f64, f64)] = if deviation < NARROW { &HERMITE_NARROW } else { &HERMITE };
        let mirrored = rule.iter().flat_map(|&(x, w)| [(x, w), (-x, w)]).skip(1);
        let mut nodes: Vec<(f64, f64, Conditional)> = mirrored
            .map(|(x, w)| {
                let u = mode + scale * x;
                let node = self.conditional(&place, i, u);
                (node.log_p - 0.5 * u * u + w.ln(), u, node)
            })
            .collect();
        let top = nodes.iter().map(|n| n.0).fold(f64::NEG_INFINITY, f64::max);
        let mass: f64 = nodes.iter().map(|n| (n.0 - top).exp()).sum();
        nodes.iter_mut().for_each(|n| n.0 = (n.0 - top).exp() / mass);
        (0.5 * std::f64::consts::TAU.ln() - top - (mass * scale).ln(), nodes)
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
                let idle = self.groups[i].counts.is_empty() || self.weights[i] == 0.0;
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
            for (share, u, _) in self.nodes(x, i, effect).1 {
                let ([a, b], by) = place.sensitivities(u);
                for count in &self.groups[i].counts {
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
        let stop = Stop { evaluations: 1000, decrease: 1e-13 };
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
                likelihood.groups[i].beta_binomial(ab).0 - 0.5 * u * u
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
                        let (found, exact) = (likelihood.nodes(&x, i, true).0, fine(&likelihood, &x, i));
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
