//! What is asked of a plan: budgets, which N, D and k may be chosen, and how Chinchilla would choose.

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

/// Numbers of tokens, and of samples, to choose from; empty where the range of a plan holds.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// D.
    pub tokens: Vec<f64>,
    /// k.
    pub samples: Vec<f64>,
}

impl Listed {
    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.samples.is_empty()
    }
}

/// What a plan must respect besides its budgets and k >= 1.
#[derive(Clone, Debug)]
pub struct Constraints {
    /// Parameters.
    pub sizes: Sizes,
    /// Least and most tokens. With a maximum the training budget need not bind.
    pub tokens: (f64, f64),
    /// Least samples per problem, at least 1: N is at most C_inf/(2 k).
    pub least_samples: f64,
    /// Most samples per problem, no fewer than the least. With a maximum the inference budget need not bind.
    pub most_samples: f64,
    /// Whether k has to be a whole number.
    pub whole_k: bool,
    /// What D and k are chosen from. Chinchilla's D stays in its range: its rule sets it.
    pub listed: Listed,
}

/// How Chinchilla chooses N.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// argmin L̂(N, D) under 6ND = C_train.
    Law,
    /// D = rN, so N = sqrt(C_train/(6r)).
    TokensPerParam(f64),
}
