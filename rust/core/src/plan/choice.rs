//! What a plan is: the N, D and k chosen, and what kept them from moving further.

/// What kept a choice from moving further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Nothing.
    None,
    /// The least N allowed.
    LeastParams,
    /// The most N allowed.
    MostParams,
    /// The least k allowed: N is all that inference can pay for.
    LeastSamples,
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
    pub(super) const NONE: Self = {
        let none = Choice { n: f64::NAN, d: f64::NAN, k: f64::NAN, value: f64::NAN, bound: Bound::None };
        Self { best: none, chinchilla: none }
    };
}
