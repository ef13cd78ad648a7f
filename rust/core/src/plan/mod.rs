//! Plans: how many parameters N, tokens D and samples k a training budget 6ND <= C_train and an inference budget
//! 2Nk <= C_inf buy best, and what Chinchilla's rule would have bought.
//!
//! Both budgets are spent in full, so the search is over N alone ([`line`]).

use std::ops::Range;

use rayon::prelude::*;

use crate::laws::{Law, range_of};
use line::{Line, Slopes};

mod error;
mod lanes;
mod line;
pub mod spending;
pub mod surface;
#[cfg(test)]
mod tests;

pub use error::Error;

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
    /// Most samples per problem, at least 1. With a maximum the inference budget need not bind.
    pub most_samples: f64,
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
    /// The most k allowed.
    MostSamples,
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

impl Plan {
    const NONE: Self = {
        let none = Choice { n: f64::NAN, d: f64::NAN, k: f64::NAN, value: f64::NAN, bound: Bound::None };
        Self { best: none, chinchilla: none }
    };
}

/// What a budget buys at a cost: the quotient, with cost·z <= budget in floating point too. Where the rounded quotient
/// costs too much its neighbour below does not.
fn affordable(budget: f64, cost: f64) -> f64 {
    let z = budget / cost;
    // Half of all quotients round up at random: arithmetic instead of a branch.
    f64::from_bits(z.to_bits() - u64::from(cost * z > budget))
}

/// D and k that budgets buy at size `n`, within `constraints` and to the last bit.
pub fn spend(budget: &Budget, constraints: &Constraints, n: f64) -> (f64, f64) {
    let (fewest, most) = constraints.tokens;
    let d = affordable(budget.train, 6.0 * n).max(fewest).min(most);
    let k = match budget.inference {
        f64::INFINITY => f64::INFINITY,
        // A whole k whose cost rounds to the budget is within it.
        flops if constraints.whole_k => {
            largest_below(flops / (2.0 * n), |k| 2.0 * n * k <= flops).min(constraints.most_samples).floor()
        }
        flops => affordable(flops, 2.0 * n).min(constraints.most_samples),
    };
    (d, k)
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

/// The N that a budget can buy, from the least to the most, with its logarithms.
#[derive(Clone, Copy, Debug)]
struct Span {
    budget: Budget,
    least: f64,
    most: f64,
    /// What sets `most`.
    upper: Bound,
    log_least: f64,
    log_most: f64,
    /// ln(C_train/6).
    log_train: f64,
    /// ln(C_inf/2).
    log_inference: f64,
}

impl Span {
    fn new(index: usize, budget: Budget, constraints: &Constraints) -> Result<Self, Error> {
        let (least, mut most) = match &constraints.sizes {
            Sizes::Range(least, most) => (*least, *most),
            Sizes::List(sizes) => (sizes.iter().copied().fold(f64::INFINITY, f64::min), f64::INFINITY),
        };
        // Halving is exact; 6 N D is checked in the order in which it is evaluated.
        let fewest = constraints.tokens.0;
        let by_tokens = largest_below(budget.train / 6.0 / fewest, |n| 6.0 * n * fewest <= budget.train);
        let mut upper = Bound::MostParams;
        for (limit, bound) in [(budget.inference / 2.0, Bound::OneSample), (by_tokens, Bound::LeastTokens)] {
            if limit < most {
                (most, upper) = (limit, bound);
            }
        }
        if least > most {
            return Err(Error::Infeasible { budget: index, least, most, bound: upper });
        }
        Ok(Self {
            budget,
            least,
            most,
            upper,
            log_least: least.ln(),
            log_most: most.ln(),
            log_train: (budget.train / 6.0).ln(),
            log_inference: (budget.inference / 2.0).ln(),
        })
    }

    /// The ln N within the span that is nearest to what a rule asks for, and what keeps it from that; below `corner`,
    /// ln of the N that uses up the most tokens, training budget would be left unspent.
    fn reach(&self, target: f64, corner: f64) -> (f64, Bound) {
        let corner = corner.min(self.log_most);
        if target > self.log_most {
            (self.log_most, self.upper)
        } else if target < corner.max(self.log_least) {
            // Whichever of the two reaches further is the one in the way.
            let bound = if corner > self.log_least { Bound::MostTokens } else { Bound::LeastParams };
            (corner.max(self.log_least), bound)
        } else {
            (target, Bound::None)
        }
    }

    /// The limit that a choice of N, D and k sits on.
    fn bound(&self, constraints: &Constraints, n: f64, d: f64, k: f64) -> Bound {
        let listed = matches!(constraints.sizes, Sizes::List(_));
        if !listed && n == self.most {
            self.upper
        } else if d >= constraints.tokens.1 * (1.0 - 1e-12) {
            // At the corner of the line D is the most tokens but for rounding.
            Bound::MostTokens
        } else if !listed && n == self.least {
            Bound::LeastParams
        } else if k.is_finite() && k >= constraints.most_samples * (1.0 - 1e-12) {
            Bound::MostSamples
        } else {
            Bound::None
        }
    }
}

/// Budgets and parameter draws, each pair a plan to make.
pub struct Problem<'a> {
    law: Law,
    draws: Vec<(&'a [f64], Slopes)>,
    spans: Vec<Span>,
    constraints: &'a Constraints,
    /// ln of the sizes listed, if they are.
    log_sizes: Vec<f64>,
    log_most_tokens: f64,
    log_most_samples: f64,
    rule: Rule,
}

impl<'a> Problem<'a> {
    /// Checks parameters (`draws` is row-major, one law a row) and that every budget leaves something to choose.
    pub fn new(
        law: Law,
        draws: &'a [f64],
        budgets: &[Budget],
        constraints: &'a Constraints,
        rule: Rule,
    ) -> Result<Self, Error> {
        if law == Law::Direct {
            return Err(Error::NoSize);
        }
        let names = law.parameters();
        for (draw, params) in draws.chunks_exact(names.len()).enumerate() {
            for (&name, &value) in names.iter().zip(params) {
                let range = range_of(name);
                if !range.holds(value) {
                    return Err(Error::Parameter { draw, name, value, range });
                }
            }
        }
        let spans = budgets.iter().enumerate().map(|(i, &b)| Span::new(i, b, constraints));
        let spans = spans.collect::<Result<_, _>>()?;
        let draws =
            draws.chunks_exact(names.len()).map(|params| (params, Slopes::new(law, params))).collect();
        let (log_most_tokens, log_most_samples) = (constraints.tokens.1.ln(), constraints.most_samples.ln());
        let log_sizes = match &constraints.sizes {
            Sizes::List(sizes) => sizes.iter().map(|n| n.ln()).collect(),
            Sizes::Range(..) => Vec::new(),
        };
        Ok(Self { law, draws, spans, constraints, log_sizes, log_most_tokens, log_most_samples, rule })
    }

    /// Number of plans: budgets times draws.
    pub fn len(&self) -> usize {
        self.spans.len() * self.draws.len()
    }

    /// Whether there is nothing to plan.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The plans of the pairs `range`, draws varying fastest, in parallel; every pair on its own, so that neither
    /// range nor threads change a bit.
    pub fn solve(&self, range: Range<usize>) -> Result<Vec<Plan>, Error> {
        let first = range.start;
        let plans = if lanes::apply(self.law, self.constraints) {
            self.in_lanes(range)
        } else {
            range.into_par_iter().with_min_len(64).map(|pair| self.plan(pair)).collect()
        };
        let broken = |plan: &Plan| !(plan.best.value.is_finite() && plan.chinchilla.value.is_finite());
        match plans.iter().position(broken) {
            Some(i) => Err(Error::NotFinite { draw: (first + i) % self.draws.len() }),
            None => Ok(plans),
        }
    }

    fn in_lanes(&self, range: Range<usize>) -> Vec<Plan> {
        let Self { law, constraints, log_most_tokens, log_most_samples, rule, .. } = *self;
        let common = lanes::Common { law, constraints, log_most_tokens, log_most_samples, rule };
        let mut plans = vec![Plan::NONE; range.len()];
        let groups = plans.par_chunks_mut(lanes::LANES).with_min_len(32).enumerate();
        groups.for_each(|(group, out)| {
            let pairs: [lanes::Pair; lanes::LANES] = std::array::from_fn(|i| {
                let pair = range.start + group * lanes::LANES + i.min(out.len() - 1);
                let (params, slopes) = &self.draws[pair % self.draws.len()];
                (*params, slopes, &self.spans[pair / self.draws.len()])
            });
            lanes::plans(&common, &pairs[..out.len()], out);
        });
        plans
    }

    fn plan(&self, pair: usize) -> Plan {
        let span = &self.spans[pair / self.draws.len()];
        let (params, slopes) = &self.draws[pair % self.draws.len()];
        let line = Line {
            law: self.law,
            params,
            slopes,
            log_train: span.log_train,
            log_inference: span.log_inference,
            log_most_tokens: self.log_most_tokens,
            log_most_samples: self.log_most_samples,
            fixed_k: None,
        };
        let task = Task { line, span, constraints: self.constraints, log_sizes: &self.log_sizes };
        Plan { best: task.best(), chinchilla: task.chinchilla(self.rule) }
    }
}

/// One plan to make.
struct Task<'a> {
    line: Line<'a>,
    span: &'a Span,
    constraints: &'a Constraints,
    log_sizes: &'a [f64],
}

impl Task<'_> {
    fn best(&self) -> Choice {
        match &self.constraints.sizes {
            Sizes::List(sizes) if self.whole_k() => {
                self.better(self.feasible(sizes).map(|(n, x)| self.choose(n, x, None)))
            }
            Sizes::List(sizes) => {
                let (n, x) = self.least(sizes, |x| self.line.objective(x));
                self.choose(n, x, None)
            }
            Sizes::Range(..) if self.whole_k() => self.whole(),
            Sizes::Range(..) => {
                let x = self.line.optimum(self.span.log_least, self.span.log_most);
                self.choose(self.size(x), x, None)
            }
        }
    }

    /// N at ln N, exactly the most allowed where it ends there.
    fn size(&self, x: f64) -> f64 {
        if x >= self.span.log_most { self.span.most } else { x.exp() }
    }

    /// With whole k: the best real k at any N spends all of the inference budget, so between two neighbouring local
    /// optima of the line the value at the best N only falls and then rises in k. The best whole k is next to one of
    /// them; N is then free below C_inf/(2k).
    fn whole(&self) -> Choice {
        let Span { budget, least, most, log_least, log_most, .. } = *self.span;
        let mut candidates = Vec::with_capacity(4);
        self.line.optima(log_least, log_most, |x, _| {
            // A k that is whole but for rounding counts as above it, lest the budget fall an ulp short of it.
            let k = (self.line.log_samples(x).exp() * (1.0 - 1e-12)).floor().max(1.0);
            candidates.extend([k, k + 1.0]);
        });
        candidates.retain(|&k| k <= self.constraints.most_samples);
        candidates.sort_by(f64::total_cmp);
        candidates.dedup();
        let largest = |k: f64| {
            let n = largest_below(budget.inference / 2.0 / k, |n| 2.0 * n * k <= budget.inference);
            n.min(most)
        };
        let feasible = candidates.into_iter().filter(|&k| largest(k) >= least);
        self.better(feasible.map(|k| {
            let line = Line { fixed_k: Some(k), ..self.line };
            let top = largest(k).ln().max(log_least);
            let x = line.optimum(log_least, top);
            let n = if x >= top { largest(k) } else { x.exp().min(largest(k)) };
            self.choose(n, x, Some(k))
        }))
    }

    fn chinchilla(&self, rule: Rule) -> Choice {
        let target = match rule {
            Rule::Law => self.line.slopes.chinchilla(self.line.log_train),
            Rule::TokensPerParam(ratio) => 0.5 * (self.line.log_train - ratio.ln()),
        };
        let (x, bound) = self.span.reach(target, self.line.corner());
        let choice = match &self.constraints.sizes {
            Sizes::Range(..) => self.choose(self.size(x), x, None),
            Sizes::List(sizes) => {
                let (n, x) = match rule {
                    Rule::Law => {
                        let loss = |x| self.line.law.latent(self.line.params, x, self.line.log_tokens(x)).0;
                        self.least(sizes, loss)
                    }
                    Rule::TokensPerParam(_) => self.least(sizes, |size| (size - x).abs()),
                };
                self.choose(n, x, None)
            }
        };
        Choice { bound, ..choice }
    }

    fn whole_k(&self) -> bool {
        self.constraints.whole_k && self.span.budget.inference.is_finite()
    }

    /// The sizes that the budgets can pay for, with their logarithms.
    fn feasible(&self, sizes: &[f64]) -> impl Iterator<Item = (f64, f64)> {
        let most = self.span.most;
        sizes.iter().zip(self.log_sizes).map(|(&n, &x)| (n, x)).filter(move |&(n, _)| n <= most)
    }

    /// Of those the one of least cost, the first of equals; the span leaves at least one.
    fn least(&self, sizes: &[f64], cost: impl Fn(f64) -> f64) -> (f64, f64) {
        let mut best = ((self.span.least, self.span.log_least), f64::INFINITY);
        for (n, x) in self.feasible(sizes) {
            let cost = cost(x);
            if cost < best.1 {
                best = ((n, x), cost);
            }
        }
        best.0
    }

    /// The best of at least one choice, also where pass@k rounds to 1; the first of equals.
    fn better(&self, choices: impl Iterator<Item = Choice>) -> Choice {
        let objective = |choice: &Choice| match self.line.law.maximised() {
            true => Line { fixed_k: Some(choice.k), ..self.line }.failure(choice.n.ln()),
            false => choice.value,
        };
        let start = (Plan::NONE.best, f64::INFINITY);
        let keep = |best: (Choice, f64), next: Choice| {
            let cost = objective(&next);
            if best.0.n.is_nan() || cost < best.1 { (next, cost) } else { best }
        };
        choices.fold(start, keep).0
    }

    /// N, whose logarithm is `x` but for rounding, and what the budgets then buy, with every constraint kept in
    /// floating point too.
    fn choose(&self, n: f64, x: f64, k: Option<f64>) -> Choice {
        let Span { budget, least, most, .. } = *self.span;
        let n = n.max(least).min(most);
        let (d, most_k) = spend(&budget, self.constraints, n);
        let spent = k.is_none() && !self.constraints.whole_k;
        let k = k.unwrap_or(most_k);
        let bound = self.span.bound(self.constraints, n, d, k);
        let law = self.line.law;
        let value = if law.maximised() {
            law.value(self.line.params, n, d, k)
        } else {
            // The logarithms are known: half the time of taking them again.
            let log_k = if spent { self.line.log_samples(x) } else { k.ln() };
            law.slope(self.line.params, x, self.line.log_tokens(x), log_k).value
        };
        Choice { n, d, k, value, bound }
    }
}
