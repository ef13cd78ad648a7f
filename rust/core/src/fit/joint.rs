//! The accuracy law in one stage, by least squares on pass@k: the latent loss ([`crate::fit::latent`]) together with the
//! link.

use crate::fit::latent::{Checkpoints, LOWER, UNKNOWNS, UPPER};
use crate::fit::points::{Grouped, Point, best_of};
use crate::fit::{Cancel, Outcome};
use crate::levenberg::Model;
use crate::linalg::identified;

/// A, B, α, β, θ0, θ2, θ3, θ4 by least squares on pass@k (E = 0, θ1 = 1).
///
/// `start` (a law's ten parameters) replaces the grid of starts.
pub fn fit(
    n: &[f64],
    d: &[f64],
    points: &[Point],
    start: Option<&[f64]>,
    cancel: &Cancel,
) -> Option<Outcome> {
    let groups = Grouped::new(points, n.len());
    let checkpoints = Checkpoints::new(n, d);
    let model = |x: &[f64; UNKNOWNS]| {
        let mut m = Model::zero();
        for i in 0..n.len() {
            if groups.is_empty(i) {
                continue;
            }
            let (latent, by) = checkpoints.latent(x, i);
            let (link, by) = Checkpoints::link(x, latent, &by);
            groups.add(&mut m, i, &link, &by);
        }
        m.symmetrise();
        m
    };
    let starts =
        start.map_or_else(|| starts_for(groups.mean_at_least_k()), |p| vec![checkpoints.unknowns(p)]);
    let (best, evaluations) = best_of(model, &starts, (&LOWER, &UPPER), cancel)?;
    let bound = std::array::from_fn(|i| best.x[i] <= LOWER[i] || best.x[i] >= UPPER[i]);
    Some(Outcome {
        params: checkpoints.natural(&best.x),
        objective: 2.0 * best.value,
        reason: best.reason,
        evaluations,
        identified: Checkpoints::flags(identified(&model(&best.x).hessian), true),
        on_bound: Checkpoints::flags(bound, false),
    })
}

/// Latents of several sizes and slopes, with θ0 such that the mean is met at the smallest k.
fn starts_for((k, pass): (f64, f64)) -> Vec<[f64; UNKNOWNS]> {
    let p = -((-pass).ln_1p() / k).exp_m1();
    let p = p.clamp(1e-12, 1.0 - 1e-9);
    let mut starts = Vec::new();
    for alpha in [0.1, 0.3, 0.8] {
        for beta in [0.1, 0.3, 0.8] {
            for size in [0.0, 1.5] {
                for ceiling in [1.0, (3.0 * p).min(0.7)] {
                    for (concentration, tilt) in [(-1.0, 0.0), (1.5, 0.0), (2.0, -0.5)] {
                        let ratio = (p / ceiling).min(0.95);
                        let latent = 2.0 * f64::exp(size);
                        let t0 = latent + (ratio / (1.0 - ratio)).ln();
                        let t3 = concentration - tilt * latent;
                        starts.push([size, size, alpha, beta, t0, ceiling, t3, tilt]);
                    }
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn one_stage_recovers_noise_free_laws(size in proptest::array::uniform2(0.3f64..2.0),
            exponents in proptest::array::uniform2(0.15f64..0.6), t0 in 1.0f64..4.0, t2 in 0.5f64..0.95,
            t3 in 0.0f64..2.0, t4 in -0.5f64..0.5) {
            let mid = (3e8f64, 3e10f64);
            let params = [0.0, size[0] * mid.0.powf(exponents[0]), size[1] * mid.1.powf(exponents[1]), exponents[0],
                exponents[1], t0, 1.0, t2, t3, t4];
            let (n, d, points) = table(&params);
            let fit = fit(&n, &d, &points, None, &Cancel::new(false)).unwrap();
            for (found, truth) in fit.params.iter().zip(params) {
                prop_assert!((found - truth).abs() < 1e-6 * truth.abs().max(1e-3), "{:?} {:?}", fit, params);
            }
        }
    }

    #[test]
    fn a_cancelled_fit_returns_nothing() {
        let params = [0.0, 100.0, 100.0, 0.3, 0.3, 2.0, 1.0, 0.9, 1.0, 0.0];
        let (n, d, points) = table(&params);
        assert!(fit(&n, &d, &points, None, &Cancel::new(true)).is_none());
    }
}
