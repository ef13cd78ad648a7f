//! How far checkpoints lie from what is forecast of them.

use super::table::Table;

/// Standard deviation of a checkpoint's effect on z, the same at every k: constant in the transform of one member at
/// the middle k, so that, but for l = 0, weak checkpoints scatter more in logarithms than strong ones, and never above
/// a limit. Which member's is a matter of the residuals: tables differ. Times a power of k, likewise.
#[derive(Clone, Debug)]
pub struct Scatter {
    power: f64,
    scale: f64,
    limit: f64,
    middle: usize,
    top: f64,
    profile: Vec<f64>,
}

/// Least share of the mean square that counts at a k.
const LEAST: f64 = 0.1;
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
            profile: vec![1.0; table.ks.len()],
        };
        table.quantity.powers().iter().zip(scales).map(one).collect()
    }

    /// At each measured k, over that of all k together.
    pub fn profile(&self) -> &[f64] {
        &self.profile
    }

    /// With a profile in k: the power of k that the squares of residuals in units of this scatter, less those of
    /// sampling, have (a line through their logarithms).
    pub(super) fn bent(mut self, ks: &[f64], squares: &[f64]) -> Self {
        let mean = squares.iter().sum::<f64>() / squares.len() as f64;
        if mean <= 0.0 || ks.len() < 2 {
            return self;
        }
        let x: Vec<f64> = ks.iter().map(|k| k.ln()).collect();
        let y: Vec<f64> = squares.iter().map(|s| 0.5 * (s / mean).max(LEAST).ln()).collect();
        let centre = x.iter().sum::<f64>() / x.len() as f64;
        let (mut xx, mut xy) = (0.0, 0.0);
        for (x, y) in x.iter().zip(&y) {
            xx += (x - centre).powi(2);
            xy += (x - centre) * y;
        }
        let power: Vec<f64> = x.iter().map(|x| (xy / xx * (x - centre)).exp()).collect();
        let size = (power.iter().map(|p| p * p).sum::<f64>() / power.len() as f64).sqrt();
        self.profile = power.iter().map(|p| p / size).collect();
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Quantity;

    fn table(ks: &[f64]) -> Table {
        Table {
            quantity: Quantity::Passing,
            places: vec![[20.0, 24.0]],
            ks: ks.to_vec(),
            z: vec![-1.0; ks.len()],
            variance: vec![0.0; ks.len()],
        }
    }

    #[test]
    fn a_profile_is_the_power_of_k_that_residuals_have() {
        let ks = [1.0, 4.0, 16.0];
        let scatter = Scatter::each(&table(&ks), &[0.3, 0.2, 0.1]).remove(1);
        // Squares that fall as k^-1/2: scatter as k^-1/4, of mean square 1.
        let bent = scatter.clone().bent(&ks, &[4.0, 2.0, 1.0]);
        let size = (7.0f64 / 3.0).sqrt();
        for (found, wanted) in bent.profile().iter().zip([2.0, 2f64.sqrt(), 1.0]) {
            assert!((found - wanted / size).abs() < 1e-12);
        }
        // Sampling explains all, at one k or at every one.
        assert_eq!(scatter.clone().bent(&ks, &[-1.0, 0.0, -2.0]).profile(), [1.0; 3]);
        assert!(
            scatter.clone().bent(&ks, &[-1.0, 5.0, 5.0]).profile().iter().all(|p| (0.3..1.6).contains(p))
        );
        assert_eq!(scatter.bent(&[1.0], &[3.0]).profile(), [1.0; 3]);
    }

    #[test]
    fn weak_checkpoints_scatter_more_where_the_power_is_above_none() {
        let scales = [0.3, 0.2, 0.1];
        for (scatter, power) in Scatter::each(&table(&[1.0]), &scales).iter().zip([0.0, 0.25, 0.5]) {
            let ratio = scatter.at(-2.0) / scatter.at(-1.0);
            assert!((ratio - f64::exp(power)).abs() < 1e-12, "{power} {ratio}");
            assert!(scatter.at(-50.0) <= 2.0 * scales[0]);
        }
    }
}
