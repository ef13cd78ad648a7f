//! Plans under any forecast, given as heights over (ln N, ln D, ln k): no slope, and several optima possible.
//!
//! Budgets are spent along the same line as in [`super::line`]; the line is scanned finely and every local optimum
//! polished, so that the best of them is found, not the nearest.

use super::choice::{Choice, Plan};
use super::error::Error;
use super::request::{Budget, Constraints, Rule, Sizes};
use super::scalar::{PEAK, polish};
use super::span::{Span, largest_below, spend};
use crate::beta;
use crate::laws::{Law, Link, theta};

/// Points of a scan: over ten factors of e of N each step is a twelfth of the shortest length of a process.
const SCAN: usize = 256;

/// A forecast to plan with.
pub trait Surface: Sync {
    /// A place, with all that does not depend on k or on the draw.
    type Spot: Sync;

    /// At ln N and ln D.
    fn spot(&self, log_n: f64, log_d: f64) -> Self::Spot;

    /// What is maximised at a spot and ln k; ln k = 0 where there is no k.
    fn height(&self, spot: &Self::Spot, log_k: f64) -> f64;

    /// The height as closely as a grid needs it, 1e-10 of it.
    fn rough(&self, spot: &Self::Spot, log_k: f64) -> f64 {
        self.height(spot, log_k)
    }

    /// The forecast there, to be reported.
    fn value(&self, spot: &Self::Spot, log_k: f64) -> f64;

    /// The forecast of a height.
    fn natural(&self, height: f64) -> f64;

    /// The height of a forecast.
    fn score(&self, value: f64) -> f64;

    /// ln k, rising, at which heights bend in ln k.
    fn bends(&self) -> &[f64] {
        &[]
    }

    /// Whether heights have no corners in ln N, ln D and ln k.
    fn smooth(&self) -> bool {
        false
    }

    /// Whether more tokens never lower it.
    fn rises(&self) -> bool {
        false
    }

    /// Whether more samples never lower it.
    fn samples_help(&self) -> bool {
        true
    }
}

/// A forecast that knows how problems differ.
pub trait Population: Surface {
    /// a and b of the Beta distribution of success probabilities at a spot, as k samples show it.
    fn problems(&self, spot: &Self::Spot, log_k: f64) -> [f64; 2];

    /// The same of what is reported.
    fn reported_problems(&self, spot: &Self::Spot, log_k: f64) -> [f64; 2] {
        self.problems(spot, log_k)
    }
}

/// A law of a formula, with its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Formula<'a> {
    /// Which.
    pub law: Law,
    /// Its parameters.
    pub params: &'a [f64],
}

impl Surface for Formula<'_> {
    /// The law's loss, and of pass@k the Beta distribution.
    type Spot = (f64, [f64; 2]);

    fn spot(&self, log_n: f64, log_d: f64) -> Self::Spot {
        let latent = self.law.latent(self.params, log_n, log_d).0;
        let ab = if self.law.maximised() { Link::new(&theta(self.params), latent).ab } else { [0.0; 2] };
        (latent, ab)
    }

    fn height(&self, &(latent, [a, b]): &Self::Spot, log_k: f64) -> f64 {
        match self.law {
            Law::Chinchilla => -latent,
            Law::Loss => -latent - self.params[3] * (-self.params[6] * log_k).exp(),
            _ => -beta::log_failure(a, b, log_k.exp()),
        }
    }

    fn value(&self, spot: &Self::Spot, log_k: f64) -> f64 {
        self.natural(self.height(spot, log_k))
    }

    fn natural(&self, height: f64) -> f64 {
        if self.law.maximised() { -(-height).exp_m1() } else { -height }
    }

    fn score(&self, value: f64) -> f64 {
        if self.law.maximised() { -(-value).ln_1p() } else { -value }
    }

    fn smooth(&self) -> bool {
        true
    }

    /// Latent losses fall with every token.
    fn rises(&self) -> bool {
        true
    }
}

impl Population for Formula<'_> {
    fn problems(&self, &(_, ab): &Self::Spot, _log_k: f64) -> [f64; 2] {
        ab
    }
}

/// The best choice, with its height.
pub(super) fn best(
    surface: &impl Surface,
    index: usize,
    budget: Budget,
    constraints: &Constraints,
) -> Result<(Choice, f64), Error> {
    let task = Task::new(surface, index, budget, constraints)?;
    let best = task.best();
    Ok((best, task.height(&best)))
}

/// A plan where neither D nor k is listed.
pub(super) fn free(
    surface: &impl Surface,
    index: usize,
    budget: Budget,
    constraints: &Constraints,
    rule: Rule,
) -> Result<Plan, Error> {
    let task = Task::new(surface, index, budget, constraints)?;
    Ok(Plan { best: task.best(), chinchilla: task.chinchilla(rule) })
}

/// Chinchilla's choice.
pub(super) fn chinchilla(
    surface: &impl Surface,
    index: usize,
    budget: Budget,
    constraints: &Constraints,
    rule: Rule,
) -> Result<Choice, Error> {
    Ok(Task::new(surface, index, budget, constraints)?.chinchilla(rule))
}

struct Task<'a, S: Surface> {
    surface: &'a S,
    span: Span,
    constraints: &'a Constraints,
    log_most_tokens: f64,
    log_most_samples: f64,
}

impl<'a, S: Surface> Task<'a, S> {
    fn new(
        surface: &'a S,
        index: usize,
        budget: Budget,
        constraints: &'a Constraints,
    ) -> Result<Self, Error> {
        let span = Span::new(index, budget, constraints)?;
        let (log_most_tokens, log_most_samples) = (constraints.tokens.1.ln(), constraints.most_samples.ln());
        Ok(Self { surface, span, constraints, log_most_tokens, log_most_samples })
    }

    /// Of a choice.
    fn height(&self, choice: &Choice) -> f64 {
        let log_k = if choice.k.is_finite() { choice.k.ln() } else { 0.0 };
        self.surface.height(&self.surface.spot(choice.n.ln(), choice.d.ln()), log_k)
    }

    fn spot(&self, x: f64) -> S::Spot {
        self.surface.spot(x, (self.span.log_train - x).min(self.log_most_tokens))
    }

    /// ln k where the inference budget is spent at ln N = x, as far as k may go.
    fn log_k(&self, x: f64) -> f64 {
        if !self.span.budget.inference.is_finite() {
            return 0.0;
        }
        (self.span.log_inference - x).min(self.log_most_samples)
    }

    fn best(&self) -> Choice {
        let Span { least, most, log_least, log_most, .. } = self.span;
        let spent = |x: f64| self.surface.height(&self.spot(x), self.log_k(x));
        match &self.constraints.sizes {
            Sizes::List(sizes) => {
                let feasible = sizes.iter().copied().filter(|&n| n <= most);
                self.highest(feasible.map(|n| self.choose(n, None)), least.min(most))
            }
            Sizes::Range(..) if self.constraints.whole_k && self.span.budget.inference.is_finite() => {
                let mut whole = Vec::new();
                for (x, _) in self.optima(log_least, log_most, &spent) {
                    // A k that is whole but for rounding counts as above it.
                    let k = (self.log_k(x).exp() * (1.0 - 1e-12))
                        .floor()
                        .max(self.constraints.least_samples.ceil());
                    whole.extend([k, k + 1.0]);
                }
                whole.retain(|&k| k <= self.constraints.most_samples);
                whole.sort_by(f64::total_cmp);
                whole.dedup();
                let choices = whole.into_iter().filter_map(|k| self.with_whole_k(k));
                self.highest(choices, least)
            }
            Sizes::Range(..) => {
                let x = Self::top(&self.optima(log_least, log_most, &spent)).unwrap_or(log_least);
                self.choose(if x >= log_most { most } else { x.exp() }, None)
            }
        }
    }

    /// The best N that can draw `k` samples.
    fn with_whole_k(&self, k: f64) -> Option<Choice> {
        let Span { budget, least, most, log_least, .. } = self.span;
        let largest =
            largest_below(budget.inference / 2.0 / k, |n| 2.0 * n * k <= budget.inference).min(most);
        if largest < least {
            return None;
        }
        let (top, log_k) = (largest.ln().max(log_least), k.ln());
        let optima = self.optima(log_least, top, &|x| self.surface.height(&self.spot(x), log_k));
        let x = Self::top(&optima).unwrap_or(log_least);
        Some(self.choose(if x >= top { largest } else { x.exp().min(largest) }, Some(k)))
    }

    fn chinchilla(&self, rule: Rule) -> Choice {
        let Span { least, most, log_least, log_most, log_train, .. } = self.span;
        let corner = log_train - self.log_most_tokens;
        let height = |x: f64| self.surface.height(&self.spot(x), 0.0);
        let target = match rule {
            Rule::TokensPerParam(ratio) => 0.5 * (log_train - ratio.ln()),
            Rule::Law => {
                let low = corner.min(log_most).max(log_least);
                Self::top(&self.optima(low, log_most, &height)).unwrap_or(log_most)
            }
        };
        let (x, bound) = self.span.reach(target, corner);
        let choice = match &self.constraints.sizes {
            Sizes::Range(..) => self.choose(if x >= log_most { most } else { x.exp() }, None),
            Sizes::List(sizes) => {
                let cost =
                    |n: f64| if matches!(rule, Rule::Law) { -height(n.ln()) } else { (n.ln() - x).abs() };
                let feasible = sizes.iter().copied().filter(|&n| n <= most);
                let nearest = feasible.min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
                self.choose(nearest.unwrap_or(least.min(most)), None)
            }
        };
        Choice { bound, ..choice }
    }

    /// The highest of some choices, the first of equals; `otherwise` where there are none.
    fn highest(&self, choices: impl Iterator<Item = Choice>, otherwise: f64) -> Choice {
        let mut best: Option<(Choice, f64)> = None;
        for choice in choices {
            let height = self.height(&choice);
            if best.is_none_or(|(_, top)| height > top || top.is_nan()) {
                best = Some((choice, height));
            }
        }
        best.map_or_else(|| self.choose(otherwise, None), |(choice, _)| choice)
    }

    /// N and what the budgets then buy, with every constraint kept in floating point too.
    fn choose(&self, n: f64, k: Option<f64>) -> Choice {
        let Span { budget, least, most, .. } = self.span;
        let n = n.max(least).min(most);
        let (d, most_k) = spend(&budget, self.constraints, n);
        let k = k.unwrap_or(most_k);
        let bound = self.span.bound(self.constraints, n, d, k);
        let log_k = if k.is_finite() { k.ln() } else { 0.0 };
        Choice { n, d, k, value: self.surface.value(&self.surface.spot(n.ln(), d.ln()), log_k), bound }
    }

    /// The local optima of a height along the line, on each side of where tokens, or samples, stop moving.
    fn optima(&self, lo: f64, hi: f64, height: &impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let tokens = self.span.log_train - self.log_most_tokens;
        let samples = match self.span.budget.inference {
            f64::INFINITY => f64::NEG_INFINITY,
            _ => self.span.log_inference - self.log_most_samples,
        };
        let mut ends = [lo, tokens.min(hi).max(lo), samples.min(hi).max(lo), hi];
        ends[1..3].sort_by(f64::total_cmp);
        let mut found = Vec::new();
        for pair in ends.windows(2) {
            if pair[1] > pair[0] {
                scan(pair[0], pair[1], height, &mut found);
            }
        }
        if found.is_empty() {
            found.push((lo, height(lo)));
        }
        found
    }

    fn top(optima: &[(f64, f64)]) -> Option<f64> {
        let better = |best: Option<(f64, f64)>, next: &(f64, f64)| match best {
            Some(best) if best.1 >= next.1 => Some(best),
            _ => Some(*next),
        };
        optima.iter().fold(None, better).map(|(x, _)| x)
    }
}

/// Adds the local maxima of `height` in [lo, hi], its ends among them where it is highest there.
fn scan(lo: f64, hi: f64, height: &impl Fn(f64) -> f64, found: &mut Vec<(f64, f64)>) {
    if hi - lo <= PEAK {
        return found.push((lo, height(lo)));
    }
    let at = |i: usize| if i + 1 == SCAN { hi } else { lo + (hi - lo) * (i as f64 / (SCAN - 1) as f64) };
    let heights: Vec<f64> = (0..SCAN).map(|i| height(at(i))).collect();
    for i in 0..SCAN {
        let left = if i == 0 { f64::NEG_INFINITY } else { heights[i - 1] };
        let right = if i + 1 == SCAN { f64::NEG_INFINITY } else { heights[i + 1] };
        if heights[i] > left && heights[i] >= right {
            let end = (at(i), heights[i]);
            let inside =
                polish(at(i.saturating_sub(1)), at(i), at((i + 1).min(SCAN - 1)), heights[i], height);
            found.push(if inside.1 > end.1 { inside } else { end });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Listed;
    use proptest::prelude::*;

    /// Two hills over ln N and a slope in ln k: what a dense grid finds must not be higher.
    struct Hills([f64; 4]);

    impl Surface for Hills {
        type Spot = (f64, f64);

        fn spot(&self, log_n: f64, log_d: f64) -> (f64, f64) {
            (log_n, log_d)
        }

        fn height(&self, &(n, d): &(f64, f64), log_k: f64) -> f64 {
            let [first, second, tilt, wide] = self.0;
            (-(n - first).powi(2) / wide).exp() + (-(n - second).powi(2)).exp() + tilt * d + 0.1 * log_k
        }

        fn value(&self, spot: &(f64, f64), log_k: f64) -> f64 {
            self.height(spot, log_k)
        }

        fn natural(&self, height: f64) -> f64 {
            height
        }

        fn score(&self, value: f64) -> f64 {
            value
        }
    }

    proptest! {
        #[test]
        fn no_point_of_the_line_is_higher(
            first in 14.0f64..24.0, second in 14.0f64..24.0, tilt in 0.0f64..0.2, wide in 0.5f64..5.0,
            log_inference in 18.0f64..30.0, log_most_tokens in 20.0f64..40.0, most_samples in 1.0f64..1e4, whole_k: bool,
        ) {
            let surface = Hills([first, second, tilt, wide]);
            let budget = Budget { train: 1e20, inference: log_inference.exp() };
            let most = log_most_tokens.exp();
            let constraints = Constraints { sizes: Sizes::Range(1e5, 1e11), tokens: (1.0, most), least_samples: 1.0, most_samples, whole_k, listed: Listed::default() };
            let found = free(&surface, 0, budget, &constraints, Rule::TokensPerParam(20.0)).unwrap();
            for choice in [found.best, found.chinchilla] {
                prop_assert!(6.0 * choice.n * choice.d <= budget.train && 2.0 * choice.n * choice.k <= budget.inference);
                prop_assert!(choice.k <= most_samples);
                prop_assert!(choice.k >= 1.0 && (1e5..=1e11).contains(&choice.n) && choice.d <= most);
            }
            if whole_k {
                prop_assert!(found.best.k.fract() == 0.0);
                return Ok(());
            }
            let (lo, hi) = (1e5f64.ln(), (budget.inference / 2.0).min(1e11).ln());
            for i in 0..=20_000 {
                let x = lo + (hi - lo) * f64::from(i) / 20_000.0;
                let spot = surface.spot(x, ((budget.train / 6.0).ln() - x).min(log_most_tokens));
                let log_k = ((budget.inference / 2.0).ln() - x).min(most_samples.ln());
                let there = surface.height(&spot, log_k);
                prop_assert!(there <= found.best.value + 1e-9, "{x} {there} {:?}", found.best);
            }
        }
    }

    #[test]
    fn the_training_optimum_is_that_of_one_sample() {
        let surface = Hills([18.0, 30.0, 0.0, 1.0]);
        let (sizes, tokens) = (Sizes::Range(1.0, 1e12), (1.0, f64::INFINITY));
        let constraints = Constraints {
            sizes,
            tokens,
            least_samples: 1.0,
            most_samples: f64::INFINITY,
            whole_k: false,
            listed: Listed::default(),
        };
        let budget = Budget { train: 1e20, inference: 1e11 };
        let found = free(&surface, 0, budget, &constraints, Rule::Law).unwrap();
        assert!((found.chinchilla.n.ln() - 18.0).abs() < 1e-5);
        assert!(found.best.n < found.chinchilla.n); // samples pull N down
    }
}
