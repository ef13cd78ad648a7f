//! Penalised least squares of one member: Σ_i mean_k [(g(z) − g(ẑ))/σ]² + Σ_j ((θ_j − m_j)/S_j)².
//!
//! g_l(z) = e^(l (z − z*))/l, z* the largest z at that k, or z − z* for l = 0: large l care for the strong checkpoints.

use super::curve::{Curve, Prior};
use super::quantity::Quantity;
use super::table::Table;
use crate::cancel::Cancel;
use crate::levenberg::{Minimum, Model, Stop, minimise};
use crate::linalg::{Matrix, cholesky_solve};
use crate::random::Normals;

/// Starts of the first search, the prior's centre among them.
const STARTS: u64 = 6;
/// How far the others lie from it, in spreads.
const REACH: f64 = 0.7;
/// How often the error scale is found anew.
const ROUNDS: usize = 3;

/// What the data and the errors of a fit look like.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Exponent l of the transform.
    pub power: f64,
    /// Error scale that the first round assumes.
    pub first_scale: f64,
    /// σ over the scale of the residuals: what is left is one effect a checkpoint, not independent errors.
    pub widening: f64,
    /// Least σ.
    pub least: f64,
}

impl Recipe {
    /// That of a member.
    pub(super) fn new(quantity: Quantity, power: f64) -> Self {
        match quantity {
            Quantity::Loss => Self { power, first_scale: 0.02, widening: 3.0, least: 0.001 },
            _ => Self { power, first_scale: 0.15, widening: 1.5, least: 0.01 },
        }
    }
}

/// A fitted member.
#[derive(Clone, Debug)]
pub struct Fitted<const P: usize> {
    /// Where the search ended.
    pub minimum: Minimum<P>,
    /// Root mean square residual of a checkpoint, in units of g, over the degrees of freedom.
    pub scale: f64,
    /// Evaluations in all.
    pub evaluations: usize,
}

/// One member's objective.
pub struct Objective<'a, const P: usize, C: Curve<P>> {
    curve: &'a C,
    table: &'a Table,
    /// Measurements, (checkpoints, K); NaN where there are none.
    z: &'a [f64],
    recipe: Recipe,
    prior: Prior<P>,
    top: Vec<f64>,
}

impl<'a, const P: usize, C: Curve<P>> Objective<'a, P, C> {
    /// Of the measurements `z`, laid out as those of `table`.
    pub fn new(curve: &'a C, table: &'a Table, z: &'a [f64], recipe: Recipe, prior: Prior<P>) -> Self {
        Self { curve, table, z, recipe, prior, top: table.largest(z) }
    }

    /// g and its derivative in z.
    fn transform(&self, z: f64, k: usize) -> (f64, f64) {
        let l = self.recipe.power;
        if l == 0.0 {
            return (z - self.top[k], 1.0);
        }
        let power = (l * (z - self.top[k])).exp();
        (power / l, power)
    }

    /// Residuals g(ẑ) − g(z) with their gradients, the weight 1/K of each and its variance by sampling.
    fn residuals(&self, theta: &[f64; P], mut visit: impl FnMut(f64, &[f64; P], f64, f64)) {
        let width = self.table.ks.len();
        for (i, at) in self.table.centred().enumerate() {
            let row = &self.z[i * width..][..width];
            let variance = &self.table.variance[i * width..][..width];
            let share = 1.0 / row.iter().filter(|z| !z.is_nan()).count() as f64;
            self.curve.visit(theta, at, &self.table.ks, |k, z, by| {
                if !row[k].is_nan() {
                    let ((there, slope), (here, by_z)) = (self.transform(z, k), self.transform(row[k], k));
                    visit(there - here, &by.map(|g| slope * g), share, variance[k] * by_z * by_z);
                }
            });
        }
    }

    /// Value, gradient and Gauss-Newton Hessian, half the sum of squares.
    pub fn model(&self, theta: &[f64; P], sigma: f64) -> Model<P> {
        let mut model = Model::zero();
        self.residuals(theta, |r, by, share, variance| model.add(r, by, share / (sigma * sigma + variance)));
        for p in 0..P {
            let mut unit = [0.0; P];
            unit[p] = 1.0;
            model.add(theta[p] - self.prior.mean[p], &unit, self.prior.spread[p].powi(-2));
        }
        model.symmetrise();
        model
    }

    /// What sampling does not explain: s with Σ_i mean_k r²/(s² + variance) = max(m − 4, 2), or 0 where the sum is less
    /// at 0 (Paule and Mandel 1982). A point that sampling leaves open has little say; in Σ r² − variance the noisiest
    /// one decides, and every so often takes all scatter away.
    pub fn scale(&self, theta: &[f64; P]) -> f64 {
        let mut points = Vec::with_capacity(self.z.len());
        self.residuals(theta, |r, _, share, variance| points.push((share * r * r, variance)));
        paule_mandel(&points, (self.table.len() as f64 - 4.0).max(2.0))
    }

    /// What fitting leaves of m residuals: m − tr(2H − H²), H the hat matrix of a ridge regression (Hastie and Tibshirani
    /// 1990, 3.5), and at least 2. 2H − H² has the trace of 1 − ((D + P)⁻¹P)² in the parameters, D the Hessian of the
    /// measurements and P that of the priors.
    pub fn freedom(&self, theta: &[f64; P], scale: f64) -> f64 {
        let hessian = self.model(theta, self.sigma(scale)).hessian;
        let believed: Matrix<P> = std::array::from_fn(|p| {
            let mut column = [0.0; P];
            column[p] = self.prior.spread[p].powi(-2);
            cholesky_solve(&hessian, &column, P).unwrap_or(column.map(|_| 0.0))
        });
        let square = |p: usize| (0..P).map(|q| believed[p][q] * believed[q][p]).sum::<f64>();
        let held = P as f64 - (0..P).map(square).sum::<f64>();
        (self.table.len() as f64 - held).max(2.0)
    }

    /// σ at a scale.
    pub fn sigma(&self, scale: f64) -> f64 {
        (self.recipe.widening * scale).max(self.recipe.least)
    }

    /// One search, the scale given.
    pub fn search(&self, start: [f64; P], scale: f64, stop: Stop, cancel: &Cancel) -> Option<Minimum<P>> {
        let sigma = self.sigma(scale);
        minimise(|x| self.model(x, sigma), start, &[f64::NEG_INFINITY; P], &[f64::INFINITY; P], stop, cancel)
    }

    /// From several starts, then with the scale found from the residuals.
    pub fn fit(&self, cancel: &Cancel) -> Option<Fitted<P>> {
        let mut scale = self.recipe.first_scale;
        let mut best: Option<Minimum<P>> = None;
        let mut evaluations = 0;
        for _ in 0..ROUNDS {
            let starts = match &best {
                Some(best) => vec![best.x],
                None => (0..STARTS).map(|start| self.start(start)).collect(),
            };
            let mut found: Option<Minimum<P>> = None;
            for start in starts {
                let next = self.search(start, scale, Stop { evaluations: 300, decrease: 1e-12 }, cancel)?;
                evaluations += next.evaluations;
                if found.as_ref().is_none_or(|found| next.value < found.value) {
                    found = Some(next);
                }
            }
            scale = found.as_ref().map_or(scale, |found| self.scale(&found.x));
            best = found;
        }
        best.map(|minimum| Fitted { minimum, scale, evaluations })
    }

    fn start(&self, number: u64) -> [f64; P] {
        let mut normals = Normals::new(0, number);
        let reach = if number == 0 { 0.0 } else { REACH };
        std::array::from_fn(|p| self.prior.mean[p] + reach * self.prior.spread[p] * normals.draw())
    }
}

/// Root of the s² with Σ square/(s² + variance) = freedom.
fn paule_mandel(points: &[(f64, f64)], freedom: f64) -> f64 {
    let sum = |at: f64| points.iter().map(|(square, variance)| square / (at + variance)).sum::<f64>();
    let mut high = points.iter().map(|point| point.0).sum::<f64>() / freedom;
    if points.iter().all(|point| point.1 == 0.0) {
        return high.sqrt();
    }
    if sum(0.0) <= freedom {
        return 0.0;
    }
    let mut low = 0.0;
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if sum(middle) > freedom { low = middle } else { high = middle }
    }
    high.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scatter_is_what_sampling_leaves() {
        // Without sampling errors the mean square over what is free.
        assert_eq!(paule_mandel(&[(3.0, 0.0), (5.0, 0.0)], 2.0), 2.0);
        // 5/(1 + 4) + 8/(1 + 1) = 5.
        assert!((paule_mandel(&[(5.0, 4.0), (8.0, 1.0)], 5.0) - 1.0).abs() < 1e-12);
        // 1/4 + 1/2 is less than is free.
        assert_eq!(paule_mandel(&[(1.0, 4.0), (1.0, 2.0)], 2.0), 0.0);
    }

    #[test]
    fn one_noisy_point_does_not_take_the_scatter_away() {
        // Twenty points of mean square 1, and one that is all sampling error.
        let mut points = vec![(1.0, 0.1); 20];
        points.push((1.0, 100.0));
        // 20/(s² + 0.1) + 1/(s² + 100) = 17
        let s2 = paule_mandel(&points, 17.0).powi(2);
        assert!((20.0 / (s2 + 0.1) + 1.0 / (s2 + 100.0) - 17.0).abs() < 1e-9 && s2 > 1.0, "{s2}");
    }

    #[test]
    fn what_a_fit_leaves_is_that_of_its_hat_matrix() {
        let curve = crate::forecast::curve::Passing { guessing: 0.0 };
        let truth = [0.2, 0.5, -1.0, -0.8, -1.5, 0.0, 3.0, 0.1];
        let places: Vec<_> =
            (0..9).map(|i| [20.0 + f64::from(i % 3), 24.0 + 1.5 * f64::from(i / 3)]).collect();
        let mut table = Table {
            quantity: Quantity::Passing,
            z: vec![0.0; 9],
            variance: vec![1e-3; 9],
            ks: vec![4.0],
            places,
        };
        let centred: Vec<_> = table.centred().collect();
        let z_at = |theta: &[f64; 8], i: usize| curve.value(theta, centred[i], 4.0).0;
        table.z = (0..9).map(|i| z_at(&truth, i)).collect();
        // Without residuals, and with priors about the truth, Gauss and Newton's Hessians are the same.
        let prior = Prior { mean: truth, spread: [0.5; 8] };
        let recipe = Recipe::new(Quantity::Passing, 0.0);
        let cancel = Cancel::new(false);
        let fitted = |z: &[f64]| {
            let objective = Objective::new(&curve, &table, z, recipe, prior);
            objective.search(truth, 0.2, Stop { evaluations: 300, decrease: 1e-15 }, &cancel).unwrap().x
        };
        let step = 1e-4;
        let mut hat = [[0.0; 9]; 9];
        for j in 0..9 {
            let end = [-step, step].map(|by| {
                let mut z = table.z.clone();
                z[j] += by;
                fitted(&z)
            });
            (0..9).for_each(|i| hat[i][j] = (z_at(&end[1], i) - z_at(&end[0], i)) / (2.0 * step));
        }
        let square: f64 =
            (0..9).flat_map(|i| (0..9).map(move |j| (i, j))).map(|(i, j)| hat[i][j] * hat[j][i]).sum();
        let left = 9.0 - 2.0 * (0..9).map(|i| hat[i][i]).sum::<f64>() + square;
        let found = Objective::new(&curve, &table, &table.z, recipe, prior).freedom(&truth, 0.2);
        assert!((found - left).abs() < 1e-3 && left > 2.5 && left < 8.5, "{found} {left}");
    }
}
