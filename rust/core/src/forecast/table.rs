//! Measurements of checkpoints in logarithms.

use super::quantity::Quantity;
use crate::gaussian_process::Place;

/// Measurements of some checkpoints.
#[derive(Clone, Debug)]
pub struct Table {
    /// What was measured.
    pub quantity: Quantity,
    /// ln N and ln D of each checkpoint.
    pub places: Vec<Place>,
    /// k, rising.
    pub ks: Vec<f64>,
    /// z, (checkpoints, K); NaN where it was not measured.
    pub z: Vec<f64>,
    /// Variance of each z by sampling.
    pub variance: Vec<f64>,
}

impl Table {
    /// Number of checkpoints.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Mean ln N and ln D.
    pub fn centre(&self) -> Place {
        let mean = |axis: usize| self.places.iter().map(|p| p[axis]).sum::<f64>() / self.len() as f64;
        [mean(0), mean(1)]
    }

    pub(super) fn centred(&self) -> impl Iterator<Item = Place> + '_ {
        let centre = self.centre();
        self.places.iter().map(move |p| [p[0] - centre[0], p[1] - centre[1]])
    }

    /// The largest of `z` at each k.
    pub(super) fn largest(&self, z: &[f64]) -> Vec<f64> {
        let width = self.ks.len();
        let at = |k: usize| z.iter().skip(k).step_by(width).copied().filter(|z| !z.is_nan());
        (0..width).map(|k| at(k).fold(f64::NEG_INFINITY, f64::max)).collect()
    }

    /// The least z that is measured, a draw: -ln(1 - pass@k) goes with k where success is rare.
    pub(super) fn least_in_a_draw(&self) -> f64 {
        let rows = self.z.chunks_exact(self.ks.len());
        let each = rows.flat_map(|row| row.iter().zip(&self.ks).map(|(z, k)| z - k.ln()));
        each.filter(|z| !z.is_nan()).fold(f64::INFINITY, f64::min)
    }

    /// Measurements at one k: checkpoints and z.
    pub(super) fn measured(&self, z: &[f64], k: usize) -> (Vec<usize>, Vec<f64>) {
        let width = self.ks.len();
        let known = (0..self.len()).filter(|i| !self.z[i * width + k].is_nan());
        known.map(|i| (i, z[i * width + k])).unzip()
    }

    /// The best measurement at the least k, carried to k = 1: the largest pass@1, or the least loss.
    pub(super) fn best(&self) -> f64 {
        let z = self.measured(&self.z, 0).1;
        match self.quantity {
            Quantity::Loss => self.quantity.natural(z.into_iter().fold(f64::INFINITY, f64::min)),
            // -ln(1 - pass@k) goes with k.
            _ => self.quantity.natural(z.into_iter().fold(f64::NEG_INFINITY, f64::max) - self.ks[0].ln()),
        }
    }

    /// The median measurement at the least k.
    pub(super) fn middle(&self) -> f64 {
        let mut z = self.measured(&self.z, 0).1;
        z.sort_by(f64::total_cmp);
        self.quantity.natural(0.5 * (z[(z.len() - 1) / 2] + z[z.len() / 2]))
    }
}
