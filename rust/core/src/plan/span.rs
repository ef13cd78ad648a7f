//! What a budget can pay for, to the last bit.

use super::choice::Bound;
use super::error::Error;
use super::request::{Budget, Constraints, Sizes};

/// What a budget buys at a cost: the quotient, with cost·z <= budget in floating point too. Where the rounded quotient
/// costs too much its neighbour below does not.
pub(super) fn affordable(budget: f64, cost: f64) -> f64 {
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
        // Rounding may leave a last bit less than the least, which a span takes care that the budget pays for.
        flops => affordable(flops, 2.0 * n).min(constraints.most_samples).max(constraints.least_samples),
    };
    (d, k)
}

/// The largest z with `fits`, a few steps of the last bit from a guess.
pub(super) fn largest_below(guess: f64, fits: impl Fn(f64) -> bool) -> f64 {
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
pub(super) struct Span {
    pub budget: Budget,
    pub least: f64,
    pub most: f64,
    /// Sizes up to `most`, where they are listed.
    pub payable: usize,
    /// What sets `most`.
    pub upper: Bound,
    pub log_least: f64,
    pub log_most: f64,
    /// ln(C_train/6).
    pub log_train: f64,
    /// ln(C_inf/2).
    pub log_inference: f64,
}

impl Span {
    pub fn new(index: usize, budget: Budget, constraints: &Constraints) -> Result<Self, Error> {
        let (least, mut most) = match &constraints.sizes {
            Sizes::Range(least, most) => (*least, *most),
            Sizes::List(sizes) => (sizes.iter().copied().fold(f64::INFINITY, f64::min), f64::INFINITY),
        };
        // Halving is exact; 6 N D is checked in the order in which it is evaluated.
        let fewest = constraints.tokens.0;
        let by_tokens = largest_below(budget.train / 6.0 / fewest, |n| 6.0 * n * fewest <= budget.train);
        let (inference, samples) = (budget.inference, constraints.least_samples);
        let by_samples = largest_below(inference / 2.0 / samples, |n| 2.0 * n * samples <= inference);
        let mut upper = Bound::MostParams;
        for (limit, bound) in [(by_samples, Bound::LeastSamples), (by_tokens, Bound::LeastTokens)] {
            if limit < most {
                (most, upper) = (limit, bound);
            }
        }
        if least > most {
            return Err(Error::Infeasible { budget: index, least, most, samples, bound: upper });
        }
        Ok(Self {
            budget,
            least,
            most,
            payable: match &constraints.sizes {
                Sizes::List(sizes) => sizes.iter().filter(|&&n| n <= most).count(),
                Sizes::Range(..) => 0,
            },
            upper,
            log_least: least.ln(),
            log_most: most.ln(),
            log_train: (budget.train / 6.0).ln(),
            log_inference: (budget.inference / 2.0).ln(),
        })
    }

    /// The ln N within the span that is nearest to what a rule asks for, and what keeps it from that; below `corner`,
    /// ln of the N that uses up the most tokens, training budget would be left unspent.
    pub fn reach(&self, target: f64, corner: f64) -> (f64, Bound) {
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
    pub fn bound(&self, constraints: &Constraints, n: f64, d: f64, k: f64) -> Bound {
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
