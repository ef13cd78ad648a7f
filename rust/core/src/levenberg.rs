//! Damped Newton steps inside a box (Levenberg 1944, Marquardt 1963), for least squares and other small problems.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::linalg::{Matrix, cholesky_solve};

/// Damping beyond which no step is tried.
const LARGEST_DAMPING: f64 = 1e16;
/// What counts as no gradient, and as no step: relative to the objective, and to unknowns of order one.
pub const FLAT: f64 = 1e-8;

/// Value, gradient and a positive semi-definite model of the Hessian at a point (`JᵀJ` for least squares).
#[derive(Clone, Debug)]
pub struct Model<const P: usize> {
    /// Objective.
    pub value: f64,
    /// Gradient.
    pub gradient: [f64; P],
    /// Hessian or its Gauss-Newton part.
    pub hessian: Matrix<P>,
}

impl<const P: usize> Model<P> {
    /// A model to accumulate into.
    pub fn zero() -> Self {
        Self { value: 0.0, gradient: [0.0; P], hessian: [[0.0; P]; P] }
    }

    /// Adds ½ w r² for a residual `r` with gradient `j` (lower triangle only; see [`Model::symmetrise`]).
    #[inline]
    pub fn add(&mut self, r: f64, j: &[f64; P], w: f64) {
        self.value += 0.5 * w * r * r;
        for p in 0..P {
            let wj = w * j[p];
            self.gradient[p] += wj * r;
            for q in 0..=p {
                self.hessian[p][q] += wj * j[q];
            }
        }
    }

    /// Copies the lower triangle to the upper.
    pub fn symmetrise(&mut self) {
        for p in 0..P {
            for q in 0..p {
                self.hessian[q][p] = self.hessian[p][q];
            }
        }
    }
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The gradient vanished, or what a Newton step still promises is below [`FLAT`].
    Converged,
    /// The last accepted steps lowered the objective by less than the tolerance.
    SmallDecrease,
    /// No step lowers the objective, although its gradient says that one should.
    Stalled,
    /// Every step the gradient asks for leads where the objective is not finite.
    NotFiniteAhead,
    /// The iteration limit was reached first.
    IterationLimit,
    /// The objective was not finite at the start.
    NotFinite,
}

impl Reason {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Converged => "gradient vanished to rounding",
            Self::SmallDecrease => "objective stopped decreasing",
            Self::Stalled => "no step lowers the objective, yet its gradient has not vanished",
            Self::NotFiniteAhead => "every step leads where the objective is not finite",
            Self::IterationLimit => "iteration limit reached",
            Self::NotFinite => "objective not finite at the start",
        }
    }

    /// Whether the end point is a minimum as far as the search can tell.
    pub fn converged(self) -> bool {
        matches!(self, Self::Converged | Self::SmallDecrease)
    }
}

/// Where a search ended.
#[derive(Clone, Debug)]
pub struct Minimum<const P: usize> {
    /// The point.
    pub x: [f64; P],
    /// Objective there.
    pub value: f64,
    /// Why it stopped.
    pub reason: Reason,
    /// Evaluations of the objective.
    pub evaluations: usize,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Most evaluations.
    pub evaluations: usize,
    /// Two successive relative decreases below this end the search.
    pub decrease: f64,
}

impl Default for Stop {
    fn default() -> Self {
        Self { evaluations: 400, decrease: 1e-15 }
    }
}

/// Minimises `model` from `start` within `lower ≤ x ≤ upper`.
///
/// Steps solve (H + λ diag H) s = −g over the coordinates that are free to move, are clipped to the box, and are taken
/// when they lower the objective; λ follows the ratio of actual to predicted decrease (Nielsen 1999). `None` as soon as
/// `cancel` is raised.
pub fn minimise<const P: usize>(
    model: impl Fn(&[f64; P]) -> Model<P>,
    start: [f64; P],
    lower: &[f64; P],
    upper: &[f64; P],
    stop: Stop,
    cancel: &AtomicBool,
) -> Option<Minimum<P>> {
    let mut x = start;
    for i in 0..P {
        x[i] = x[i].clamp(lower[i], upper[i]);
    }
    let mut here = model(&x);
    let mut evaluations = 1;
    let end = |x, value, reason, evaluations| Some(Minimum { x, value, reason, evaluations });
    if !here.value.is_finite() {
        return end(x, here.value, Reason::NotFinite, evaluations);
    }
    let (mut lambda, mut growth) = (1e-3, 2.0);
    let mut small = 0;
    // Whether trials since the last accepted step had finite values, or others.
    let (mut finite, mut other) = (false, false);
    while evaluations < stop.evaluations {
        if cancel.load(Ordering::Relaxed) {
            return None;
        }
        let free: Vec<usize> = (0..P)
            .filter(|&i| {
                let g = here.gradient[i];
                !((x[i] <= lower[i] && g > 0.0) || (x[i] >= upper[i] && g < 0.0)) && lower[i] < upper[i]
            })
            .collect();
        if free.iter().all(|&i| here.gradient[i] == 0.0) {
            return end(x, here.value, Reason::Converged, evaluations);
        }
        let trial = damped_step(&here, &x, &free, lambda, lower, upper);
        let moved =
            trial.is_none_or(|trial| (0..P).any(|p| (trial[p] - x[p]).abs() > f64::EPSILON * x[p].abs()));
        if lambda > LARGEST_DAMPING || !moved {
            let reason = if flat(&here, &x, &free, lower, upper) {
                Reason::Converged
            } else if other && !finite {
                Reason::NotFiniteAhead
            } else {
                Reason::Stalled
            };
            return end(x, here.value, reason, evaluations);
        }
        let accepted = trial.and_then(|trial| {
            let there = model(&trial);
            evaluations += 1;
            finite |= there.value.is_finite();
            other |= !there.value.is_finite();
            (there.value <= here.value && there.value.is_finite()).then_some((trial, there))
        });
        let Some((trial, there)) = accepted else {
            lambda = (lambda * growth).max(1e-12);
            growth *= 2.0;
            continue;
        };
        let decrease = here.value - there.value;
        let predicted = predicted_decrease(&here, &x, &trial);
        let ratio = if predicted > 0.0 { decrease / predicted } else { 1.0 };
        lambda = (lambda * (1.0 - (2.0 * ratio - 1.0).powi(3)).max(1.0 / 9.0)).max(1e-14);
        growth = 2.0;
        (finite, other) = (false, false);
        small = if decrease <= stop.decrease * here.value.abs() { small + 1 } else { 0 };
        (x, here) = (trial, there);
        if small >= 2 {
            return end(x, here.value, Reason::SmallDecrease, evaluations);
        }
    }
    end(x, here.value, Reason::IterationLimit, evaluations)
}

/// Decrease from `x` to `trial` by the quadratic model.
fn predicted_decrease<const P: usize>(here: &Model<P>, x: &[f64; P], trial: &[f64; P]) -> f64 {
    let step: [f64; P] = std::array::from_fn(|p| trial[p] - x[p]);
    (0..P)
        .map(|p| {
            let curved: f64 = (0..P).map(|q| here.hessian[p][q] * step[q]).sum();
            -step[p] * (here.gradient[p] + 0.5 * curved)
        })
        .sum()
}

/// Whether the gradient is as good as zero where no step helps any more: a Newton step (barely damped, so that a flat
/// direction does not run away) would lower the objective by no more than [`FLAT`] of itself, or is itself no longer
/// than that.
fn flat<const P: usize>(
    here: &Model<P>,
    x: &[f64; P],
    free: &[usize],
    lower: &[f64; P],
    upper: &[f64; P],
) -> bool {
    let mut damping = 1e-6;
    while damping < 1e3 {
        if let Some(trial) = damped_step(here, x, free, damping, lower, upper) {
            let short = (0..P).all(|p| (trial[p] - x[p]).abs() <= FLAT * x[p].abs().max(1.0));
            return short || predicted_decrease(here, x, &trial) <= FLAT * here.value.abs();
        }
        damping *= 10.0;
    }
    false
}

fn damped_step<const P: usize>(
    here: &Model<P>,
    x: &[f64; P],
    free: &[usize],
    lambda: f64,
    lower: &[f64; P],
    upper: &[f64; P],
) -> Option<[f64; P]> {
    let largest = free.iter().map(|&i| here.hessian[i][i].abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return None;
    }
    let (mut a, mut b) = ([[0.0; P]; P], [0.0; P]);
    for (p, &i) in free.iter().enumerate() {
        for (q, &j) in free.iter().enumerate() {
            a[p][q] = here.hessian[i][j];
        }
        // The floor keeps a coordinate without curvature from taking unbounded steps.
        a[p][p] += lambda * here.hessian[i][i].abs().max(1e-10 * largest);
        b[p] = -here.gradient[i];
    }
    let s = cholesky_solve(&a, &b, free.len())?;
    let mut trial = *x;
    for (p, &i) in free.iter().enumerate() {
        trial[i] = (x[i] + s[p]).clamp(lower[i], upper[i]);
    }
    trial.iter().all(|v| v.is_finite()).then_some(trial)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search<const P: usize>(
        model: impl Fn(&[f64; P]) -> Model<P>,
        start: [f64; P],
        upper: [f64; P],
    ) -> Minimum<P> {
        minimise(model, start, &[-5.0; P], &upper, Stop::default(), &AtomicBool::new(false)).unwrap()
    }

    fn rosenbrock(x: &[f64; 2]) -> Model<2> {
        let mut m = Model::zero();
        m.add(10.0 * (x[1] - x[0] * x[0]), &[-20.0 * x[0], 10.0], 1.0);
        m.add(1.0 - x[0], &[-1.0, 0.0], 1.0);
        m.symmetrise();
        m
    }

    #[test]
    fn finds_the_minimum_and_respects_the_box() {
        let free = search(rosenbrock, [-1.2, 1.0], [5.0; 2]);
        assert!(
            free.reason.converged() && (free.x[0] - 1.0).abs() < 1e-12 && (free.x[1] - 1.0).abs() < 1e-12
        );
        // With x ≤ 1/2 the minimum sits on the bound, at y = x².
        let boxed = search(rosenbrock, [-1.2, 1.0], [0.5, 5.0]);
        assert!(boxed.reason.converged() && boxed.x[0] == 0.5 && (boxed.x[1] - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_start_without_a_value_is_refused() {
        let m = search(|_| Model::<1> { value: f64::NAN, ..Model::zero() }, [0.0], [1.0]);
        assert_eq!(m.reason, Reason::NotFinite);
    }

    #[test]
    fn a_wall_of_nan_is_not_a_minimum() {
        // Falls towards x = 1, where it is not defined any more: from just left of it every step leads beyond.
        let wall = |x: &[f64; 1]| {
            let value = if x[0] < 1.0 { 2.0 - x[0] } else { f64::NAN };
            Model { value, gradient: [-1.0], hessian: [[1e-6]] }
        };
        let m = search(wall, [1.0f64.next_down()], [5.0]);
        assert_eq!(m.reason, Reason::NotFiniteAhead);
        assert!(!m.reason.converged() && m.reason.describe().contains("not finite"));
    }

    #[test]
    fn a_gradient_that_promises_what_no_step_keeps_is_a_stall() {
        // The gradient points to where the objective rises.
        let wrong = |x: &[f64; 1]| Model { value: 1.0 + x[0], gradient: [-1.0], hessian: [[1.0]] };
        let m = search(wrong, [0.5], [5.0]);
        assert_eq!((m.reason, m.x), (Reason::Stalled, [0.5]));
        assert!(!m.reason.converged());
    }

    #[test]
    fn rounding_at_a_minimum_is_no_stall() {
        // A floor of 1e8 drowns the last digits of the parabola; no step lowers it, and it is a minimum all the same.
        let drowned = |x: &[f64; 1]| Model {
            value: 1e8 + (x[0] - 0.3).powi(2),
            gradient: [2.0 * (x[0] - 0.3) + 1e-9],
            hessian: [[2.0]],
        };
        assert!(search(drowned, [4.0], [5.0]).reason.converged());
    }

    #[test]
    fn a_cancelled_search_finds_nothing() {
        let cancel = AtomicBool::new(true);
        let stop = Stop::default();
        assert!(minimise(rosenbrock, [-1.2, 1.0], &[-5.0; 2], &[5.0; 2], stop, &cancel).is_none());
    }
}
