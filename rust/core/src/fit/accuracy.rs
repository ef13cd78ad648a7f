//! The accuracy law by least squares on pass@k: in two stages, where losses were measured (Roberts et al. 2026,
//! approach 2, stage 2), and in one, where L̂ = A/N^α + B/D^β is a latent fitted together with the link.
//!
//! A latent loss has no scale and no floor of its own: E is taken up by θ0 and θ3, and a factor by A, B, θ0, θ1 and θ4.
//! The one-stage fit therefore holds E = 0 and θ1 = 1.

use rayon::prelude::*;

use crate::fit::{Cancel, Outcome};
use crate::laws::Link;
use crate::levenberg::{self, Minimum, Model, Stop};
use crate::linalg::identified;

/// One measured pass@k of one checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Which checkpoint.
    pub checkpoint: usize,
    /// Samples.
    pub k: f64,
    /// pass@k.
    pub y: f64,
    /// Weight in the sum of squares.
    pub w: f64,
}

/// Points sorted into their checkpoints.
struct Grouped(Vec<Vec<Point>>);

impl Grouped {
    fn new(points: &[Point], checkpoints: usize) -> Self {
        let mut groups = vec![Vec::new(); checkpoints];
        for p in points.iter().filter(|p| p.w > 0.0) {
            groups[p.checkpoint].push(*p);
        }
        Self(groups)
    }

    /// Adds a checkpoint's squared errors, given its Beta parameters and their derivatives in the `P` unknowns.
    fn add<const P: usize>(&self, m: &mut Model<P>, checkpoint: usize, link: &Link, by: &[[f64; 2]; P]) {
        for point in &self.0[checkpoint] {
            let (pass, g, _) = link.pass(point.k);
            let gradient = std::array::from_fn(|p| g[0] * by[p][0] + g[1] * by[p][1]);
            m.add(pass - point.y, &gradient, point.w);
        }
    }

    /// Weighted mean of the points at the smallest k, kept away from 0 and 1.
    fn mean_at_least_k(&self) -> (f64, f64) {
        let k = self.0.iter().flatten().map(|p| p.k).fold(f64::INFINITY, f64::min);
        let (mut sum, mut weight) = (0.0, 0.0);
        for p in self.0.iter().flatten().filter(|p| p.k == k) {
            sum += p.w * p.y;
            weight += p.w;
        }
        (k, (sum / weight).clamp(1e-9, 1.0 - 1e-9))
    }
}

/// Searches from every start in parallel; `None` when cancelled.
fn best_of<const P: usize>(
    model: impl Fn(&[f64; P]) -> Model<P> + Sync,
    starts: &[[f64; P]],
    (lower, upper): (&[f64; P], &[f64; P]),
    cancel: &Cancel,
) -> Option<(Minimum<P>, usize)> {
    let rough = Stop { evaluations: 60, decrease: 1e-7 };
    let mut ends: Vec<Minimum<P>> = starts
        .par_iter()
        .map(|start| levenberg::minimise(&model, *start, lower, upper, rough, cancel))
        .collect::<Option<_>>()?;
    let mut evaluations: usize = ends.iter().map(|m| m.evaluations).sum();
    ends.sort_by(|a, b| a.value.total_cmp(&b.value));
    ends.truncate(8);
    let ends: Vec<Minimum<P>> = ends
        .par_iter()
        .map(|end| {
            let stop = Stop { evaluations: 2000, decrease: 1e-15 };
            levenberg::minimise(&model, end.x, lower, upper, stop, cancel)
        })
        .collect::<Option<_>>()?;
    evaluations += ends.iter().map(|m| m.evaluations).sum::<usize>();
    Some((ends.into_iter().min_by(|a, b| a.value.total_cmp(&b.value))?, evaluations))
}

/// Box of θ0…θ4 in the two-stage fit, around the losses seen.
fn link_box(losses: &[f64]) -> ([f64; 5], [f64; 5]) {
    let low = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let high = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = (high - low).max(0.1 * high.abs()).max(1e-3);
    let steep = 200.0 / width;
    ([low - 50.0 * width, 1e-3 / width, 1e-9, -40.0, -steep], [high + 50.0 * width, steep, 1.0, 40.0, steep])
}

/// Stage 2: θ0…θ4 from pass@k, each checkpoint's loss being known. `start` replaces the grid of starts.
pub fn fit_link(
    losses: &[f64],
    points: &[Point],
    start: Option<[f64; 5]>,
    cancel: &Cancel,
) -> Option<Outcome> {
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
    let (lower, upper) = link_box(losses);
    let starts = start.map_or_else(|| link_starts(losses, &groups), |s| vec![s]);
    let (best, evaluations) = best_of(model, &starts, (&lower, &upper), cancel)?;
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
fn link_starts(losses: &[f64], groups: &Grouped) -> Vec<[f64; 5]> {
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

/// The one-stage law's unknowns: ln A and ln B at the mean ln N and ln D, α, β, θ0, θ2, θ3, θ4.
pub(crate) const JOINT: usize = 8;
/// Their box.
pub(crate) const JOINT_LOWER: [f64; JOINT] = [-12.0, -12.0, 0.01, 0.01, -60.0, 1e-6, -40.0, -20.0];
/// Their box.
pub(crate) const JOINT_UPPER: [f64; JOINT] = [6.0, 6.0, 5.0, 5.0, 400.0, 1.0, 40.0, 20.0];

/// Checkpoints as logarithms about their means, shared by the one-stage fits.
pub(crate) struct Checkpoints {
    pub(crate) log_n: Vec<f64>,
    pub(crate) log_d: Vec<f64>,
    mean: [f64; 2],
}

impl Checkpoints {
    pub(crate) fn new(n: &[f64], d: &[f64]) -> Self {
        let mean = [n, d].map(|v| v.iter().map(|x| x.ln()).sum::<f64>() / v.len() as f64);
        let centred = |v: &[f64], m: f64| v.iter().map(|x| x.ln() - m).collect();
        Self { log_n: centred(n, mean[0]), log_d: centred(d, mean[1]), mean }
    }

    /// Latent loss of checkpoint `i` and its derivatives in the first four unknowns.
    pub(crate) fn latent(&self, x: &[f64; JOINT], i: usize) -> (f64, [f64; 4]) {
        let (ln, ld) = (self.log_n[i], self.log_d[i]);
        let (tn, td) = ((x[0] - x[2] * ln).exp(), (x[1] - x[3] * ld).exp());
        (tn + td, [tn, td, -ln * tn, -ld * td])
    }

    /// The link at a latent loss, and the derivatives of its Beta parameters in all unknowns.
    pub(crate) fn link(x: &[f64; JOINT], latent: f64, by: &[f64; 4]) -> (Link, [[f64; 2]; JOINT]) {
        let link = Link::new(&[x[4], 1.0, x[5], x[6], x[7]], latent);
        let chain = |g: f64| [link.latent[0] * g, link.latent[1] * g];
        let t = &link.theta;
        let all = [chain(by[0]), chain(by[1]), chain(by[2]), chain(by[3]), t[0], t[2], t[3], t[4]];
        (link, all)
    }

    /// E, A, B, α, β, θ0…θ4.
    pub(crate) fn natural(&self, x: &[f64; JOINT]) -> Vec<f64> {
        let (a, b) = ((x[0] + x[2] * self.mean[0]).exp(), (x[1] + x[3] * self.mean[1]).exp());
        vec![0.0, a, b, x[2], x[3], x[4], 1.0, x[5], x[6], x[7]]
    }

    /// The unknowns of a law with E = 0 and θ1 = 1.
    pub(crate) fn unknowns(&self, p: &[f64]) -> [f64; JOINT] {
        [p[1].ln() - p[3] * self.mean[0], p[2].ln() - p[4] * self.mean[1], p[3], p[4], p[5], p[7], p[8], p[9]]
    }

    /// Flags of the eight unknowns, in the order of the law's ten parameters (E and θ1 are held).
    pub(crate) fn flags(x: [bool; JOINT], held: bool) -> Vec<bool> {
        vec![held, x[0], x[1], x[2], x[3], x[4], held, x[5], x[6], x[7]]
    }
}

/// Both stages in one: A, B, α, β, θ0, θ2, θ3, θ4 by least squares on pass@k (E = 0, θ1 = 1).
///
/// `start` (a law's ten parameters) replaces the grid of starts.
pub fn fit_joint(
    n: &[f64],
    d: &[f64],
    points: &[Point],
    start: Option<&[f64]>,
    cancel: &Cancel,
) -> Option<Outcome> {
    let groups = Grouped::new(points, n.len());
    let checkpoints = Checkpoints::new(n, d);
    let model = |x: &[f64; JOINT]| {
        let mut m = Model::zero();
        for i in 0..n.len() {
            if groups.0[i].is_empty() {
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
        start.map_or_else(|| joint_starts(groups.mean_at_least_k()), |p| vec![checkpoints.unknowns(p)]);
    let (best, evaluations) = best_of(model, &starts, (&JOINT_LOWER, &JOINT_UPPER), cancel)?;
    let bound = std::array::from_fn(|i| best.x[i] <= JOINT_LOWER[i] || best.x[i] >= JOINT_UPPER[i]);
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
pub(crate) fn joint_starts((k, pass): (f64, f64)) -> Vec<[f64; JOINT]> {
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
    use super::*;
    use crate::laws::Law;
    use proptest::prelude::*;

    fn table(params: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<Point>) {
        let (mut n, mut d, mut points) = (vec![], vec![], vec![]);
        for i in 0..6 {
            for j in 0..6 {
                n.push(1e7 * 4f64.powi(i));
                d.push(1e9 * 4f64.powi(j));
                for l in 0..6 {
                    let k = 4f64.powi(l);
                    let y = Law::Accuracy.value(params, *n.last().unwrap(), *d.last().unwrap(), k);
                    points.push(Point { checkpoint: n.len() - 1, k, y, w: 1.0 });
                }
            }
        }
        (n, d, points)
    }

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
            let fit = fit_joint(&n, &d, &points, None, &Cancel::new(false)).unwrap();
            for (found, truth) in fit.params.iter().zip(params) {
                prop_assert!((found - truth).abs() < 1e-6 * truth.abs().max(1e-3), "{:?} {:?}", fit, params);
            }
        }

        #[test]
        fn stage_two_recovers_noise_free_links(t0 in 2.2f64..4.0, t1 in 0.8f64..4.0, t2 in 0.4f64..0.95,
            t3 in 0.0f64..2.0, t4 in -0.8f64..0.8) {
            let params = [1.69, 406.4, 410.7, 0.34, 0.28, t0, t1, t2, t3, t4];
            let (n, d, points) = table(&params);
            let losses: Vec<f64> = n.iter().zip(&d).map(|(n, d)| Law::Accuracy.latent(&params, n.ln(), d.ln()).0).collect();
            let fit = fit_link(&losses, &points, None, &Cancel::new(false)).unwrap();
            for (found, truth) in fit.params.iter().zip(&params[5..]) {
                prop_assert!((found - truth).abs() < 1e-6 * truth.abs().max(1e-3), "{:?} {:?}", fit, params);
            }
        }
    }

    #[test]
    fn a_cancelled_fit_returns_nothing() {
        let params = [0.0, 100.0, 100.0, 0.3, 0.3, 2.0, 1.0, 0.9, 1.0, 0.0];
        let (n, d, points) = table(&params);
        assert!(fit_joint(&n, &d, &points, None, &Cancel::new(true)).is_none());
    }
}
