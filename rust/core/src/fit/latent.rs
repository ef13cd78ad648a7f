//! The latent loss L̂ = A/N^α + B/D^β of the one-stage fits, and its unknowns.
//!
//! A latent loss has no scale and no floor of its own: E is taken up by θ0 and θ3, and a factor by A, B, θ0, θ1 and θ4.
//! The one-stage fits therefore hold E = 0 and θ1 = 1.

use crate::laws::Link;
use crate::levenberg::Model;

/// The one-stage law's unknowns: ln A and ln B at the mean ln N and ln D, α, β, θ0, θ2, θ3, θ4.
pub(super) const UNKNOWNS: usize = 8;
/// Their box.
pub(super) const LOWER: [f64; UNKNOWNS] = [-12.0, -12.0, 0.01, 0.01, -60.0, 1e-6, -40.0, -20.0];
/// Their box.
pub(super) const UPPER: [f64; UNKNOWNS] = [6.0, 6.0, 5.0, 5.0, 400.0, 1.0, 40.0, 20.0];

/// Checkpoints as logarithms about their means, shared by the one-stage fits.
pub(super) struct Checkpoints {
    pub(super) log_n: Vec<f64>,
    pub(super) log_d: Vec<f64>,
    mean: [f64; 2],
}

impl Checkpoints {
    pub(super) fn new(n: &[f64], d: &[f64]) -> Self {
        let mean = [n, d].map(|v| v.iter().map(|x| x.ln()).sum::<f64>() / v.len() as f64);
        let centred = |v: &[f64], m: f64| v.iter().map(|x| x.ln() - m).collect();
        Self { log_n: centred(n, mean[0]), log_d: centred(d, mean[1]), mean }
    }

    /// Latent loss of checkpoint `i` and its derivatives in the first four unknowns.
    pub(super) fn latent(&self, x: &[f64; UNKNOWNS], i: usize) -> (f64, [f64; 4]) {
        let (ln, ld) = (self.log_n[i], self.log_d[i]);
        let (tn, td) = ((x[0] - x[2] * ln).exp(), (x[1] - x[3] * ld).exp());
        (tn + td, [tn, td, -ln * tn, -ld * td])
    }

    /// The link at a latent loss, and the derivatives of its Beta parameters in all unknowns.
    pub(super) fn link(x: &[f64; UNKNOWNS], latent: f64, by: &[f64; 4]) -> (Link, [[f64; 2]; UNKNOWNS]) {
        let link = Link::new(&[x[4], 1.0, x[5], x[6], x[7]], latent);
        let chain = |g: f64| [link.latent[0] * g, link.latent[1] * g];
        let t = &link.theta;
        let all = [chain(by[0]), chain(by[1]), chain(by[2]), chain(by[3]), t[0], t[2], t[3], t[4]];
        (link, all)
    }

    /// E, A, B, α, β, θ0…θ4.
    pub(super) fn natural(&self, x: &[f64; UNKNOWNS]) -> Vec<f64> {
        let (a, b) = ((x[0] + x[2] * self.mean[0]).exp(), (x[1] + x[3] * self.mean[1]).exp());
        vec![0.0, a, b, x[2], x[3], x[4], 1.0, x[5], x[6], x[7]]
    }

    /// The unknowns of a law with E = 0 and θ1 = 1.
    pub(super) fn unknowns(&self, p: &[f64]) -> [f64; UNKNOWNS] {
        [p[1].ln() - p[3] * self.mean[0], p[2].ln() - p[4] * self.mean[1], p[3], p[4], p[5], p[7], p[8], p[9]]
    }

    /// Flags of the eight unknowns, in the order of the law's ten parameters (E and θ1 are held).
    pub(super) fn flags(x: [bool; UNKNOWNS], held: bool) -> Vec<bool> {
        vec![held, x[0], x[1], x[2], x[3], x[4], held, x[5], x[6], x[7]]
    }
}

/// Priors of the regularised variants, those of the forecast law: normal in ln A, ln B, ln α, ln β, θ0, the logit of θ2,
/// θ3 and θ4, about values that keep exponents sane.
pub(super) struct Prior {
    mean: [f64; UNKNOWNS],
}

const SPREAD: [f64; UNKNOWNS] = [1.5, 1.5, 0.5, 0.5, 3.0, 1.5, 2.0, 0.4];
/// θ2 of the regularised variants is kept below one, where its logit ends.
pub(super) const LARGEST_CEILING: f64 = 1.0 - 1e-6;

impl Prior {
    /// For a table whose best checkpoint has pass@1 = `top`.
    pub(super) fn new(top: f64) -> Self {
        let top = top.clamp(1e-5, 0.9);
        let usual = 0.4f64.ln();
        Self { mean: [0.0, 1.0, usual, usual, -2.0, (top / (1.0 - top)).ln() + 1.5, 3.5, 0.0] }
    }

    /// Adds ½ Σ ((t − m)/S)², t the unknowns as the prior has them.
    pub(super) fn add<const P: usize>(&self, m: &mut Model<P>, x: &[f64; P]) {
        for p in 0..UNKNOWNS {
            let (t, slope) = match p {
                2 | 3 => (x[p].ln(), 1.0 / x[p]),
                5 => ((x[p] / (1.0 - x[p])).ln(), 1.0 / (x[p] * (1.0 - x[p]))),
                _ => (x[p], 1.0),
            };
            let mut gradient = [0.0; P];
            gradient[p] = slope / SPREAD[p];
            m.add((t - self.mean[p]) / SPREAD[p], &gradient, 1.0);
        }
    }
}
