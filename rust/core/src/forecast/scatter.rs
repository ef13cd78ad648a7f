//! How far checkpoints lie from what is forecast of them.

use super::{Quantity, Table};

/// Standard deviation of a checkpoint's effect on z: constant in the transform of one member, so that weak checkpoints
/// scatter more in logarithms than strong ones, and never above the limit.
#[derive(Clone, Debug)]
pub struct Scatter {
    power: f64,
    scale: f64,
    limit: f64,
    log_ks: Vec<f64>,
    top: Vec<f64>,
}

/// Most scatter, over that of the member without a transform.
const MOST: f64 = 2.0;

impl Scatter {
    /// From the scales of the fitted members.
    pub fn new(table: &Table, scales: &[f64]) -> Self {
        let member = match table.quantity {
            Quantity::Loss => 0,
            _ => 1,
        };
        Self {
            power: table.quantity.powers()[member],
            scale: scales[member],
            limit: MOST * scales[0],
            log_ks: table.ks.iter().map(|k| k.ln()).collect(),
            top: table.largest(&table.z),
        }
    }

    /// At a forecast z of k = e^`log_k` samples.
    pub fn at(&self, z: f64, log_k: f64) -> f64 {
        let below = (z - self.top(log_k)).min(0.0);
        (self.scale * (-self.power * below).exp()).min(self.limit.max(self.scale))
    }

    /// The largest z measured, between the k as well and beyond them.
    fn top(&self, log_k: f64) -> f64 {
        let last = self.log_ks.len() - 1;
        if last == 0 {
            return self.top[0];
        }
        let right = self.log_ks.partition_point(|&knot| knot < log_k).clamp(1, last);
        let (x, y) = (self.log_ks[right] - self.log_ks[right - 1], self.top[right] - self.top[right - 1]);
        self.top[right - 1] + y / x * (log_k - self.log_ks[right - 1])
    }
}
