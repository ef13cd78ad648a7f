//! The forecast law: regularised laws of a measured quantity, averaged, and a Gaussian process on what they leave.
//!
//! Measured is pass@k at some k, or a loss, of checkpoints at (N, D). In logarithms, z = ln(−ln(1 − pass@k)) or ln L,
//! z(N, D, k) = mean over members of ẑ(N, D, k) + process of the residuals at each measured k. The correction is linear
//! in ln k between the measured k and held at its ends, and never so steep that pass@k falls in k. Far from the data it
//! fades, and only the laws speak.

use rayon::prelude::*;

use crate::fit::Cancel;
use crate::gaussian_process::Place;
use curve::{Crossed, Curve, Loss, Passing};
use fit::{Objective, Recipe};

pub mod curve;
pub mod draws;
pub mod field;
pub mod fit;
pub mod noise;
pub mod scatter;
pub mod state;
pub mod view;

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

    fn recipe(self, power: f64) -> Recipe {
        match self {
            Self::Loss => Recipe { power, first_scale: 0.02, widening: 3.0, least: 0.001 },
            _ => Recipe { power, first_scale: 0.15, widening: 1.5, least: 0.01 },
        }
    }

    /// z of a member and its slope in ln k.
    fn value(self, theta: &[f64], at: Place, k: f64) -> (f64, f64) {
        match self {
            Self::Passing => Passing { guessing: 0.0 }.value(&array(theta), at, k),
            Self::Accuracy { guessing } => Crossed(Passing { guessing }).value(&array(theta), at, k),
            Self::Loss => Crossed(Loss).value(&array(theta), at, k),
        }
    }
}

fn array<const P: usize>(theta: &[f64]) -> [f64; P] {
    std::array::from_fn(|p| theta[p])
}

/// Measurements of some checkpoints.
#[derive(Clone, Debug)]
pub struct Table {
    /// What was measured.
    pub quantity: Quantity,
    /// ln N and ln D of each checkpoint.
    pub places: Vec<Place>,
    /// k, rising.
    pub ks: Vec<f64>,
    /// z, (checkpoints, K); NaN where it was not measured.
    pub z: Vec<f64>,
    /// Variance of each z by sampling.
    pub variance: Vec<f64>,
}

impl Table {
    /// Number of checkpoints.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Mean ln N and ln D.
    pub fn centre(&self) -> Place {
        let mean = |axis: usize| self.places.iter().map(|p| p[axis]).sum::<f64>() / self.len() as f64;
        [mean(0), mean(1)]
    }

    fn centred(&self) -> impl Iterator<Item = Place> + '_ {
        let centre = self.centre();
        self.places.iter().map(move |p| [p[0] - centre[0], p[1] - centre[1]])
    }

    /// The largest of `z` at each k.
    fn largest(&self, z: &[f64]) -> Vec<f64> {
        let width = self.ks.len();
        let at = |k: usize| z.iter().skip(k).step_by(width).copied().filter(|z| !z.is_nan());
        (0..width).map(|k| at(k).fold(f64::NEG_INFINITY, f64::max)).collect()
    }

    /// Measurements at one k: checkpoints and z.
    fn measured(&self, z: &[f64], k: usize) -> (Vec<usize>, Vec<f64>) {
        let width = self.ks.len();
        let known = (0..self.len()).filter(|i| !self.z[i * width + k].is_nan());
        known.map(|i| (i, z[i * width + k])).unzip()
    }

    /// The best measurement at the least k, carried to k = 1: the largest pass@1, or the least loss.
    fn best(&self) -> f64 {
        let z = self.measured(&self.z, 0).1;
        match self.quantity {
            Quantity::Loss => z.into_iter().fold(f64::INFINITY, f64::min).exp(),
            _ => {
                let hazard = z.into_iter().fold(f64::NEG_INFINITY, f64::max).exp() / self.ks[0];
                -(-hazard).exp_m1()
            }
        }
    }

    /// The median measurement at the least k.
    fn middle(&self) -> f64 {
        let mut z = self.measured(&self.z, 0).1;
        z.sort_by(f64::total_cmp);
        self.quantity.natural(0.5 * (z[(z.len() - 1) / 2] + z[z.len() / 2]))
    }
}

/// A fitted member.
#[derive(Clone, Debug)]
pub struct Member {
    /// Exponent l of its transform.
    pub power: f64,
    /// Its parameters.
    pub theta: Vec<f64>,
    /// Root mean square residual of a checkpoint in units of the transform.
    pub scale: f64,
    /// Half the penalised sum of squares.
    pub objective: f64,
    /// Why the search ended.
    pub reason: crate::levenberg::Reason,
    /// Evaluations of the objective.
    pub evaluations: usize,
}

/// Fits all members; `None` when cancelled.
pub fn fit(table: &Table, cancel: &Cancel) -> Option<Vec<Member>> {
    match table.quantity {
        Quantity::Passing => fit_members(&Passing { guessing: 0.0 }, table, cancel),
        Quantity::Accuracy { guessing } => fit_members(&Crossed(Passing { guessing }), table, cancel),
        Quantity::Loss => fit_members(&Crossed(Loss), table, cancel),
    }
}

fn fit_members<const P: usize>(curve: &impl Curve<P>, table: &Table, cancel: &Cancel) -> Option<Vec<Member>> {
    let prior = curve.prior(table.best(), table.middle());
    let member = |&power: &f64| {
        let objective = Objective::new(curve, table, &table.z, table.quantity.recipe(power), prior);
        let found = objective.fit(cancel)?;
        Some(Member {
            power,
            theta: found.minimum.x.to_vec(),
            scale: found.scale,
            objective: found.minimum.value,
            reason: found.minimum.reason,
            evaluations: found.evaluations,
        })
    };
    table.quantity.powers().par_iter().map(member).collect()
}
