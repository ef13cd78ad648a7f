//! Quasi-Newton descent inside a box, for smooth objectives of a few unknowns without a cheap Hessian
//! (Broyden, Fletcher, Goldfarb, Shanno 1970; projection as in Bertsekas 1982).

use crate::levenberg::{Minimum, Reason};
use crate::linalg::Matrix;

/// Minimises `f`, which returns value and gradient, from `start` within `lower ≤ x ≤ upper`.
///
/// `f` returning `None` ends the search at once (cancelled). Coordinates should be scaled to order one. Ends when the
/// projected gradient falls below `tolerance` relative to the value, or when no step lowers the objective.
pub fn minimise<const P: usize>(
    f: impl Fn(&[f64; P]) -> Option<(f64, [f64; P])>,
    start: [f64; P],
    lower: &[f64; P],
    upper: &[f64; P],
    tolerance: f64,
    most_evaluations: usize,
) -> Option<Minimum<P>> {
    let mut x = start;
    for i in 0..P {
        x[i] = x[i].clamp(lower[i], upper[i]);
    }
    let (mut value, mut g) = f(&x)?;
    let mut evaluations = 1;
    if !value.is_finite() {
        return Some(Minimum { x, value, reason: Reason::NotFinite, evaluations });
    }
    let mut inverse = identity();
    let mut fresh = true;
    let mut small = 0;
    let mut reason = Reason::IterationLimit;
    while evaluations < most_evaluations {
        let free: [bool; P] =
            std::array::from_fn(|i| !((x[i] <= lower[i] && g[i] > 0.0) || (x[i] >= upper[i] && g[i] < 0.0)));
        let norm = (0..P).filter(|&i| free[i]).map(|i| g[i].abs()).fold(0.0, f64::max);
        if norm <= tolerance * value.abs().max(1.0) {
            reason = Reason::Converged;
            break;
        }
        let mut direction = [0.0; P];
        for i in (0..P).filter(|&i| free[i]) {
            direction[i] = -(0..P).filter(|&j| free[j]).map(|j| inverse[i][j] * g[j]).sum::<f64>();
        }
        let descent: f64 = (0..P).map(|i| direction[i] * g[i]).sum();
        if descent >= 0.0 {
            if fresh {
                reason = Reason::Converged;
                break;
            }
            (inverse, fresh) = (identity(), true);
            continue;
        }
        // Without curvature yet, the first step is of length 1/10 at most.
        let mut step = if fresh { (0.1 / norm).min(1.0) } else { 1.0 };
        let mut next = None;
        for _ in 0..50 {
            let trial: [f64; P] =
                std::array::from_fn(|i| (x[i] + step * direction[i]).clamp(lower[i], upper[i]));
            let (there, slope) = f(&trial)?;
            evaluations += 1;
            let predicted: f64 = (0..P).map(|i| (trial[i] - x[i]) * g[i]).sum();
            if there.is_finite() && there <= value + 1e-4 * predicted && trial != x {
                next = Some((trial, there, slope));
                break;
            }
            step *= 0.3;
        }
        let Some((trial, there, slope)) = next else {
            if fresh {
                reason = Reason::Converged;
                break;
            }
            (inverse, fresh) = (identity(), true);
            continue;
        };
        update(&mut inverse, fresh, &difference(&trial, &x), &difference(&slope, &g));
        fresh = false;
        small = if value - there <= 1e-15 * value.abs() { small + 1 } else { 0 };
        (x, value, g) = (trial, there, slope);
        if small >= 3 {
            reason = Reason::SmallDecrease;
            break;
        }
    }
    Some(Minimum { x, value, reason, evaluations })
}

fn identity<const P: usize>() -> Matrix<P> {
    let mut m = [[0.0; P]; P];
    for (i, row) in m.iter_mut().enumerate() {
        row[i] = 1.0;
    }
    m
}

fn difference<const P: usize>(a: &[f64; P], b: &[f64; P]) -> [f64; P] {
    std::array::from_fn(|i| a[i] - b[i])
}

/// H ← (I − s yᵀ/yᵀs) H (I − y sᵀ/yᵀs) + s sᵀ/yᵀs, left alone where the curvature yᵀs is not positive.
fn update<const P: usize>(h: &mut Matrix<P>, first: bool, s: &[f64; P], y: &[f64; P]) {
    let dot = |a: &[f64; P], b: &[f64; P]| (0..P).map(|i| a[i] * b[i]).sum::<f64>();
    let (ys, yy) = (dot(y, s), dot(y, y));
    if ys <= 1e-12 * (dot(s, s) * yy).sqrt() {
        return;
    }
    if first {
        for (i, row) in h.iter_mut().enumerate() {
            row[i] = ys / yy;
        }
    }
    let hy: [f64; P] = std::array::from_fn(|i| dot(&h[i], y));
    let yhy = dot(&hy, y);
    for i in 0..P {
        for j in 0..P {
            h[i][j] += (1.0 + yhy / ys) * s[i] * s[j] / ys - (hy[i] * s[j] + s[i] * hy[j]) / ys;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64; 2]) -> Option<(f64, [f64; 2])> {
        let (u, v) = (x[1] - x[0] * x[0], 1.0 - x[0]);
        Some((100.0 * u * u + v * v, [-400.0 * x[0] * u - 2.0 * v, 200.0 * u]))
    }

    #[test]
    fn finds_the_minimum_and_respects_the_box() {
        let m = minimise(rosenbrock, [-1.2, 1.0], &[-5.0; 2], &[5.0; 2], 1e-12, 500).unwrap();
        assert!(m.reason.converged() && (m.x[0] - 1.0).abs() < 1e-7 && (m.x[1] - 1.0).abs() < 1e-7, "{m:?}");
        let m = minimise(rosenbrock, [-1.2, 1.0], &[-5.0; 2], &[0.5, 5.0], 1e-12, 500).unwrap();
        assert!(m.reason.converged() && m.x[0] == 0.5 && (m.x[1] - 0.25).abs() < 1e-7, "{m:?}");
    }

    #[test]
    fn stops_when_cancelled() {
        assert!(minimise(|_: &[f64; 2]| None, [0.0; 2], &[-1.0; 2], &[1.0; 2], 1e-9, 10).is_none());
    }
}
