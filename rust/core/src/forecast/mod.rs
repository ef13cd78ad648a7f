//! The forecast law: regularised laws of a measured quantity, averaged, and a Gaussian process on what they leave.
//!
//! Measured is pass@k at some k, or a loss, of checkpoints at (N, D). In logarithms, z = ln(−ln(1 − pass@k)) or ln L,
//! z(N, D, k) = mean over members of ẑ(N, D, k) + process of the residuals at each measured k. The correction is linear
//! in ln k between the measured k and held at its ends, and never so steep that pass@k falls in k. Far from the data it
//! fades, and only the laws speak.

use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::levenberg::Reason;
use curve::{Crossed, Curve, Loss, Passing};
use fit::{Objective, Recipe};
pub use quantity::Quantity;
pub use table::Table;

mod apart;
pub mod curve;
pub mod draws;
pub mod field;
pub mod fit;
pub mod noise;
mod quantity;
pub mod scatter;
pub mod state;
mod table;
pub mod view;

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
    pub reason: Reason,
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
        let objective = Objective::new(curve, table, &table.z, Recipe::new(table.quantity, power), prior);
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
