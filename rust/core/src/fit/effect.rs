//! The checkpoint effect u ~ N(0, 1) of the counts law, integrated out.
//!
//! One effect is shared by all problems of a checkpoint, so its posterior is the narrower the more problems there are: a
//! Gauss-Hermite rule is centred and scaled at the posterior's mode (Liu and Pierce 1994).

use crate::fit::latent::{Checkpoints, UNKNOWNS};
use crate::fit::problems::Problems;
use crate::laws::Link;

/// Unknowns: the one-stage accuracy law's eight and ln σ.
pub(super) const P: usize = UNKNOWNS + 1;
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
const NARROW: f64 = 0.4;
/// Most steps towards the mode of a checkpoint's effect.
const MODE_STEPS: usize = 30;

/// Log-likelihood of one checkpoint at one value of its effect, differentiated in the eight unknowns and ln σ.
pub(super) struct Conditional {
    log_p: f64,
    pub(super) score: [f64; P],
    /// JᵀIJ: information on (ln a, ln b), carried to the unknowns.
    pub(super) information: [[f64; P]; P],
}

/// What [`Problems::beta_binomial`] returns.
type BetaBinomial = (f64, [f64; 2], [f64; 3]);

/// A checkpoint's problems and its latent loss without effect, with that loss's derivatives in the first unknowns.
pub(super) struct Place<'a> {
    pub(super) problems: &'a Problems,
    pub(super) common: [f64; UNKNOWNS],
    pub(super) latent: f64,
    pub(super) by: [f64; 4],
    /// How far the effect moves the latent loss; 0 without effect.
    pub(super) sigma: f64,
}

impl Place<'_> {
    /// a and b at effect `u`, the link there, and derivatives of a and b in the unknowns but ln σ.
    pub(super) fn link(&self, u: f64) -> ([f64; 2], Link, [[f64; 2]; UNKNOWNS]) {
        let (link, by) = Checkpoints::link(&self.common, self.latent + self.sigma * u, &self.by);
        (link.ab.map(|v| v.max(LEAST_AB)), link, by)
    }

    /// a and b at effect `u`, and the derivatives of their logarithms in all unknowns.
    pub(super) fn sensitivities(&self, u: f64) -> ([f64; 2], [[f64; 2]; P]) {
        let (ab, link, by_common) = self.link(u);
        let mut by = [[0.0; 2]; P];
        for p in 0..UNKNOWNS {
            by[p] = [by_common[p][0] / ab[0], by_common[p][1] / ab[1]];
        }
        by[UNKNOWNS] = [0, 1].map(|i| link.latent[i] / ab[i] * self.sigma * u);
        (ab, by)
    }

    fn conditional(&self, u: f64) -> Conditional {
        self.conditional_on(u, self.problems.beta_binomial(self.link(u).0))
    }

    /// As [`Self::conditional`], the likelihood of (a, b) at `u` being known.
    fn conditional_on(&self, u: f64, (log_p, slope, info): BetaBinomial) -> Conditional {
        let by = self.sensitivities(u).1;
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

    /// Mode of the effect's posterior, the standard deviation that its curvature there stands for, and the likelihood
    /// there.
    fn mode(&self) -> (f64, f64, BetaBinomial) {
        let at = |u: f64| {
            let (ab, link, _) = self.link(u);
            let likelihood = self.problems.beta_binomial(ab);
            let (log_p, slope, info) = likelihood;
            let by = [0, 1].map(|i| link.latent[i] / ab[i] * self.sigma);
            let gain = slope[0] * by[0] + slope[1] * by[1] - u;
            let bend = info[0] * by[0] * by[0] + info[1] * by[1] * by[1] + 2.0 * info[2] * by[0] * by[1];
            (log_p - 0.5 * u * u, gain, 1.0 + bend.max(0.0), likelihood)
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
        (u, here.2.sqrt().recip(), here.3)
    }

    /// Minus the marginal log-likelihood of one checkpoint, and what it is like at each node of the effect: the node's
    /// posterior probability, the effect, and the likelihood there.
    pub(super) fn nodes(&self) -> (f64, Vec<(f64, f64, Conditional)>) {
        if self.sigma == 0.0 {
            let only = self.conditional(0.0);
            return (-only.log_p, vec![(1.0, 0.0, only)]);
        }
        let (mode, deviation, there) = self.mode();
        let scale = std::f64::consts::SQRT_2 * deviation;
        let rule: &[(f64, f64)] = if deviation < NARROW { &HERMITE_NARROW } else { &HERMITE };
        let mirrored = rule.iter().flat_map(|&(x, w)| [(x, w), (-x, w)]).skip(1);
        let mut nodes: Vec<(f64, f64, Conditional)> = mirrored
            .map(|(x, w)| {
                let u = mode + scale * x;
                // The node in the middle is the mode itself.
                let node = if x == 0.0 { self.conditional_on(u, there) } else { self.conditional(u) };
                (node.log_p - 0.5 * u * u + w.ln(), u, node)
            })
            .collect();
        let top = nodes.iter().map(|n| n.0).fold(f64::NEG_INFINITY, f64::max);
        let mass: f64 = nodes.iter().map(|n| (n.0 - top).exp()).sum();
        nodes.iter_mut().for_each(|n| n.0 = (n.0 - top).exp() / mass);
        (0.5 * std::f64::consts::TAU.ln() - top - (mass * scale).ln(), nodes)
    }
}
