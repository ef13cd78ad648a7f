//! Plans: how many parameters N, tokens D and samples k a training budget 6ND <= C_train and an inference budget
//! 2Nk <= C_inf buy best, and what Chinchilla's rule would have bought.
//!
//! Both budgets are spent in full, so the search is over N alone ([`line`]).

use std::fmt;
use std::ops::Range;

use rayon::prelude::*;

use crate::laws::Law;
use line::Line;

mod line;
#[cfg(test)]
mod tests;

/// FLOPs to spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// On training, 6ND.
    pub train: f64,
    /// Per token served, 2Nk; infinity where the law has no k and none is wanted.
    pub inference: f64,
}

/// Which N may be chosen.
#[derive(Clone, Debug)]
pub enum Sizes {
    /// Anything in between.
    Range(f64, f64),
    /// One of these.
    List(Vec<f64>),
}

/// What a plan must respect besides its budgets and k >= 1.
#[derive(Clone, Debug)]
pub struct Constraints {
    /// Parameters.
    pub sizes: Sizes,
    /// Least and most tokens. With a maximum the training budget need not bind.
    pub tokens: (f64, f64),
    /// Whether k has to be a whole number.
    pub whole_k: bool,
}

/// How Chinchilla chooses N.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// argmin L̂(N, D) under 6ND = C_train.
    Law,
    /// D = rN, so N = sqrt(C_train/(6r)).
    TokensPerParam(f64),
}

/// What kept a choice from moving further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Nothing.
    None,
    /// The least N allowed.
    LeastParams,
    /// The most N allowed.
    MostParams,
    /// k = 1: N is all that inference can pay for.
    OneSample,
    /// The least D allowed.
    LeastTokens,
    /// The most D allowed.
    MostTokens,
}

/// A model size with what the budgets then buy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// N.
    pub n: f64,
    /// D.
    pub d: f64,
    /// k; infinity without an inference budget.
    pub k: f64,
    /// The law's value there.
    pub value: f64,
    /// The bound it sits on; for Chinchilla the one that moved it.
    pub bound: Bound,
}

/// The best choice, and Chinchilla's under the same budgets and constraints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// What the law recommends.
    pub best: Choice,
    /// What training alone would recommend.
    pub chinchilla: Choice,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// Even the smallest N allowed is too large.
    Infeasible {
        /// Index of the budget.
        budget: usize,
        /// The smallest N allowed.
        least: f64,
        /// The largest N that `bound` leaves.
        most: f64,
        /// What asks for a smaller N.
        bound: Bound,
    },
    /// A parameter outside its range.
    Parameter {
        /// Index of the draw.
        draw: usize,
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// The law has no finite value on the budget line.
    NotFinite {
        /// Index of the draw.
        draw: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Infeasible { budget, least, most, bound } => {
                let upper = match bound {
                    Bound::OneSample => "k >= 1 under inference_flops (N <= inference_flops/2)",
                    Bound::LeastTokens => "the n_tokens minimum under train_flops (N <= train_flops/(6 D))",
                    _ => "the n_params maximum",
                };
                let times = least / most;
                write!(
                    f,
                    "no model size fits budget {budget}: the smallest allowed by n_params is {least:.4e}, but \
                     {upper} leaves at most {most:.4e}, {times:.3}x less; lower the one or raise the other"
                )
            }
            Self::Parameter { draw, name, value } => {
                let range = match name {
                    "theta2" => "between 0 and 1",
                    "E" => "finite",
                    _ if name.starts_with("theta") => "finite",
                    _ => "finite and not negative",
                };
                write!(f, "parameter {name} is {value} in draw {draw}: it has to be {range}")
            }
            Self::NotFinite { draw } => {
                write!(
                    f,
                    "the law of draw {draw} has no finite value under these budgets: check its parameters"
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// The largest z with cost·z <= budget, as computed in floating point.
fn affordable(budget: f64, cost: f64) -> f64 {
    largest_below(budget / cost, |z| cost * z <= budget)
}

/// The largest z with `fits`, a few steps of the last bit from a guess.
fn largest_below(guess: f64, fits: impl Fn(f64) -> bool) -> f64 {
    let mut z = guess;
    while z.is_finite() && fits(z.next_up()) {
        z = z.next_up();
    }
    while !fits(z) {
        z = z.next_down();
    }
    z
}

/// Least and most N, and what sets the latter.
#[derive(Clone, Copy, Debug)]
struct Limits {
    least: f64,
    most: f64,
    upper: Bound,
}

impl Limits {
    fn new(index: usize, budget: Budget, constraints: &Constraints) -> Result<Self, Error> {
        let (least, largest) = match &constraints.sizes {
            Sizes::Range(least, most) => (*least, *most),
            Sizes::List(sizes) => (sizes.iter().copied().fold(f64::INFINITY, f64::min), f64::INFINITY),
        };
        // Halving is exact; 6 N D is checked in the order in which it is evaluated.
        let fewest = constraints.tokens.0;
        let by_tokens = largest_below(budget.train / (6.0 * fewest), |n| 6.0 * n * fewest <= budget.train);
        let mut limits = Self { least, most: largest, upper: Bound::MostParams };
        for (most, upper) in [(budget.inference / 2.0, Bound::OneSample), (by_tokens, Bound::LeastTokens)] {
            if most < limits.most {
                (limits.most, limits.upper) = (most, upper);
            }
        }
        if limits.least > limits.most {
            return Err(Error::Infeasible { budget: index, least, most: limits.most, bound: limits.upper });
        }
        Ok(limits)
    }
}

/// Budgets and parameter draws, each pair a plan to make.
pub struct Problem<'a> {
    law: Law,
    draws: &'a [f64],
    budgets: &'a [Budget],
    limits: Vec<Limits>,
    constraints: &'a Constraints,
    rule: Rule,
}

impl<'a> Problem<'a> {
    /// Checks parameters (`draws` is row-major, one law a row) and that every budget leaves something to choose.
    pub fn new(
        law: Law,
        draws: &'a [f64],
        budgets: &'a [Budget],
        constraints: &'a Constraints,
        rule: Rule,
    ) -> Result<Self, Error> {
        let names = law.parameters();
        for (draw, params) in draws.chunks_exact(names.len()).enumerate() {
            for (&name, &value) in names.iter().zip(params) {
                let signed = name == "E" || name.starts_with("theta");
                if !value.is_finite()
                    || (value < 0.0 && !signed)
                    || (name == "theta2" && !(0.0..=1.0).contains(&value))
                {
                    return Err(Error::Parameter { draw, name, value });
                }
            }
        }
        let limits = budgets
            .iter()
            .enumerate()
            .map(|(i, &b)| Limits::new(i, b, constraints))
            .collect::<Result<_, _>>()?;
        Ok(Self { law, draws, budgets, limits, constraints, rule })
    }

    /// Number of plans: budgets times draws.
    pub fn len(&self) -> usize {
        self.budgets.len() * self.draw_count()
    }

    /// Whether there is nothing to plan.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn draw_count(&self) -> usize {
        self.draws.len() / self.law.parameters().len()
    }

    /// The plans of the pairs `range`, draws varying fastest, in parallel; every pair on its own, so that neither
    /// range nor threads change a bit.
    pub fn solve(&self, range: Range<usize>) -> Result<Vec<Plan>, Error> {
        let first = range.start;
        let plans: Vec<Plan> = range.into_par_iter().with_min_len(16).map(|pair| self.plan(pair)).collect();
        let broken = |plan: &Plan| !(plan.best.value.is_finite() && plan.chinchilla.value.is_finite());
        match plans.iter().position(broken) {
            Some(i) => Err(Error::NotFinite { draw: (first + i) % self.draw_count() }),
            None => Ok(plans),
        }
    }

    fn plan(&self, pair: usize) -> Plan {
        let (budget, draw) = (pair / self.draw_count(), pair % self.draw_count());
        let width = self.law.parameters().len();
        let Budget { train, inference } = self.budgets[budget];
        let task = Task {
            line: Line {
                law: self.law,
                params: &self.draws[draw * width..][..width],
                log_train: (train / 6.0).ln(),
                log_inference: (inference / 2.0).ln(),
                log_most_tokens: self.constraints.tokens.1.ln(),
                fixed_k: None,
            },
            budget: self.budgets[budget],
            limits: self.limits[budget],
            constraints: self.constraints,
        };
        let chinchilla = task.chinchilla(self.rule);
        let best = task.best();
        Plan { best, chinchilla }
    }
}

/// One plan to make.
struct Task<'a> {
    line: Line<'a>,
    budget: Budget,
    limits: Limits,
    constraints: &'a Constraints,
}

impl Task<'_> {
    fn best(&self) -> Choice {
        match &self.constraints.sizes {
            Sizes::List(sizes) => self.better(self.feasible(sizes).map(|n| self.choose(n, None))),
            Sizes::Range(..) if self.constraints.whole_k && self.budget.inference.is_finite() => self.whole(),
            Sizes::Range(..) => self.choose(self.optimum(&self.line, self.limits.most), None),
        }
    }

    /// The best N up to `most`, which it is exactly where it ends there.
    fn optimum(&self, line: &Line, most: f64) -> f64 {
        let (lo, hi) = (self.limits.least.ln(), most.ln());
        let x = line.optimum(lo, hi);
        if x >= hi { most } else { x.exp().min(most) }
    }

    /// With whole k: the best real k at any N spends all of the inference budget, so between two neighbouring local
    /// optima of the line the value at the best N only falls and then rises in k. The best whole k is next to one of
    /// them; N is then free below C_inf/(2k).
    fn whole(&self) -> Choice {
        let (lo, hi) = (self.limits.least.ln(), self.limits.most.ln());
        let mut candidates = Vec::with_capacity(4);
        self.line.optima(lo, hi, |x, _| {
            // A k that is whole but for rounding counts as above it, lest the budget fall an ulp short of it.
            let k = ((self.line.log_inference - x).exp() * (1.0 - 1e-12)).floor().max(1.0);
            candidates.extend([k, k + 1.0]);
        });
        candidates.sort_by(f64::total_cmp);
        candidates.dedup();
        let largest = |k: f64| affordable(self.budget.inference, 2.0 * k).min(self.limits.most);
        let feasible = candidates.into_iter().filter(|&k| largest(k) >= self.limits.least);
        self.better(feasible.map(|k| {
            let line = Line { fixed_k: Some(k), ..self.line };
            self.choose(self.optimum(&line, largest(k)), Some(k))
        }))
    }

    fn chinchilla(&self, rule: Rule) -> Choice {
        let ratio = match rule {
            Rule::Law => None,
            Rule::TokensPerParam(ratio) => Some(ratio),
        };
        let log_n = match ratio {
            Some(ratio) => 0.5 * (self.line.log_train - ratio.ln()),
            None => self.line.law.chinchilla_log_n(self.line.params, self.budget.train),
        };
        // A law without any of its terms leaves N open (0/0): the smallest is as good as any.
        let target = if log_n.is_nan() { 0.0 } else { log_n.exp() };
        let Limits { least, most, upper } = self.limits;
        // Fewer parameters than the most tokens can feed leave training budget unspent.
        let corner = self.line.corner().exp().min(most);
        let (wanted, bound) = if target > most {
            (most, upper)
        } else if target < corner {
            (corner.max(least), Bound::MostTokens)
        } else if target < least {
            (least, Bound::LeastParams)
        } else {
            (target, Bound::None)
        };
        let n = match &self.constraints.sizes {
            Sizes::Range(..) => wanted,
            Sizes::List(sizes) => {
                let latent = |n: f64| self.line.law.latent(self.line.params, n.ln(), self.tokens(n).ln()).0;
                let cost = |n: f64| ratio.map_or_else(|| latent(n), |_| (n.ln() - wanted.ln()).abs());
                self.feasible(sizes).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(least)
            }
        };
        Choice { bound, ..self.choose(n, None) }
    }

    fn feasible<'s>(&self, sizes: &'s [f64]) -> impl Iterator<Item = f64> + use<'s> {
        let most = self.limits.most;
        sizes.iter().copied().filter(move |&n| n <= most)
    }

    /// The best of at least one choice; the first of equals.
    fn better(&self, choices: impl Iterator<Item = Choice>) -> Choice {
        let sign = if self.line.law.maximised() { -1.0 } else { 1.0 };
        let none = Choice { n: f64::NAN, d: f64::NAN, k: f64::NAN, value: f64::NAN, bound: Bound::None };
        choices.fold(none, |best, next| {
            if best.value.is_nan() || sign * next.value < sign * best.value { next } else { best }
        })
    }

    fn tokens(&self, n: f64) -> f64 {
        let (least, most) = self.constraints.tokens;
        affordable(self.budget.train, 6.0 * n).max(least).min(most)
    }

    /// N and what the budgets then buy, with every constraint kept in floating point too.
    fn choose(&self, n: f64, k: Option<f64>) -> Choice {
        let Limits { least, most, upper } = self.limits;
        let n = n.max(least).min(most);
        let d = self.tokens(n);
        let k = k.unwrap_or_else(|| {
            let k = if self.budget.inference.is_finite() {
                affordable(self.budget.inference, 2.0 * n)
            } else {
                f64::INFINITY
            };
            if self.constraints.whole_k { k.floor() } else { k }
        });
        let listed = matches!(self.constraints.sizes, Sizes::List(_));
        let bound = match () {
            () if !listed && n == most => upper,
            // At the corner of the line D is the most tokens but for rounding.
            () if d >= self.constraints.tokens.1 * (1.0 - 1e-12) => Bound::MostTokens,
            () if !listed && n == least => Bound::LeastParams,
            () => Bound::None,
        };
        Choice { n, d, k, value: self.line.law.value(self.line.params, n, d, k), bound }
    }
}
