//! How far checkpoints lie from what is forecast of them.

use super::quantity::Quantity;
use super::table::Table;

/// Standard deviation of a checkpoint's effect on z, the same at every k: constant in the transform of one member at
/// the middle k, so that weak checkpoints scatter more in logarithms than strong ones, and never above a limit.
#[derive(Clone, Debug)]
pub struct Scatter {
    power: f64,
    scale: f64,
    limit: f64,
    middle: usize,
    top: f64,
}

/// Most scatter, over that of the first member.
const MOST: f64 = 2.0;

impl Scatter {
    /// From the scales of the fitted members.
    pub fn new(table: &Table, scales: &[f64]) -> Self {
        let member = match table.quantity {
            Quantity::Loss => 0,
            _ => 1,
        };
        let middle = table.ks.len() / 2;
        Self {
            power: table.quantity.powers()[member],
            scale: scales[member],
            limit: (MOST * scales[0]).max(scales[member]),
            middle,
            top: table.largest(&table.z)[middle],
        }
    }

    /// The k, by index, that it goes by.
    pub fn k(&self) -> usize {
        self.middle
    }

    /// At a forecast z of that k, as in the transform beyond the best checkpoint, too; at the top where there is none.
    pub fn at(&self, z: f64) -> f64 {
        let below = if z.is_nan() { 0.0 } else { z - self.top };
        (self.scale * (-self.power * below).exp()).min(self.limit)
    }
}
