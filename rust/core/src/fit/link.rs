//! Stage 2 of the accuracy law (Roberts et al. 2026, approach 2): θ0…θ4 by least squares on pass@k, the loss of every
//! checkpoint being known.

use crate::cancel::Cancel;
use crate::fit::Outcome;
use crate::fit::points::{DRAW, FIT, Grouped, Point, best_of};
use crate::laws::Link;
use crate::levenberg::Model;
use crate::linalg::identified;

/// Box of θ0…θ4 in the two-stage fit, around the losses seen.
fn search_box(losses: &[f64]) -> ([f64; 5], [f64; 5]) {
    let low = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let high = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = (high - low).max(0.1 * high.abs()).max(1e-3);
    let steep = 200.0 / width;
    ([low - 50.0 * width, 1e-3 / width, 1e-9, -40.0, -steep], [high + 50.0 * width, steep, 1.0, 40.0, steep])
}

/// θ0…θ4 from pass@k and losses. `start` replaces the grid of starts.
pub fn fit(losses: &[f64], points: &[Point], start: Option<[f64; 5]>, cancel: &Cancel) -> Option<Outcome> {
    let groups = Grouped::new(points, losses.len());
    let model = |theta: &[f64; 5]| {
        let mut m = Model::zero();
        for (i, &loss) in losses.iter().enumerate() {
            let link = Link::new(theta, loss);
            groups.add(&mut m, i, &link, &link.theta);
        }
        m.symmetrise();
        m
    };
    let (lower, upper) = search_box(losses);
    let starts = start.map_or_else(|| starts_for(losses, &groups), |s| vec![s]);
    let stop = if start.is_some() { DRAW } else { FIT };
    let (best, evaluations) = best_of(model, &starts, (&lower, &upper), stop, cancel)?;
    Some(Outcome {
        params: best.x.to_vec(),
        objective: 2.0 * best.value,
        reason: best.reason,
        evaluations,
        identified: identified(&model(&best.x).hessian).to_vec(),
        on_bound: (0..5).map(|i| best.x[i] <= lower[i] || best.x[i] >= upper[i]).collect(),
    })
}

/// Sigmoids through the mean pass@k at the smallest k, several slopes, ceilings and spreads of difficulty.
fn starts_for(losses: &[f64], groups: &Grouped) -> Vec<[f64; 5]> {
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let deviation =
        (losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / losses.len() as f64).sqrt().max(1e-3);
    let p = groups.mean_at_least_k().1;
    let mut starts = Vec::new();
    for slope in [0.5, 1.0, 2.0, 4.0] {
        for ceiling in [1.0, (2.0 * p).min(0.7)] {
            for concentration in [-1.0, 1.0, 3.0] {
                for tilt in [-1.0, 0.0, 1.0] {
                    let t1 = slope / deviation;
                    let ratio = (p / ceiling).min(0.95);
                    let t0 = mean + (ratio / (1.0 - ratio)).ln() / t1;
                    starts.push([t0, t1, ceiling, concentration - tilt * mean / deviation, tilt / deviation]);
                }
            }
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fit::points::tests::table;
    use crate::laws::Law;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn stage_two_recovers_noise_free_links(t0 in 2.2f64..4.0, t1 in 0.8f64..4.0, t2 in 0.4f64..0.95,
            t3 in 0.0f64..2.0, t4 in -0.8f64..0.8) {
            let params = [1.69, 406.4, 410.7, 0.34, 0.28, t0, t1, t2, t3, t4];
            let (n, d, points) = table(&params);
            let losses: Vec<f64> = n.iter().zip(&d).map(|(n, d)| Law::Accuracy.latent(&params, n.ln(), d.ln()).0).collect();
            let fit = fit(&losses, &points, None, &Cancel::new(false)).unwrap();
            for (found, truth) in fit.params.iter().zip(&params[5..]) {
                prop_assert!((found - truth).abs() < 1e-6 * truth.abs().max(1e-3), "{:?} {:?}", fit, params);
            }
        }
    }
}
