//! Fits of the laws, one method a file.

use crate::levenberg::Reason;

pub mod counts;
pub mod data_wall;
pub mod direct;
mod effect;
pub mod huber;
pub mod joint;
mod latent;
pub mod link;
pub mod points;
pub mod power_sum;
pub mod problems;
mod projection;
pub mod restarts;

/// What a fit found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Parameters, in the order of the law.
    pub params: Vec<f64>,
    /// The objective that was minimised, at those parameters.
    pub objective: f64,
    /// Why the search ended.
    pub reason: Reason,
    /// Evaluations of the objective in all.
    pub evaluations: usize,
    /// For each parameter, whether the data determine it.
    pub identified: Vec<bool>,
    /// For each parameter, whether it sits on a bound.
    pub on_bound: Vec<bool>,
}
