//! What else the forecast law might have been: refits to perturbed measurements, under perturbed beliefs.

use rayon::prelude::*;

use super::curve::{Crossed, Curve, Loss, Passing};
use super::field::Field;
use super::fit::{Objective, Recipe};
use super::noise::{Noise, rounded};
use super::quantity::{Quantity, array};
use super::scatter::Scatter;
use super::table::Table;
use crate::cancel::Cancel;
use crate::levenberg::Stop;
use crate::random::Normals;

/// How far the centres of the priors move, in spreads: fully where there is one measurement a checkpoint, so that refits
/// spread as the parameters' posterior does; by half where pass@k at several k holds the parameters.
fn jitter(quantity: Quantity) -> f64 {
    if quantity == Quantity::Passing { 0.5 } else { 1.0 }
}

/// One refit.
#[derive(Clone, Debug)]
pub struct Draw {
    /// θ of every member, one after the other.
    pub thetas: Vec<f64>,
    /// The measurements it was fitted to, (checkpoints, K).
    pub z: Vec<f64>,
    /// How checkpoints were perturbed, and how a new one is.
    pub noise: Noise,
    /// Whether every search converged.
    pub converged: bool,
}

/// What the refits start from.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The measurements.
    pub table: &'a Table,
    /// Fitted θ of every member.
    pub thetas: &'a [f64],
    /// Fitted error scales of the members.
    pub scales: &'a [f64],
    /// For each refit the measurements that it perturbs, (count, checkpoints, K), where they were resampled.
    pub bases: Option<&'a [f64]>,
    /// Of all random numbers.
    pub seed: u64,
}

impl Job<'_> {
    /// Refits `first` to `first + count`, each depending on the seed and its own number alone; `None` when cancelled.
    ///
    /// Each checkpoint's z moves by its scatter times a number that has a smooth part, a function of N and D drawn from
    /// the process of the residuals, and a part of its own; the same at all k, since what sets a checkpoint apart does
    /// so at every k. Sampling errors are added, and centres of the priors move, alike for all members. With the smooth part added back to what the refit forecasts, its spread is that of the process given
    /// the data (Matheron's rule).
    pub fn draw(&self, first: u64, count: usize, cancel: &Cancel) -> Option<Vec<Draw>> {
        match self.table.quantity {
            Quantity::Passing => self.draw_all(&Passing { guessing: 0.0 }, first, count, cancel),
            Quantity::Accuracy { guessing } => {
                self.draw_all(&Crossed(Passing { guessing }), first, count, cancel)
            }
            Quantity::Loss => self.draw_all(&Crossed(Loss), first, count, cancel),
        }
    }

    fn draw_all<const P: usize>(
        &self,
        curve: &impl Curve<P>,
        first: u64,
        count: usize,
        cancel: &Cancel,
    ) -> Option<Vec<Draw>> {
        let table = self.table;
        let prior = curve.prior(table.best(), table.middle());
        let members = || table.quantity.powers().iter().zip(self.thetas.chunks_exact(P)).zip(self.scales);
        let free = members().map(|((&power, theta), &scale)| {
            let recipe = Recipe::new(table.quantity, power);
            Objective::new(curve, table, &table.z, recipe, prior).freedom(&array(theta), scale)
        });
        let freedom = free.sum::<f64>() / table.quantity.powers().len() as f64;
        let field = Field::new(table.clone());
        let scatters = field.scatters(self.thetas, self.scales);
        let settings = field.settings(self.thetas, &scatters, freedom, cancel)?;
        let one = |index: usize| {
            let mut normals = Normals::new(self.seed, first + index as u64);
            let size = table.z.len();
            let base = self.bases.map_or(&table.z[..], |bases| &bases[index * size..][..size]);
            let noise = Noise::draw(&settings, freedom, &mut normals);
            let z = perturbed(base, table, &scatters[noise.member], &noise, &mut normals);
            let mut believed = prior;
            for (mean, spread) in believed.mean.iter_mut().zip(prior.spread) {
                *mean += jitter(table.quantity) * spread * normals.draw();
            }
            let mut thetas = Vec::with_capacity(self.thetas.len());
            let mut converged = true;
            for ((&power, theta), &scale) in members() {
                let objective =
                    Objective::new(curve, table, &z, Recipe::new(table.quantity, power), believed);
                let stop = Stop { evaluations: 200, decrease: 1e-9 };
                let found = objective.search(array(theta), scale, stop, cancel)?;
                converged &= found.reason.converged();
                thetas.extend(found.x.map(rounded));
            }
            Some(Draw { thetas, z, noise, converged })
        };
        (0..count).into_par_iter().map(one).collect()
    }
}

fn perturbed(
    base: &[f64],
    table: &Table,
    scatter: &Scatter,
    noise: &Noise,
    normals: &mut Normals,
) -> Vec<f64> {
    let width = table.ks.len();
    let field = noise.field();
    let mut z = base.to_vec();
    let rows = z.chunks_exact_mut(width).zip(table.variance.chunks_exact(width)).zip(&table.places);
    for ((row, variance), &place) in rows {
        let own = noise.nugget * normals.draw();
        let step = scatter.at(row[scatter.k()]) * (own - field.at(place));
        let sampling = normals.draw();
        for ((z, v), p) in row.iter_mut().zip(variance).zip(scatter.profile()) {
            *z = rounded(*z + step * p + sampling * v.sqrt());
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::fit;

    fn table() -> Table {
        let truth = [0.2, 0.5, -1.0, -0.8, -1.5, 0.0, 3.0, 0.1];
        let (mut places, mut z) = (vec![], vec![]);
        for i in 0..4 {
            for j in 0..4 {
                let at = [f64::from(i) - 1.5, 1.5 * f64::from(j) - 2.25];
                places.push([at[0] + 20.0, at[1] + 24.0]);
                z.extend([1.0, 8.0, 64.0].map(|k| Passing { guessing: 0.0 }.value(&truth, at, k).0));
            }
        }
        let variance = vec![1e-4; z.len()];
        Table { quantity: Quantity::Passing, places, ks: vec![1.0, 8.0, 64.0], z, variance }
    }

    #[test]
    fn a_draw_depends_on_its_own_number_alone() {
        let table = table();
        let cancel = Cancel::new(false);
        let members = fit(&table, &cancel).unwrap();
        let thetas: Vec<f64> = members.iter().flat_map(|m| m.theta.clone()).collect();
        let scales: Vec<f64> = members.iter().map(|m| m.scale).collect();
        let job = Job { table: &table, thetas: &thetas, scales: &scales, bases: None, seed: 7 };
        let all = job.draw(0, 6, &cancel).unwrap();
        let last = job.draw(4, 2, &cancel).unwrap();
        for (a, b) in all[4..].iter().zip(&last) {
            assert_eq!((&a.thetas, &a.z, a.noise), (&b.thetas, &b.z, b.noise));
        }
        assert!(all[0].z != all[1].z && all.iter().all(|draw| draw.converged));
        let other = Job { seed: 8, ..job }.draw(0, 1, &cancel).unwrap();
        assert!(other[0].z != all[0].z);
        assert!(job.draw(0, 1, &Cancel::new(true)).is_none() && fit(&table, &Cancel::new(true)).is_none());
    }

    #[test]
    fn a_law_without_errors_is_found_but_for_the_priors() {
        let table = table();
        for member in fit(&table, &Cancel::new(false)).unwrap() {
            assert!(member.reason.converged() && member.scale < 0.02, "{member:?}");
        }
    }
}
