//! What a member of the forecast law says: z(N, D, k) with its derivatives, and the prior of its parameters.

use crate::beta;

/// A Gaussian prior on each parameter.
#[derive(Clone, Copy, Debug)]
pub struct Prior<const P: usize> {
    /// Centres m.
    pub mean: [f64; P],
    /// Spreads S.
    pub spread: [f64; P],
}

/// A law of one measured quantity, in logarithms.
pub trait Curve<const P: usize>: Sync {
    /// For each of `ks` visits (its index, z, ∂z/∂θ) at centred ln N and ln D.
    fn visit(&self, theta: &[f64; P], at: [f64; 2], ks: &[f64], visit: impl FnMut(usize, f64, &[f64; P]));

    /// z at one k, and its slope in ln k.
    fn value(&self, theta: &[f64; P], at: [f64; 2], k: f64) -> (f64, f64);

    /// What is believed before the data, given the best measurement (the largest pass@1, or the least loss) and the
    /// middle one.
    fn prior(&self, best: f64, middle: f64) -> Prior<P>;
}

/// exp(a − x e^A) with its derivatives in a and A; held where it would overflow or vanish.
fn power_law(a: f64, log_exponent: f64, x: f64) -> (f64, f64, f64) {
    let exponent = log_exponent.min(30.0).exp();
    let raw = a - exponent * x;
    let value = raw.clamp(-50.0, 30.0).exp();
    if raw == raw.clamp(-50.0, 30.0) { (value, value, -exponent * x * value) } else { (value, 0.0, 0.0) }
}

/// 1/(1 + e^−x) and its complement.
fn logistic(x: f64) -> (f64, f64) {
    let e = (-x.abs()).exp();
    let (large, small) = (1.0 / (1.0 + e), e / (1.0 + e));
    if x >= 0.0 { (large, small) } else { (small, large) }
}

/// pass@k of p ~ Beta(μν, (1−μ)ν) above chance c: 1 − pass@k = (1−c) B(a, b+k)/B(a, b), z = ln(−ln(1 − pass@k)).
///
/// u = exp(a − n e^A) + exp(b − d e^B); μ = s(t2) s(t0 − u), s the logistic function; ν = exp(t3 + t4 u).
/// θ = (a, b, A, B, t0, t2, t3, t4).
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    /// −ln(1 − c): the hazard of guessing.
    pub guessing: f64,
}

/// ln ν outside this range is held.
const LOG_NU: (f64, f64) = (-10.0, 14.0);
/// Past this u nothing is solved any more.
const MOST_LATENT: f64 = 600.0;

impl Passing {
    /// Beta parameters at a latent u, with their derivatives in u, t0, t2, t3 and t4.
    fn link(theta: &[f64; 8], u: f64) -> ([f64; 2], [[f64; 2]; 5]) {
        let [.., t0, t2, t3, t4] = *theta;
        let held = u.min(MOST_LATENT);
        let (ceiling, above) = logistic(t2);
        let (s, rest) = logistic(t0 - held);
        let mu = ceiling * s;
        let failing = above + ceiling * rest;
        let raw = t3 + t4 * u;
        let log_nu = raw.clamp(LOG_NU.0, LOG_NU.1);
        let (nu, moves) = (log_nu.exp(), if raw == log_nu { 1.0 } else { 0.0 });
        let by_mu = |m: f64| [m * nu, -m * nu];
        let by_log_nu = |v: f64| [v * mu * nu, v * failing * nu];
        let slope = if u == held { -mu * rest } else { 0.0 };
        let (through_mu, through_nu) = (by_mu(slope), by_log_nu(moves * t4));
        let ab = [(mu * nu).max(f64::MIN_POSITIVE), failing * nu];
        let by_latent = [through_mu[0] + through_nu[0], through_mu[1] + through_nu[1]];
        let by_theta = [by_mu(mu * rest), by_mu(mu * above), by_log_nu(moves), by_log_nu(moves * u)];
        (ab, [by_latent, by_theta[0], by_theta[1], by_theta[2], by_theta[3]])
    }
}

impl Curve<8> for Passing {
    fn visit(
        &self,
        theta: &[f64; 8],
        [n, d]: [f64; 2],
        ks: &[f64],
        mut visit: impl FnMut(usize, f64, &[f64; 8]),
    ) {
        let (un, un_a, un_exponent) = power_law(theta[0], theta[2], n);
        let (ud, ud_b, ud_exponent) = power_law(theta[1], theta[3], d);
        let (ab, [latent, t0, t2, t3, t4]) = Self::link(theta, un + ud);
        for (j, &k) in ks.iter().enumerate() {
            let (log_failure, [by_a, by_b, _]) = beta::log_failure_gradient(ab[0], ab[1], k);
            let hazard = (self.guessing - log_failure).max(f64::MIN_POSITIVE);
            let through = |g: [f64; 2]| -(by_a * g[0] + by_b * g[1]) / hazard;
            let u = through(latent);
            let by_tail = [t0, t2, t3, t4].map(through);
            let gradient = [
                u * un_a,
                u * ud_b,
                u * un_exponent,
                u * ud_exponent,
                by_tail[0],
                by_tail[1],
                by_tail[2],
                by_tail[3],
            ];
            visit(j, hazard.ln(), &gradient);
        }
    }

    fn value(&self, theta: &[f64; 8], [n, d]: [f64; 2], k: f64) -> (f64, f64) {
        let u = power_law(theta[0], theta[2], n).0 + power_law(theta[1], theta[3], d).0;
        let ([a, b], _) = Self::link(theta, u);
        let (log_failure, [.., by_k]) = beta::log_failure_gradient(a, b, k);
        let hazard = (self.guessing - log_failure).max(f64::MIN_POSITIVE);
        (hazard.ln(), -by_k * k / hazard)
    }

    fn prior(&self, best: f64, _middle: f64) -> Prior<8> {
        let above_chance = 1.0 - (1.0 - best) * self.guessing.exp();
        let top = above_chance.clamp(1e-5, 0.9);
        let exponent = f64::ln(0.4);
        Prior {
            mean: [0.0, 1.0, exponent, exponent, -2.0, (top / (1.0 - top)).ln() + 1.5, 3.5, 0.0],
            spread: [1.5, 1.5, 0.5, 0.5, 3.0, 1.5, 2.0, 0.4],
        }
    }
}

/// A loss: z = ln(exp(e) + exp(a − n e^A) + exp(b − d e^B)). θ = (e, a, b, A, B).
#[derive(Clone, Copy, Debug)]
pub struct Loss;

impl Curve<5> for Loss {
    fn visit(
        &self,
        theta: &[f64; 5],
        [n, d]: [f64; 2],
        ks: &[f64],
        mut visit: impl FnMut(usize, f64, &[f64; 5]),
    ) {
        let floor = theta[0].clamp(-50.0, 30.0).exp();
        let (un, un_a, un_exponent) = power_law(theta[1], theta[3], n);
        let (ud, ud_b, ud_exponent) = power_law(theta[2], theta[4], d);
        let loss = floor + un + ud;
        let gradient = [floor / loss, un_a / loss, ud_b / loss, un_exponent / loss, ud_exponent / loss];
        (0..ks.len()).for_each(|j| visit(j, loss.ln(), &gradient));
    }

    fn value(&self, theta: &[f64; 5], [n, d]: [f64; 2], _k: f64) -> (f64, f64) {
        let floor = theta[0].clamp(-50.0, 30.0).exp();
        let loss = floor + power_law(theta[1], theta[3], n).0 + power_law(theta[2], theta[4], d).0;
        (loss.ln(), 0.0)
    }

    fn prior(&self, best: f64, middle: f64) -> Prior<5> {
        let exponent = f64::ln(0.35);
        let floor = best.ln() - 0.4;
        // What the middle loss has above the floor comes as likely from N as from D.
        let half = (0.5 * (middle - floor.exp())).ln();
        Prior { mean: [floor, half, half, exponent, exponent], spread: [0.5, 1.0, 1.0, 0.3, 0.3] }
    }
}

/// A law whose exponent of N moves with ln D: A + c d in place of A, and c behind the law's own parameters.
#[derive(Clone, Copy, Debug)]
pub struct Crossed<C>(pub C);

/// Prior spread of c: over a table whose D reach from e^−3 to e^3 times their mean, the exponent moves by 15%.
const CROSS: f64 = 0.05;

impl<C> Crossed<C> {
    /// The law's own parameters at a centred ln D.
    fn inner<const P: usize, const Q: usize>(theta: &[f64; Q], d: f64, exponent: usize) -> [f64; P] {
        std::array::from_fn(|p| if p == exponent { theta[p] + theta[P] * d } else { theta[p] })
    }

    /// Its gradient with that in c.
    fn outer<const P: usize, const Q: usize>(gradient: &[f64; P], d: f64, exponent: usize) -> [f64; Q] {
        std::array::from_fn(|p| if p == P { gradient[exponent] * d } else { gradient[p] })
    }

    fn believed<const P: usize, const Q: usize>(inner: Prior<P>) -> Prior<Q> {
        Prior {
            mean: std::array::from_fn(|p| if p == P { 0.0 } else { inner.mean[p] }),
            spread: std::array::from_fn(|p| if p == P { CROSS } else { inner.spread[p] }),
        }
    }
}

macro_rules! crossed {
    ($law:ty, $own:literal, $all:literal, $exponent:literal) => {
        impl Curve<$all> for Crossed<$law> {
            fn visit(
                &self,
                theta: &[f64; $all],
                at: [f64; 2],
                ks: &[f64],
                mut visit: impl FnMut(usize, f64, &[f64; $all]),
            ) {
                let inner: [f64; $own] = Self::inner(theta, at[1], $exponent);
                self.0.visit(&inner, at, ks, |j, z, by| visit(j, z, &Self::outer(by, at[1], $exponent)));
            }

            fn value(&self, theta: &[f64; $all], at: [f64; 2], k: f64) -> (f64, f64) {
                self.0.value(&Self::inner::<$own, $all>(theta, at[1], $exponent), at, k)
            }

            fn prior(&self, best: f64, middle: f64) -> Prior<$all> {
                Self::believed(self.0.prior(best, middle))
            }
        }
    };
}
crossed!(Passing, 8, 9, 2);
crossed!(Loss, 5, 6, 3);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<const P: usize>(curve: &impl Curve<P>, theta: [f64; P], at: [f64; 2], ks: &[f64]) {
        curve.visit(&theta, at, ks, |j, z, gradient| {
            let value = |theta: &[f64; P], k: f64| curve.value(theta, at, k).0;
            assert!((value(&theta, ks[j]) - z).abs() < 1e-13 * z.abs().max(1.0));
            for p in 0..P {
                let (mut up, mut down) = (theta, theta);
                up[p] += 1e-5;
                down[p] -= 1e-5;
                let numeric = (value(&up, ks[j]) - value(&down, ks[j])) / 2e-5;
                let off = (numeric - gradient[p]).abs();
                assert!(off < 1e-6 * gradient[p].abs().max(1.0), "{p} {j} {numeric} {gradient:?} {theta:?}");
            }
            let by_k =
                (value(&theta, ks[j] * 1e-5f64.exp()) - value(&theta, ks[j] * (-1e-5f64).exp())) / 2e-5;
            assert!((by_k - curve.value(&theta, at, ks[j]).1).abs() < 1e-6);
        });
    }

    proptest! {
        #[test]
        fn derivatives_agree_with_differences(
            step in proptest::array::uniform9(-2.0f64..2.0), n in -4.0f64..4.0, d in -5.0f64..5.0, top in 0.01f64..0.8,
            chance in 0.0f64..0.5,
        ) {
            let curve = Passing { guessing: -(-chance).ln_1p() };
            let prior = curve.prior(chance + (1.0 - chance) * top, 0.0);
            let theta = std::array::from_fn(|p| prior.mean[p] + 0.5 * prior.spread[p] * step[p]);
            check(&curve, theta, [n, d], &[1.0, 3.5, 128.0, 1e4]);
            let prior = Crossed(curve).prior(chance + (1.0 - chance) * top, 0.0);
            let theta = std::array::from_fn(|p| prior.mean[p] + 0.5 * prior.spread[p] * step[p]);
            check(&Crossed(curve), theta, [n, d], &[1.0]);
            let prior = Crossed(Loss).prior(2.0, 2.5);
            let theta = std::array::from_fn(|p| prior.mean[p] + 0.5 * prior.spread[p] * step[p]);
            check(&Crossed(Loss), theta, [n, d], &[1.0]);
        }
    }

    #[test]
    fn far_away_there_is_still_a_value() {
        let curve = Passing { guessing: 0.0 };
        let theta = curve.prior(0.3, 0.0).mean;
        for at in [[-200.0, 0.0], [0.0, -200.0], [200.0, 200.0], [-30.0, -30.0]] {
            for k in [1.0, 1e6] {
                let (z, slope) = curve.value(&theta, at, k);
                assert!(z.is_finite() && slope.is_finite(), "{at:?} {k} {z} {slope}");
                curve.visit(&theta, at, &[k], |_, z, g| {
                    assert!(z.is_finite() && g.iter().all(|g| g.is_finite()))
                });
            }
        }
    }
}
