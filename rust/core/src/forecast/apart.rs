//! What sets checkpoints apart from what is forecast of them, read from what the members' mean leaves.

use super::field::Field;
use super::scatter::Scatter;
use crate::cancel::Cancel;
use crate::gaussian_process::{self, Setting};

impl Field {
    /// Settings of the process of what sets checkpoints apart, in units of each member's scatter, with their
    /// probabilities: the mean over k of residuals of the members' mean, of which fitting left `freedom`. `None` when
    /// cancelled.
    pub(super) fn settings(
        &self,
        thetas: &[f64],
        scatters: &[Scatter],
        freedom: f64,
        cancel: &Cancel,
    ) -> Option<Vec<(usize, Setting, f64)>> {
        let mut found = Vec::new();
        for &member in self.table().quantity.scatters() {
            let scatter = &scatters[member];
            let settings = self.settings_in(thetas, scatter, freedom, cancel)?;
            found.extend(settings.into_iter().map(|(setting, log_weight)| (member, setting, log_weight)));
        }
        let shares = gaussian_process::normalised(found.iter().map(|one| one.2));
        found.iter_mut().zip(shares).for_each(|(one, share)| one.2 = share);
        Some(found)
    }

    /// The same for one scatter, with logarithms of the density of what was measured.
    fn settings_in(
        &self,
        thetas: &[f64],
        scatter: &Scatter,
        freedom: f64,
        cancel: &Cancel,
    ) -> Option<Vec<(Setting, f64)>> {
        let (table, width) = (self.table(), self.table().ks.len());
        let profile = scatter.profile();
        let standing = |i: usize| {
            let at = self.centred(table.places[i]);
            let unit = self.unit(thetas, scatter, i);
            let row = &table.z[i * width..][..width];
            let known: Vec<usize> = (0..width).filter(|&k| !row[k].is_nan()).collect();
            let mean =
                |of: &dyn Fn(usize) -> f64| known.iter().map(|&k| of(k)).sum::<f64>() / known.len() as f64;
            let residual = mean(&|k| (row[k] - self.law_at(thetas, at, table.ks[k]).0) / profile[k]);
            let variance = mean(&|k| table.variance[i * width + k] / profile[k].powi(2));
            (residual / unit, (variance / (unit * unit), unit.ln()))
        };
        let (mut residuals, (variance, logs)): (Vec<f64>, (Vec<f64>, Vec<f64>)) =
            (0..table.len()).map(standing).unzip();
        // One run that collapsed says little of how others scatter, and would widen the intervals of all.
        let scale = huber_scale(&residuals, freedom).max(1e-3);
        residuals.iter_mut().for_each(|r| *r = r.clamp(-CLIP * scale, CLIP * scale));
        let mut settings = gaussian_process::settings(&table.places, &variance, scale, &residuals, cancel)?;
        let change: f64 = logs.iter().sum();
        let odds = table.quantity.odds_of_scatter().ln();
        settings.iter_mut().for_each(|(setting, log_weight)| {
            *log_weight += if setting.amplitude == 0.0 { odds - change } else { -change };
        });
        Some(settings)
    }

    /// A checkpoint's scatter, by what the law says of it.
    fn unit(&self, thetas: &[f64], scatter: &Scatter, i: usize) -> f64 {
        let at = self.centred(self.table().places[i]);
        scatter.at(self.law_at(thetas, at, self.table().ks[scatter.k()]).0).max(1e-9)
    }

    /// The scatter by the transform of each member, as the residuals of the members' mean have it at each k.
    pub(super) fn scatters(&self, thetas: &[f64], scales: &[f64]) -> Vec<Scatter> {
        let (table, width) = (self.table(), self.table().ks.len());
        let bent = |scatter: Scatter| {
            let (mut squares, mut seen) = (vec![0.0; width], vec![0.0_f64; width]);
            for i in 0..table.len() {
                let at = self.centred(table.places[i]);
                let unit = self.unit(thetas, &scatter, i);
                for k in 0..width {
                    let z = table.z[i * width + k];
                    if !z.is_nan() {
                        let residual = (z - self.law_at(thetas, at, table.ks[k]).0).powi(2);
                        squares[k] += (residual - table.variance[i * width + k]) / (unit * unit);
                        seen[k] += 1.0;
                    }
                }
            }
            squares.iter_mut().zip(&seen).for_each(|(s, n)| *s /= n.max(1.0));
            scatter.bent(&table.ks, &squares)
        };
        Scatter::each(table, scales).into_iter().map(bent).collect()
    }
}

/// Residuals count up to so many standard deviations, and E min(Z², CLIP²) of a standard normal Z.
const CLIP: f64 = 2.5;
const CLIPPED_SQUARE: f64 = 0.9775599834528066;

/// The s at which Σ min(r, CLIP s)² is what normal residuals of that standard deviation, `freedom` of them free, are
/// expected to have (Huber 1964, proposal 2).
fn huber_scale(residuals: &[f64], freedom: f64) -> f64 {
    let mut square = residuals.iter().map(|r| r * r).sum::<f64>() / freedom;
    for _ in 0..200 {
        let most = CLIP * CLIP * square;
        let next = residuals.iter().map(|r| (r * r).min(most)).sum::<f64>() / (freedom * CLIPPED_SQUARE);
        if (next - square).abs() <= 1e-12 * square {
            break;
        }
        square = next;
    }
    square.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Quantity, Table};
    use crate::gaussian_process::Place;

    #[test]
    fn one_run_that_collapsed_does_not_widen_all() {
        // scipy.stats.norm.ppf((i + 0.5)/20), i = 10 to 19.
        let half = [
            0.062_706_78,
            0.189_118_43,
            0.318_639_36,
            0.453_762_19,
            0.597_760_13,
            0.755_415_03,
            0.934_589_29,
            1.150_349_38,
            1.439_531_47,
            1.959_963_98,
        ];
        let mut residuals: Vec<f64> = half.iter().flat_map(|r| [*r, -r]).collect();
        let clean = huber_scale(&residuals, 20.0);
        assert!((clean - 0.98).abs() < 0.02, "{clean}");
        assert!(
            (huber_scale(&residuals.iter().map(|r| 3.0 * r).collect::<Vec<_>>(), 20.0) - 3.0 * clean).abs()
                < 1e-9
        );
        residuals.push(-1e3);
        let found = huber_scale(&residuals, 21.0);
        assert!(found < 1.25 * clean && found > clean, "{found}");
        assert_eq!(huber_scale(&[0.0; 6], 2.0), 0.0);
    }

    /// A table about a law, each checkpoint off by a normal number times its scatter in the transform of `power`.
    fn scattered(power: f64, seed: u64) -> (Vec<f64>, Table) {
        let theta = [0.2, 0.5, -1.0, -0.8, -1.5, 1.0, 3.0, 0.1];
        let mut normals = crate::random::Normals::new(seed, 0);
        let places: Vec<Place> =
            (0..36).map(|i| [20.0 + f64::from(i % 6), 24.0 + f64::from(i / 6)]).collect();
        let ks = vec![1.0, 8.0, 64.0];
        let mut table = Table {
            quantity: Quantity::Passing,
            z: vec![0.0; 108],
            variance: vec![1e-6; 108],
            ks: ks.clone(),
            places,
        };
        let centred: Vec<Place> = table.centred().collect();
        let z = |at: Place, k: f64| Quantity::Passing.value(&theta, at, k).0;
        let top = centred.iter().map(|&at| z(at, 8.0)).fold(f64::NEG_INFINITY, f64::max);
        for (i, &at) in centred.iter().enumerate() {
            let off = 0.1 * (power * (top - z(at, 8.0))).exp() * normals.draw();
            (0..3).for_each(|k| table.z[3 * i + k] = z(at, ks[k]) + off);
        }
        ([theta; 3].concat(), table)
    }

    #[test]
    fn residuals_say_in_which_transform_checkpoints_scatter_alike() {
        for (power, right) in [(0.0, 0), (0.5, 2)] {
            let mean = (0..8).map(|seed| {
                let (thetas, table) = scattered(power, seed);
                let field = Field::new(table);
                let scatters = field.scatters(&thetas, &[0.2, 0.15, 0.1]);
                let settings = field.settings(&thetas, &scatters, 36.0, &Cancel::new(false)).unwrap();
                assert!((settings.iter().map(|one| one.2).sum::<f64>() - 1.0).abs() < 1e-12);
                settings.iter().filter(|one| one.0 == right).map(|one| one.2).sum::<f64>()
            });
            let mean = mean.sum::<f64>() / 8.0;
            assert!(mean > 0.6, "{power} {mean}");
        }
    }
}
