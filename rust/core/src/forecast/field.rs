//! A forecast as a field over (ln N, ln D): the members' mean and the process on what they leave.

use rayon::prelude::*;

use super::quantity::Quantity;
use super::table::Table;
use crate::cancel::Cancel;
use crate::gaussian_process::{self, LENGTHS, Place};

/// The parameters of all members, and the process on what they leave.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// θ of every member, one after the other.
    pub thetas: Vec<f64>,
    /// Weights of the kernels, (K, lengths, checkpoints).
    pub process: Vec<f64>,
}

/// What all forecasts of one table share.
#[derive(Clone, Debug)]
pub struct Field {
    table: Table,
    centre: Place,
    log_ks: Vec<f64>,
    /// The profile in k of a checkpoint that is nowhere apart.
    nowhere: Vec<f64>,
    /// z of luck at k = 1, where pass@k is forecast.
    luck: Option<f64>,
}

/// Luck's share of the least success measured in a draw.
const LUCK: f64 = 1e-3;

impl Field {
    /// Of a table.
    pub fn new(table: Table) -> Self {
        Self {
            centre: table.centre(),
            log_ks: table.ks.iter().map(|k| k.ln()).collect(),
            nowhere: vec![0.0; table.ks.len()],
            luck: (table.quantity == Quantity::Passing).then(|| table.least_in_a_draw() + LUCK.ln()),
            table,
        }
    }

    /// Its measurements.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// ln k of its measurements.
    pub(super) fn log_ks(&self) -> &[f64] {
        &self.log_ks
    }

    fn thetas<'t>(&self, thetas: &'t [f64]) -> impl Iterator<Item = &'t [f64]> + use<'t> {
        thetas.chunks_exact(self.table.quantity.parameters().len())
    }

    /// The members' mean z and slope in ln k at centred coordinates.
    pub(super) fn law_at(&self, thetas: &[f64], at: Place, k: f64) -> (f64, f64) {
        let (mut z, mut slope) = (0.0, 0.0);
        for theta in self.thetas(thetas) {
            let (value, by_k) = self.member(theta, at, k);
            (z, slope) = (z + value, slope + by_k);
        }
        let members = self.table.quantity.powers().len() as f64;
        (z / members, slope / members)
    }

    /// A member's z and its slope in ln k at centred coordinates; pass@k with a little luck in every draw.
    ///
    /// Of checkpoints that know nothing a member may say e^-80 where e^-14 was measured, by luck. The process would carry
    /// the difference to their neighbours, of which the member says more, and forecast that those solve everything.
    fn member(&self, theta: &[f64], at: Place, k: f64) -> (f64, f64) {
        let (z, slope) = self.table.quantity.value(theta, at, k);
        let Some(luck) = self.luck else { return (z, slope) };
        // No luck beyond the k measured: else any model would solve everything by sheer numbers.
        let most = self.table.ks[self.table.ks.len() - 1];
        let (luck, by_k) = (luck + k.min(most).ln(), if k < most { 1.0 } else { 0.0 });
        let top = z.max(luck);
        let sum = top + ((z - top).exp() + (luck - top).exp()).ln();
        let share = (z - sum).exp();
        (sum, share * slope + (1.0 - share) * by_k)
    }

    pub(super) fn centred(&self, place: Place) -> Place {
        [place[0] - self.centre[0], place[1] - self.centre[1]]
    }

    /// Forecasts of rows of parameters, each with its own measurements z of the same checkpoints; `scales` (members, K)
    /// of the processes. `None` when cancelled.
    pub fn forecasts(
        &self,
        rows: &[(&[f64], &[f64])],
        scales: &[f64],
        cancel: &Cancel,
    ) -> Option<Vec<Forecast>> {
        let (table, width, size) = (&self.table, self.table.ks.len(), self.table.quantity.parameters().len());
        let powers = table.quantity.powers().len();
        let m = table.len();
        // Every (member, k) is a problem of its own, whose covariances all rows share.
        let pairs: Vec<(usize, usize)> = (0..powers).flat_map(|p| (0..width).map(move |k| (p, k))).collect();
        let weights: Vec<(Vec<usize>, Vec<f64>)> = pairs
            .par_iter()
            .map(|&(member, k)| {
                let known = table.measured(&table.z, k).0;
                let places: Vec<Place> = known.iter().map(|&i| table.places[i]).collect();
                let variance: Vec<f64> = known.iter().map(|&i| table.variance[i * width + k]).collect();
                let mut residuals = Vec::with_capacity(rows.len() * known.len());
                for (thetas, z) in rows {
                    let theta = &thetas[member * size..][..size];
                    residuals.extend(known.iter().zip(&places).map(|(&i, &place)| {
                        let law = self.member(theta, self.centred(place), table.ks[k]).0;
                        z[i * width + k] - law
                    }));
                }
                let scale = scales[member * width + k];
                let weights = gaussian_process::weights(&places, &variance, scale, &residuals, cancel)?;
                Some((known, weights))
            })
            .collect::<Option<_>>()?;
        let forecast = |row: usize| {
            let mut process = vec![0.0; width * LENGTHS.len() * m];
            for (&(_, k), (known, weights)) in pairs.iter().zip(&weights) {
                for length in 0..LENGTHS.len() {
                    let from = &weights[(row * LENGTHS.len() + length) * known.len()..][..known.len()];
                    let to = &mut process[(k * LENGTHS.len() + length) * m..][..m];
                    for (&i, w) in known.iter().zip(from) {
                        to[i] += w / powers as f64;
                    }
                }
            }
            Forecast { thetas: rows[row].0.to_vec(), process }
        };
        Some((0..rows.len()).map(forecast).collect())
    }

    /// Scales of the processes of some parameters: the root mean square residual of each (member, k).
    pub fn scales(&self, thetas: &[f64]) -> Vec<f64> {
        let (table, width) = (&self.table, self.table.ks.len());
        let least = if table.quantity == Quantity::Loss { 1e-4 } else { 1e-3 };
        let scale = |theta: &[f64], k: usize| {
            let (known, z) = table.measured(&table.z, k);
            let residual = |(&i, z): (&usize, &f64)| {
                z - self.member(theta, self.centred(table.places[i]), table.ks[k]).0
            };
            let sum: f64 = known.iter().zip(&z).map(residual).map(|r| r * r).sum();
            (sum / known.len() as f64).sqrt().max(least)
        };
        self.thetas(thetas).flat_map(|theta| (0..width).map(move |k| scale(theta, k))).collect()
    }

    /// A place with everything about it that does not depend on parameters or k.
    pub fn spot(&self, log_n: f64, log_d: f64) -> Spot {
        let place = [log_n, log_d];
        let (kernels, distance) = gaussian_process::kernels(&self.table.places, place);
        Spot { place, distance, at: self.centred(place), kernels }
    }

    /// z at a spot and k, and the part of it that is the process.
    pub fn z(&self, forecast: &Forecast, spot: &Spot, log_k: f64) -> (f64, f64) {
        let corrections = self.corrections(&forecast.thetas, &forecast.process, spot, self.nowhere());
        self.z_given(&forecast.thetas, spot, &corrections, log_k)
    }

    /// What [`Self::corrections`] take for a checkpoint that lies nowhere apart.
    pub(super) fn nowhere(&self) -> (f64, &[f64]) {
        (0.0, &self.nowhere)
    }

    /// z at a spot and k, and the part of it that is the process, given its [`Self::corrections`].
    pub(super) fn z_given(&self, thetas: &[f64], spot: &Spot, corrections: &[f64], log_k: f64) -> (f64, f64) {
        let correction = interpolate(&self.log_ks, corrections, log_k);
        (self.law(thetas, spot, log_k) + correction, correction)
    }

    /// The members' mean z at a spot, without the process.
    pub fn law(&self, thetas: &[f64], spot: &Spot, log_k: f64) -> f64 {
        self.law_at(thetas, spot.at, log_k.exp()).0
    }

    /// The process at each measured k of a checkpoint that lies apart by x times a profile in k, kept from bending the
    /// pass@k of the laws of these parameters downwards.
    pub(super) fn corrections(
        &self,
        thetas: &[f64],
        process: &[f64],
        spot: &Spot,
        (x, profile): (f64, &[f64]),
    ) -> Vec<f64> {
        let size = spot.kernels.len();
        let mut out: Vec<f64> = process
            .chunks_exact(size)
            .zip(profile)
            .map(|(weights, p)| weights.iter().zip(&spot.kernels).map(|(w, k)| w * k).sum::<f64>() + x * p)
            .collect();
        // Between two k the law's z rises at least as fast as at the end where it rises least.
        let slopes: Vec<f64> = self.table.ks.iter().map(|&k| self.law_at(thetas, spot.at, k).1).collect();
        let mut rise = 0.0;
        let rises: Vec<f64> = (0..out.len())
            .map(|k| {
                if k > 0 {
                    rise += slopes[k].min(slopes[k - 1]).max(0.0) * (self.log_ks[k] - self.log_ks[k - 1]);
                }
                rise
            })
            .collect();
        out.iter_mut().zip(&rises).for_each(|(c, rise)| *c += rise);
        make_rising(&mut out);
        out.iter_mut().zip(&rises).for_each(|(c, rise)| *c -= rise);
        out
    }
}

/// Where a forecast is wanted: centred ln N and ln D, and kernels (lengths, checkpoints).
#[derive(Clone, Debug)]
pub struct Spot {
    pub(super) place: Place,
    /// From the nearest checkpoint.
    pub(super) distance: f64,
    at: Place,
    kernels: Vec<f64>,
}

impl Spot {
    /// How many numbers it takes.
    pub(super) fn size(&self) -> usize {
        self.kernels.len()
    }
}

/// Linear between knots, held at the ends.
fn interpolate(knots: &[f64], values: &[f64], x: f64) -> f64 {
    let right = knots.partition_point(|&knot| knot < x);
    if right == 0 {
        return values[0];
    }
    if right == knots.len() {
        return values[right - 1];
    }
    let t = (x - knots[right - 1]) / (knots[right] - knots[right - 1]);
    values[right - 1] + t * (values[right] - values[right - 1])
}

/// The nearest sequence in least squares that never falls: neighbours that do are pooled.
fn make_rising(values: &mut [f64]) {
    if values.is_sorted() {
        return;
    }
    let mut pools: Vec<(f64, usize)> = Vec::with_capacity(values.len());
    for &value in values.iter() {
        pools.push((value, 1));
        while let [.., (before, many), (last, few)] = pools[..] {
            if before <= last {
                break;
            }
            pools.pop();
            let count = many + few;
            let mean = (before * many as f64 + last * few as f64) / count as f64;
            *pools.last_mut().unwrap_or(&mut (0.0, 0)) = (mean, count);
        }
    }
    let levels = pools.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count));
    values.iter_mut().zip(levels).for_each(|(value, level)| *value = level);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_those_of_isotonic_regression() {
        // scipy.optimize.isotonic_regression([1, 3, 2, 2.5, 0, 5, 4]).x
        let mut values = [1.0, 3.0, 2.0, 2.5, 0.0, 5.0, 4.0];
        make_rising(&mut values);
        assert_eq!(values, [1.0, 1.875, 1.875, 1.875, 1.875, 4.5, 4.5]);
    }

    #[test]
    fn corrections_are_held_at_the_ends() {
        let at = |x| interpolate(&[0.0, 1.0, 3.0], &[2.0, 4.0, 0.0], x);
        assert_eq!([-1.0, 0.0, 0.25, 1.0, 2.0, 3.0, 9.0].map(at), [2.0, 2.0, 2.5, 4.0, 2.0, 0.0, 0.0]);
    }
}
