//! The laws themselves: a value at any (N, D, k), and its slopes.
//!
//! | law | value | parameters |
//! | --- | --- | --- |
//! | Chinchilla | L̂ = E + A/N^α + B/D^β | E A B α β |
//! | loss | L̂ + G/k^γ, mean negative log pass@k | E A B G α β γ |
//! | accuracy | pass@k of p ~ Beta(μν, (1−μ)ν), μ = θ2/(1+exp(θ1(L̂−θ0))), ν = exp(θ3+θ4 L̂) | E A B α β θ0…θ4 |
//! | counts | as accuracy, with a checkpoint effect of standard deviation σ on L̂ | E A B α β θ0…θ4 σ |
//! | direct | pass@k with ln(−ln pass@k) = c0 + c1 ln C + c2 ln k + c3 ln C ln k, C = 6ND | c0…c3 |

use crate::beta;

/// Which law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Hoffmann et al. 2022.
    Chinchilla,
    /// T², approach 1.
    Loss,
    /// T², approach 2.
    Accuracy,
    /// Beta-binomial likelihood of the counts.
    Counts,
    /// Compute and samples alone (arXiv 2512.08894).
    Direct,
}

/// Where a parameter may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Any finite number.
    Finite,
    /// Finite, zero or more.
    NotNegative,
    /// Between 0 and 1.
    Probability,
}

impl Range {
    /// Whether it holds a value.
    pub fn holds(self, value: f64) -> bool {
        let least = if self == Self::Finite { f64::NEG_INFINITY } else { 0.0 };
        let most = if self == Self::Probability { 1.0 } else { f64::INFINITY };
        value.is_finite() && (least..=most).contains(&value)
    }

    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Finite => "finite",
            Self::NotNegative => "finite and not negative",
            Self::Probability => "a probability, between 0 and 1",
        }
    }
}

/// Where the parameter called `name` may lie, in whichever law.
pub fn range_of(name: &str) -> Range {
    match name {
        "theta2" => Range::Probability,
        "theta0" | "theta1" | "theta3" | "theta4" | "c0" | "c1" | "c2" | "c3" => Range::Finite,
        _ => Range::NotNegative,
    }
}

/// A value and its derivatives in ln N, ln D and ln k.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Predicted loss or pass@k.
    pub value: f64,
    /// Derivative in ln N.
    pub n: f64,
    /// Derivative in ln D.
    pub d: f64,
    /// Derivative in ln k.
    pub k: f64,
}

/// ν outside this range is no longer told apart from its limits (all problems alike; each always or never solved).
pub(crate) const NU: (f64, f64) = (1e-12, 1e12);

/// The Beta link from a loss to pass@k, and its derivatives.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// a and b of the Beta distribution.
    pub ab: [f64; 2],
    /// Derivatives of (a, b) in L̂.
    pub latent: [f64; 2],
    /// Derivatives of (a, b) in θ0…θ4.
    pub theta: [[f64; 2]; 5],
}

impl Link {
    /// At loss `latent` with parameters θ0…θ4.
    pub fn new(theta: &[f64; 5], latent: f64) -> Self {
        let [t0, t1, t2, t3, t4] = *theta;
        let z = t1 * (latent - t0);
        // 1/(1+e^z) and its complement, each without cancellation.
        let (s, rest) = if z > 0.0 {
            let e = (-z).exp();
            (e / (1.0 + e), 1.0 / (1.0 + e))
        } else {
            let e = z.exp();
            (1.0 / (1.0 + e), e / (1.0 + e))
        };
        let (mu, failing) = (t2 * s, if t2 == 1.0 { rest } else { 1.0 - t2 * s });
        let raw = (t3 + t4 * latent).exp();
        let nu = raw.clamp(NU.0, NU.1);
        let slope = if raw == nu { nu } else { 0.0 };
        let bend = t2 * s * rest;
        let by_mu = |m: f64| [m * nu, -m * nu];
        let by_nu = |v: f64| [v * mu, v * failing];
        let sum = |p: [f64; 2], q: [f64; 2]| [p[0] + q[0], p[1] + q[1]];
        Self {
            ab: [(mu * nu).max(f64::MIN_POSITIVE), (failing * nu).max(f64::MIN_POSITIVE)],
            latent: sum(by_mu(-bend * t1), by_nu(slope * t4)),
            theta: [
                by_mu(bend * t1),
                by_mu(-bend * (latent - t0)),
                by_mu(s),
                by_nu(slope),
                by_nu(slope * latent),
            ],
        }
    }

    /// pass@k, its derivatives in (a, b), and in k.
    pub fn pass(&self, k: f64) -> (f64, [f64; 2], f64) {
        let (log_failure, g) = beta::log_failure_gradient(self.ab[0], self.ab[1], k);
        let failure = log_failure.exp();
        (-log_failure.exp_m1(), [-failure * g[0], -failure * g[1]], -failure * g[2])
    }
}

impl Law {
    /// The law called `name`.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Chinchilla, Self::Loss, Self::Accuracy, Self::Counts, Self::Direct]
            .into_iter()
            .find(|law| law.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chinchilla => "chinchilla",
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::Counts => "counts",
            Self::Direct => "direct",
        }
    }

    /// Names of its parameters, in order.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Chinchilla => &["E", "A", "B", "alpha", "beta"],
            Self::Loss => &["E", "A", "B", "G", "alpha", "beta", "gamma"],
            Self::Accuracy => {
                &["E", "A", "B", "alpha", "beta", "theta0", "theta1", "theta2", "theta3", "theta4"]
            }
            Self::Counts => {
                &["E", "A", "B", "alpha", "beta", "theta0", "theta1", "theta2", "theta3", "theta4", "sigma"]
            }
            Self::Direct => &["c0", "c1", "c2", "c3"],
        }
    }

    /// Whether larger is better (pass@k) or worse (a loss).
    pub fn maximised(self) -> bool {
        matches!(self, Self::Accuracy | Self::Counts | Self::Direct)
    }

    /// Whether it says how success probabilities differ between problems.
    pub fn knows_problems(self) -> bool {
        matches!(self, Self::Accuracy | Self::Counts)
    }

    fn exponents(self, params: &[f64]) -> (f64, f64) {
        if self == Self::Loss { (params[4], params[5]) } else { (params[3], params[4]) }
    }

    /// The part that training decides, L̂ = E + A/N^α + B/D^β, with its derivatives in ln N and ln D.
    pub fn latent(self, params: &[f64], log_n: f64, log_d: f64) -> (f64, f64, f64) {
        let (alpha, beta) = self.exponents(params);
        let (tn, td) = (params[1] * (-alpha * log_n).exp(), params[2] * (-beta * log_d).exp());
        (params[0] + tn + td, -alpha * tn, -beta * td)
    }

    /// ln(−ln pass@k) of the direct law, with its slopes in ln C and ln k.
    fn direct(params: &[f64], log_n: f64, log_d: f64, log_k: f64) -> (f64, f64, f64) {
        let log_c = 6f64.ln() + log_n + log_d;
        let value = params[0] + params[1] * log_c + (params[2] + params[3] * log_c) * log_k;
        (value, params[1] + params[3] * log_k, params[2] + params[3] * log_c)
    }

    /// The law's value at (N, D, k). Chinchilla ignores k; the counts law's value is for a checkpoint without effect.
    pub fn value(self, params: &[f64], n: f64, d: f64, k: f64) -> f64 {
        let latent = || self.latent(params, n.ln(), d.ln()).0;
        match self {
            Self::Chinchilla => latent(),
            Self::Loss => latent() + params[3] * k.powf(-params[6]),
            Self::Accuracy | Self::Counts => {
                let [a, b] = Link::new(&theta(params), latent()).ab;
                beta::pass_at_k(a, b, k)
            }
            Self::Direct => (-Self::direct(params, n.ln(), d.ln(), k.ln()).0.exp()).exp(),
        }
    }

    /// The law's value and slopes at logarithmic coordinates.
    pub fn slope(self, params: &[f64], log_n: f64, log_d: f64, log_k: f64) -> Slope {
        let latent = || self.latent(params, log_n, log_d);
        match self {
            Self::Chinchilla => {
                let (value, n, d) = latent();
                Slope { value, n, d, k: 0.0 }
            }
            Self::Loss => {
                let (latent, n, d) = latent();
                let tk = params[3] * (-params[6] * log_k).exp();
                Slope { value: latent + tk, n, d, k: -params[6] * tk }
            }
            Self::Accuracy | Self::Counts => {
                let (latent, n, d) = latent();
                let link = Link::new(&theta(params), latent);
                let k = log_k.exp();
                let (value, by_ab, by_k) = link.pass(k);
                let by_latent = by_ab[0] * link.latent[0] + by_ab[1] * link.latent[1];
                Slope { value, n: by_latent * n, d: by_latent * d, k: by_k * k }
            }
            Self::Direct => {
                let (log_loss, by_c, by_k) = Self::direct(params, log_n, log_d, log_k);
                let value = (-log_loss.exp()).exp();
                let fall = -value * log_loss.exp();
                Slope { value, n: fall * by_c, d: fall * by_c, k: fall * by_k }
            }
        }
    }
}

/// θ0…θ4 of an accuracy or counts law.
pub fn theta(params: &[f64]) -> [f64; 5] {
    std::array::from_fn(|i| params[5 + i])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCURACY: [f64; 10] = [1.69, 406.4, 410.7, 0.34, 0.28, 3.0, 1.5, 0.9, 1.0, -0.5];

    #[test]
    fn accuracy_law_at_the_published_example() {
        let (n, c) = (37e6, 2.56e19);
        let (d, k) = (c / (6.0 * n), 2e9 / (2.0 * n));
        assert!((Law::Accuracy.latent(&ACCURACY, f64::ln(n), f64::ln(d)).0 - 3.10408185154).abs() < 1e-10);
        assert!((Law::Accuracy.value(&ACCURACY, n, d, k) - 0.734216631821).abs() < 1e-11);
    }

    #[test]
    fn slopes_agree_with_finite_differences() {
        let loss = [1.69, 406.4, 410.7, 2.0, 0.34, 0.28, 0.5];
        let chinchilla = [1.69, 406.4, 410.7, 0.34, 0.28];
        let direct = [8.0, -0.2, -0.9, 0.015];
        for (law, params) in [
            (Law::Chinchilla, &chinchilla[..]),
            (Law::Loss, &loss),
            (Law::Accuracy, &ACCURACY),
            (Law::Direct, &direct),
        ] {
            let x = [f64::ln(5e7), f64::ln(3e10), f64::ln(20.0)];
            let s = law.slope(params, x[0], x[1], x[2]);
            assert!((s.value - law.value(params, 5e7, 3e10, 20.0)).abs() < 1e-13);
            let at = |i: usize, h: f64| {
                let mut y = x;
                y[i] += h;
                law.slope(params, y[0], y[1], y[2]).value
            };
            for (i, analytic) in [s.n, s.d, s.k].into_iter().enumerate() {
                let numeric = (at(i, 1e-5) - at(i, -1e-5)) / 2e-5;
                assert!((numeric - analytic).abs() < 1e-9, "{law:?} {i} {numeric} {analytic}");
            }
        }
    }

    #[test]
    fn link_derivatives_agree_with_finite_differences() {
        let (theta, latent) = ([3.0, 1.5, 0.9, 1.0, -0.5], 2.7);
        let link = Link::new(&theta, latent);
        for i in 0..2 {
            let numeric =
                (Link::new(&theta, latent + 1e-6).ab[i] - Link::new(&theta, latent - 1e-6).ab[i]) / 2e-6;
            assert!((numeric - link.latent[i]).abs() < 1e-8);
            for p in 0..5 {
                let (mut up, mut down) = (theta, theta);
                up[p] += 1e-6;
                down[p] -= 1e-6;
                let numeric = (Link::new(&up, latent).ab[i] - Link::new(&down, latent).ab[i]) / 2e-6;
                assert!((numeric - link.theta[p][i]).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn extreme_latents_stay_in_range() {
        for latent in [-1e4, -50.0, 0.0, 50.0, 1e4] {
            for k in [1.0, 1e3, 1e9] {
                let link = Link::new(&[3.0, 1.5, 1.0, 1.0, -0.5], latent);
                let (pass, by_ab, by_k) = link.pass(k);
                assert!((0.0..=1.0).contains(&pass), "{latent} {k} {pass}");
                assert!(by_k.is_finite() && by_ab.iter().all(|g| !g.is_nan()));
            }
        }
    }
}
