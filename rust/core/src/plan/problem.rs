//! Many plans at once: every budget by every draw of a law.

use std::ops::Range;

use rayon::prelude::*;

use super::choice::Plan;
use super::error::Error;

use super::line::{Line, Slopes};
use super::listed;
use super::power_sums;
use super::request::{Budget, Constraints, Rule, Sizes};
use super::span::Span;
use super::surface::Formula;
use super::task::Task;
use crate::lanes::LANES;
use crate::laws::{Law, range_of};

/// Budgets and parameter draws, each pair a plan to make.
pub struct Problem<'a> {
    law: Law,
    draws: Vec<(&'a [f64], Slopes)>,
    spans: Vec<Span>,
    constraints: &'a Constraints,
    /// The sizes listed, if they are, from the smallest, and their logarithms.
    sizes: Vec<f64>,
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
        let mut sizes = match &constraints.sizes {
            Sizes::List(sizes) => sizes.clone(),
            Sizes::Range(..) => Vec::new(),
        };
        sizes.sort_by(f64::total_cmp);
        let log_sizes = sizes.iter().map(|n| n.ln()).collect();
        Ok(Self { law, draws, spans, constraints, sizes, log_sizes, log_most_tokens, log_most_samples, rule })
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
        let plans = if !self.constraints.listed.is_empty() {
            range.into_par_iter().map(|pair| self.by_lists(pair)).collect::<Result<_, _>>()?
        } else if power_sums::apply(self.law, self.constraints) {
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
        let &Self {
            law, constraints, ref sizes, ref log_sizes, log_most_tokens, log_most_samples, rule, ..
        } = self;
        let common = power_sums::Common {
            law,
            constraints,
            sizes,
            log_sizes,
            log_most_tokens,
            log_most_samples,
            rule,
        };
        let mut plans = vec![Plan::NONE; range.len()];
        let groups = plans.par_chunks_mut(LANES).with_min_len(32).enumerate();
        groups.for_each(|(group, out)| {
            let pairs: [power_sums::Pair; LANES] = std::array::from_fn(|i| {
                let pair = range.start + group * LANES + i.min(out.len() - 1);
                let (params, slopes) = &self.draws[pair % self.draws.len()];
                (*params, slopes, &self.spans[pair / self.draws.len()])
            });
            power_sums::plans(&common, &pairs[..out.len()], out);
        });
        plans
    }

    /// As a forecast without slopes, which is enough where D and k are held.
    fn by_lists(&self, pair: usize) -> Result<Plan, Error> {
        let (index, draw) = (pair / self.draws.len(), pair % self.draws.len());
        let formula = Formula { law: self.law, params: self.draws[draw].0 };
        match listed::plan(&formula, index, self.spans[index].budget, self.constraints, self.rule) {
            Err(Error::NotFinite { .. }) => Err(Error::NotFinite { draw }),
            found => found,
        }
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
        let task = Task {
            line,
            span,
            constraints: self.constraints,
            sizes: &self.sizes,
            log_sizes: &self.log_sizes,
        };
        Plan { best: task.best(), chinchilla: task.chinchilla(self.rule) }
    }
}
