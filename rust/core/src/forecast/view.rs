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

/// Where a forecast is wanted, with all of it that does not depend on k.
#[derive(Clone, Debug)]
pub struct Column {
    spot: Spot,
    corrections: Vec<f64>,
}

impl View<'_> {
    fn draw(&self) -> Option<usize> {
        match self.which {
            Which::Point | Which::Members => None,
            Which::Draw(draw) => Some(draw),
        }
    }

    /// z of checkpoints on average.
    fn z(&self, Column { spot, corrections }: &Column, log_k: f64) -> f64 {
        let (z, process) = self.state.z_given(self.draw(), spot, corrections, self.log_k(log_k));
        if self.which == Which::Members { z - process } else { z }
    }

    /// z to be reported: of a draw that of a new checkpoint.
    fn reported(&self, column: &Column, log_k: f64) -> f64 {
        let Some(draw) = self.draw() else { return self.z(column, log_k) };
        let centre = self.state.centre(&column.spot);
        self.state.drawn(draw, Kind::Checkpoint, &column.spot, self.log_k(log_k), centre)
    }

    fn log_k(&self, log_k: f64) -> f64 {
        if self.state.quantity() == Quantity::Passing { log_k } else { 0.0 }
    }
}

impl Surface for View<'_> {
    type Spot = Column;

    fn spot(&self, log_n: f64, log_d: f64) -> Column {
        let spot = self.state.spot(log_n, log_d);
        Column { corrections: self.state.corrections(self.draw(), &spot), spot }
    }

    fn height(&self, column: &Column, log_k: f64) -> f64 {
        let z = self.z(column, log_k);
        if self.state.quantity() == Quantity::Loss { -z } else { z }
    }

    fn value(&self, column: &Column, log_k: f64) -> f64 {
        self.state.quantity().natural(self.reported(column, log_k))
    }

    fn natural(&self, height: f64) -> f64 {
        let quantity = self.state.quantity();
        quantity.natural(if quantity == Quantity::Loss { -height } else { height })
    }

    fn score(&self, value: f64) -> f64 {
        let z = self.state.quantity().z(value);
        if self.state.quantity() == Quantity::Loss { -z } else { z }
    }

    fn bends(&self) -> &[f64] {
        self.state.bends()
    }
}

/// A mean of transforms is no mixture of Beta distributions: at every k that one is taken whose pass@1 and pass@k are
/// forecast.
impl Population for View<'_> {
    fn problems(&self, column: &Column, log_k: f64) -> [f64; 2] {
        beta::through(self.z(column, 0.0), self.z(column, log_k), log_k.exp())
    }

    fn reported_problems(&self, column: &Column, log_k: f64) -> [f64; 2] {
        beta::through(self.reported(column, 0.0), self.reported(column, log_k), log_k.exp())
    }
}
