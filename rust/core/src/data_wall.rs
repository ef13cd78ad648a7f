//! Text that runs out: what tokens are worth when they are read more than once.
//!
//! Muennighoff et al. 2023 (arXiv 2305.16264, equations 5 and 6): L = E + A/N'^alpha + B/D'^beta with effective data
//! D' = U + U R_D* (1 - exp(-R_D/R_D*)), where R_D = D/U - 1 repetitions of U unique tokens, and likewise effective
//! parameters N', of which those beyond U_N, the parameters that are best for U tokens, count less.

/// The law's parameters.
#[derive(Clone, Copy, Debug)]
pub struct DataWall {
    /// Irreducible loss E.
    pub floor: f64,
    /// A, of the term in parameters, and B, of the one in tokens.
    pub scales: [f64; 2],
    /// alpha and beta.
    pub exponents: [f64; 2],
    /// R_D* and R_N*.
    pub repeats: [f64; 2],
}

/// How much more than one reading so many `times` are worth, in readings; 0 up to one.
pub fn gained(times: f64, repeats: f64) -> f64 {
    if times > 1.0 { -repeats * (-(times - 1.0) / repeats).exp_m1() } else { 0.0 }
}

/// What `amount` is worth of which `unique` counts in full.
pub fn effective(amount: f64, unique: f64, repeats: f64) -> f64 {
    let full = unique.min(amount);
    full + full * gained(amount / full, repeats)
}

/// The amount that is worth so much; infinite from unique (1 + repeats) on.
pub fn amount_worth(effective: f64, unique: f64, repeats: f64) -> f64 {
    if effective <= unique {
        return effective;
    }
    let share = ((effective - unique) / (unique * repeats)).min(1.0);
    unique * (1.0 - repeats * (-share).ln_1p())
}

impl DataWall {
    /// U_N, the parameters for which so many tokens, read once, are Chinchilla-optimal.
    pub fn best_params(&self, tokens: f64) -> f64 {
        let ([a, b], [alpha, beta]) = (self.scales, self.exponents);
        let ratio = (alpha * a / (beta * b)).powf(1.0 / (alpha + beta));
        ratio * (ratio * tokens).powf(beta / alpha)
    }

    /// The loss at N and D, `unique` of which are.
    pub fn loss(&self, n: f64, d: f64, unique: f64) -> f64 {
        let n = effective(n, self.best_params(unique.min(d)), self.repeats[1]);
        let d = effective(d, unique, self.repeats[0]);
        self.floor + self.scales[0] / n.powf(self.exponents[0]) + self.scales[1] / d.powf(self.exponents[1])
    }
}
