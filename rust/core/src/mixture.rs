//! A distribution of success probabilities with the pass@k of a loss law.
//!
//! The loss law says exp(−L̂)·exp(−G/k^γ). The first factor is the share of problems that can be solved at all; for the
//! second, probabilities on a fine grid get non-negative weights by least squares (Lawson and Hanson 1974), over k up to
//! the samples drawn. Not every law has such a distribution: pass@2 is at most twice pass@1, and so on for higher orders.

use nalgebra::{DMatrix, DVector};

/// Probabilities, their weights (summing to at most 1; the rest is never solved), and how far the mixture is from the law.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Success probabilities, ascending.
    pub p: Vec<f64>,
    /// Their weights.
    pub weights: Vec<f64>,
    /// Largest relative error of pass@k over whole k up to the samples.
    pub error: f64,
    /// The k where it is.
    pub at: f64,
}

/// Points of the grid in ln(−ln(1−p)).
const GRID: usize = 240;
/// k that are fitted, at most.
const KS: usize = 60;
/// Slope of half the sum of squares below which a weight is left at zero. What that leaves of the half sum above its
/// least is at most this times the sum of the best weights, which is 1.
const FLAT: f64 = 1e-10;
/// Weight of the sum of all weights being one, beside relative errors.
const SUM: f64 = 1e3;

/// The mixture for exp(−G/k^γ), k = 1 … `samples`.
pub fn of_loss(g: f64, gamma: f64, samples: u64) -> Mixture {
    let law = |k: f64| (-g * k.powf(-gamma)).exp();
    let most = samples.max(1) as f64;
    let mut ks: Vec<f64> =
        (0..KS).map(|i| most.powf(i as f64 / (KS - 1) as f64).round().clamp(1.0, most)).collect();
    ks.dedup();
    // From problems hardly ever solved in all samples to those always solved in one; the last is p = 1.
    let (low, high) = ((1e-2 / most).ln(), 3.0);
    let hazard = |j: usize| (low + (high - low) * j as f64 / (GRID - 1) as f64).exp();
    let p: Vec<f64> = (0..GRID).map(|j| -(-hazard(j)).exp_m1()).chain([1.0]).collect();
    let pass = |p: f64, k: f64| if p == 1.0 { 1.0 } else { -(k * (-p).ln_1p()).exp_m1() };
    // One column more for problems never solved.
    let a = DMatrix::from_fn(ks.len() + 1, p.len() + 1, |i, j| match (i < ks.len(), j < p.len()) {
        (true, true) => pass(p[j], ks[i]) / law(ks[i]),
        (true, false) => 0.0,
        (false, _) => SUM,
    });
    let b = DVector::from_fn(ks.len() + 1, |i, _| if i < ks.len() { 1.0 } else { SUM });
    let found = non_negative(&a, &b);
    let used: Vec<usize> = (0..p.len()).filter(|&j| found[j] > 0.0).collect();
    let (p, weights): (Vec<f64>, Vec<f64>) = used.iter().map(|&j| (p[j], found[j])).unzip();
    let off = |k: f64| {
        let mixed: f64 = p.iter().zip(&weights).map(|(p, w)| w * pass(*p, k)).sum();
        (mixed / law(k) - 1.0).abs()
    };
    let (at, error) = ks
        .iter()
        .map(|&k| (k, off(k)))
        .fold((1.0, 0.0), |worst, next| if next.1 > worst.1 { next } else { worst });
    Mixture { p, weights, error, at }
}

/// argmin |Ax − b| over x >= 0 (Lawson and Hanson 1974, chapter 23).
fn non_negative(a: &DMatrix<f64>, b: &DVector<f64>) -> DVector<f64> {
    let columns = a.ncols();
    let mut x = DVector::zeros(columns);
    let mut free: Vec<usize> = Vec::new();
    // Unconstrained over the free columns.
    let solve = |free: &[usize]| {
        let part = a.select_columns(free);
        part.svd(true, true).solve(b, 1e-13).unwrap_or_else(|_| DVector::zeros(free.len()))
    };
    for _ in 0..3 * columns {
        let slope = a.tr_mul(&(b - a * &x));
        let next = (0..columns).filter(|j| !free.contains(j) && slope[*j] > FLAT);
        let Some(next) = next.max_by(|&i, &j| slope[i].total_cmp(&slope[j])) else { break };
        free.push(next);
        let mut s = solve(&free);
        // The new column may have to leave again at once: rounding chose it.
        if s[free.len() - 1] <= 0.0 {
            break;
        }
        while s.iter().any(|&v| v <= 0.0) {
            let step = (0..free.len())
                .filter(|&i| s[i] <= 0.0)
                .map(|i| x[free[i]] / (x[free[i]] - s[i]))
                .fold(1.0, f64::min);
            for (i, &j) in free.iter().enumerate() {
                x[j] += step * (s[i] - x[j]);
            }
            let kept: Vec<usize> =
                (0..free.len()).filter(|&i| s[i] > 0.0 || x[free[i]] > 1e-15).map(|i| free[i]).collect();
            free.iter().filter(|j| !kept.contains(j)).for_each(|&j| x[j] = 0.0);
            if kept.len() == free.len() {
                return x;
            }
            free = kept;
            s = solve(&free);
        }
        x.fill(0.0);
        free.iter().zip(s.iter()).for_each(|(&j, &v)| x[j] = v);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_negative_least_squares_meet_their_conditions() {
        // Karush, Kuhn and Tucker: x >= 0, slope <= 0, and one of the two zero in each place.
        let a = DMatrix::from_fn(7, 5, |i, j| ((3 * i + 5 * j) as f64).sin() + 0.3 * (i * j) as f64 / 12.0);
        let b = DVector::from_fn(7, |i, _| (i as f64 * 1.7).cos());
        let x = non_negative(&a, &b);
        let slope = a.tr_mul(&(&b - &a * &x));
        for j in 0..5 {
            assert!(x[j] >= 0.0 && slope[j] < 1e-8 && (x[j] * slope[j]).abs() < 1e-9, "{x} {slope}");
        }
        assert!(x.iter().any(|&v| v > 0.0) && x.iter().any(|&v| v == 0.0));
    }

    #[test]
    fn gentle_laws_are_met_and_impossible_ones_admit_it() {
        let gentle = of_loss(1.5, 0.5, 256);
        assert!(gentle.error < 2e-3, "{gentle:?}");
        assert!(gentle.weights.iter().sum::<f64>() <= 1.0 + 1e-9);
        let gentler = of_loss(0.5, 0.2, 4096);
        // A mixture meets this law to rounding; what is left is the solver's.
        assert!(gentler.error < (2.0 * FLAT).sqrt(), "{gentler:?}");
        assert!(of_loss(0.0, 0.5, 64).error < 1e-9);
        // pass@2 would be 4.5 times pass@1.
        assert!(of_loss(5.0, 1.0, 64).error > 0.5);
    }
}
