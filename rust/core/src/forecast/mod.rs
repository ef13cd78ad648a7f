//! The forecast law: regularised laws of a measured quantity, averaged, and a Gaussian process on what they leave.
//!
//! Measured is pass@k at some k, or a loss, of checkpoints at (N, D). In logarithms, z = ln(−ln(1 − pass@k)) or ln L,
//! z(N, D, k) = mean over members of ẑ(N, D, k) + process of the residuals at each measured k. The correction is linear
//! in ln k between the measured k and held at its ends, and never so steep that pass@k falls in k. Far from the data it
//! fades, and only the laws speak.

use rayon::prelude::*;

use crate::fit::Cancel;
use crate::gaussian_process::{self, LENGTHS, Place};
use curve::{Curve, Loss, Passing};
use fit::{Objective, Recipe};

pub mod curve;
pub mod draws;
pub mod fit;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// pass@k, or an accuracy (k = 1), above what guessing gives.
    Passing {
        /// −ln(1 − chance).
        guessing: f64,
    },
    /// A loss, at k = 1 by convention.
    Loss,
}

impl Quantity {
    /// Exponents l of the transforms, one member each.
    pub fn powers(self) -> &'static [f64] {
        match self {
            Self::Passing { .. } => &[0.0, 0.25, 0.5],
            Self::Loss => &[0.0],
        }
    }

    /// Parameters of a member.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Passing { .. } => &["a", "b", "ln_alpha", "ln_beta", "t0", "t2", "t3", "t4"],
            Self::Loss => &["e", "a", "b", "ln_alpha", "ln_beta"],
        }
    }

    fn recipe(self, power: f64) -> Recipe {
        match self {
            Self::Passing { .. } => Recipe { power, first_scale: 0.15, widening: 1.5, least: 0.01 },
            Self::Loss => Recipe { power, first_scale: 0.02, widening: 3.0, least: 0.001 },
        }
    }

    /// z of a member and its slope in ln k.
    fn value(self, theta: &[f64], at: Place, k: f64) -> (f64, f64) {
        match self {
            Self::Passing { guessing } => Passing { guessing }.value(&array(theta), at, k),
            Self::Loss => Loss.value(&array(theta), at, k),
        }
    }
}

fn array<const P: usize>(theta: &[f64]) -> [f64; P] {
    std::array::from_fn(|p| theta[p])
}

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

    fn centred(&self) -> impl Iterator<Item = Place> + '_ {
        let centre = self.centre();
        self.places.iter().map(move |p| [p[0] - centre[0], p[1] - centre[1]])
    }

    /// Measurements at one k: checkpoints and z.
    fn measured(&self, z: &[f64], k: usize) -> (Vec<usize>, Vec<f64>) {
        let width = self.ks.len();
        let known = (0..self.len()).filter(|i| !self.z[i * width + k].is_nan());
        known.map(|i| (i, z[i * width + k])).unzip()
    }

    /// The best measurement at the least k, carried to k = 1: the largest pass@1, or the least loss.
    fn best(&self) -> f64 {
        let z = self.measured(&self.z, 0).1;
        match self.quantity {
            Quantity::Passing { .. } => {
                let hazard = z.into_iter().fold(f64::NEG_INFINITY, f64::max).exp() / self.ks[0];
                -(-hazard).exp_m1()
            }
            Quantity::Loss => z.into_iter().fold(f64::INFINITY, f64::min).exp(),
        }
    }
}

/// A fitted member.
#[derive(Clone, Debug)]
pub struct Member {
    /// Exponent l of its transform.
    pub power: f64,
    /// Its parameters.
    pub theta: Vec<f64>,
    /// Root mean square residual of a checkpoint in units of the transform.
    pub scale: f64,
    /// Half the penalised sum of squares.
    pub objective: f64,
    /// Why the search ended.
    pub reason: crate::levenberg::Reason,
    /// Evaluations of the objective.
    pub evaluations: usize,
}

/// Fits all members; `None` when cancelled.
pub fn fit(table: &Table, cancel: &Cancel) -> Option<Vec<Member>> {
    match table.quantity {
        Quantity::Passing { guessing } => fit_members(&Passing { guessing }, table, cancel),
        Quantity::Loss => fit_members(&Loss, table, cancel),
    }
}

fn fit_members<const P: usize>(curve: &impl Curve<P>, table: &Table, cancel: &Cancel) -> Option<Vec<Member>> {
    let prior = curve.prior(table.best());
    let member = |&power: &f64| {
        let objective = Objective::new(curve, table, &table.z, table.quantity.recipe(power), prior);
        let found = objective.fit(cancel)?;
        Some(Member {
            power,
            theta: found.minimum.x.to_vec(),
            scale: found.scale,
            objective: found.minimum.value,
            reason: found.minimum.reason,
            evaluations: found.evaluations,
        })
    };
    table.quantity.powers().par_iter().map(member).collect()
}

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
pub struct Field<'a> {
    table: &'a Table,
    centre: Place,
    log_ks: Vec<f64>,
}

impl<'a> Field<'a> {
    /// Of a table.
    pub fn new(table: &'a Table) -> Self {
        Self { table, centre: table.centre(), log_ks: table.ks.iter().map(|k| k.ln()).collect() }
    }

    fn thetas<'t>(&self, thetas: &'t [f64]) -> impl Iterator<Item = &'t [f64]> + use<'t> {
        thetas.chunks_exact(self.table.quantity.parameters().len())
    }

    /// The members' mean z and slope in ln k at centred coordinates.
    fn law(&self, thetas: &[f64], at: Place, k: f64) -> (f64, f64) {
        let quantity = self.table.quantity;
        let (mut z, mut slope) = (0.0, 0.0);
        for theta in self.thetas(thetas) {
            let (value, by_k) = quantity.value(theta, at, k);
            (z, slope) = (z + value, slope + by_k);
        }
        let members = quantity.powers().len() as f64;
        (z / members, slope / members)
    }

    fn centred(&self, place: Place) -> Place {
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
        let (table, width, size) = (self.table, self.table.ks.len(), self.table.quantity.parameters().len());
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
                        let law = table.quantity.value(theta, self.centred(place), table.ks[k]).0;
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
        let (table, width) = (self.table, self.table.ks.len());
        let least = if table.quantity == Quantity::Loss { 1e-4 } else { 1e-3 };
        let scale = |theta: &[f64], k: usize| {
            let (known, z) = table.measured(&table.z, k);
            let residual = |(&i, z): (&usize, &f64)| {
                z - table.quantity.value(theta, self.centred(table.places[i]), table.ks[k]).0
            };
            let sum: f64 = known.iter().zip(&z).map(residual).map(|r| r * r).sum();
            (sum / known.len() as f64).sqrt().max(least)
        };
        self.thetas(thetas).flat_map(|theta| (0..width).map(move |k| scale(theta, k))).collect()
    }

    /// A place with everything about it that does not depend on parameters or k.
    pub fn spot(&self, log_n: f64, log_d: f64) -> Spot {
        let place = [log_n, log_d];
        Spot { at: self.centred(place), kernels: gaussian_process::kernels(&self.table.places, place) }
    }

    /// z at a spot and k, and the part of it that is the process.
    pub fn z(&self, forecast: &Forecast, spot: &Spot, k: f64) -> (f64, f64) {
        let (law, _) = self.law(&forecast.thetas, spot.at, k);
        let corrections = self.corrections(forecast, spot);
        let correction = interpolate(&self.log_ks, &corrections, k.ln());
        (law + correction, correction)
    }

    /// The process at each measured k, kept from bending pass@k downwards.
    fn corrections(&self, forecast: &Forecast, spot: &Spot) -> Vec<f64> {
        let size = spot.kernels.len();
        let mut out: Vec<f64> = forecast
            .process
            .chunks_exact(size)
            .map(|weights| weights.iter().zip(&spot.kernels).map(|(w, k)| w * k).sum())
            .collect();
        // Between two k the law's z rises at least as fast as at the end where it rises least.
        let slopes: Vec<f64> =
            self.table.ks.iter().map(|&k| self.law(&forecast.thetas, spot.at, k).1).collect();
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
    at: Place,
    kernels: Vec<f64>,
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
