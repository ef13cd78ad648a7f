//! A forecast law as a surface to plan on: the law itself, its members alone, or one of its draws.

use super::field::Spot;
use super::quantity::Quantity;
use super::state::{Kind, State};
use crate::beta;
use crate::plan::surface::{Population, Surface};

/// Which forecast is planned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The law.
    Point,
    /// The law without its process.
    Members,
    /// A draw: the place that is best on average of checkpoints, and what a new checkpoint would be there.
    Draw(usize),
}

/// A forecast to plan with.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The law.
    pub state: &'a State,
    /// Which of its forecasts.
    pub which: Which,
}

impl View<'_> {
    fn z(&self, spot: &Spot, log_k: f64, kind: Kind) -> f64 {
        let log_k = if self.state.quantity() == Quantity::Passing { log_k } else { 0.0 };
        match self.which {
            Which::Point => self.state.z(spot, log_k).0,
            Which::Members => {
                let (z, process) = self.state.z(spot, log_k);
                z - process
            }
            Which::Draw(draw) => {
                let centre = if kind == Kind::Checkpoint { self.state.centre(spot) } else { 0.0 };
                self.state.drawn(draw, kind, spot, log_k, centre)
            }
        }
    }

    fn through(&self, spot: &Spot, log_k: f64, kind: Kind) -> [f64; 2] {
        beta::through(self.z(spot, 0.0, kind), self.z(spot, log_k, kind), log_k.exp())
    }
}

impl Surface for View<'_> {
    type Spot = Spot;

    fn spot(&self, log_n: f64, log_d: f64) -> Spot {
        self.state.spot(log_n, log_d)
    }

    fn height(&self, spot: &Spot, log_k: f64) -> f64 {
        let z = self.z(spot, log_k, Kind::Mean);
        if self.state.quantity() == Quantity::Loss { -z } else { z }
    }

    fn value(&self, spot: &Spot, log_k: f64) -> f64 {
        self.state.quantity().natural(self.z(spot, log_k, Kind::Checkpoint))
    }

    fn natural(&self, height: f64) -> f64 {
        let quantity = self.state.quantity();
        quantity.natural(if quantity == Quantity::Loss { -height } else { height })
    }

    fn score(&self, value: f64) -> f64 {
        let z = self.state.quantity().z(value);
        if self.state.quantity() == Quantity::Loss { -z } else { z }
    }
}

/// A mean of transforms is no mixture of Beta distributions: at every k that one is taken whose pass@1 and pass@k are
/// forecast.
impl Population for View<'_> {
    fn problems(&self, spot: &Spot, log_k: f64) -> [f64; 2] {
        self.through(spot, log_k, Kind::Mean)
    }

    fn reported_problems(&self, spot: &Spot, log_k: f64) -> [f64; 2] {
        self.through(spot, log_k, Kind::Checkpoint)
    }
}
