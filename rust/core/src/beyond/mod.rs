//! pass@k for more samples than were drawn, from how success probabilities are spread over problems.
//!
//! n samples leave the spread near p = 0 open, and with it pass@k for k beyond n. Three shapes of it are fitted to the
//! counts by maximum likelihood with weak priors, and averaged by how probable each makes the counts (Kass and
//! Raftery 1995, with Laplace's approximation). Without priors the fits run to absurd ends: one that adds a share of
//! problems which are never solved finds such a share wherever few are.

pub mod bootstrap;
pub mod dependence;
pub mod logit_normal;

use crate::beta;
use crate::cancel::Cancel;
use crate::levenberg::{self, Model, Stop};
use crate::linalg::Matrix;
use logit_normal::Nodes;

/// Power of the evidence by which shapes are weighed. None of them is true, and the evidence of wrong shapes is surer of
/// itself than the next sample of problems bears out (Grünwald and van Ommen 2017): at 1 the intervals of simulated
/// counts cover 70 to 85% where they are meant to cover 90.
const CAUTION: f64 = 0.5;
/// Most unknowns of a shape.
pub const P: usize = 3;
/// Unknowns of a shape, in the order of its [`Prior`].
pub type Point = [f64; P];

/// A family of distributions of the success probability p over problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// p ~ Beta(a, b). Unknowns: logit of its mean, ln a.
    Beta,
    /// As [`Shape::Beta`] for a share of the problems; the others are never solved. Also: logit of the share.
    Ceiling,
    /// logit p ~ N(m, s²). Unknowns: m, ln s.
    LogitNormal,
}

/// All shapes, in the order of every array with one entry a shape.
pub const SHAPES: [Shape; 3] = [Shape::Beta, Shape::Ceiling, Shape::LogitNormal];

/// Independent normal priors of the unknowns.
#[derive(Clone, Copy, Debug)]
pub struct Prior {
    /// Their means.
    pub centre: Point,
    /// Their standard deviations.
    pub width: Point,
}

impl Shape {
    /// How many of the unknowns it has.
    pub fn unknowns(self) -> usize {
        if self == Self::Ceiling { 3 } else { 2 }
    }

    /// What is known before the counts: means anywhere, spreads as models show them on benchmarks (a between 0.1 and
    /// 1.6, s between 0.6 and 6), most problems solvable.
    pub fn prior(self) -> Prior {
        let (centre, width) = match self {
            Self::Beta | Self::Ceiling => ([-3.0, 0.4f64.ln(), 1.5], [4.0, 0.7, 1.5]),
            Self::LogitNormal => ([-3.0, 1.8f64.ln(), 0.0], [4.0, 0.6, 1.0]),
        };
        Prior { centre, width }
    }

    /// Its probability before the counts. Where thousands of samples a problem tell the shapes apart, they hold
    /// against the logit-normal in nine tables of ten.
    fn odds(self) -> f64 {
        match self {
            Self::Beta | Self::Ceiling => 0.35,
            Self::LogitNormal => 0.3,
        }
    }

    /// Box of the search: far outside what the priors leave likely. Below ln s = ln 0.25 the nodes lie too far apart.
    fn bounds(self) -> (Point, Point) {
        let fixed = self.prior().centre[2];
        match self {
            Self::Beta => ([-25.0, -7.0, fixed], [25.0, 7.0, fixed]),
            Self::Ceiling => ([-25.0, -7.0, -10.0], [25.0, 7.0, 20.0]),
            Self::LogitNormal => ([-25.0, 0.25f64.ln(), fixed], [25.0, 2.0, fixed]),
        }
    }

    /// (a, b) of a Beta shape.
    fn beta(x: &Point) -> (f64, f64) {
        let a = x[1].exp();
        (a, a * (-x[0]).exp())
    }

    /// Mean pass@k over the population of problems, for real k >= 0.
    pub fn pass_at_k(self, x: &Point, k: f64) -> f64 {
        let (a, b) = Self::beta(x);
        match self {
            Self::Beta => beta::pass_at_k(a, b, k),
            Self::Ceiling => logistic(x[2]) * beta::pass_at_k(a, b, k),
            Self::LogitNormal => logit_normal::pass_at_k(x[0], x[1].exp(), k),
        }
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Problems of equal counts.
struct Group {
    n: f64,
    c: f64,
    nodes: Nodes,
}

/// Counts by problem, equal ones together.
pub struct Counts {
    groups: Vec<Group>,
    /// Which group each problem belongs to.
    member: Vec<usize>,
}

impl Counts {
    /// From n samples and c correct ones of each problem; None unless 1 <= n and c <= n everywhere.
    pub fn new(n: &[u64], c: &[u64]) -> Option<Self> {
        if n.len() != c.len() || n.is_empty() || n.iter().zip(c).any(|(&n, &c)| n == 0 || c > n) {
            return None;
        }
        let mut order: Vec<usize> = (0..n.len()).collect();
        order.sort_by_key(|&i| (n[i], c[i]));
        let mut groups: Vec<Group> = Vec::new();
        let mut member = vec![0; n.len()];
        for i in order {
            let (n, c) = (n[i] as f64, c[i] as f64);
            if groups.last().is_none_or(|last| last.n != n || last.c != c) {
                groups.push(Group { n, c, nodes: Nodes::new(n, c) });
            }
            member[i] = groups.len() - 1;
        }
        Some(Self { groups, member })
    }

    /// Weight of each group when problem i counts `times(i)` times.
    fn weights(&self, times: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut weights = vec![0.0; self.groups.len()];
        for (i, &group) in self.member.iter().enumerate() {
            weights[group] += times(i);
        }
        weights
    }

    /// Log-likelihood of one problem less ln C(n, c), and its slopes in the unknowns.
    fn log_p(group: &Group, shape: Shape, x: &Point) -> (f64, Point) {
        if shape == Shape::LogitNormal {
            let (log, [by_m, by_log_s]) = group.nodes.log_p(x[0], x[1].exp());
            return (log, [by_m, by_log_s, 0.0]);
        }
        let (a, b) = Shape::beta(x);
        let (log, [by_a, by_b]) = beta::log_beta_binomial_gradient(group.c, group.n, a, b);
        let (by_mean, by_log_a) = (-b * by_b, a * by_a + b * by_b);
        if shape == Shape::Beta {
            return (log, [by_mean, by_log_a, 0.0]);
        }
        let (share, rest) = (logistic(x[2]), logistic(-x[2]));
        if group.c > 0.0 {
            return (share.ln() + log, [by_mean, by_log_a, rest]);
        }
        // Of the problems without a success `own` are expected to be solvable.
        let solvable = share * log.exp();
        let all = rest + solvable;
        let own = solvable / all;
        (all.ln(), [own * by_mean, own * by_log_a, own - share])
    }

    /// Minus the log-likelihood and the log-prior (but for its constant), with Σ score scoreᵀ for the Hessian.
    fn model(&self, weights: &[f64], shape: Shape, prior: &Prior, x: &Point) -> Model<P> {
        let mut m = Model::zero();
        for (group, &w) in self.groups.iter().zip(weights).filter(|(_, w)| **w > 0.0) {
            let (log, score) = Self::log_p(group, shape, x);
            m.value -= w * log;
            for p in 0..P {
                m.gradient[p] -= w * score[p];
                for q in 0..=p {
                    m.hessian[p][q] += w * score[p] * score[q];
                }
            }
        }
        for p in 0..shape.unknowns() {
            let mut along = [0.0; P];
            along[p] = 1.0;
            m.add(x[p] - prior.centre[p], &along, prior.width[p].powi(-2));
        }
        m.symmetrise();
        m
    }

    /// By the scores' squares for a Hessian, cheap and never indefinite; where they mislead, as when a few problems
    /// contradict each other, by differences of the gradient.
    fn search(
        &self,
        weights: &[f64],
        shape: Shape,
        prior: &Prior,
        start: Point,
        cancel: &Cancel,
    ) -> Option<levenberg::Minimum<P>> {
        let (lower, upper) = shape.bounds();
        let stop = Stop { evaluations: 100, decrease: 1e-13 };
        let model = |x: &Point| self.model(weights, shape, prior, x);
        let end = levenberg::minimise(model, start, &lower, &upper, stop, cancel)?;
        if end.reason.converged() {
            return Some(end);
        }
        let model = |x: &Point| Model { hessian: self.curvature(weights, shape, prior, x), ..model(x) };
        levenberg::minimise(model, end.x, &lower, &upper, stop, cancel)
    }

    /// Hessian of [`Self::model`] by central differences of its gradient.
    fn curvature(&self, weights: &[f64], shape: Shape, prior: &Prior, x: &Point) -> Matrix<P> {
        const STEP: f64 = 1e-4;
        let size = shape.unknowns();
        let mut hessian = [[0.0; P]; P];
        for p in 0..size {
            let (mut up, mut down) = (*x, *x);
            up[p] += STEP;
            down[p] -= STEP;
            let up = self.model(weights, shape, prior, &up).gradient;
            let down = self.model(weights, shape, prior, &down).gradient;
            for q in 0..size {
                hessian[p][q] += 0.25 * (up[q] - down[q]) / STEP;
                hessian[q][p] += 0.25 * (up[q] - down[q]) / STEP;
            }
        }
        hessian
    }

    /// The most probable distribution of one shape. None when cancelled.
    pub fn fit(&self, shape: Shape, cancel: &Cancel) -> Option<Fit> {
        let weights = self.weights(|_| 1.0);
        let prior = shape.prior();
        let sum = |f: fn(&Group) -> f64| self.groups.iter().zip(&weights).map(|(g, w)| w * f(g)).sum::<f64>();
        let (n, c) = (sum(|g| g.n), sum(|g| g.c));
        let mean = ((c + 0.5) / (n - c + 0.5)).ln();
        let starts: &[Point] = match shape {
            Shape::Beta => &[[mean, prior.centre[1], prior.centre[2]]],
            Shape::Ceiling => &[[mean, prior.centre[1], 3.0], [mean + 0.5, 0.5, 0.0]],
            Shape::LogitNormal => &[[mean - 1.0, prior.centre[1], prior.centre[2]]],
        };
        let mut best: Option<levenberg::Minimum<P>> = None;
        for &start in starts {
            let end = self.search(&weights, shape, &prior, start, cancel)?;
            if best.as_ref().is_none_or(|best| end.value < best.value) {
                best = Some(end);
            }
        }
        let best = best?;
        let log_likelihood = -best.value + penalty(shape, &prior, &best.x);
        Some(Fit {
            shape,
            x: best.x,
            log_likelihood,
            evidence: self.evidence(&weights, shape, &prior, &best),
            converged: best.reason.converged(),
        })
    }

    /// ln of the probability of the counts (less ln C(n, c)) under the shape, its unknowns integrated out by Laplace.
    fn evidence(&self, weights: &[f64], shape: Shape, prior: &Prior, best: &levenberg::Minimum<P>) -> f64 {
        let size = shape.unknowns();
        let hessian = self.curvature(weights, shape, prior, &best.x);
        // On a bound of the search the curvature need not be positive; that of the scores is.
        let determinant = determinant(&hessian, size)
            .or_else(|| determinant(&self.model(weights, shape, prior, &best.x).hessian, size));
        // The factors 2π of the integral and of the prior's density cancel.
        let widths: f64 = prior.width[..size].iter().map(|width| width.ln()).sum();
        -best.value - widths - 0.5 * determinant.unwrap_or(f64::INFINITY).ln()
    }
}

/// Minus the log-prior but for its constant.
fn penalty(shape: Shape, prior: &Prior, x: &Point) -> f64 {
    (0..shape.unknowns()).map(|p| 0.5 * ((x[p] - prior.centre[p]) / prior.width[p]).powi(2)).sum()
}

/// Determinant of the leading 2 x 2 or 3 x 3 block; None unless it is positive definite.
fn determinant(h: &Matrix<P>, size: usize) -> Option<f64> {
    let two = h[0][0] * h[1][1] - h[0][1] * h[1][0];
    let three = h[2][2] * two - h[2][0] * (h[0][2] * h[1][1] - h[0][1] * h[1][2])
        + h[2][1] * (h[0][2] * h[1][0] - h[0][0] * h[1][2]);
    let last = if size == 3 { three } else { two };
    (h[0][0] > 0.0 && two > 0.0 && last > 0.0).then_some(last)
}

/// The most probable distribution of a shape, or where the search for it ended.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The shape.
    pub shape: Shape,
    /// Its unknowns.
    pub x: Point,
    /// Sum over problems of the log-likelihood less ln C(n, c).
    pub log_likelihood: f64,
    /// ln of the probability of the counts under the shape, less the same.
    pub evidence: f64,
    /// Whether the search ended at a maximum.
    pub converged: bool,
}

/// The shapes fitted to the same counts.
#[derive(Clone, Debug)]
pub struct Average {
    /// One a shape, in the order of [`SHAPES`].
    pub fits: Vec<Fit>,
    /// Probability of each after the counts, weighed with [`CAUTION`].
    pub weights: Vec<f64>,
}

impl Average {
    /// Fits every shape. None when cancelled.
    pub fn fit(counts: &Counts, cancel: &Cancel) -> Option<Self> {
        let fits: Vec<Fit> = SHAPES.iter().map(|&shape| counts.fit(shape, cancel)).collect::<Option<_>>()?;
        let logs: Vec<f64> = fits.iter().map(|fit| CAUTION * fit.evidence + fit.shape.odds().ln()).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logs.iter().map(|log| (log - top).exp()).sum();
        Some(Self { fits, weights: logs.iter().map(|log| (log - top).exp() / total).collect() })
    }

    /// Mean pass@k over the population of problems, for real k >= 0.
    pub fn pass_at_k(&self, k: f64) -> f64 {
        self.fits.iter().zip(&self.weights).map(|(fit, w)| w * fit.shape.pass_at_k(&fit.x, k)).sum()
    }
}
