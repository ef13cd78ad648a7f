//! The data wall's law fitted to runs that repeat their text.
//!
//! Least squares on ln L by a loss that is square below [`BEND`] and linear beyond, 2 s² (√(1 + (r/s)²) − 1) with
//! s = [`BEND`], over ln A, ln B, ln E, α, β, ln R_D* and ln R_N* inside a box.

use crate::cancel::Cancel;
use crate::data_wall::DataWall;
use crate::fit::Outcome;
use crate::levenberg::{Minimum, Model, Stop, minimise};

/// Bounds of ln A, ln B, ln E, alpha, beta, ln R_D*, ln R_N*.
const LOWER: [f64; 7] = [-5.0, -5.0, -5.0, 0.05, 0.05, -3.0, -3.0];
const UPPER: [f64; 7] = [25.0, 30.0, 3.0, 1.5, 1.5, 8.0, 8.0];
/// Relative error from which on a run counts by its size, not by its square.
const BEND: f64 = 0.01;
/// Half the step of the central differences that stand for slopes.
const STEP: f64 = 1e-6;
const STOP: Stop = Stop { evaluations: 2000, decrease: 1e-12 };

/// What was measured, one entry a run.
#[derive(Clone, Copy, Debug)]
pub struct Runs<'a> {
    /// N.
    pub n: &'a [f64],
    /// D, repetitions counted.
    pub d: &'a [f64],
    /// U.
    pub unique: &'a [f64],
    /// L in nats.
    pub loss: &'a [f64],
}

/// The law with these unknowns.
pub fn law(x: &[f64; 7]) -> DataWall {
    DataWall {
        floor: x[2].exp(),
        scales: [x[0].exp(), x[1].exp()],
        exponents: [x[3], x[4]],
        repeats: [x[5].exp(), x[6].exp()],
    }
}

/// The best end of searches from `starts`, in the unknowns of [`law`]. `None` without starts or once cancelled.
pub fn fit(runs: Runs, starts: &[[f64; 7]], cancel: &Cancel) -> Option<Outcome> {
    let mut evaluations = 0;
    let mut best: Option<Minimum<7>> = None;
    for start in starts {
        let end = minimise(|x| model(runs, x), *start, &LOWER, &UPPER, STOP, cancel)?;
        evaluations += end.evaluations;
        if best.as_ref().is_none_or(|best| end.value < best.value) {
            best = Some(end);
        }
    }
    let best = best?;
    let near = |i: usize| (best.x[i] - LOWER[i]).min(UPPER[i] - best.x[i]) < 1e-6;
    Some(Outcome {
        params: best.x.to_vec(),
        objective: best.value,
        reason: best.reason,
        evaluations,
        identified: vec![],
        on_bound: (0..7).map(near).collect(),
    })
}

fn model(runs: Runs, x: &[f64; 7]) -> Model<7> {
    let here = residuals(runs, x);
    let beside = |i: usize, step: f64| {
        let mut moved = *x;
        moved[i] += step;
        residuals(runs, &moved)
    };
    let slopes: [Vec<f64>; 7] = std::array::from_fn(|i| {
        let (above, below) = (beside(i, STEP), beside(i, -STEP));
        above.iter().zip(below).map(|(a, b)| (a - b) / (2.0 * STEP)).collect()
    });
    let mut model = Model::zero();
    for (run, &r) in here.iter().enumerate() {
        model.add(r, &std::array::from_fn(|i| slopes[i][run]), 1.0);
    }
    model.symmetrise();
    model
}

/// Residuals whose squares add up to the loss.
fn residuals(runs: Runs, x: &[f64; 7]) -> Vec<f64> {
    let law = law(x);
    (0..runs.n.len())
        .map(|i| {
            let r = law.loss(runs.n[i], runs.d[i], runs.unique[i]).ln() - runs.loss[i].ln();
            let scaled = r / BEND;
            r.signum() * BEND * (2.0 * ((1.0 + scaled * scaled).sqrt() - 1.0)).sqrt()
        })
        .collect()
}
