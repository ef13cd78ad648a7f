//! Penalised least squares of one member: Σ_i mean_k [(g(z) − g(ẑ))/σ]² + Σ_j ((θ_j − m_j)/S_j)².
//!
//! g_l(z) = e^(l (z − z*))/l, z* the largest z at that k, or z − z* for l = 0: large l care for the strong checkpoints.

use super::Table;
use super::curve::{Curve, Prior};
use crate::fit::Cancel;
use crate::levenberg::{Minimum, Model, Stop, minimise};
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

    /// s² = Σ_i mean_k (r² − variance) / max(m − 4, 2): what sampling does not explain.
    pub fn scale(&self, theta: &[f64; P]) -> f64 {
        let mut sum = 0.0;
        self.residuals(theta, |r, _, share, variance| sum += share * (r * r - variance));
        (sum.max(0.0) / (self.table.len() as f64 - 4.0).max(2.0)).sqrt()
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
