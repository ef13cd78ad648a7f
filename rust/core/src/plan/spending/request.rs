//! What is asked of a purchase: what models cost, what is sought, and what a query may cost or wait.

use crate::data_wall::gained;
use crate::plan::scalar::root;

/// What a model costs: training a token, the prompts of all queries, a sample of each.
pub type Prices = [f64; 3];

/// What moving bytes costs for a sample, all queries together: the weights, shared by the samples in flight, and the
/// keys and values that came before, of which a model has caches N^power.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// Of weights, a parameter.
    pub weights: f64,
    /// Of keys and values, of a model of one parameter.
    pub caches: f64,
    /// How these grow with N.
    pub power: f64,
}

impl Bytes {
    /// Of a model of so many parameters.
    pub fn of(&self, n: f64) -> f64 {
        self.weights * n + if self.caches > 0.0 { self.caches * n.powf(self.power) } else { 0.0 }
    }
}

/// The ln N at which a sample's arithmetic and its bytes cost the same, if there is one.
pub(super) fn corner(sample: f64, bytes: &Bytes) -> Option<f64> {
    let left = sample - bytes.weights;
    let log_n = (bytes.caches / left).ln() / (1.0 - bytes.power);
    (bytes.caches > 0.0 && left > 0.0 && log_n.is_finite()).then_some(log_n)
}

/// Prices of a model of so many parameters: a sample costs its arithmetic or its bytes, whichever is more.
pub fn priced([train, prompt, sample]: Prices, bytes: &Bytes, n: f64) -> Prices {
    [train * n, prompt * n, (sample * n).max(bytes.of(n))]
}

/// Which N may be chosen.
#[derive(Clone, Debug)]
pub enum PricedSizes {
    /// Anything in between, at prices a parameter, and what bytes cost.
    Range(f64, f64, Prices, Bytes),
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

/// A ceiling on N prompt + max(N sample k, N floor + bytes k): what a query costs, or how long it takes by the roofline,
/// where `floor` is the time of moving the weights.
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
    /// Of a sample.
    pub bytes: Bytes,
}

impl Limit {
    pub(super) fn most_params(&self, k: f64) -> f64 {
        let moved = self.floor + self.bytes.weights * k;
        let most = self.most / (self.prompt + (self.sample * k).max(moved));
        let over = |log_n: f64| self.used(log_n.exp(), k) - self.most;
        if self.bytes.caches <= 0.0 || over(most.ln()) <= 0.0 {
            return most;
        }
        let mut low = most.ln();
        while over(low) > 0.0 {
            if low < 0.0 {
                return 0.0; // not even one parameter
            }
            low -= 1.0;
        }
        // Just inside, where the fewest samples are not too many for rounding.
        root(over, (low, over(low)), (most.ln(), over(most.ln()))).exp() * (1.0 - 2e-12)
    }

    /// The size at which as many samples as arithmetic allows are as many as bytes do, if there is one between two.
    pub(super) fn corner(&self, [low, high]: [f64; 2]) -> Option<f64> {
        let apart = |log_n: f64| {
            let n = log_n.exp();
            let left = self.most / n - self.prompt;
            left / self.sample * self.bytes.of(n) / n - (left - self.floor)
        };
        let (first, last) = (apart(low), apart(high));
        (self.bytes.caches > 0.0 && (first > 0.0) != (last > 0.0))
            .then(|| root(apart, (low, first), (high, last)))
    }

    fn used(&self, n: f64, k: f64) -> f64 {
        n * self.prompt + (n * self.sample * k).max(n * self.floor + self.bytes.of(n) * k)
    }

    /// Below 1 where even one sample is too much.
    pub(super) fn most_samples(&self, n: f64) -> f64 {
        let left = self.most / n - self.prompt;
        if left < self.floor * (1.0 - 1e-12) {
            return 0.0;
        }
        let moved = self.bytes.of(n) / n;
        let by_bytes = if moved > 0.0 { (left - self.floor).max(0.0) / moved } else { f64::INFINITY };
        (left / self.sample).min(by_bytes)
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
