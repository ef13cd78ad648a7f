//! How far checkpoints lie from what is forecast of them.

use super::table::Table;

/// Standard deviation of a checkpoint's effect on z, the same at every k: constant in the transform of one member at
/// the middle k, so that, but for l = 0, weak checkpoints scatter more in logarithms than strong ones, and never above
/// a limit. Which member's is a matter of the residuals: tables differ.
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
    /// One a member, from the scales of the fitted members.
    pub fn each(table: &Table, scales: &[f64]) -> Vec<Self> {
        let middle = table.ks.len() / 2;
        let top = table.largest(&table.z)[middle];
        let one = |(&power, &scale): (&f64, &f64)| Self {
            power,
            scale,
            limit: (MOST * scales[0]).max(scale),
            middle,
            top,
        };
        table.quantity.powers().iter().zip(scales).map(one).collect()
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
