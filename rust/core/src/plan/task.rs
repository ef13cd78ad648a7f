//! One plan of a law with a formula, by the line of its budgets.

use super::choice::{Choice, Plan};
use super::line::Line;
use super::request::{Constraints, Rule, Sizes};
use super::span::{Span, largest_below, spend};

/// One plan to make.
pub(super) struct Task<'a> {
    pub line: Line<'a>,
    pub span: &'a Span,
    pub constraints: &'a Constraints,
    /// The sizes listed, if they are, from the smallest, and their logarithms.
    pub sizes: &'a [f64],
    pub log_sizes: &'a [f64],
}

impl Task<'_> {
    pub fn best(&self) -> Choice {
        match &self.constraints.sizes {
            Sizes::List(_) if self.whole_k() => self
                .better((0..self.span.payable).map(|i| self.choose(self.sizes[i], self.log_sizes[i], None))),
            Sizes::List(_) => {
                let best = self.best_listed();
                self.choose(self.sizes[best], self.log_sizes[best], None)
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
            let k = (self.line.log_samples(x).exp() * (1.0 - 1e-12))
                .floor()
                .max(self.constraints.least_samples.ceil());
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

    pub fn chinchilla(&self, rule: Rule) -> Choice {
        let target = match rule {
            Rule::Law => self.line.slopes.chinchilla(self.line.log_train),
            Rule::TokensPerParam(ratio) => 0.5 * (self.line.log_train - ratio.ln()),
        };
        let (x, bound) = self.span.reach(target, self.line.corner());
        let choice = match &self.constraints.sizes {
            Sizes::Range(..) => self.choose(self.size(x), x, None),
            Sizes::List(_) => {
                let cost = |size: f64| match rule {
                    Rule::Law => self.line.law.latent(self.line.params, size, self.line.log_tokens(size)).0,
                    Rule::TokensPerParam(_) => (size - x).abs(),
                };
                // Both costs fall up to x and rise from there: the best size is next to it.
                let [below, above] = beside(&self.log_sizes[..self.span.payable], x);
                let [low, high] = [below, above].map(|i| cost(self.log_sizes[i]));
                let nearest = if high < low { above } else { below };
                self.choose(self.sizes[nearest], self.log_sizes[nearest], None)
            }
        };
        Choice { bound, ..choice }
    }

    fn whole_k(&self) -> bool {
        self.constraints.whole_k && self.span.budget.inference.is_finite()
    }

    /// The size listed at which the law is best, of those that the budgets can pay for; the first of equals.
    fn best_listed(&self) -> usize {
        let log_sizes = &self.log_sizes[..self.span.payable];
        let mut costs = vec![0.0; log_sizes.len()];
        self.line.costs(log_sizes, &mut costs);
        (0..costs.len()).fold(0, |best, i| if costs[i] < costs[best] { i } else { best })
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

/// The places of the last that is at most x and of the first above it; one of the ends twice where x is outside.
pub(super) fn beside(rising: &[f64], x: f64) -> [usize; 2] {
    let above = rising.partition_point(|&at| at <= x);
    [above.saturating_sub(1), above.min(rising.len() - 1)]
}
