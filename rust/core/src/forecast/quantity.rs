//! What was measured, and the members of a law that forecasts it.

use super::curve::{Crossed, Curve, Loss, Passing};
use crate::gaussian_process::Place;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// pass@k.
    Passing,
    /// A share of right answers, at k = 1, above what guessing gives.
    Accuracy {
        /// −ln(1 − chance).
        guessing: f64,
    },
    /// A loss, at k = 1 by convention.
    Loss,
}

impl Quantity {
    /// Exponents l of the transforms, one member each.
    pub fn powers(self) -> &'static [f64] {
        match self {
            Self::Passing => &[0.0, 0.25, 0.5],
            // Errors of accuracies are nearer to the same size everywhere than to proportional ones.
            Self::Accuracy { .. } => &[0.25, 0.5, 1.0],
            Self::Loss => &[0.0],
        }
    }

    /// Members in whose transforms checkpoints may scatter alike, by index. Tables of pass@k differ: on GSM8K
    /// 96 of 100 draws choose l = 1/2, under a constant effect on the latent 77 of 100 choose 0 or 1/4. Accuracies were
    /// held less often where there was a choice.
    pub(super) fn scatters(self) -> &'static [usize] {
        match self {
            Self::Passing => &[0, 1, 2],
            Self::Accuracy { .. } => &[1],
            Self::Loss => &[0],
        }
    }

    /// By how much the odds that no smooth function sets checkpoints apart are raised over the process's own, 1 to 3.
    ///
    /// Scatter that is taken for a smooth function counts as known next to a measured checkpoint, and 25 of them tell
    /// the two badly apart: intervals of new checkpoints of pass@k hold more in simulations where they are even. At 3 to
    /// 1 far forecasts of a wrong form hold 69% in place of 83%, and of accuracies new checkpoints hold less.
    pub(super) fn odds_of_scatter(self) -> f64 {
        match self {
            Self::Passing => 3.0,
            _ => 1.0,
        }
    }

    /// Parameters of a member.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Passing => &["a", "b", "ln_alpha", "ln_beta", "t0", "t2", "t3", "t4"],
            Self::Accuracy { .. } => &["a", "b", "ln_alpha", "ln_beta", "t0", "t2", "t3", "t4", "cross"],
            Self::Loss => &["e", "a", "b", "ln_alpha", "ln_beta", "cross"],
        }
    }

    /// The measured quantity itself, from z.
    pub fn natural(self, z: f64) -> f64 {
        match self {
            Self::Loss => z.exp(),
            _ => -(-z.exp()).exp_m1(),
        }
    }

    /// The inverse: z of the measured quantity.
    pub fn z(self, natural: f64) -> f64 {
        match self {
            Self::Loss => natural.ln(),
            _ => (-(-natural).ln_1p()).ln(),
        }
    }

    /// z of a member and its slope in ln k.
    pub(super) fn value(self, theta: &[f64], at: Place, k: f64) -> (f64, f64) {
        match self {
            Self::Passing => Passing { guessing: 0.0 }.value(&array(theta), at, k),
            Self::Accuracy { guessing } => Crossed(Passing { guessing }).value(&array(theta), at, k),
            Self::Loss => Crossed(Loss).value(&array(theta), at, k),
        }
    }
}

/// The parameters of a member, as many as its curve has.
pub(super) fn array<const P: usize>(theta: &[f64]) -> [f64; P] {
    std::array::from_fn(|p| theta[p])
}
