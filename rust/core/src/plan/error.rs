//! Why there is no plan, in words that say what to change.

use std::fmt;

use super::choice::Bound;
use crate::laws::Range;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// Even the smallest N allowed is too large.
    Infeasible {
        /// Index of the budget.
        budget: usize,
        /// The smallest N allowed.
        least: f64,
        /// The largest N that `bound` leaves.
        most: f64,
        /// The least k allowed.
        samples: f64,
        /// What asks for a smaller N.
        bound: Bound,
    },
    /// A parameter outside its range.
    Parameter {
        /// Index of the draw.
        draw: usize,
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Where it would have to be.
        range: Range,
    },
    /// The law knows compute, but not what to spend it on.
    NoSize,
    /// The law has no finite value on the budget line.
    NotFinite {
        /// Index of the draw.
        draw: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Infeasible { budget, least, most, samples, bound } => {
                let upper = match bound {
                    Bound::LeastSamples if samples == 1.0 => {
                        "k >= 1 under inference_flops (N <= inference_flops/2)".to_owned()
                    }
                    Bound::LeastSamples => {
                        format!("k >= {samples} under inference_flops (N <= inference_flops/(2 k))")
                    }
                    Bound::LeastTokens => {
                        "the n_tokens minimum under train_flops (N <= train_flops/(6 D))".to_owned()
                    }
                    _ => "the n_params maximum".to_owned(),
                };
                let times = least / most;
                write!(
                    f,
                    "no model size fits budget {budget}: the smallest allowed by n_params is {least:.4e}, but \
                     {upper} leaves at most {most:.4e}, {times:.3}x less; lower the one or raise the other"
                )
            }
            Self::Parameter { draw, name, value, range } => {
                write!(f, "parameter {name} is {value} in draw {draw}: it has to be {}", range.describe())
            }
            Self::NoSize => write!(
                f,
                "the direct law knows training compute alone, not how it is split between parameters and tokens, so \
                 the smallest model would always be best: plan with another law"
            ),
            Self::NotFinite { draw } => {
                write!(
                    f,
                    "the law of draw {draw} has no finite value under these budgets: check its parameters"
                )
            }
        }
    }
}

impl std::error::Error for Error {}
