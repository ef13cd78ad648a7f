//! What pass@k beyond n would have been with other problems, other priors and another shape.

use std::ops::Range;

use rayon::prelude::*;

use super::{Average, Counts, Fit, Prior};
use crate::cancel::Cancel;
use crate::random::{Normals, mix};

/// pass@k at `ks` of one fit a draw: to resampled clusters of problems, under priors whose centres are drawn from them,
/// of a shape drawn by its probability. `cluster[i]` numbers problem i's.
///
/// Were the likelihood normal, drawing the centres would make the fits draws from the posterior; without it a prior
/// that decides would leave no interval. Draw d depends on (seed, d) alone. None when cancelled.
pub fn draws(
    counts: &Counts,
    cluster: &[usize],
    average: &Average,
    ks: &[f64],
    seed: u64,
    draws: Range<u64>,
    cancel: &Cancel,
) -> Option<Vec<Vec<f64>>> {
    let clusters = cluster.iter().max().map_or(0, |&last| last + 1);
    let draw = |draw: u64| {
        let key = mix(seed ^ mix(draw));
        let mut times = vec![0.0; clusters];
        for j in 0..clusters as u64 {
            let bits = mix(key.wrapping_add(j));
            times[((u128::from(bits) * clusters as u128) >> 64) as usize] += 1.0;
        }
        let fit = chosen(average, mix(!key))?;
        let mut normals = Normals::new(!seed, draw);
        let Prior { centre, width } = fit.shape.prior();
        let centre = std::array::from_fn(|p| centre[p] + width[p] * normals.draw());
        let resampled = counts.weights(|i| times[cluster[i]]);
        let end = counts.search(&resampled, fit.shape, &Prior { centre, width }, fit.x, cancel)?;
        Some(ks.iter().map(|&k| fit.shape.pass_at_k(&end.x, k)).collect())
    };
    draws.into_par_iter().map(draw).collect()
}

/// The fit at which the running sum of probabilities passes `bits` of 2^64.
fn chosen(average: &Average, bits: u64) -> Option<&Fit> {
    let mut rest = (bits >> 11) as f64 / (1u64 << 53) as f64;
    for (fit, weight) in average.fits.iter().zip(&average.weights) {
        rest -= weight;
        if rest < 0.0 {
            return Some(fit);
        }
    }
    average.fits.last()
}
