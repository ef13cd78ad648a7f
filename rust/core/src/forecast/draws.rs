//! What else the forecast law might have been: refits to perturbed measurements, under perturbed beliefs.

use rayon::prelude::*;

use super::curve::{Curve, Loss, Passing, Prior};
use super::fit::Objective;
use super::{Member, Quantity, Table, array};
use crate::fit::Cancel;
use crate::levenberg::Stop;
use crate::random::Normals;

/// How far the centres of the priors move, in spreads.
const JITTER: f64 = 0.5;

/// One refit.
#[derive(Clone, Debug)]
pub struct Draw {
    /// θ of every member, one after the other.
    pub thetas: Vec<f64>,
    /// The measurements it was fitted to, (checkpoints, K).
    pub z: Vec<f64>,
    /// A fresh checkpoint's effect, in standard deviations.
    pub effect: f64,
    /// Whether every search converged.
    pub converged: bool,
}

/// Refits to `count` perturbed tables, draw i depending on (seed, i) alone; `None` when cancelled.
///
/// Each checkpoint's z moves by √(scatter² + variance) times one normal number, the same at all k: what sets a checkpoint
/// apart does so at every k. Centres of the priors move by half a spread, alike for all members. `bases` (count,
/// checkpoints, K) replaces the measurements where these were resampled.
pub fn draw(
    table: &Table,
    members: &[Member],
    scatter: f64,
    bases: Option<&[f64]>,
    seed: u64,
    count: usize,
    cancel: &Cancel,
) -> Option<Vec<Draw>> {
    match table.quantity {
        Quantity::Passing { guessing } => {
            draw_all(&Passing { guessing }, table, members, scatter, bases, seed, count, cancel)
        }
        Quantity::Loss => draw_all(&Loss, table, members, scatter, bases, seed, count, cancel),
    }
}

#[allow(clippy::too_many_arguments)] // The arguments of `draw`, and the curve they are for.
fn draw_all<const P: usize>(
    curve: &impl Curve<P>,
    table: &Table,
    members: &[Member],
    scatter: f64,
    bases: Option<&[f64]>,
    seed: u64,
    count: usize,
    cancel: &Cancel,
) -> Option<Vec<Draw>> {
    let prior = curve.prior(table.best());
    let width = table.ks.len();
    let one = |index: usize| {
        let mut normals = Normals::new(seed, index as u64);
        let base = bases.map_or(&table.z[..], |bases| &bases[index * table.z.len()..][..table.z.len()]);
        let mut z = base.to_vec();
        for (row, variance) in z.chunks_exact_mut(width).zip(table.variance.chunks_exact(width)) {
            let step = normals.draw();
            // Rounded, so that a draw keeps all its digits in a file.
            row.iter_mut()
                .zip(variance)
                .for_each(|(z, v)| *z = rounded(*z + step * (scatter * scatter + v).sqrt()));
        }
        let mut believed: Prior<P> = prior;
        for (mean, spread) in believed.mean.iter_mut().zip(prior.spread) {
            *mean += JITTER * spread * normals.draw();
        }
        let effect = rounded(normals.draw());
        let mut thetas = Vec::with_capacity(members.len() * P);
        let mut converged = true;
        for member in members {
            let recipe = table.quantity.recipe(member.power);
            let objective = Objective::new(curve, table, &z, recipe, believed);
            let stop = Stop { evaluations: 200, decrease: 1e-9 };
            let found = objective.search(array(&member.theta), member.scale, stop, cancel)?;
            converged &= found.reason.converged();
            thetas.extend(found.x.map(rounded));
        }
        Some(Draw { thetas, z, effect, converged })
    };
    (0..count).into_par_iter().map(one).collect()
}

fn rounded(x: f64) -> f64 {
    (x * 1e5).round() / 1e5
}
