//! The accuracy law in one stage, by least squares on pass@k: the latent loss ([`crate::fit::latent`]) together with the
//! link.

use crate::cancel::Cancel;
use crate::fit::Outcome;
use crate::fit::latent::{Checkpoints, LARGEST_CEILING, LOWER, Prior, UNKNOWNS, UPPER};
use crate::fit::points::{DRAW, FIT, Grouped, Point, best_of};
use crate::levenberg::{Minimum, Model};
use crate::linalg::identified;

/// Rounds in which the regularised fit finds its own error scale.
const ROUNDS: usize = 3;

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
    let stop = if start.is_some() { DRAW } else { FIT };
    let starts =
        start.map_or_else(|| starts_for(groups.mean_at_least_k()), |p| vec![checkpoints.unknowns(p)]);
    let model = |x: &[f64; UNKNOWNS]| squares(&checkpoints, &groups, x);
    let (best, evaluations) = best_of(model, &starts, (&LOWER, &UPPER), stop, cancel)?;
    Some(outcome(&checkpoints, &groups, &best, evaluations, &UPPER))
}

/// As [`fit`], with the forecast law's priors: Σ_i mean_k r²/σ² + Σ ((t − m)/S)², where σ is 1.5 times the error scale
/// that the residuals themselves show, s² = Σ_i mean_k r²/max(checkpoints − 4, 2), found in three rounds.
pub fn fit_regularised(
    n: &[f64],
    d: &[f64],
    points: &[Point],
    start: Option<&[f64]>,
    cancel: &Cancel,
) -> Option<Outcome> {
    let checkpoints = Checkpoints::new(n, d);
    let stop = if start.is_some() { DRAW } else { FIT };
    let mut many = vec![0.0; n.len()];
    points.iter().filter(|p| p.w > 0.0).for_each(|p| many[p.checkpoint] += 1.0);
    let shared: Vec<Point> =
        points.iter().map(|p| Point { w: p.w / f64::max(many[p.checkpoint], 1.0), ..*p }).collect();
    let (plain, groups) = (Grouped::new(points, n.len()), Grouped::new(&shared, n.len()));
    let present = many.iter().filter(|&&m| m > 0.0).count() as f64;
    let least_k = points.iter().filter(|p| p.w > 0.0).map(|p| p.k).fold(f64::INFINITY, f64::min);
    let top = points.iter().filter(|p| p.w > 0.0 && p.k == least_k).map(|p| p.y).fold(0.0, f64::max);
    let prior = Prior::new(-((-top).ln_1p() / least_k).exp_m1());
    let mut upper = UPPER;
    upper[5] = LARGEST_CEILING;
    let mut starts =
        start.map_or_else(|| starts_for(groups.mean_at_least_k()), |p| vec![checkpoints.unknowns(p)]);
    let mut scale = 0.1 * top.max(1e-3);
    let (mut found, mut evaluations) = (None, 0);
    for _ in 0..ROUNDS {
        let weight = (1.5 * scale).powi(-2);
        let model = |x: &[f64; UNKNOWNS]| {
            let mut m = squares(&checkpoints, &groups, x);
            m.value *= weight;
            m.gradient.iter_mut().for_each(|g| *g *= weight);
            m.hessian.iter_mut().flatten().for_each(|h| *h *= weight);
            prior.add(&mut m, x);
            m.symmetrise();
            m
        };
        let (best, more) = best_of(model, &starts, (&LOWER, &upper), stop, cancel)?;
        evaluations += more;
        let left = 2.0 * squares(&checkpoints, &groups, &best.x).value;
        scale = (left / (present - 4.0).max(2.0)).sqrt().max(1e-6);
        starts = vec![best.x];
        found = Some(best);
    }
    found.map(|best| outcome(&checkpoints, &plain, &best, evaluations, &upper))
}

/// Half the weighted sum of squares, differentiated in the unknowns.
fn squares(checkpoints: &Checkpoints, groups: &Grouped, x: &[f64; UNKNOWNS]) -> Model<UNKNOWNS> {
    let mut m = Model::zero();
    for i in (0..checkpoints.log_n.len()).filter(|&i| !groups.is_empty(i)) {
        let (latent, by) = checkpoints.latent(x, i);
        let (link, by) = Checkpoints::link(x, latent, &by);
        groups.add(&mut m, i, &link, &by);
    }
    m.symmetrise();
    m
}

fn outcome(
    checkpoints: &Checkpoints,
    groups: &Grouped,
    best: &Minimum<UNKNOWNS>,
    evaluations: usize,
    upper: &[f64; UNKNOWNS],
) -> Outcome {
    let m = squares(checkpoints, groups, &best.x);
    let bound = std::array::from_fn(|i| best.x[i] <= LOWER[i] || best.x[i] >= upper[i]);
    Outcome {
        params: checkpoints.natural(&best.x),
        objective: 2.0 * m.value,
        reason: best.reason,
        evaluations,
        identified: Checkpoints::flags(identified(&m.hessian), true),
        on_bound: Checkpoints::flags(bound, false),
    }
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
    use crate::laws::Law;

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
    fn priors_hold_what_the_data_leave_open_and_little_else() {
        let params = [0.0, 120.0, 300.0, 0.27, 0.24, 2.1, 1.0, 0.8, 1.0, -0.2];
        let (n, d, points) = table(&params);
        let never = Cancel::new(false);
        // Without noise the error scale falls to its floor, and the prior weighs nothing beside it.
        let free = fit_regularised(&n, &d, &points, None, &never).unwrap();
        for point in &points {
            let value = Law::Accuracy.value(&free.params, n[point.checkpoint], d[point.checkpoint], point.k);
            assert!((value - point.y).abs() < 1e-3, "{free:?}");
        }
        // One amount of tokens leaves beta open: it stays near the prior's 0.4 and the fit ends on no bound.
        let one: Vec<Point> = points.iter().filter(|p| d[p.checkpoint] == 1e9).copied().collect();
        let held = fit_regularised(&n, &d, &one, None, &never).unwrap();
        assert!(held.reason.converged() && (0.1..1.5).contains(&held.params[4]), "{held:?}");
        assert!(held.on_bound.iter().all(|&at| !at), "{held:?}");
    }

    #[test]
    fn a_cancelled_fit_returns_nothing() {
        let params = [0.0, 100.0, 100.0, 0.3, 0.3, 2.0, 1.0, 0.9, 1.0, 0.0];
        let (n, d, points) = table(&params);
        assert!(fit(&n, &d, &points, None, &Cancel::new(true)).is_none());
    }
}
