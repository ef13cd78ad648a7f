//! What is asked of a purchase: what models cost, what is sought, and what a query may cost or wait.

use crate::data_wall::gained;

/// What a model costs: training a token, the prompts of all queries, a sample of each.
pub type Prices = [f64; 3];

/// Which N may be chosen.
#[derive(Clone, Debug)]
pub enum PricedSizes {
    /// Anything in between, at prices a parameter.
    Range(f64, f64, Prices),
    /// One of these, each at its own prices.
    List(Vec<(f64, Prices)>),
}

/// What is sought.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// The best for a budget, of which the tokens take all that samples leave.
    Budget(f64),
    /// The best for at most a budget with as many samples as there may be: the tokens need not take what those leave,
    /// where more of them would do harm.
    Within(f64),
    /// The best for a budget with so many tokens a parameter, and with as many samples as it leaves, or fewer where
    /// more would do harm.
    Ratio(f64, f64),
    /// The least cost of a value.
    Target(f64),
}

/// Text that is read more than once (Muennighoff et al. 2023, equation 5).
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// Unique tokens U.
    pub unique: f64,
    /// R_D*.
    pub repeats: f64,
}

impl Wall {
    /// ln of what e^log_d tokens are worth.
    pub fn worth(&self, log_d: f64) -> f64 {
        let log_unique = self.unique.ln();
        log_d.min(log_unique) + gained((log_d - log_unique).exp(), self.repeats).ln_1p()
    }
}

/// A ceiling on N (prompt + max(sample k, floor)): what a query costs, or how long it takes by the roofline, where
/// `floor` is the time of moving the weights.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// For the prompt, a parameter.
    pub prompt: f64,
    /// For a sample, a parameter.
    pub sample: f64,
    /// At least for all samples, a parameter.
    pub floor: f64,
    /// The most.
    pub most: f64,
}

impl Limit {
    pub(super) fn most_params(&self, k: f64) -> f64 {
        self.most / (self.prompt + (self.sample * k).max(self.floor))
    }

    /// Below 1 where even one sample is too much.
    pub(super) fn most_samples(&self, n: f64) -> f64 {
        let left = self.most / n - self.prompt;
        if left >= self.floor * (1.0 - 1e-12) { left / self.sample } else { 0.0 }
    }
}

/// What a choice must respect.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Parameters and what they cost.
    pub sizes: PricedSizes,
    /// Least and most tokens.
    pub tokens: (f64, f64),
    /// Least and most samples.
    pub samples: (f64, f64),
    /// Whether k has to be a whole number.
    pub whole_k: bool,
    /// Whether text ends.
    pub wall: Option<Wall>,
    /// What a query may cost, or how long it may take.
    pub limits: Vec<Limit>,
}
