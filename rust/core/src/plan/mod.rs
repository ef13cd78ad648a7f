//! Plans: how many parameters N, tokens D and samples k a training budget 6ND <= C_train and an inference budget
//! 2Nk <= C_inf buy best, and what Chinchilla's rule would have bought.
//!
//! Both budgets are spent in full, so the search is over N alone: of a law with a formula along [`line`], of any forecast
//! along a [`surface`]. One budget for both is another search, [`spending`]; a check that errs makes k free, [`checked`].

pub mod checked;
mod choice;
mod error;
mod failures;
mod line;
mod listed;
mod power_sums;
mod problem;
mod request;
mod scalar;
mod span;
pub mod spending;
pub mod surface;
mod task;
#[cfg(test)]
mod tests;

pub use choice::{Bound, Choice, Plan};
pub use error::Error;
pub use listed::plan;
pub use problem::Problem;
pub use request::{Budget, Constraints, Listed, Rule, Sizes};
pub use span::spend;
