//! What is searched, and a point of it: what every way of searching needs.

use super::request::{Conditions, Goal};
use crate::plan::surface::Surface;

/// A point of the search: ln N, ln D, ln k and what is maximised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub log_n: f64,
    pub log_d: f64,
    pub log_k: f64,
    pub score: f64,
}

pub(super) struct Search<'a, S: Surface> {
    pub surface: &'a S,
    pub conditions: &'a Conditions,
    pub goal: Goal,
}

impl<S: Surface> Search<'_, S> {
    pub fn spot(&self, log_n: f64, log_d: f64) -> S::Spot {
        let worth = self.conditions.wall.map_or(log_d, |wall| wall.worth(log_d));
        self.surface.spot(log_n, worth)
    }

    /// The most samples of a size, limits kept.
    pub fn most_samples(&self, log_n: f64) -> f64 {
        let limits = self.conditions.limits.iter().map(|limit| limit.most_samples(log_n.exp()));
        limits.fold(self.conditions.samples.1, f64::min)
    }

    /// The height of a target but for rounding, which must not refuse the best that there is.
    pub fn goal_height(&self, target: f64) -> f64 {
        let goal = self.surface.score(target);
        goal - 1e-12 * goal.abs().max(1.0)
    }
}

/// What is not below `least` but for rounding, which must not refuse what costs all of a budget.
pub(super) fn enough(value: f64, least: f64) -> Option<f64> {
    (value >= least * (1.0 - 1e-12)).then_some(value)
}
